//! One's own account: what is kept, the password, and where one is signed in.

use super::request::Visit;
use super::respond::{html, redirect, with_cookie, with_retry};
use super::{Page, Portal};
use crate::words;
use directory::{
    AccountAction, DirectoryError, ExposeSecret, Field, KeyHash, KnownDevice, SignInError, User,
};
use http::Response;
use serde::Serialize;

#[derive(Serialize)]
struct Account<'a> {
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
struct Change<'a> {
    tenant: &'a str,
    base: String,
    token: String,
    notice: &'a str,
    problem: &'a str,
    /// The field that is wrong.
    wrong: &'static str,
    is_forced: bool,
    email: &'a str,
    least: u32,
}

/// What a person is shown of themselves, by its name.
const SHOWN: [(Field, &str); 12] = [
    (Field::UserName, "User name"),
    (Field::Email, "Email"),
    (Field::GivenName, "First name"),
    (Field::FamilyName, "Last name"),
    (Field::DisplayName, "Shown as"),
    (Field::Title, "Job title"),
    (Field::Department, "Department"),
    (Field::WorkPhone, "Phone at work"),
    (Field::MobilePhone, "Mobile phone"),
    (Field::City, "City"),
    (Field::Country, "Country"),
    (Field::TimeZone, "Time zone"),
];

/// Whoever is not signed in goes there first.
fn to_sign_in(visit: &Visit) -> Response<bytes::Bytes> {
    if !visit.has_session() {
        return redirect(&visit.base("sign-in"));
    }
    with_cookie(redirect(&format!("{}?done=ended", visit.base("sign-in"))), &visit.no_session_cookie())
}

fn must_change(user: &User) -> bool {
    user.force_password_change == Some(true)
}

pub(super) async fn show(portal: &Portal, visit: &Visit) -> Page {
    let Some((user, _)) = visit.signed_in(&portal.directory).await? else { return Ok(to_sign_in(visit)) };
    if must_change(&user) {
        return Ok(redirect(&visit.base("password")));
    }
    let mut rows: Vec<Row> = Vec::new();
    // Most people's user name is their e-mail.
    let shown = SHOWN.iter().filter(|(field, _)| {
        *field != Field::UserName || user.email().is_none_or(|email| email != user.user_name)
    });
    for (field, name) in shown.copied() {
        rows.extend(user.text(field).map(|text| Row { name, value: text.to_owned() }));
    }
    for entry in user.emails.iter().filter(|entry| Some(entry.value.as_str()) != user.email()) {
        rows.push(Row { name: "Another email", value: entry.value.clone() });
    }
    rows.push(Row { name: "Member since", value: words::moment(user.created) });
    let sessions = portal.directory.session_count(visit.tenant.number, user.id).await?;
    let account = Account {
        tenant: &visit.tenant.name,
        base: visit.base(""),
        token: visit.token(),
        notice: match visit.done() {
            "changed" => "Your password is changed. All other browsers are signed out.",
            "chosen" => "Your password is set, and you are signed in.",
            _ => "",
        },
        problem: "",
        rows,
        sessions,
    };
    Ok(visit.page(html(200, "account.html", &account)?))
}

pub(super) async fn change(portal: &Portal, visit: &Visit) -> Page {
    match visit.signed_in(&portal.directory).await? {
        Some((user, _)) => form(visit, &user, "", None),
        None => Ok(to_sign_in(visit)),
    }
}

fn form(visit: &Visit, user: &User, wrong: &'static str, problem: Option<(u16, String)>) -> Page {
    let (status, problem) = problem.unwrap_or((200, String::new()));
    let change = Change {
        tenant: &visit.tenant.name,
        base: visit.base(""),
        token: visit.token(),
        notice: "",
        problem: &problem,
        wrong,
        is_forced: must_change(user),
        email: user.email().unwrap_or(&user.user_name),
        least: visit.tenant.settings.min_password_chars,
    };
    Ok(visit.page(html(status, "change.html", &change)?))
}

pub(super) async fn submit_change(portal: &Portal, visit: &Visit) -> Page {
    let Some((user, key)) = visit.signed_in(&portal.directory).await? else { return Ok(to_sign_in(visit)) };
    let (old, new) = (visit.secret("old"), visit.secret("new"));
    let wrong = |text: &str| form(visit, &user, "new", Some((422, text.to_owned())));
    if new.expose_secret() != visit.field("again") {
        return wrong("The two new passwords are not the same. Please type them again.");
    }
    if new.expose_secret() == old.expose_secret() {
        return wrong("That is the password you have now. Please choose another.");
    }
    let caller = visit.caller("account page");
    match portal.directory.change_password(&caller, user.id, (old, new), key, Some(visit.address)).await {
        Ok(_) => {
            let device = KnownDevice { user: user.id, last_sign_in: portal.directory.now() };
            let page = redirect(&format!("{}?done=changed", visit.base("account")));
            Ok(with_cookie(page, &visit.device_cookie(&device)))
        }
        Err(DirectoryError::SignIn(SignInError::InvalidCredentials)) => form(
            visit,
            &user,
            "old",
            Some((403, "That is not the password you have now. Please try again.".into())),
        ),
        Err(refusal @ (DirectoryError::Internal(_) | DirectoryError::NoSuchUser)) => Err(refusal),
        Err(refusal) => {
            let wrong = if matches!(refusal, DirectoryError::Invalid(_)) { "new" } else { "" };
            Ok(with_retry(form(visit, &user, wrong, Some(words::problem(&refusal)))?, &refusal))
        }
    }
}

pub(super) async fn sign_out(portal: &Portal, visit: &Visit, is_everywhere: bool) -> Page {
    let Some((user, key)) = visit.signed_in(&portal.directory).await? else { return Ok(to_sign_in(visit)) };
    let step = if is_everywhere { AccountAction::SignOutEverywhere } else { out(key) };
    let caller = visit.caller("account page");
    portal.directory.run_account_action(&caller, user.id, step).await?;
    let done = if is_everywhere { "everywhere" } else { "out" };
    let page = redirect(&format!("{}?done={done}", visit.base("sign-in")));
    Ok(with_cookie(page, &visit.no_session_cookie()))
}

fn out(key: KeyHash) -> AccountAction {
    AccountAction::SignOut(key)
}
