//! `scim`: SCIM 2.0 (RFC 7643, 7644, 9865) for identity providers; JSON, bearer tokens.
//!
//! One attribute table (`wire.rs`) drives readers, writers, PATCH, filters and `/Schemas`. PUT and PATCH are
//! computed on the whole resource, and only the differences reach the core. PATCH of a group answers 204 and
//! never reads members it does not name. Paging by index misses no users (`kit/routing/page_positions.rs`).
//! What providers send and how it is read: `README.md`.

mod bulk;
mod client;
mod discovery;
mod errors;
mod examples;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod groups;
mod labels;
mod member_filter;
mod messages;
mod multi_valued;
mod object;
mod pairs_text;
mod patch;
mod patch_path;
mod projection;
mod read;
mod routes;
mod schema;
mod search;
mod tree;
mod user_filter;
mod user_pages;
mod users;
mod wire;
mod write;

pub use user_filter::UserFilter;

use crate::kit::{ValueType, bearer, media_types, param};
use crate::{CurlTarget, Dialect};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "scim",
    description: "SCIM 2.0 for identity providers: users and groups as JSON, with a bearer token",
    routes: routes::ROUTES,
    claims_path,
    has_format_suffixes: false,
    method_override: |_| None,
    check_acceptable: |request| media_types::require_any(request, &["application/scim+json", "application/json"]),
    credential: |request| Ok(bearer(request)),
    has_credential_in_body: false,
    error_response: errors::error_response,
    request_media_types: &["application/scim+json", "application/json"],
    response_media_types: &["application/scim+json", "application/json"],
    path_parameters: &[
        param("id", ValueType::Text, "`id` of the resource"),
        param("name", ValueType::Text, "Name of the resource type, such as `User`"),
        param("urn", ValueType::Text, "URN of the schema"),
    ],
    common_parameters: &[],
    examples: &examples::EXAMPLES,
    error_schema: &messages::ERROR,
    common_properties: wire::common_properties,
    xml_names: None,
    curl_examples: |CurlTarget { url, key, email, .. }| {
        let filter = format!("filter=userName eq \"{email}\"");
        vec![format!("curl -G -H 'Authorization: Bearer {key}' '{url}/scim/v2/Users' --data-urlencode '{filter}'")]
    },
    clients: &[&client::CLIENT],
    is_opt_in: false,
    security_schemes: &[("bearer", crate::kit::bearer_scheme)],
};

fn claims_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    first.eq_ignore_ascii_case("scim")
}
