//! `publisher`: users, groups and organizations of a publishing platform; a bearer token, JSON first, XML too.
//!
//! Peculiarities: users are addressed by number or email; PUT replaces; success is always 200; links are
//! `/user/3` in responses to add and bulk calls and `/users/3` elsewhere, as the documents print them; a single
//! link of a user is bare, several are an array. Differences from the original: `README.md`.

mod client;
mod errors;
mod examples;
mod groups;
mod organizations;
mod read;
mod routes;
mod status;
mod users;
mod wire;
mod write;

use crate::kit::{ValueType, XmlNames, bearer, media_types, param};
use crate::{CurlTarget, Dialect};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "publisher",
    description: "Users, groups and organizations with a bearer token: JSON or XML",
    routes: routes::ROUTES,
    claims_path,
    has_format_suffixes: false,
    method_override: |_| None,
    check_acceptable: |request| {
        media_types::require_any(request, &["application/json", "application/xml", "text/xml", "text/json"])
    },
    credential: |request| Ok(bearer(request)),
    has_credential_in_body: false,
    error_response: errors::error_response,
    request_media_types: &["application/json", "application/xml"],
    response_media_types: &["application/json", "application/xml"],
    path_parameters: &[
        param("context", ValueType::Text, "Any segment; it is repeated in links and has no other meaning"),
        param("user", ValueType::Text, "Number or email of the user"),
        param("group", ValueType::Text, "Number of the group"),
        param("organisation", ValueType::Text, "Number of the organization"),
    ],
    common_parameters: &[],
    examples: &examples::EXAMPLES,
    error_schema: &wire::ERROR,
    common_properties: |_| Vec::new(),
    xml_names: Some(XmlNames { namespace: |_| None, property: str::to_owned }),
    curl_examples: |CurlTarget { url, key, email, .. }| {
        vec![format!("curl -H 'Authorization: Bearer {key}' '{url}/api/2/users/{email}'")]
    },
    clients: &[&client::CLIENT],
    is_opt_in: false,
    security_schemes: &[("bearer", crate::kit::bearer_scheme)],
};

/// `/api/2/…` and `/{context}/api/2/…`.
fn claims_path(path: &str) -> bool {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').take(3).collect();
    let at = |n: usize, text: &str| segments.get(n).is_some_and(|s| s.eq_ignore_ascii_case(text));
    (at(0, "api") && at(1, "2")) || (at(1, "api") && at(2, "2"))
}
