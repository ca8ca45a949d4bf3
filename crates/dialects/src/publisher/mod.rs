//! `publisher`: the user, group and organisation API of a publishing platform; a bearer token, JSON first, XML too.
//!
//! Quirks worth knowing: every user is addressed by number or by e-mail; PUT replaces; success is always 200; a
//! link is `/user/3` in what add and the bulk calls answer and `/users/3` elsewhere, as the documents print it; one
//! link of a user stands bare, several in an array. Differences from the original: `docs/dialects/publisher.md`.

mod errors;
mod examples;
mod groups;
mod organisations;
mod read;
mod routes;
mod status;
mod users;
mod wire;
mod write;

use crate::kit::{Call, Fault, XmlNames, accept, bearer};
use crate::{Dialect, Trial};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "publisher",
    about: "Users, groups and organisations with a bearer token: JSON or XML",
    routes: routes::ROUTES,
    owns,
    suffixes: false,
    overrides: |_| None,
    acceptable,
    credential: |call| Ok(bearer(call)),
    has_credential_in_body: false,
    refuse: errors::refuse,
    reads: &["application/json", "application/xml"],
    writes: &["application/json", "application/xml"],
    parameters: &[],
    examples: &examples::EXAMPLES,
    error: &wire::ERROR,
    common: |_| Vec::new(),
    xml: Some(XmlNames { namespace: |_| None, member: str::to_owned }),
    curls: |Trial { url, key, email, .. }| {
        vec![format!("curl -H 'Authorization: Bearer {key}' '{url}/api/2/users/{email}'")]
    },
    by_name: false,
    security: &[("bearer", crate::kit::bearer_scheme)],
};

/// `/api/2/…` and `/{context}/api/2/…`.
fn owns(path: &str) -> bool {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').take(3).collect();
    let at = |n: usize, text: &str| segments.get(n).is_some_and(|s| s.eq_ignore_ascii_case(text));
    (at(0, "api") && at(1, "2")) || (at(1, "api") && at(2, "2"))
}

/// An `Accept` that rules out both JSON and XML is a 406.
fn acceptable(call: &Call) -> Result<(), Fault> {
    let wanted = accept::wanted(&call.headers);
    let fits = |media: &str| wanted.iter().any(|entry| entry.quality > 0 && entry.matches(media) > 0);
    let written = ["application/json", "application/xml", "text/xml", "text/json"];
    if wanted.is_empty() || written.iter().any(|media| fits(media)) {
        Ok(())
    } else {
        Err(Fault::NotAcceptable)
    }
}
