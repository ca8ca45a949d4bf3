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

use crate::kit::{Call, Fault, accept, bearer};
use crate::{Dialect, Trial};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "scim",
    about: "SCIM 2.0 for identity providers: users and groups as JSON, with a bearer token",
    routes: routes::ROUTES,
    owns,
    suffixes: false,
    overrides: |_| None,
    acceptable,
    credential: |call| Ok(bearer(call)),
    has_credential_in_body: false,
    refuse: errors::refuse,
    reads: &["application/scim+json", "application/json"],
    writes: &["application/scim+json", "application/json"],
    parameters: &[],
    examples: &examples::EXAMPLES,
    error: &shapes::ERROR,
    common: wire::common,
    xml: None,
    curls: |Trial { url, key, email, .. }| {
        let filter = format!("filter=userName eq \"{email}\"");
        vec![format!(
            "curl -G -H 'Authorization: Bearer {key}' '{url}/scim/v2/Users' --data-urlencode '{filter}'"
        )]
    },
    by_name: false,
    security: &[("bearer", crate::kit::bearer_scheme)],
};

/// Everything under `/scim`.
fn owns(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    first.eq_ignore_ascii_case("scim")
}

/// An `Accept` that rules JSON out is a 406.
fn acceptable(call: &Call) -> Result<(), Fault> {
    let wanted = accept::wanted(&call.headers);
    let fits = |media: &str| wanted.iter().any(|entry| entry.quality > 0 && entry.matches(media) > 0);
    if wanted.is_empty() || fits("application/scim+json") || fits("application/json") {
        Ok(())
    } else {
        Err(Fault::NotAcceptable)
    }
}
