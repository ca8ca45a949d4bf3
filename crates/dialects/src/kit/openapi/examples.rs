//! Examples for the OpenAPI document. All of them are about one tenant, so that the example of one operation names what
//! the example of another creates.

use crate::kit::ObjectSchema;
use serde_json::Value;

/// The examples of a dialect.
pub struct Examples {
    /// The value of a parameter, by the path of its route and its name. Parameters of paths have one.
    pub parameter: fn(path: &str, name: &str) -> Option<&'static str>,
    /// A request body in JSON, or a text if it is a file, of something new or, if it is partial, of a change. Each record
    /// that is a request has one.
    pub body: fn(record: &ObjectSchema, is_partial: bool) -> Option<Value>,
}

/// The id of the user that examples name.
pub const USER_ID: &str = "6f1c2a3b4d5e4f608192a3b4c5d6e7f8";
/// The id of the group that examples name.
pub const GROUP_ID: &str = "7a1c2a3b4d5e4f608192a3b4c5d6e7f8";
/// The id of the folder that examples name.
pub const FOLDER_ID: &str = "8b1c2a3b4d5e4f608192a3b4c5d6e7f8";
/// The email of the user that examples name.
pub const EMAIL: &str = "ada@example.com";
