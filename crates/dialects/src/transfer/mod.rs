//! `transfer`: imports and exports of files over HTTP. It has no operations on single users, so it is not in
//! [`crate::USER_APIS`]. Connections must be enabled for it by name.
//!
//! The server runs imports and knows the file formats ([`Transfers`](crate::kit::transfers::Transfers)). Uploaded
//! files are not read here: after authentication, the server streams them to the folder of imports.

mod errors;
mod examples;
mod read;
mod routes;
mod wire;
mod write;

use crate::Dialect;
use crate::kit::{RouteMatch, ValueType, bearer, bearer_scheme, param};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "transfer",
    description: "Import and export of users as CSV, NDJSON, Excel and LDIF files",
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
    path_parameters: &[
        param("id", ValueType::Text, "Id of the import"),
        param("file", ValueType::Text, "`all`, or the format and name of the file"),
    ],
    common_parameters: &[],
    examples: &examples::EXAMPLES,
    error_schema: &wire::ERROR,
    common_properties: |_| Vec::new(),
    xml_names: None,
    curl_examples: |_| Vec::new(),
    clients: &[],
    is_opt_in: true,
    security_schemes: &[("bearer", bearer_scheme)],
};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// A 507: an upload reached a storage limit.
pub fn insufficient_storage(what: &str) -> crate::kit::RequestError {
    read::insufficient_storage(what)
}

/// The response to a repeated upload: that of the first.
pub fn repeated_import(url: &str, id: uuid::Uuid, resource: &serde_json::Value) -> crate::kit::DialectResponse {
    write::accepted_import(url, id, resource)
}

/// Whether the body of a request is a file that must not be read into memory.
pub fn is_file_upload(method: &http::Method, found: &RouteMatch) -> bool {
    method == http::Method::POST && found.matched.as_ref().is_some_and(|m| m.route.path == routes::IMPORTS_PATH)
}
