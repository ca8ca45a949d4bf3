//! Groups of the SCIM service provider (RFC 7643 section 4.2). They are not pushed yet; a client can be tried with them.

use crate::accounts::Fields;
use crate::scim_messages::{MEDIA_TYPE, decode, error, ok};
use crate::vendor::{Vendor, VendorResponse, query_value, respond};
use bytes::Bytes;
use http::request::Parts;
use serde_json::{Value, json};

const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// `path` is what follows `/Groups`.
pub(crate) fn handle(vendor: &mut Vendor, head: &Parts, path: &[&str], body: &Bytes) -> VendorResponse {
    match (head.method.as_str(), path) {
        ("GET", []) => list(vendor, head),
        ("POST", []) => match parse(body) {
            Some(fields) => {
                let id = vendor.next_guid();
                store(vendor, &id, fields, 201)
            }
            None => error(400, "invalidSyntax", "not a group"),
        },
        (method, [id]) => {
            let id = decode(id);
            let Some(group) = vendor.groups.get(&id) else { return error(404, "", "no such group") };
            let changed = match method {
                "GET" => return ok(200, &shown(vendor, &id, group)),
                "PUT" => parse(body),
                "PATCH" => patched(group.clone(), body),
                "DELETE" => {
                    vendor.groups.remove(&id);
                    return respond(204, MEDIA_TYPE, Bytes::new());
                }
                _ => return error(405, "", "no such method"),
            };
            match changed {
                Some(fields) => store(vendor, &id, fields, 200),
                None => error(400, "invalidSyntax", "not a group, or an unknown operation"),
            }
        }
        _ => error(404, "", "no such endpoint"),
    }
}

fn parse(body: &Bytes) -> Option<Fields> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else { return None };
    for name in ["id", "meta"] {
        fields.remove(name);
    }
    Some(fields).filter(|fields| fields.get("displayName").is_some_and(Value::is_string))
}

/// RFC 7644 section 3.5.2: members are added, or removed by a filter; other attributes are replaced.
fn patched(mut fields: Fields, body: &Bytes) -> Option<Fields> {
    let request: Value = serde_json::from_slice(body).ok()?;
    for operation in request["Operations"].as_array()? {
        let (op, path, value) = (operation["op"].as_str()?, operation["path"].as_str()?, &operation["value"]);
        let members = fields.entry("members").or_insert_with(|| json!([])).as_array_mut()?;
        let removed = path.strip_prefix("members[value eq \"").and_then(|rest| rest.strip_suffix("\"]"));
        match (op.to_ascii_lowercase().as_str(), path, removed) {
            ("add", "members", _) => {
                for member in value.as_array()? {
                    if !members.iter().any(|known| known["value"] == member["value"]) {
                        members.push(member.clone());
                    }
                }
            }
            ("remove", _, Some(id)) => members.retain(|member| member["value"] != id),
            ("remove", "members", _) => members.clear(),
            ("replace", path, None) => drop(fields.insert(path.to_owned(), value.clone())),
            _ => return None,
        }
    }
    Some(fields)
}

fn store(vendor: &mut Vendor, id: &str, fields: Fields, status: u16) -> VendorResponse {
    let members = fields.get("members").and_then(Value::as_array).map_or(0, Vec::len);
    if vendor.faults.max_members.is_some_and(|max| members > max) {
        return error(400, "invalidValue", "too many members");
    }
    let body = shown(vendor, id, &fields);
    vendor.groups.insert(id.to_owned(), fields);
    ok(status, &body)
}

fn shown(vendor: &Vendor, id: &str, fields: &Fields) -> Value {
    let mut fields = fields.clone();
    fields.insert("schemas".into(), json!([CORE]));
    fields.insert("id".into(), id.into());
    let location = format!("{}/Groups/{id}", vendor.base);
    fields.insert("meta".into(), json!({"resourceType": "Group", "location": location}));
    Value::Object(fields)
}

/// All groups, or those with a name or external id.
fn list(vendor: &Vendor, head: &Parts) -> VendorResponse {
    let filter = query_value(head, "filter");
    let wanted = match filter.as_deref().map(|filter| filter.splitn(3, ' ').collect::<Vec<_>>()) {
        None => None,
        Some(parts) => match parts.as_slice() {
            [name @ ("displayName" | "externalId"), "eq", value] => {
                Some(((*name).to_owned(), value.trim_matches('"').to_owned()))
            }
            _ => return error(400, "invalidFilter", "unsupported filter"),
        },
    };
    let is_wanted = |fields: &Fields| match &wanted {
        Some((name, value)) => fields.get(name).and_then(Value::as_str) == Some(value),
        None => true,
    };
    let found = vendor.groups.iter().filter(|(_, fields)| is_wanted(fields));
    let resources: Vec<Value> = found.map(|(id, fields)| shown(vendor, id, fields)).collect();
    ok(
        200,
        &json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": resources.len(), "Resources": resources,
        }),
    )
}
