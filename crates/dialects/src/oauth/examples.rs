//! Examples for the OpenAPI document.

use crate::kit::Examples;
use serde_json::json;

pub(super) static EXAMPLES: Examples = Examples {
    parameter: |_, name| (name == "context").then_some("acme"),
    body: |_, _| {
        Some(json!({
            "grant_type": "client_credentials", "client_id": "00000000-0000-0000-0000-000000000000",
            "client_secret": "the connection's key",
        }))
    },
};
