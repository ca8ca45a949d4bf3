//! `sign-in`: where an application asks who signs in with an e-mail or user name and a password. It is no API over users
//! and is not in [`crate::ALL`]; it is a door like the others, for connections that were told by name that they may use
//! it.
//!
//! Whatever is wrong with what was shown, the refusal is the same and takes as long.

mod errors;
mod examples;
mod read;
mod routes;
mod wire;
mod write;

use crate::Dialect;
use crate::kit::bearer_scheme;

pub(crate) static DIALECT: Dialect = Dialect {
    name: "sign-in",
    about: "Sign-in for applications: who is behind an e-mail and a password",
    routes: routes::ROUTES,
    owns: |path| path.starts_with("/v1/"),
    suffixes: false,
    overrides: |_| None,
    acceptable: |_| Ok(()),
    credential: read::credential,
    has_credential_in_body: true,
    refuse: errors::refuse,
    reads: &["application/json"],
    writes: &["application/json"],
    parameters: &[],
    examples: &examples::EXAMPLES,
    error: &wire::ERROR,
    common: |_| Vec::new(),
    xml: None,
    curls: |_| Vec::new(),
    by_name: true,
    security: &[("bearer", bearer_scheme)],
};
