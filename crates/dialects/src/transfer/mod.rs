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
use crate::kit::{RouteMatch, bearer, bearer_scheme};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "transfer",
    description: "Import and export: files of people in CSV, NDJSON, Excel and LDIF",
    routes: routes::ROUTES,
    claims_path: |path| path.starts_with("/v1/imports") || path.starts_with("/v1/exports"),
    has_format_suffixes: false,
    method_override: |_| None,
    check_acceptable: |_| Ok(()),
    credential: |request| Ok(bearer(request)),
    has_credential_in_body: false,
    error_response: errors::error_response,
    request_media_types: &["application/octet-stream", "text/csv", "application/x-ndjson", XLSX, "text/ldif"],
    response_media_types: &["application/json"],
    common_parameters: &[],
    examples: &examples::EXAMPLES,
    error_schema: &wire::ERROR,
    common_properties: |_| Vec::new(),
    xml_names: None,
    curl_examples: |_| Vec::new(),
    is_opt_in: true,
    security_schemes: &[("bearer", bearer_scheme)],
};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// The 507 of an upload that reaches a storage limit.
pub fn insufficient_storage(what: &str) -> crate::kit::RequestError {
    read::insufficient_storage(what)
}

/// Whether a request brings a file that is not to be read into memory.
pub fn is_file_upload(method: &http::Method, found: &RouteMatch) -> bool {
    method == http::Method::POST && found.matched.as_ref().is_some_and(|m| m.route.path == routes::IMPORTS_PATH)
}
