//! Examples for the OpenAPI document. All belong to one tenant, so that the examples of some operations name what
//! the examples of others create. The user has number 1.

use crate::kit::ObjectSchema;
use serde_json::Value;

pub struct Examples {
    /// The value of a parameter, by the path of its route and its name. Path parameters must have one.
    pub parameter: fn(path: &str, name: &str) -> Option<&'static str>,
    /// A request body: JSON, or a string if it is a file. Every request schema must have one, also a partial one if
    /// requests may be partial.
    pub body: fn(record: &ObjectSchema, is_partial: bool) -> Option<Value>,
}

pub const USER_ID: &str = "6f1c2a3b4d5e4f608192a3b4c5d6e7f8";
pub const GROUP_ID: &str = "7a1c2a3b4d5e4f608192a3b4c5d6e7f8";
pub const FOLDER_ID: &str = "8b1c2a3b4d5e4f608192a3b4c5d6e7f8";
pub const EMAIL: &str = "ada@example.com";
pub const EXTERNAL_ID: &str = "E-1815";
