//! `sign-in`: applications check the email or user name and the password of a user. It manages no users, so it is
//! not in [`crate::USER_APIS`]. Connections must be enabled for it by name.
//!
//! Every rejected sign-in gets the same response after the same time, whatever is wrong.

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
    description: "Sign-in for applications: check a user's email and password",
    routes: routes::ROUTES,
    claims_path: |path| path.starts_with("/v1/"),
    has_format_suffixes: false,
    method_override: |_| None,
    check_acceptable: |_| Ok(()),
    credential: read::credential,
    has_credential_in_body: true,
    error_response: errors::error_response,
    request_media_types: &["application/json"],
    response_media_types: &["application/json"],
    path_parameters: &[],
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
