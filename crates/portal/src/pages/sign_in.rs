//! The sign-in page.

use super::request::PageRequest;
use super::responses::{redirect, render_page, with_cookie, with_retry_after};
use super::{PageResult, Portal, public_name};
use crate::messages::{self, Problem};
use crate::portal_keys::{hash_session_key, random_token};
use directory::{Credentials, DirectoryError, KnownBrowser, SecretString};
use serde::Serialize;

#[derive(Serialize)]
struct SignInForm<'a> {
    tenant: &'a str,
    base: String,
    token: String,
    notice: &'a str,
    problem: &'a str,
    user: &'a str,
}

/// Shows the form, with an error if there is one.
pub(super) fn show(request: &PageRequest, error: Option<&DirectoryError>) -> PageResult {
    let Problem { status, text: problem } = error.map_or_else(Problem::none, messages::describe);
    let notice = match request.notice_code() {
        "out" => "You have signed out.",
        "everywhere" => "You have signed out everywhere.",
        "ended" => "Your session has ended. Please sign in again.",
        _ => "",
    };
    let form = SignInForm {
        tenant: public_name(&request.tenant),
        base: request.page_path(""),
        token: request.csrf_token(),
        notice: if problem.is_empty() { notice } else { "" },
        problem: &problem,
        user: request.field("user"),
    };
    let page = request.with_browser_cookie(render_page(status, "sign_in.html", &form)?);
    Ok(match error {
        Some(error) => with_retry_after(page, error),
        None => page,
    })
}

/// Signs in. The error does not reveal whether the user exists.
pub(super) async fn submit(portal: &Portal, request: &PageRequest) -> PageResult {
    let login = request.field("user").trim().to_owned();
    sign_in(portal, request, login, request.secret_field("password"), "").await
}

/// Signs in with the given credentials. `query` is added to the path of the account page.
pub(super) async fn sign_in(
    portal: &Portal,
    request: &PageRequest,
    login: String,
    password: SecretString,
    query: &str,
) -> PageResult {
    let key = random_token()?;
    let address = Some(request.address);
    let credentials = Credentials { login, password, client_ip: address, known_browser: request.known_browser() };
    // The event itself identifies the user; what was typed must not be recorded.
    let caller = request.visitor("sign-in page");
    let result = portal.directory.sign_in(&caller, credentials, Some(hash_session_key(&key))).await;
    let user = match result {
        Ok(user) => user,
        Err(error @ (DirectoryError::Internal(_) | DirectoryError::NoSuchTenant)) => return Err(error),
        Err(error) => return show(request, Some(&error)),
    };
    let path = if user.force_password_change == Some(true) { "password".to_owned() } else { format!("account{query}") };
    let since = user.last_activity.unwrap_or_else(|| portal.directory.now());
    let response = with_cookie(redirect(&request.page_path(&path)), &request.session_cookie(user.id, &key));
    Ok(with_cookie(response, &request.known_browser_cookie(&KnownBrowser { user: user.id, last_sign_in: since })))
}
