//! What links from mails lead to: choosing a password. Only sending the form uses a link up; programs that look at mails
//! open links, too.

use super::request::Visit;
use super::respond::{html, with_retry};
use super::{Page, Portal, sign_in};
use crate::words;
use directory::{DirectoryError, ExposeSecret, LinkPurpose, SignInError, SignInLinkRef, User};
use serde::Serialize;

#[derive(Serialize)]
struct Form<'a> {
    tenant: &'a str,
    token: String,
    notice: &'a str,
    problem: &'a str,
    action: String,
    is_invitation: bool,
    name: String,
    email: &'a str,
    least: u32,
}

/// How a person is spoken to.
pub(crate) fn name_of(user: &User) -> String {
    let name = user.profile.display_name.clone().unwrap_or_else(|| user.full_name());
    if name.trim().is_empty() { user.email().unwrap_or(&user.user_name).to_owned() } else { name }
}

pub(super) async fn show(portal: &Portal, visit: &Visit, purpose: LinkPurpose, text: &str) -> Page {
    match find(portal, visit, purpose, text).await {
        Ok((_, user)) => form(visit, (purpose, text), &user, None),
        Err(refusal) => useless(visit, purpose, refusal),
    }
}

pub(super) async fn submit(portal: &Portal, visit: &Visit, purpose: LinkPurpose, text: &str) -> Page {
    let (link, user) = match find(portal, visit, purpose, text).await {
        Ok(found) => found,
        Err(refusal) => return useless(visit, purpose, refusal),
    };
    let password = visit.secret("new");
    if password.expose_secret() != visit.field("again") {
        let problem = "The two passwords are not the same. Please type them again.".to_owned();
        return form(visit, (purpose, text), &user, Some((422, problem)));
    }
    let caller = visit.caller("link page");
    match portal.directory.set_password_with_link(&caller, link, password, Some(visit.address)).await {
        Ok(_) => {
            // The password was just chosen here, so the browser that sent it is signed in.
            let handle = user.user_name.clone();
            sign_in::with_password(portal, visit, handle, visit.secret("new"), "?done=chosen").await
        }
        Err(refusal @ DirectoryError::Invalid(_)) => {
            form(visit, (purpose, text), &user, Some(words::problem(&refusal)))
        }
        Err(
            refusal @ (DirectoryError::Busy { .. }
            | DirectoryError::Unavailable(_)
            | DirectoryError::Conflict),
        ) => {
            let page = form(visit, (purpose, text), &user, Some(words::problem(&refusal)))?;
            Ok(with_retry(page, &refusal))
        }
        Err(refusal) => useless(visit, purpose, refusal),
    }
}

async fn find(
    portal: &Portal,
    visit: &Visit,
    purpose: LinkPurpose,
    text: &str,
) -> Result<(SignInLinkRef, User), DirectoryError> {
    let tenant = visit.tenant.number;
    let link = visit.keys.open(tenant, purpose, text).ok_or(DirectoryError::NoSuchUser)?;
    let user = portal.directory.user_by_link(tenant, &link).await?;
    Ok((link, user))
}

fn form(
    visit: &Visit,
    (purpose, text): (LinkPurpose, &str),
    user: &User,
    problem: Option<(u16, String)>,
) -> Page {
    let (status, problem) = problem.unwrap_or((200, String::new()));
    let form = Form {
        tenant: &visit.tenant.name,
        token: visit.token(),
        notice: "",
        problem: &problem,
        action: Portal::path(visit.tenant.number, purpose, text),
        is_invitation: purpose == LinkPurpose::Invitation,
        name: name_of(user),
        email: user.email().unwrap_or(&user.user_name),
        least: visit.tenant.settings.min_password_chars,
    };
    Ok(visit.page(html(status, "choose.html", &form)?))
}

/// What is said of a link that lets nobody in.
fn useless(visit: &Visit, purpose: LinkPurpose, refusal: DirectoryError) -> Page {
    let (status, heading, texts): (u16, &str, [&str; 2]) = match (refusal, purpose) {
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
            [
                "It was good for a while only, so that nobody else can use it later.",
                "Ask for a new one below.",
            ],
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
            [
                "Part of it is missing or was changed on its way.",
                "Please copy all of it from the mail, up to its end.",
            ],
        ),
        (refusal, _) => return Err(refusal),
    };
    let ways: &[(&str, &str)] = match status {
        404 => &[("sign-in", "Sign in")],
        _ => &[("sign-in", "Sign in"), ("forgot", "Ask for a new link")],
    };
    visit.message(status, heading, &texts, ways)
}
