//! The user API of a publishing platform: `/api/2/users`, JSON, with a bearer token.

use crate::accounts::{Account, Fields, Key};
use crate::vendor::{Vendor, VendorResponse, bearer_is, json_response, page, query_value};
use bytes::Bytes;
use http::request::Parts;
use serde_json::{Value, json};

const PATH: &str = "/api/2/users";
const MAX_PAGE: usize = 200;

pub(crate) static KEYS: &[Key] =
    &[Key { name: "email", value: |fields| fields.get("email")?.as_str(), is_unique: true }];

pub(crate) fn handle(vendor: &mut Vendor, head: &Parts, body: &Bytes) -> VendorResponse {
    if !bearer_is(head, &vendor.key) {
        return failed(401, 401, "Invalid token");
    }
    let path = head.uri.path().trim_end_matches('/').to_owned();
    let Some(rest) = path.strip_prefix(PATH) else { return failed(404, 404, "The requested resource does not exist") };
    let segments: Vec<&str> = rest.split('/').skip(1).collect();
    match (head.method.as_str(), segments.as_slice()) {
        ("GET", []) => list(vendor, head),
        ("POST", []) => create(vendor, body),
        ("GET", [id]) => match find(vendor, id).and_then(|id| vendor.accounts.get(&id)) {
            Some(account) => json_response(200, &json!({"user": shown(account)})),
            None => no_such_user(),
        },
        ("PUT", [id]) => match find(vendor, id) {
            Some(id) => replace(vendor, &id, body),
            None => no_such_user(),
        },
        ("POST", [id, action @ ("activate" | "disable" | "archive" | "reinstate")]) => match find(vendor, id) {
            Some(id) => set_status(vendor, &id, action),
            None => no_such_user(),
        },
        _ => failed(405, 405, "Method not allowed"),
    }
}

fn failed(status: u16, reference: u32, text: &str) -> VendorResponse {
    json_response(status, &json!({"error": {"summary": text, "ref": reference, "link": ""}}))
}

fn no_such_user() -> VendorResponse {
    failed(404, 108, "The requested user does not exist")
}

/// By number or email.
fn find(vendor: &Vendor, key: &str) -> Option<String> {
    let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
    match vendor.accounts.get(&key) {
        Some(account) => Some(account.id.clone()),
        None => vendor.accounts.with_key("email", &key).first().map(|account| account.id.clone()),
    }
}

fn shown(account: &Account) -> Value {
    let mut fields = account.fields.clone();
    fields.insert("id".into(), account.id.parse::<u64>().unwrap_or_default().into());
    Value::Object(fields)
}

/// The fields of a list, by name, or `all`.
fn selected(mut account: Value, fields: &str) -> Value {
    let names: Vec<String> = fields.split(',').map(|name| name.trim().to_lowercase()).collect();
    if let (Some(members), false) = (account.as_object_mut(), names.iter().any(|name| name == "all")) {
        members.retain(|name, _| names.iter().any(|known| known == name));
    }
    account
}

/// The documents print the link of a new user in the singular.
fn summary(vendor: &Vendor, (id, shown_id): (&str, &str), noun: &str, fields: &Fields) -> Value {
    let link = format!("{}/api/2/{noun}/{id}", vendor.base);
    json!({"id": shown_id.parse::<u64>().unwrap_or_default(), "email": fields.get("email"), "link": link})
}

fn summary_response(vendor: &Vendor, ids: (&str, &str), noun: &str, fields: &Fields) -> VendorResponse {
    json_response(200, &json!({"user": summary(vendor, ids, noun, fields)}))
}

/// The fields of a body, or the number and text of an error.
fn parse(vendor: &Vendor, body: &Bytes) -> Result<Fields, (u32, &'static str)> {
    let invalid = |reference, text| Err((reference, text));
    let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else { return invalid(100, "Invalid body") };
    let fields = match body.remove("user") {
        Some(Value::Object(fields)) => fields,
        _ => body,
    };
    let is_text = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if !is_text(fields.get("email")) {
        return invalid(101, "Email is mandatory");
    }
    if !is_text(fields.get("name").and_then(|name| name.get("firstname"))) {
        return invalid(102, "First name is mandatory");
    }
    Ok(vendor.stored(fields))
}

fn create(vendor: &mut Vendor, body: &Bytes) -> VendorResponse {
    let mut fields = match parse(vendor, body) {
        Ok(fields) => fields,
        Err((reference, text)) => return failed(400, reference, text),
    };
    if vendor.taken(&fields, None).is_some() {
        return failed(400, 103, "Email already exists");
    }
    fields.entry("status").or_insert_with(|| "active".into());
    let id = vendor.next_number().to_string();
    vendor.create(id.clone(), fields.clone());
    let shown_id = vendor.shown_id(&id);
    summary_response(vendor, (&id, &shown_id), "user", &fields)
}

fn replace(vendor: &mut Vendor, id: &str, body: &Bytes) -> VendorResponse {
    let mut fields = match parse(vendor, body) {
        Ok(fields) => fields,
        Err((reference, text)) => return failed(400, reference, text),
    };
    fields.remove("id");
    if vendor.taken(&fields, Some(id)).is_some() {
        return failed(400, 103, "Email already exists");
    }
    // The status has routes of its own.
    if let Some(status) = vendor.accounts.get(id).and_then(|account| account.fields.get("status").cloned()) {
        fields.insert("status".into(), status);
    }
    vendor.update(id, fields.clone());
    summary_response(vendor, (id, id), "users", &fields)
}

fn set_status(vendor: &mut Vendor, id: &str, action: &str) -> VendorResponse {
    let Some(mut fields) = vendor.accounts.get(id).map(|account| account.fields.clone()) else {
        return no_such_user();
    };
    let status = match action {
        "disable" => "disable",
        "archive" => "archive",
        _ => "active",
    };
    fields.insert("status".into(), status.into());
    vendor.update(id, fields.clone());
    summary_response(vendor, (id, id), "users", &fields)
}

fn list(vendor: &Vendor, head: &Parts) -> VendorResponse {
    let (offset, limit) = page(head, "offset", "limit", MAX_PAGE);
    let search = query_value(head, "search").map(|text| text.to_lowercase());
    let matches = |account: &&Account| {
        search
            .as_ref()
            .is_none_or(|text| Value::Object(account.fields.clone()).to_string().to_lowercase().contains(text))
    };
    let all: Vec<&Account> = vendor.accounts.visible().filter(matches).collect();
    let fields = query_value(head, "fields");
    let row = |account: &Account| match &fields {
        Some(fields) => selected(shown(account), fields),
        None => summary(vendor, (&account.id, &account.id), "users", &account.fields),
    };
    let rows: Vec<Value> = all.iter().skip(offset).take(limit).map(|account| row(account)).collect();
    let current_page = offset.checked_div(limit).unwrap_or(0);
    let page = json!({"totalcount": all.len(), "total": rows.len(), "currentpage": current_page, "users": rows});
    json_response(200, &json!({"users": page}))
}
