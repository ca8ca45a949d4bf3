//! `transfer`: files of people in and out, for integrators. A door like sign-in: no API over single users, and not in
//! [`crate::ALL`]; for connections that were told by name that they may use it.
//!
//! What an import does and what a file looks like is the server's matter ([`Transfers`]); this says it over HTTP. The file
//! itself is not read here: it is streamed to where imports are kept, once it is known whose it is.

mod errors;
mod examples;
mod read;
mod routes;
mod wire;
mod write;

use crate::Dialect;
use crate::kit::{Found, bearer, bearer_scheme};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "transfer",
    about: "Import and export: files of people in CSV, NDJSON, Excel and LDIF",
    routes: routes::ROUTES,
    owns: |path| path.starts_with("/v1/imports") || path.starts_with("/v1/exports"),
    suffixes: false,
    overrides: |_| None,
    acceptable: |_| Ok(()),
    credential: |call| Ok(bearer(call)),
    has_credential_in_body: false,
    refuse: errors::refuse,
    reads: &["application/octet-stream", "text/csv", "application/x-ndjson", XLSX, "text/ldif"],
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

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// The 507 of an upload that reaches a storage limit.
pub fn insufficient_storage(what: &str) -> crate::kit::Fault {
    read::insufficient_storage(what)
}

/// Whether a request brings a file that is not to be read into memory.
pub fn brings_file(method: &http::Method, found: &Found) -> bool {
    method == http::Method::POST && found.matched.as_ref().is_some_and(|m| m.route.path == routes::IMPORTS)
}
