//! What links from mails lead to: choosing a password. Only sending the form uses a link up; programs that look at mails
//! open links, too.

use super::request::PageRequest;
use super::responses::{render_page, with_retry_after};
use super::{PageResult, Portal, sign_in};
use crate::messages;
use directory::{DirectoryError, ExposeSecret, LinkPurpose, SignInError, SignInLinkRef, User};
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

/// How a person is spoken to.
pub(crate) fn display_name(user: &User) -> String {
    let name = user.profile.display_name.clone().unwrap_or_else(|| user.full_name());
    if name.trim().is_empty() { user.email().unwrap_or(&user.user_name).to_owned() } else { name }
}

pub(super) async fn show(portal: &Portal, request: &PageRequest, purpose: LinkPurpose, link_text: &str) -> PageResult {
    match resolve_link(portal, request, purpose, link_text).await {
        Ok((_, user)) => render_form(request, (purpose, link_text), &user, None),
        Err(refusal) => invalid_link(request, purpose, refusal),
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
        Err(refusal) => return invalid_link(request, purpose, refusal),
    };
    let password = request.secret_field("new");
    if password.expose_secret() != request.field("again") {
        let problem = "The two passwords are not the same. Please type them again.".to_owned();
        return render_form(request, (purpose, link_text), &user, Some((422, problem)));
    }
    let caller = request.caller("link page");
    match portal.directory.set_password_with_link(&caller, link, password, Some(request.address)).await {
        Ok(_) => {
            // The password was just chosen here, so the browser that sent it is signed in.
            let login = user.user_name.clone();
            sign_in::sign_in(portal, request, login, request.secret_field("new"), "?done=chosen").await
        }
        Err(refusal @ DirectoryError::Invalid(_)) => {
            render_form(request, (purpose, link_text), &user, Some(messages::error_message(&refusal)))
        }
        Err(refusal @ (DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) | DirectoryError::Conflict)) => {
            let page = render_form(request, (purpose, link_text), &user, Some(messages::error_message(&refusal)))?;
            Ok(with_retry_after(page, &refusal))
        }
        Err(refusal) => invalid_link(request, purpose, refusal),
    }
}

async fn resolve_link(
    portal: &Portal,
    request: &PageRequest,
    purpose: LinkPurpose,
    link_text: &str,
) -> Result<(SignInLinkRef, User), DirectoryError> {
    let tenant = request.tenant.number;
    let link = request.keys.verify_link(tenant, purpose, link_text).ok_or(DirectoryError::NoSuchUser)?;
    let user = portal.directory.user_by_link(tenant, &link).await?;
    Ok((link, user))
}

fn render_form(
    request: &PageRequest,
    (purpose, text): (LinkPurpose, &str),
    user: &User,
    problem: Option<(u16, String)>,
) -> PageResult {
    let (status, problem) = problem.unwrap_or((200, String::new()));
    let form = ChoosePasswordForm {
        tenant: &request.tenant.name,
        token: request.csrf_token(),
        notice: "",
        problem: &problem,
        action: Portal::link_path(request.tenant.number, purpose, text),
        is_invitation: purpose == LinkPurpose::Invitation,
        name: display_name(user),
        email: user.email().unwrap_or(&user.user_name),
        min_length: request.tenant.settings.min_password_chars,
    };
    Ok(request.with_browser_cookie(render_page(status, "choose_password.html", &form)?))
}

/// What is said of a link that lets nobody in.
fn invalid_link(request: &PageRequest, purpose: LinkPurpose, refusal: DirectoryError) -> PageResult {
    let (status, heading, paragraphs): (u16, &str, [&str; 2]) = match (refusal, purpose) {
        (DirectoryError::SignIn(SignInError::LinkExpired), LinkPurpose::Invitation) => (
            410,
            "This invitation has run out",
            [
                "It was good for a while only, so that nobody else can use it later.",
                "Ask for a new one: say your e-mail, and it is sent to you.",
            ],
        ),
        (DirectoryError::SignIn(SignInError::LinkExpired), LinkPurpose::Reset) => (
            410,
            "This link has run out",
            ["It was good for a while only, so that nobody else can use it later.", "Ask for a new one below."],
        ),
        (DirectoryError::SignIn(_), _) => (
            410,
            "This link no longer works",
            [
                "Each link works once, and a newer one takes the place of an older one.",
                "If you have chosen a password, sign in with it; if not, ask for a new link.",
            ],
        ),
        (DirectoryError::NoSuchUser, _) => (
            404,
            "This link is not whole",
            ["Part of it is missing or was changed on its way.", "Please copy all of it from the mail, up to its end."],
        ),
        (refusal, _) => return Err(refusal),
    };
    let links: &[(&str, &str)] = match status {
        404 => &[("sign-in", "Sign in")],
        _ => &[("sign-in", "Sign in"), ("forgot", "Ask for a new link")],
    };
    request.message(status, heading, &paragraphs, links)
}
