//! `scim`: SCIM 2.0 (RFC 7643, 7644, 9865), the standard that identity providers speak; JSON, a bearer token.
//!
//! Quirks worth knowing: one table of attributes (`wire.rs`) serves readers, writers, PATCH, filters and `/Schemas`; a
//! PUT or PATCH is worked out on the whole resource and only what changed is said to the core; a PATCH of a group is
//! answered 204 and never looks at the members it does not name; walks by index miss nobody (`kit/walks.rs`).
//! What providers send and how it is taken: `docs/dialects/scim.md`.

mod bulk;
mod discovery;
mod entries;
mod errors;
mod examples;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod groups;
mod labels;
mod lines;
mod members;
mod memberships;
mod pages;
mod patch;
mod path;
mod read;
mod routes;
mod schema;
mod search;
mod select;
mod shapes;
mod tree;
mod users;
mod wire;
mod write;

use crate::kit::{DialectRequest, RequestError, bearer, media_types};
use crate::{CurlTarget, Dialect};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "scim",
    description: "SCIM 2.0 for identity providers: users and groups as JSON, with a bearer token",
    routes: routes::ROUTES,
    claims_path: owns,
    has_format_suffixes: false,
    method_override: |_| None,
    check_acceptable: acceptable,
    credential: |call| Ok(bearer(call)),
    has_credential_in_body: false,
    error_response: errors::refuse,
    request_media_types: &["application/scim+json", "application/json"],
    response_media_types: &["application/scim+json", "application/json"],
    common_parameters: &[],
    examples: &examples::EXAMPLES,
    error_schema: &shapes::ERROR,
    common_properties: wire::common,
    xml_names: None,
    curl_examples: |CurlTarget { url, key, email, .. }| {
        let filter = format!("filter=userName eq \"{email}\"");
        vec![format!(
            "curl -G -H 'Authorization: Bearer {key}' '{url}/scim/v2/Users' --data-urlencode '{filter}'"
        )]
    },
    is_opt_in: false,
    security_schemes: &[("bearer", crate::kit::bearer_scheme)],
};

/// Everything under `/scim`.
fn owns(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    first.eq_ignore_ascii_case("scim")
}

/// An `Accept` that rules JSON out is a 406.
fn acceptable(call: &DialectRequest) -> Result<(), RequestError> {
    let wanted = media_types::accepted_media_ranges(&call.headers);
    let fits = |media: &str| wanted.iter().any(|entry| entry.quality > 0 && entry.specificity(media) > 0);
    if wanted.is_empty() || fits("application/scim+json") || fits("application/json") {
        Ok(())
    } else {
        Err(RequestError::NotAcceptable)
    }
}
