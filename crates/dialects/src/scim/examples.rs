//! Examples for the OpenAPI document.

use super::{messages, wire};
use crate::kit::{EMAIL, EXTERNAL_ID, Examples, GROUP_ID, ObjectSchema, USER_ID};
use serde_json::{Value, json};

pub(super) static EXAMPLES: Examples = Examples { parameter, body };

fn parameter(path: &str, name: &str) -> Option<&'static str> {
    match name {
        "id" if path.contains("/Groups/") => Some(GROUP_ID),
        "id" => Some(USER_ID),
        "name" => Some("User"),
        "filter" if path.contains("Users") => Some("userName eq \"ada@example.com\""),
        "count" => Some("10"),
        "urn" => Some(wire::USER_SCHEMA.urn),
        _ => None,
    }
}

fn body(object_schema: &ObjectSchema, _: bool) -> Option<Value> {
    let is = |other: &ObjectSchema| object_schema.name == other.name;
    Some(if is(&wire::USER) {
        json!({
            "schemas": [wire::USER_SCHEMA.urn, wire::ENTERPRISE_SCHEMA.urn], "userName": EMAIL, "externalId": EXTERNAL_ID,
            "name": {"givenName": "Ada", "familyName": "Lovelace"}, "active": true, "title": "Analyst",
            "emails": [{"value": EMAIL, "type": "work", "primary": true}],
            "phoneNumbers": [{"value": "+44 20 7946 0000", "type": "work"}],
            wire::ENTERPRISE_SCHEMA.urn: {"employeeNumber": "1815", "department": "Engines"},
        })
    } else if is(&wire::GROUP) {
        json!({"schemas": [wire::GROUP_SCHEMA.urn], "displayName": "Analysts", "members": [{"value": USER_ID}]})
    } else if is(&messages::PATCH_OP) {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "displayName", "value": "Ada, Countess of Lovelace"}],
        })
    } else if is(&messages::SEARCH_REQUEST) {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": "displayName sw \"A\"", "attributes": ["displayName"], "startIndex": 1, "count": 10,
        })
    } else if is(&messages::BULK_REQUEST) {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "failOnErrors": 1,
            "Operations": [
                {"method": "POST", "path": "/Users", "bulkId": "grace", "data": {"userName": "grace@example.com"}},
                {"method": "POST", "path": "/Groups", "bulkId": "admirals",
                 "data": {"displayName": "Admirals", "members": [{"value": "bulkId:grace"}]}},
            ],
        })
    } else {
        return None;
    })
}
