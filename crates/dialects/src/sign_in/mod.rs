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
    description: "Sign-in for applications: who is behind an e-mail and a password",
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
    common_parameters: &[],
    examples: &examples::EXAMPLES,
    error_schema: &wire::ERROR,
    common_properties: |_| Vec::new(),
    xml_names: None,
    curl_examples: |_| Vec::new(),
    is_opt_in: true,
    security_schemes: &[("bearer", bearer_scheme)],
};
