//! Examples for the OpenAPI document.

use crate::kit::{EMAIL, EXTERNAL_ID, Examples, FOLDER_ID, GROUP_ID, ObjectSchema, USER_ID};
use serde_json::{Value, json};

pub(super) static EXAMPLES: Examples = Examples { parameter, body };

fn parameter(path: &str, name: &str) -> Option<&'static str> {
    match name {
        "format" => Some("json"),
        "CompanyId" => Some("1"),
        "Id" if path.contains("roup") => Some(GROUP_ID),
        "Id" if path.contains("older") => Some(FOLDER_ID),
        "Id" => Some(USER_ID),
        _ => None,
    }
}

fn body(object_schema: &ObjectSchema, is_partial: bool) -> Option<Value> {
    let (id, mut body) = match object_schema.name {
        "User" => (
            USER_ID,
            json!({
                "FirstName": "Ada", "LastName": "Lovelace", "Email": EMAIL, "ExternalId": EXTERNAL_ID,
                "Password": "four red fish in a pond", "WebsiteRole": "User", "TimeZone": "Europe/London", "Country": "GB",
                "DoNotEmail": true, "Metadata": [{"Key": "Room", "Value": "12"}],
            }),
        ),
        "SUser" => (
            USER_ID,
            json!({
                "FirstName": "Ada", "LastName": "Lovelace", "Email": EMAIL, "ExternalId": EXTERNAL_ID,
                "Password": "four red fish in a pond", "WebsiteRole": "User",
            }),
        ),
        "UserGroup" => (GROUP_ID, json!({"Name": "Analysts", "ExternalId": "G-1", "UserIds": [USER_ID]})),
        "Folder" => (
            FOLDER_ID,
            json!({
                "Name": "Drawings", "ExternalId": "F-1", "Description": "Drawings of engines",
                "Items": [{"KeyId": "D-1", "Type": "Doc"}],
            }),
        ),
        _ => return None,
    };
    // The server assigns ids to new resources.
    if is_partial {
        body["Id"] = id.into();
    }
    Some(body)
}
