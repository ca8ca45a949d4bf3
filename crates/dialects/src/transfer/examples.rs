//! Examples for the OpenAPI document.

use crate::kit::{EMAIL, Examples};

pub(super) static EXAMPLES: Examples = Examples {
    parameter: |_, name| match name {
        "id" => Some("00000000-0000-0000-0000-000000000000"),
        "file" => Some("users.csv"),
        "format" => Some("csv"),
        _ => None,
    },
    body: |_, _| Some(format!("email,given name,family name\n{EMAIL},Ada,Lovelace\n").into()),
};
