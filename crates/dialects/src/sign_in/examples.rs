//! Examples for the OpenAPI document.

use crate::kit::{EMAIL, Examples};
use serde_json::json;

pub(super) static EXAMPLES: Examples = Examples {
    parameter: |_, _| None,
    body: |_, _| Some(json!({"user": EMAIL, "password": "four red fish in a pond", "address": "192.0.2.1"})),
};
