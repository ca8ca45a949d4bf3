//! Writes users as JSON.

use crate::json_response;
use crate::kit::{DialectResponse, OutputValue, json};
use directory::User;
use http::StatusCode;

pub(super) fn sign_in_response(user: &User) -> DialectResponse {
    let mut members = vec![
        ("id", OutputValue::Text(user.id.to_string())),
        ("number", OutputValue::Integer(user.number.into())),
        ("userName", OutputValue::text(user.user_name.as_str())),
    ];
    let texts = [
        ("email", user.email()),
        ("externalId", user.external_id.as_deref()),
        ("givenName", user.name.given.as_deref()),
        ("familyName", user.name.family.as_deref()),
    ];
    members.extend(texts.into_iter().filter_map(|(name, text)| Some((name, OutputValue::text(text?)))));
    members.push(("status", OutputValue::text(user.status.as_str())));
    let groups = user.groups.iter().map(|group| OutputValue::Text(group.to_string())).collect();
    members.push(("groups", OutputValue::List("group", groups)));
    let must_change = user.force_password_change == Some(true);
    let out = OutputValue::object(vec![
        ("user", OutputValue::object(members)),
        ("passwordChangeRequired", OutputValue::Bool(must_change)),
    ]);
    json_response(StatusCode::OK, json::write(&out))
}
