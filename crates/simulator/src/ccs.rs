//! The user API of a supplier portal in the ASP.NET Web API style. The vendor's can only create; Muster's can also read,
//! change and delete.

use crate::accounts::{Account, Fields, Key};
use crate::vendor::{Vendor, VendorApi, VendorResponse, bearer_is, json_response, page, respond};
use bytes::Bytes;
use http::request::Parts;
use serde_json::{Value, json};

const PATH: &str = "/request/user";
const MAX_PAGE: usize = 250;
/// The built-in roles of Muster, from 1.
const ROLES: [&str; 6] = ["ReadOnly", "User", "Admin", "EnterpriseAdmin", "VendorAdmin", "SuperAdmin"];
/// Longest texts, in characters.
const LENGTHS: [(&str, usize); 5] =
    [("title", 10), ("firstName", 100), ("lastName", 100), ("phone", 20), ("email", 250)];

pub(crate) static KEYS: &[Key] =
    &[Key { name: "email", value: |fields| fields.get("email")?.as_str(), is_unique: true }];

pub(crate) fn handle(vendor: &mut Vendor, head: &Parts, body: &Bytes) -> VendorResponse {
    let path = head.uri.path().trim_end_matches('/').to_ascii_lowercase();
    if !bearer_is(head, &vendor.key) {
        return message(401, "Authorization has been denied for this request.");
    }
    if vendor.api == VendorApi::CcsOfMuster && path == "/request/role" && head.method == "GET" {
        let roles = ROLES.iter().zip(1..).map(|(label, id)| json!({"id": id, "label": label}));
        return json_response(200, &roles.collect());
    }
    let id = path.strip_prefix(PATH).map(|rest| rest.trim_start_matches('/').to_owned());
    let Some(id) = id else { return message(404, "No HTTP resource was found that matches the request URI.") };
    let is_full = vendor.api == VendorApi::CcsOfMuster;
    match (head.method.as_str(), id.as_str()) {
        ("POST", "") => create(vendor, body),
        ("GET", "") if is_full => {
            let (offset, limit) = page(head, "skip", "take", MAX_PAGE);
            let rows: Vec<Value> = vendor.accounts.visible().skip(offset).take(limit).map(shown).collect();
            json_response(200, &Value::Array(rows))
        }
        ("GET", id) if is_full => match vendor.accounts.get(id) {
            Some(account) => json_response(200, &shown(account)),
            None => message(404, "The user does not exist."),
        },
        ("PUT", id) if is_full => update(vendor, id, body),
        ("DELETE", id) if is_full => {
            if vendor.delete(id) {
                respond(204, "application/json", Bytes::new())
            } else {
                message(404, "The user does not exist.")
            }
        }
        _ => message(405, "The requested resource does not support this HTTP method."),
    }
}

fn message(status: u16, text: &str) -> VendorResponse {
    json_response(status, &json!({"message": text}))
}

fn shown(account: &Account) -> Value {
    let mut fields = account.fields.clone();
    fields.remove("password");
    fields.insert("id".into(), account.id.parse::<u64>().unwrap_or_default().into());
    Value::Object(fields)
}

/// The fields of a body, or the names of those that are not valid.
fn parse(vendor: &Vendor, body: &Bytes) -> Result<Fields, Vec<String>> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return Err(vec!["user".into()]) };
    let is_set = |name: &str| fields.get(name).is_some_and(|value| !value.is_null() && value.as_str() != Some(""));
    let missing = ["firstName", "email", "roleId"].into_iter().filter(|name| !is_set(name));
    let long = LENGTHS.into_iter().filter(|(name, max)| {
        fields.get(*name).and_then(Value::as_str).is_some_and(|text| text.chars().count() > *max)
    });
    let wrong: Vec<String> = missing.chain(long.map(|(name, _)| name)).map(|name| format!("user.{name}")).collect();
    if wrong.is_empty() { Ok(vendor.stored(fields)) } else { Err(wrong) }
}

fn invalid(names: &[String]) -> VendorResponse {
    let state: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!(["The value is not valid."]))).collect();
    json_response(400, &json!({"message": "The request is invalid.", "modelState": state}))
}

fn create(vendor: &mut Vendor, body: &Bytes) -> VendorResponse {
    let fields = match parse(vendor, body) {
        Ok(fields) => fields,
        Err(names) => return invalid(&names),
    };
    if vendor.taken(&fields, None).is_some() {
        return message(400, "A user with this email address already exists.");
    }
    let id = vendor.next_number().to_string();
    vendor.create(id.clone(), fields);
    let shown_id = vendor.shown_id(&id);
    json_response(200, &json!({"id": shown_id.parse::<u64>().unwrap_or(u64::from(u32::MAX))}))
}

fn update(vendor: &mut Vendor, id: &str, body: &Bytes) -> VendorResponse {
    if vendor.accounts.get(id).is_none() {
        return message(404, "The user does not exist.");
    }
    let fields = match parse(vendor, body) {
        Ok(fields) => fields,
        Err(names) => return invalid(&names),
    };
    if vendor.taken(&fields, Some(id)).is_some() {
        return message(400, "A user with this email address already exists.");
    }
    vendor.update(id, fields);
    json_response(200, &json!({"id": id.parse::<u64>().unwrap_or_default()}))
}
