//! The target of links in mails: choosing a password. Only submitting the form uses a link up, since mail scanners
//! also open links.

use super::request::PageRequest;
use super::responses::{render_page, with_retry_after};
use super::{PageResult, Portal, sign_in};
use crate::messages::{self, Problem};
use directory::{DirectoryError, ExposeSecret, LinkPurpose, PasswordLink, SignInError, User};
use serde::Serialize;

#[derive(Serialize)]
struct ChoosePasswordForm<'a> {
    tenant: &'a str,
    token: String,
    notice: &'a str,
    problem: &'a str,
    action: String,
    is_invitation: bool,
    name: String,
    email: &'a str,
    min_length: u32,
}

/// The name to address a user by.
pub(crate) fn display_name(user: &User) -> String {
    let name = user.profile.display_name.clone().unwrap_or_else(|| user.full_name());
    if name.trim().is_empty() { user.email().unwrap_or(&user.user_name).to_owned() } else { name }
}

pub(super) async fn show(portal: &Portal, request: &PageRequest, purpose: LinkPurpose, link_text: &str) -> PageResult {
    match resolve_link(portal, request, purpose, link_text).await {
        Ok((_, user)) => render_form(request, (purpose, link_text), &user, &Problem::none()),
        Err(error) => invalid_link(request, purpose, error),
    }
}

pub(super) async fn submit(
    portal: &Portal,
    request: &PageRequest,
    purpose: LinkPurpose,
    link_text: &str,
) -> PageResult {
    let (link, user) = match resolve_link(portal, request, purpose, link_text).await {
        Ok(found) => found,
        Err(error) => return invalid_link(request, purpose, error),
    };
    let password = request.secret_field("new");
    if password.expose_secret() != request.field("again") {
        let problem = Problem::new(422, "The passwords do not match. Please enter them again.");
        return render_form(request, (purpose, link_text), &user, &problem);
    }
    let caller = request.visitor("link page");
    match portal.directory.set_password_with_link(&caller, link, password, Some(request.address)).await {
        Ok(_) => {
            // The password was just set in this browser, so sign it in.
            let login = user.user_name.clone();
            sign_in::sign_in(portal, request, login, request.secret_field("new"), "?done=chosen").await
        }
        Err(error @ DirectoryError::Invalid(_)) => {
            render_form(request, (purpose, link_text), &user, &messages::describe(&error))
        }
        Err(error @ (DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) | DirectoryError::Conflict)) => {
            let page = render_form(request, (purpose, link_text), &user, &messages::describe(&error))?;
            Ok(with_retry_after(page, &error))
        }
        Err(error) => invalid_link(request, purpose, error),
    }
}

async fn resolve_link(
    portal: &Portal,
    request: &PageRequest,
    purpose: LinkPurpose,
    link_text: &str,
) -> Result<(PasswordLink, User), DirectoryError> {
    let tenant = request.tenant.number;
    // The error stands for a link that was not signed here.
    let link = request.keys.verify_link(tenant, purpose, link_text).ok_or(DirectoryError::NoSuchUser)?;
    let user = portal.directory.user_by_link(&request.visitor("link page"), &link).await?;
    Ok((link, user))
}

fn render_form(
    request: &PageRequest,
    (purpose, text): (LinkPurpose, &str),
    user: &User,
    problem: &Problem,
) -> PageResult {
    let form = ChoosePasswordForm {
        tenant: &request.tenant.name,
        token: request.csrf_token(),
        notice: "",
        problem: &problem.text,
        action: Portal::link_path(request.tenant.number, purpose, text),
        is_invitation: purpose == LinkPurpose::Invitation,
        name: display_name(user),
        email: user.email().unwrap_or(&user.user_name),
        min_length: request.tenant.settings.min_password_chars,
    };
    Ok(request.with_browser_cookie(render_page(problem.status, "choose_password.html", &form)?))
}

/// The page for a link that does not work.
fn invalid_link(request: &PageRequest, purpose: LinkPurpose, error: DirectoryError) -> PageResult {
    let (status, heading, paragraphs): (u16, &str, [&str; 2]) = match (error, purpose) {
        (DirectoryError::SignIn(SignInError::LinkExpired), LinkPurpose::Invitation) => (
            410,
            "This invitation has expired",
            [
                "For your security, links in emails are valid for a limited time only.",
                "Request a new one: enter your email, and we will send it to you.",
            ],
        ),
        (DirectoryError::SignIn(SignInError::LinkExpired), LinkPurpose::Reset) => (
            410,
            "This link has expired",
            [
                "For your security, links in emails are valid for a limited time only.",
                "You can request a new one below.",
            ],
        ),
        (DirectoryError::SignIn(_), _) => (
            410,
            "This link no longer works",
            [
                "Each link works only once, and changes to your account can end it.",
                "If you have already chosen a password, sign in. Otherwise, request a new link.",
            ],
        ),
        (DirectoryError::NoSuchUser, _) => (
            404,
            "This link is incomplete",
            ["A part of it is missing or was changed.", "Please copy the complete link from the email."],
        ),
        (error, _) => return Err(error),
    };
    let links: &[(&str, &str)] = match status {
        404 => &[("sign-in", "Sign in")],
        _ => &[("sign-in", "Sign in"), ("forgot", "Request a new link")],
    };
    request.message(status, heading, &paragraphs, links)
}
