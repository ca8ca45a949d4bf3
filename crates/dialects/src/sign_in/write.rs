//! From people to bytes.

use crate::answer;
use crate::kit::{Answer, Out, json};
use directory::User;
use http::StatusCode;

/// An answer with a body.
pub(super) fn reply(status: StatusCode, out: &Out) -> Answer {
    answer(status, "application/json", json::write(out))
}

/// Who has signed in.
pub(super) fn signed_in(user: &User) -> Answer {
    let mut members = vec![
        ("id", Out::Text(user.id.to_string())),
        ("number", Out::Integer(user.number.into())),
        ("userName", Out::text(user.user_name.as_str())),
    ];
    let texts = [
        ("email", user.email()),
        ("externalId", user.external_id.as_deref()),
        ("givenName", user.name.given.as_deref()),
        ("familyName", user.name.family.as_deref()),
    ];
    members.extend(texts.into_iter().filter_map(|(name, text)| Some((name, Out::text(text?)))));
    members.push(("status", Out::text(user.status.as_str())));
    let groups = user.groups.iter().map(|group| Out::Text(group.to_string())).collect();
    members.push(("groups", Out::List("group", groups)));
    let must_change = user.force_password_change == Some(true);
    let out =
        Out::object(vec![("user", Out::object(members)), ("passwordChangeRequired", Out::Bool(must_change))]);
    reply(StatusCode::OK, &out)
}
