//! Signing in.

use super::request::Visit;
use super::respond::{html, redirect, with_cookie, with_retry};
use super::{Page, Portal, shown_name};
use crate::keys::{kept, random};
use crate::words;
use directory::{Credentials, DirectoryError, KnownDevice, SecretString};
use serde::Serialize;

#[derive(Serialize)]
struct Form<'a> {
    tenant: &'a str,
    base: String,
    token: String,
    notice: &'a str,
    problem: &'a str,
    user: &'a str,
}

/// The form; with what was wrong when it was sent.
pub(super) fn show(visit: &Visit, refusal: Option<&DirectoryError>) -> Page {
    let (status, problem) = refusal.map_or((200, String::new()), words::problem);
    let notice = match visit.done() {
        "out" => "You are signed out.",
        "everywhere" => "You are signed out everywhere.",
        "ended" => "You are not signed in any more. Please sign in again.",
        _ => "",
    };
    let form = Form {
        tenant: shown_name(&visit.tenant),
        base: visit.base(""),
        token: visit.token(),
        notice: if problem.is_empty() { notice } else { "" },
        problem: &problem,
        user: visit.field("user"),
    };
    let page = visit.page(html(status, "sign_in.html", &form)?);
    Ok(match refusal {
        Some(refusal) => with_retry(page, refusal),
        None => page,
    })
}

/// Signs in, or says the same of everything that is wrong.
pub(super) async fn submit(portal: &Portal, visit: &Visit) -> Page {
    let handle = visit.field("user").trim().to_owned();
    with_password(portal, visit, handle, visit.secret("password"), "").await
}

/// The same with what was not typed on this page. `done` is the query of the page behind it.
pub(super) async fn with_password(
    portal: &Portal,
    visit: &Visit,
    handle: String,
    password: SecretString,
    done: &str,
) -> Page {
    let key = random()?;
    let address = Some(visit.address);
    let guess = Credentials { login: handle, password, client_ip: address, known_device: visit.device() };
    // Who it is stands in the event itself; what somebody typed does not.
    let caller = visit.caller("sign-in page");
    let signed_in = portal.directory.sign_in(&caller, guess, Some(kept(&key))).await;
    let user = match signed_in {
        Ok(user) => user,
        Err(refusal @ (DirectoryError::Internal(_) | DirectoryError::NoSuchTenant)) => return Err(refusal),
        Err(refusal) => return show(visit, Some(&refusal)),
    };
    let page = if user.force_password_change == Some(true) {
        "password".to_owned()
    } else {
        format!("account{done}")
    };
    let since = user.last_activity.unwrap_or_else(|| portal.directory.now());
    let page = with_cookie(redirect(&visit.base(&page)), &visit.session_cookie(user.id, &key));
    Ok(with_cookie(page, &visit.device_cookie(&KnownDevice { user: user.id, last_sign_in: since })))
}
