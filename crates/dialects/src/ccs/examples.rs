//! Examples for the OpenAPI document.

use crate::kit::{EMAIL, Examples};
use serde_json::json;

pub(super) static EXAMPLES: Examples = Examples {
    parameter: |_, name| match name {
        "id" => Some("1"),
        "take" => Some("10"),
        _ => None,
    },
    body: |_, _| {
        Some(json!({
            "title": "Dr", "firstName": "Ada", "lastName": "Lovelace", "phone": "+44 20 7946 0000", "email": EMAIL,
            "password": "four red fish in a pond", "roleId": 2, "departmentId": 1, "forcePasswordChange": false,
        }))
    },
};
