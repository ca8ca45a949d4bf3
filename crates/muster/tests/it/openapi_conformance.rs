//! Checks that the OpenAPI document describes a response: its status, its media type and, for JSON, its schema. Every
//! response to `send` and `TestApp::send_request` is checked.

use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| dialects::openapi("test"));
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Panics if the response of a documented operation is not documented. Ignores paths and methods that are not in the
/// document.
pub(crate) fn assert_documented(method: &str, target: &str, status: u16, media: Option<&str>, body: &str) {
    let path = target.split('?').next().unwrap_or(target);
    let Some((documented, operations)) = find_path(path) else { return };
    let verb = if method == "HEAD" { "get" } else { &method.to_ascii_lowercase() };
    let Some(operation) = operations.get(verb) else { return };
    if let Err(what) = check_response(operation, status, media, if method == "HEAD" { "" } else { body }) {
        panic!("{method} {target} ({documented}): {status}: {what}\n{body:.2000}");
    }
}

fn check_response(operation: &Value, status: u16, media: Option<&str>, body: &str) -> Result<(), String> {
    let response = operation["responses"].get(status.to_string()).ok_or("the status is not documented")?;
    let shared = response["$ref"].as_str().and_then(|reference| DOCUMENT.pointer(reference.trim_start_matches('#')));
    let response = shared.unwrap_or(response);
    let no_content = Map::new();
    let contents = response["content"].as_object().unwrap_or(&no_content);
    let Some(media) = media else {
        return if body.is_empty() { Ok(()) } else { Err("a body without a media type".into()) };
    };
    let content = contents.get(media).ok_or_else(|| format!("{media} is not documented"))?;
    let kind = media.split(';').next().unwrap_or_default();
    if !(kind.ends_with("/json") || kind.ends_with("+json")) || body.is_empty() {
        return Ok(());
    }
    let body: Value = serde_json::from_str(body).map_err(|error| format!("no JSON: {error}"))?;
    let errors: Vec<String> = validator(&content["schema"])
        .iter_errors(&body)
        .map(|error| format!("{}: {error:.300}", error.instance_path()))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

fn validator(schema: &Value) -> Arc<Validator> {
    let made = || {
        let schema = json!({"allOf": [schema], "components": DOCUMENT["components"]});
        Arc::new(jsonschema::validator_for(&schema).expect("a schema"))
    };
    Arc::clone(VALIDATORS.lock().entry(schema.to_string()).or_insert_with(made))
}

/// The documented path that matches a path, ignoring case and a format extension. Prefers the one with the most literal
/// segments.
fn find_path(path: &str) -> Option<(&'static str, &'static Map<String, Value>)> {
    let path = path.trim_end_matches('/');
    let path = ["", ".json", ".xml"].iter().rev().find_map(|ending| path.strip_suffix(ending)).unwrap_or(path);
    let sent: Vec<&str> = path.split('/').collect();
    let is_it = |documented: &str| {
        let segments: Vec<&str> = documented.split('/').collect();
        segments.len() == sent.len()
            && segments.iter().zip(&sent).all(|(name, sent)| {
                if name.starts_with('{') { !sent.is_empty() } else { name.eq_ignore_ascii_case(sent) }
            })
    };
    let paths = DOCUMENT["paths"].as_object()?;
    let found = paths.iter().filter(|(documented, _)| is_it(documented));
    let (documented, operations) = found.min_by_key(|(documented, _)| documented.matches('{').count())?;
    Some((documented, operations.as_object()?))
}

#[test]
fn undocumented_responses_are_detected() {
    let user = r#"{"schemas":["x"],"id":"1","name":{"givenName":"A"}}"#;
    let (_, operations) = find_path("/SCIM/v2/Users/1").expect("a path");
    let get = &operations["get"];
    let media = Some("application/scim+json");
    assert_eq!(check_response(get, 200, media, user), Ok(()));
    assert_eq!(check_response(get, 304, None, ""), Ok(()));
    for (status, media, body) in [
        (201, media, user),
        (200, Some("text/html"), user),
        (200, None, user),
        (200, media, "{"),
        (200, media, r#"{"schemas":["x"]}"#),
        (200, media, r#"{"schemas":["x"],"id":1}"#),
        (200, media, r#"{"schemas":["x"],"id":"1","name":{"givenName":[]}}"#),
        (404, media, r#"{"schemas":["x"],"status":404}"#),
    ] {
        assert!(check_response(get, status, media, body).is_err(), "{status} {media:?} {body}");
    }
}
