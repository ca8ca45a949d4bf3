//! The account page: the user's data, password and sessions.

use super::request::{PageRequest, Session};
use super::responses::{redirect, render_page, with_cookie, with_retry_after};
use super::{PageResult, Portal, Route};
use crate::messages::{self, Problem};
use directory::{AccountAction, DirectoryError, ExposeSecret, Field, KeyHash, KnownBrowser, SignInError, User};
use http::Response;
use serde::Serialize;

#[derive(Serialize)]
struct AccountPage<'a> {
    tenant: &'a str,
    base: String,
    token: String,
    notice: &'a str,
    problem: &'a str,
    rows: Vec<Row>,
    sessions: usize,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct ChangePasswordForm<'a> {
    tenant: &'a str,
    base: String,
    token: String,
    notice: &'a str,
    problem: &'a str,
    /// The field with an error; empty if none.
    invalid_field: &'static str,
    is_forced: bool,
    email: &'a str,
    min_length: u32,
}

/// The fields on the account page, with their labels.
const DISPLAYED_FIELDS: [(Field, &str); 12] = [
    (Field::UserName, "User name"),
    (Field::Email, "Email"),
    (Field::GivenName, "First name"),
    (Field::FamilyName, "Last name"),
    (Field::DisplayName, "Display name"),
    (Field::Title, "Job title"),
    (Field::Department, "Department"),
    (Field::WorkPhone, "Work phone"),
    (Field::MobilePhone, "Mobile phone"),
    (Field::City, "City"),
    (Field::Country, "Country"),
    (Field::TimeZone, "Time zone"),
];

fn redirect_to_sign_in(request: &PageRequest) -> Response<bytes::Bytes> {
    if !request.has_session_cookie() {
        return redirect(&request.page_path("sign-in"));
    }
    with_cookie(redirect(&format!("{}?done=ended", request.page_path("sign-in"))), &request.expired_session_cookie())
}

fn must_change_password(user: &User) -> bool {
    user.force_password_change == Some(true)
}

pub(super) async fn show(portal: &Portal, request: &PageRequest) -> PageResult {
    let Some(Session { user, .. }) = request.current_session(&portal.directory).await? else {
        return Ok(redirect_to_sign_in(request));
    };
    if must_change_password(&user) {
        return Ok(redirect(&request.page_path("password")));
    }
    let mut rows: Vec<Row> = Vec::new();
    // Hide the user name if it is the email, as it usually is.
    let shown = DISPLAYED_FIELDS
        .iter()
        .filter(|(field, _)| *field != Field::UserName || user.email().is_none_or(|email| email != user.user_name));
    for (field, name) in shown.copied() {
        rows.extend(user.text(field).map(|text| Row { name, value: text.to_owned() }));
    }
    for entry in user.emails.iter().filter(|entry| Some(entry.value.as_str()) != user.email()) {
        rows.push(Row { name: "Other email", value: entry.value.clone() });
    }
    rows.push(Row { name: "Member since", value: messages::format_timestamp(user.created) });
    let sessions = portal.directory.session_count(&request.signed_in(user.id), user.id).await?;
    let account = AccountPage {
        tenant: &request.tenant.name,
        base: request.page_path(""),
        token: request.csrf_token(),
        notice: match request.notice_code() {
            "changed" => "Your password has been changed. All other browsers are signed out.",
            "chosen" => "Your password has been set, and you are signed in.",
            _ => "",
        },
        problem: "",
        rows,
        sessions,
    };
    Ok(request.with_browser_cookie(render_page(200, "account.html", &account)?))
}

pub(super) async fn show_change_password(portal: &Portal, request: &PageRequest) -> PageResult {
    match request.current_session(&portal.directory).await? {
        Some(session) => render_change_password(request, &session.user, "", &Problem::none()),
        None => Ok(redirect_to_sign_in(request)),
    }
}

fn render_change_password(request: &PageRequest, user: &User, field: &'static str, problem: &Problem) -> PageResult {
    let change = ChangePasswordForm {
        tenant: &request.tenant.name,
        base: request.page_path(""),
        token: request.csrf_token(),
        notice: "",
        problem: &problem.text,
        invalid_field: field,
        is_forced: must_change_password(user),
        email: user.email().unwrap_or(&user.user_name),
        min_length: request.tenant.settings.min_password_chars,
    };
    Ok(request.with_browser_cookie(render_page(problem.status, "change_password.html", &change)?))
}

pub(super) async fn submit_change_password(portal: &Portal, request: &PageRequest) -> PageResult {
    let Some(Session { user, key_hash }) = request.current_session(&portal.directory).await? else {
        return Ok(redirect_to_sign_in(request));
    };
    let (old, new) = (request.secret_field("old"), request.secret_field("new"));
    let invalid_new_password = |text: &str| render_change_password(request, &user, "new", &Problem::new(422, text));
    if new.expose_secret() != request.field("again") {
        return invalid_new_password("The new passwords do not match. Please enter them again.");
    }
    if new.expose_secret() == old.expose_secret() {
        return invalid_new_password("The new password must be different from the current password.");
    }
    let caller = request.signed_in(user.id);
    match portal.directory.change_password(&caller, user.id, (old, new), key_hash, Some(request.address)).await {
        Ok(_) => {
            let browser = KnownBrowser { user: user.id, last_sign_in: portal.directory.now() };
            let page = redirect(&format!("{}?done=changed", request.page_path("account")));
            Ok(with_cookie(page, &request.known_browser_cookie(&browser)))
        }
        Err(DirectoryError::SignIn(SignInError::InvalidCredentials)) => render_change_password(
            request,
            &user,
            "old",
            &Problem::new(403, "The current password is incorrect. Please try again."),
        ),
        Err(error @ (DirectoryError::Internal(_) | DirectoryError::NoSuchUser)) => Err(error),
        Err(error) => {
            let field = if matches!(error, DirectoryError::Invalid(_)) { "new" } else { "" };
            Ok(with_retry_after(render_change_password(request, &user, field, &messages::describe(&error))?, &error))
        }
    }
}

/// Ends the session of this browser, or all sessions.
pub(super) async fn sign_out(portal: &Portal, request: &PageRequest, route: Route) -> PageResult {
    let Some(Session { user, key_hash }) = request.current_session(&portal.directory).await? else {
        return Ok(redirect_to_sign_in(request));
    };
    let (action, done) = match route {
        Route::SignOutEverywhere => (AccountAction::SignOutEverywhere, "everywhere"),
        _ => (sign_out_action(key_hash), "out"),
    };
    let caller = request.signed_in(user.id);
    portal.directory.run_account_action(&caller, user.id, action).await?;
    let page = redirect(&format!("{}?done={done}", request.page_path("sign-in")));
    Ok(with_cookie(page, &request.expired_session_cookie()))
}

fn sign_out_action(key: KeyHash) -> AccountAction {
    AccountAction::SignOut(key)
}
