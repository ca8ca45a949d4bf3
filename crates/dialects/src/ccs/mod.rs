//! `ccs`: the user API of a supplier portal, in the style of ASP.NET Web API 2.
//!
//! Requests are JSON, XML or forms; responses are JSON or XML, and `text/html` (what browsers accept) gets JSON.
//! Peculiarities: all errors of a body are reported at once, keyed by member, in the framework's wording; JSON is
//! parsed as leniently as by Json.NET; an unknown user is a 404 without a body; a forbidden write is a 401, not a
//! 403. Differences from the original: `README.md`.

mod client;
mod convert;
mod errors;
mod examples;
mod read;
mod routes;
mod users;
mod wire;
mod write;

use crate::kit::{ValueType, XmlNames, bearer, param};
use crate::{CurlTarget, Dialect};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "ccs",
    description: "Users in the ASP.NET Web API style: JSON, XML or form",
    routes: routes::ROUTES,
    claims_path: |path| {
        let first = path.trim_start_matches('/').split('/').next();
        first.is_some_and(|first| first.eq_ignore_ascii_case("request"))
    },
    has_format_suffixes: false,
    method_override: |_| None,
    check_acceptable: |_| Ok(()),
    credential: |request| Ok(bearer(request)),
    has_credential_in_body: false,
    error_response: errors::error_response,
    request_media_types: &[
        "application/json",
        "text/json",
        "text/html",
        "application/xml",
        "text/xml",
        "application/x-www-form-urlencoded",
    ],
    response_media_types: &[
        "application/json; charset=utf-8",
        "text/json; charset=utf-8",
        "text/html; charset=utf-8",
        "application/xml; charset=utf-8",
        "text/xml; charset=utf-8",
    ],
    path_parameters: &[param("id", ValueType::Text, "Number of the user")],
    common_parameters: &[],
    examples: &examples::EXAMPLES,
    error_schema: &wire::ERROR,
    common_properties: |_| Vec::new(),
    xml_names: Some(XmlNames { namespace: wire::namespace, property: wire::clr_name }),
    curl_examples: |CurlTarget { url, key, .. }| {
        vec![format!("curl -H 'Authorization: Bearer {key}' '{url}/request/user/1'")]
    },
    clients: &[&client::CLIENT],
    is_opt_in: false,
    security_schemes: &[("bearer", crate::kit::bearer_scheme)],
};
