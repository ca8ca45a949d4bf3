//! A SCIM 2.0 service provider (RFC 7643, RFC 7644) that keeps what it is sent.

use crate::accounts::{Account, Fields, Key};
use crate::scim_groups;
use crate::scim_messages::{MEDIA_TYPE, decode, error, ok};
use crate::vendor::{Vendor, VendorResponse, bearer_is, page, query_value, respond};
use bytes::Bytes;
use http::request::Parts;
use serde_json::{Value, json};

pub(crate) const PATH: &str = "/scim/v2";
const MAX_PAGE: usize = 200;
const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const MUSTER: &str = "urn:muster:params:scim:schemas:extension:2.0:User";

pub(crate) static KEYS: &[Key] = &[
    Key { name: "userName", value: |fields| fields.get("userName")?.as_str(), is_unique: true },
    // RFC 7643 section 3.1: the service provider does not check it.
    Key { name: "externalId", value: |fields| fields.get("externalId")?.as_str(), is_unique: false },
    Key {
        name: "emails.value",
        value: |fields| fields.get("emails")?.get(0)?.get("value")?.as_str(),
        is_unique: false,
    },
];

pub(crate) fn handle(vendor: &mut Vendor, head: &Parts, body: &Bytes) -> VendorResponse {
    let Some(path) = head.uri.path().strip_prefix(PATH) else { return error(404, "", "no such endpoint") };
    if !bearer_is(head, &vendor.key) {
        return error(401, "", "invalid token");
    }
    let path = path.to_owned();
    match (head.method.as_str(), path.trim_end_matches('/').split('/').skip(1).collect::<Vec<_>>().as_slice()) {
        (_, ["Groups", rest @ ..]) => scim_groups::handle(vendor, head, rest, body),
        ("GET", ["ServiceProviderConfig"]) => ok(200, &config()),
        ("GET", ["Schemas"]) => ok(200, &schemas()),
        ("GET", ["Users"]) => list(vendor, head),
        ("POST", ["Users"]) => create(vendor, body),
        ("GET", ["Users", id]) => match vendor.accounts.get(&decode(id)) {
            Some(account) => ok(200, &shown(vendor, account)),
            None => error(404, "", "no such user"),
        },
        ("PUT", ["Users", id]) => replace(vendor, &decode(id), body),
        ("PATCH", ["Users", id]) => patch(vendor, &decode(id), body),
        ("DELETE", ["Users", id]) => {
            if vendor.delete(&decode(id)) {
                respond(204, MEDIA_TYPE, Bytes::new())
            } else {
                error(404, "", "no such user")
            }
        }
        _ => error(404, "", "no such endpoint"),
    }
}

fn shown(vendor: &Vendor, account: &Account) -> Value {
    let mut fields = account.fields.clone();
    fields.remove("password");
    fields.insert("id".into(), account.id.as_str().into());
    let location = format!("{}/Users/{}", vendor.base, account.id);
    fields.insert("meta".into(), json!({"resourceType": "User", "location": location}));
    Value::Object(fields)
}

/// Without what the service provider assigns.
fn parse(vendor: &Vendor, body: &Bytes) -> Option<Fields> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else { return None };
    for name in ["id", "meta"] {
        fields.remove(name);
    }
    Some(vendor.stored(fields)).filter(|fields| fields.get("userName").is_some_and(Value::is_string))
}

fn create(vendor: &mut Vendor, body: &Bytes) -> VendorResponse {
    let Some(fields) = parse(vendor, body) else { return error(400, "invalidSyntax", "not a user") };
    if let Some(key) = vendor.taken(&fields, None) {
        return error(409, "uniqueness", &format!("{key} is taken"));
    }
    let id = vendor.next_guid();
    vendor.create(id.clone(), fields);
    let shown_id = vendor.shown_id(&id);
    let Some(account) = vendor.accounts.get(&id) else { return error(500, "", "lost") };
    let mut body = shown(vendor, account);
    body["id"] = shown_id.into();
    ok(201, &body)
}

fn replace(vendor: &mut Vendor, id: &str, body: &Bytes) -> VendorResponse {
    let Some(account) = vendor.accounts.get(id) else { return error(404, "", "no such user") };
    let password = account.fields.get("password").cloned();
    let Some(mut fields) = parse(vendor, body) else { return error(400, "invalidSyntax", "not a user") };
    // It is never returned, so clients do not send it back.
    if let (Some(password), false) = (password, fields.contains_key("password")) {
        fields.insert("password".into(), password);
    }
    store(vendor, id, fields)
}

fn store(vendor: &mut Vendor, id: &str, fields: Fields) -> VendorResponse {
    if let Some(key) = vendor.taken(&fields, Some(id)) {
        return error(409, "uniqueness", &format!("{key} is taken"));
    }
    vendor.update(id, fields);
    match vendor.accounts.get(id) {
        Some(account) => ok(200, &shown(vendor, account)),
        None => error(404, "", "no such user"),
    }
}

/// RFC 7644 section 3.5.2, for paths without filters.
fn patch(vendor: &mut Vendor, id: &str, body: &Bytes) -> VendorResponse {
    let Some(account) = vendor.accounts.get(id) else { return error(404, "", "no such user") };
    let mut fields = account.fields.clone();
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return error(400, "invalidSyntax", "not JSON") };
    let Some(operations) = request["Operations"].as_array() else {
        return error(400, "invalidSyntax", "no operations");
    };
    for operation in operations {
        let (Some(op), Some(path)) = (operation["op"].as_str(), operation["path"].as_str()) else {
            return error(400, "invalidPath", "no path");
        };
        let value = match op {
            "add" | "replace" => Some(operation["value"].clone()),
            "remove" => None,
            _ => return error(400, "invalidSyntax", "unknown operation"),
        };
        let dropped = vendor.faults.drop_attributes.iter().any(|name| path == name);
        if !dropped {
            set_path(&mut fields, path, value);
        }
    }
    store(vendor, id, fields)
}

fn set_path(fields: &mut Fields, path: &str, value: Option<Value>) {
    let extension =
        [ENTERPRISE, MUSTER].into_iter().find_map(|urn| Some((urn, path.strip_prefix(urn)?.strip_prefix(':')?)));
    let nested = extension.or_else(|| path.split_once('.'));
    let Some((object, name)) = nested else {
        match value {
            Some(value) => drop(fields.insert(path.to_owned(), value)),
            None => drop(fields.remove(path)),
        }
        return;
    };
    let inner = fields.entry(object).or_insert_with(|| json!({}));
    if let Some(inner) = inner.as_object_mut() {
        match value {
            Some(value) => drop(inner.insert(name.to_owned(), value)),
            None => drop(inner.remove(name)),
        }
        if inner.is_empty() {
            fields.remove(object);
        }
    }
}

fn list(vendor: &Vendor, head: &Parts) -> VendorResponse {
    let (start, count) = page(head, "startIndex", "count", MAX_PAGE);
    let start = start.saturating_sub(1);
    let Some(filter) = query_value(head, "filter") else {
        let accounts: Vec<&Account> = vendor.accounts.visible().collect();
        return list_response(vendor, &accounts, start, count);
    };
    let parts: Vec<&str> = filter.splitn(3, ' ').collect();
    let [name, op, value] = parts.as_slice() else { return error(400, "invalidFilter", "unsupported filter") };
    let (true, Ok(value)) = (op.eq_ignore_ascii_case("eq"), serde_json::from_str::<String>(value)) else {
        return error(400, "invalidFilter", "unsupported filter");
    };
    let found = if vendor.faults.filters_find_nothing {
        Vec::new()
    } else if vendor.faults.filters_find_everything {
        vendor.accounts.visible().collect()
    } else {
        vendor.accounts.with_key(name, &value)
    };
    list_response(vendor, &found, start, count)
}

fn list_response(vendor: &Vendor, accounts: &[&Account], start: usize, count: usize) -> VendorResponse {
    let resources: Vec<Value> = accounts.iter().skip(start).take(count).map(|account| shown(vendor, account)).collect();
    ok(
        200,
        &json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": accounts.len(), "startIndex": start + 1, "itemsPerPage": resources.len(), "Resources": resources,
        }),
    )
}

fn config() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true}, "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MAX_PAGE}, "changePassword": {"supported": false},
        "sort": {"supported": false}, "etag": {"supported": false},
    })
}

fn schemas() -> Value {
    let ids = [CORE, ENTERPRISE, MUSTER].map(|id| json!({"id": id, "attributes": []}));
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": ids.len(), "Resources": ids,
    })
}
