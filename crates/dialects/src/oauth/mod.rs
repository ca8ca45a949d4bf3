//! `oauth`: issues short-lived bearer tokens for the credentials of a connection (RFC 6749 section 4.4). It
//! manages no users, so it is not in [`crate::USER_APIS`].
//!
//! A client sends the connection's id and key, in the body or as HTTP Basic, or an assertion signed with the
//! private key of a registered public key (RFC 7523). A token has the rights of its connection.

mod errors;
mod examples;
mod read;
mod routes;
mod token;
mod wire;
mod write;

use crate::Dialect;
use crate::kit::{ValueType, param};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "oauth",
    description: "Short-lived access tokens for connections (RFC 6749, 7523, 8414)",
    routes: routes::ROUTES,
    claims_path: |_| false,
    has_format_suffixes: false,
    method_override: |_| None,
    check_acceptable: |_| Ok(()),
    credential: |_| Ok(None),
    has_credential_in_body: false,
    error_response: errors::error_response,
    request_media_types: &["application/x-www-form-urlencoded"],
    response_media_types: &["application/json"],
    path_parameters: &[param("context", ValueType::Text, "Any segment, as in paths of `publisher`")],
    common_parameters: &[],
    examples: &examples::EXAMPLES,
    error_schema: &wire::ERROR,
    common_properties: |_| Vec::new(),
    xml_names: None,
    curl_examples: |_| Vec::new(),
    clients: &[],
    is_opt_in: false,
    security_schemes: &[],
};
