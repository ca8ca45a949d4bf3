//! Examples for the OpenAPI document.

use super::wire;
use crate::kit::{EMAIL, EXTERNAL_ID, Examples, ObjectSchema};
use serde_json::{Value, json};

pub(super) static EXAMPLES: Examples = Examples { parameter, body };

fn parameter(_: &str, name: &str) -> Option<&'static str> {
    match name {
        "context" => Some("acme"),
        "user" => Some(EMAIL),
        "group" | "organisation" => Some("1"),
        "limit" => Some("10"),
        _ => None,
    }
}

fn body(object_schema: &ObjectSchema, _: bool) -> Option<Value> {
    let is = |other: &ObjectSchema| object_schema.name == other.name;
    Some(if is(&wire::USER_BODY) {
        json!({"user": {
            "email": EMAIL, "name": {"firstname": "Ada", "lastname": "Lovelace", "title": "Dr"},
            "externalid": EXTERNAL_ID, "phone": "+44 20 7946 0000", "jobtitle": "Analyst", "department": "Engines",
            "location": {"addressline1": "12 St James's Square", "city": "London", "country": "United Kingdom"},
            "sociallinks": {"link": [{"name": "blog", "value": "https://example.com/ada"}]},
        }})
    } else if is(&wire::GROUP_BODY) {
        json!({"group": {"name": "Analysts", "users": [EMAIL]}})
    } else if is(&wire::GROUP_MEMBERS_BODY) {
        json!({"group": {"users": [EMAIL]}})
    } else if is(&wire::ORGANIZATION_BODY) {
        json!({"organisation": {"name": "Engine Works", "domains": ["engines.example.com"], "url": "https://engines.example.com"}})
    } else if is(&wire::DOMAIN_BODY) {
        json!({"domain": {"url": "works.example.com"}})
    } else if is(&wire::BULK_USERS) {
        json!({"users": {"user": [EMAIL]}})
    } else if is(&wire::INVITATION) {
        json!({"emailAddress": [EMAIL], "sendInvitationNow": true})
    } else if is(&wire::BULK_ORGANIZATIONS) {
        json!({"organisations": {"organisation": ["1"]}})
    } else {
        return None;
    })
}
