//! The user API of a form app in the ServiceStack style: v1 `suser` and v2 `user`.

use crate::accounts::{Account, Fields, Key};
use crate::vendor::{ACCOUNT, Vendor, VendorResponse, json_response, page, query_value, respond};
use bytes::Bytes;
use dialects::kit::{Node, parse_xml};
use http::request::Parts;
use serde_json::{Value, json};

const MAX_PAGE: usize = 250;

pub(crate) static KEYS: &[Key] = &[
    Key { name: "Email", value: |fields| fields.get("Email")?.as_str(), is_unique: true },
    Key { name: "ExternalId", value: |fields| fields.get("ExternalId")?.as_str(), is_unique: true },
];

struct Version {
    /// The name of the type, which is also that of XML elements.
    name: &'static str,
    account: &'static str,
    attributes: &'static str,
}

const V1: Version =
    Version { name: "SUser", account: "ProviderId", attributes: " xmlns=\"http://schemas.servicestack.net/types\"" };
const V2: Version = Version { name: "User", account: "CompanyId", attributes: "" };

pub(crate) fn handle(vendor: &mut Vendor, head: &Parts, body: &Bytes) -> VendorResponse {
    let path = head.uri.path().trim_end_matches('/').to_ascii_lowercase();
    let (version, is_search) = match path.as_str() {
        "/api/v1/suser" => (V1, false),
        "/api/v1/suser/search" => (V1, true),
        "/api/v2/user" => (V2, false),
        "/api/v2/user/search" => (V2, true),
        _ => return respond(405, "text/plain", "no such endpoint"),
    };
    let Some(mut fields) = parse(head, body) else {
        return failed(head, &version, 400, "SerializationException", "", "The body cannot be read.");
    };
    for (name, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
        fields.insert(name.into_owned(), value.into_owned().into());
    }
    let mut credential = |name: &str| fields.remove(name).and_then(|value| Some(value.as_str()?.to_owned()));
    let (key, account) = (credential("IntegrationKey"), credential(version.account));
    if key.as_deref() != Some(&vendor.key) || account.as_deref() != Some(ACCOUNT) {
        return failed(head, &version, 401, "Unauthorized", "", "The key or the company is not valid.");
    }
    for name in ["format", "Format"] {
        fields.remove(name);
    }
    match (head.method.as_str(), is_search) {
        ("GET", true) => search(vendor, head, &version),
        ("GET", false) => match text(&fields, "Id").and_then(|id| vendor.accounts.get(&canonical(id))) {
            Some(account) => json_response(200, &json!({version.name: shown(account)})),
            None => failed(head, &version, 400, "NotFound", "Id", "The user does not exist."),
        },
        ("POST", false) => create(vendor, head, &version, fields),
        ("PUT", false) => update(vendor, head, &version, &fields),
        ("DELETE", false) => {
            let id = text(&fields, "Id").map(canonical).unwrap_or_default();
            if vendor.delete(&id) {
                json_response(200, &json!({}))
            } else {
                failed(head, &version, 400, "NotFound", "Id", "The user does not exist.")
            }
        }
        _ => respond(405, "text/plain", "no such endpoint"),
    }
}

fn text<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.get(name)?.as_str()
}

/// 32 digits, as JSON shows them.
fn canonical(id: &str) -> String {
    id.chars().filter(|c| *c != '-').collect::<String>().to_lowercase()
}

/// The fields of the body: XML unless the request says that it is JSON.
fn parse(head: &Parts, body: &Bytes) -> Option<Fields> {
    if body.is_empty() {
        return Some(Fields::new());
    }
    let media_type = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.contains("json") {
        return serde_json::from_slice(body).ok();
    }
    match parse_xml(std::str::from_utf8(body).ok()?)? {
        Node::Object(object) => {
            Some(object.members.iter().map(|(name, node)| (name.clone(), value_of(node))).collect())
        }
        _ => None,
    }
}

fn value_of(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Text(text) | Node::Number(text) => text.as_str().into(),
        Node::Bool(value) => (*value).into(),
        Node::List(nodes) => nodes.iter().map(value_of).collect(),
        // The children of a list, such as `<Metadata><KeyValue>…</KeyValue></Metadata>`.
        Node::Object(object) => {
            let is_pair = object.members.iter().any(|(name, _)| name == "Key");
            if is_pair {
                Value::Object(object.members.iter().map(|(name, node)| (name.clone(), value_of(node))).collect())
            } else {
                object.members.iter().map(|(_, node)| value_of(node)).collect()
            }
        }
    }
}

fn create(vendor: &mut Vendor, head: &Parts, version: &Version, fields: Fields) -> VendorResponse {
    for name in ["Email", "FirstName", "LastName"] {
        if text(&fields, name).is_none_or(|value| value.trim().is_empty()) {
            return failed(head, version, 400, "NotEmpty", name, "A value is required.");
        }
    }
    let mut fields = vendor.stored(fields);
    fields.remove("Id");
    // A new user is always invited, except one that is to be inactive.
    let status = if text(&fields, "Status") == Some("Inactive") { "Inactive" } else { "Invited" };
    fields.insert("Status".into(), status.into());
    if let Some(key) = vendor.taken(&fields, None) {
        return failed(head, version, 400, "AlreadyExists", key, "Another user has this value.");
    }
    let id = vendor.next_guid();
    vendor.create(id.clone(), fields);
    let shown_id = vendor.shown_id(&id);
    changed(head, version, &shown_id, status)
}

/// Only what is sent changes; an empty text clears.
fn update(vendor: &mut Vendor, head: &Parts, version: &Version, sent: &Fields) -> VendorResponse {
    let id = text(sent, "Id").map(canonical).unwrap_or_default();
    let Some(account) = vendor.accounts.get(&id) else {
        return failed(head, version, 400, "NotFound", "Id", "The user does not exist.");
    };
    let mut fields = account.fields.clone();
    for (name, value) in vendor.stored(sent.clone()) {
        let is_empty = value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        if is_empty && matches!(name.as_str(), "Email" | "FirstName" | "LastName") {
            return failed(head, version, 400, "NotEmpty", &name, "A value is required.");
        }
        match name.as_str() {
            "Id" => {}
            _ if is_empty => drop(fields.remove(&name)),
            _ => drop(fields.insert(name, value)),
        }
    }
    if let Some(key) = vendor.taken(&fields, Some(&id)) {
        return failed(head, version, 400, "AlreadyExists", key, "Another user has this value.");
    }
    let status = text(&fields, "Status").unwrap_or("Invited").to_owned();
    vendor.update(&id, fields);
    changed(head, version, &id, &status)
}

fn search(vendor: &Vendor, head: &Parts, version: &Version) -> VendorResponse {
    let (number, size) = page(head, "PageNo", "PageSize", MAX_PAGE);
    let size = size.max(1);
    let keys = KEYS.iter().filter_map(|key| Some((key.name, query_value(head, key.name)?))).collect::<Vec<_>>();
    let found: Vec<&Account> = match keys.as_slice() {
        [] => vendor.accounts.visible().collect(),
        _ if vendor.faults.filters_find_nothing => Vec::new(),
        _ if vendor.faults.filters_find_everything => vendor.accounts.visible().collect(),
        [(name, value), ..] => vendor.accounts.with_key(name, value),
    };
    let rows: Vec<Value> = found.iter().skip(number * size).take(size).map(|account| shown(account)).collect();
    json_response(200, &json!({format!("{}s", version.name): rows, "TotalRows": found.len()}))
}

fn shown(account: &Account) -> Value {
    let mut fields = Fields::new();
    fields.insert("Id".into(), account.id.as_str().into());
    let shown = account.fields.iter().filter(|(name, _)| !matches!(name.as_str(), "Password" | "DoNotEmail"));
    fields.extend(shown.map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(fields)
}

fn wants_xml(head: &Parts) -> bool {
    match query_value(head, "format").as_deref() {
        Some("xml") => true,
        Some("json") => false,
        _ => head.headers.get("accept").is_none_or(|value| value.as_bytes().ends_with(b"xml")),
    }
}

/// The response to a create or update: only id and status.
fn changed(head: &Parts, version: &Version, id: &str, status: &str) -> VendorResponse {
    let Version { name, attributes, .. } = version;
    if wants_xml(head) {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><{name}Response{attributes}><{name}><Id>{}</Id>\
             <Status>{status}</Status></{name}></{name}Response>",
            dashed(id)
        );
        return respond(200, "application/xml", body);
    }
    json_response(200, &json!({*name: {"Id": id, "Status": status}}))
}

fn dashed(id: &str) -> String {
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), id.get(20..).unwrap_or_default()].join("-")
}

fn failed(head: &Parts, version: &Version, status: u16, code: &str, field: &str, message: &str) -> VendorResponse {
    let Version { name, attributes, .. } = version;
    if wants_xml(head) {
        let errors = if field.is_empty() {
            String::new()
        } else {
            format!(
                "<Errors><ResponseError><ErrorCode>{code}</ErrorCode><FieldName>{field}</FieldName>\
                 <Message>{message}</Message></ResponseError></Errors>"
            )
        };
        let body = format!(
            "<{name}Response{attributes}><ResponseStatus><ErrorCode>{code}</ErrorCode><Message>{message}</Message>\
             {errors}</ResponseStatus></{name}Response>"
        );
        return respond(status, "application/xml", body);
    }
    let mut errors = Vec::new();
    if !field.is_empty() {
        errors.push(json!({"ErrorCode": code, "FieldName": field, "Message": message}));
    }
    json_response(status, &json!({"ResponseStatus": {"ErrorCode": code, "Message": message, "Errors": errors}}))
}
