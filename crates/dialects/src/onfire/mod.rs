//! `onfire`: the ServiceStack-style user API of a family of form apps, v1 (`SUser`) and v2 (`User`).
//!
//! XML first, JSON too. The key is in the body or the query, among the user's own fields. Peculiarities:
//! success is always 200; an unknown user is a 400; `Id` is 32 digits in JSON and dashed in XML; XML members
//! are in alphabetical order; POST and PUT of a user return only `Id` and `Status`. Differences from the
//! original: `README.md`.

mod client;
mod errors;
mod examples;
mod form_lists;
mod groups;
mod read;
mod routes;
mod users;
mod wire;
mod write;

use crate::kit::{DialectRequest, RequestError, ValueType, XmlNames, param};
use crate::{CurlTarget, Dialect};

pub(crate) static DIALECT: Dialect = Dialect {
    name: "onfire",
    description: "Users, groups and folders in the ServiceStack style: v1 `SUser` and v2 `User`, XML or JSON",
    routes: routes::ROUTES,
    claims_path,
    has_format_suffixes: true,
    method_override,
    check_acceptable,
    credential: read::credential,
    has_credential_in_body: true,
    error_response: errors::error_response,
    request_media_types: &["application/xml", "application/json", "application/x-www-form-urlencoded"],
    response_media_types: &["application/json; charset=utf-8", "application/xml"],
    path_parameters: &[],
    common_parameters: &[
        param("format", ValueType::Enum(&["json", "xml"]), "Format of the response: `json` or `xml`"),
        param("CompanyId", ValueType::Integer, "Number of the tenant (`ProviderId` in v1)"),
        param("IntegrationKey", ValueType::Text, "Key of the connection; prefer sending it in the body"),
    ],
    examples: &examples::EXAMPLES,
    error_schema: &wire::ERROR,
    common_properties: |_| Vec::new(),
    xml_names: Some(XmlNames { namespace: wire::namespace, property: str::to_owned }),
    curl_examples: |CurlTarget { url, tenant, key, .. }| {
        let find = format!("{url}/api/v2/user/search?CompanyId={tenant}&IntegrationKey={key}&PageSize=2");
        let user = format!(
            "<User><CompanyId>{tenant}</CompanyId><Email>new@example.com</Email><FirstName>New</FirstName>\
             <IntegrationKey>{key}</IntegrationKey><LastName>Person</LastName></User>"
        );
        vec![
            format!("curl '{find}'"),
            format!("curl -H 'Content-Type: application/xml' '{url}/api/v2/user?format=xml' -d '{user}'"),
        ]
    },
    clients: &[&client::V2, &client::V1],
    is_opt_in: false,
    security_schemes: &[("integrationKey", || {
        serde_json::json!({
            "type": "apiKey", "in": "query", "name": "IntegrationKey",
            "description": "Together with `CompanyId` or `ProviderId`, in the query or the body",
        })
    })],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ApiVersion {
    V1,
    V2,
}

fn api_version(request: &DialectRequest) -> ApiVersion {
    let is_v1 = request.path.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("/api/v1"));
    if is_v1 || request.route_path.contains("/reply/SUser") { ApiVersion::V1 } else { ApiVersion::V2 }
}

fn claims_path(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["/api/v1", "/api/v2", "/api/json", "/api/xml"]
        .iter()
        .any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn check_acceptable(request: &DialectRequest) -> Result<(), RequestError> {
    let on_reply_route = request.route_path.starts_with("/api/{format}");
    let known = ["json", "xml"].iter().any(|format| request.path_param(0).eq_ignore_ascii_case(format));
    if on_reply_route && !known { Err(RequestError::NoRoute) } else { Ok(()) }
}

/// `X-Http-Method-Override` as header, query or form field; only on POST, and never to GET.
fn method_override(request: &DialectRequest) -> Option<String> {
    const NAME: &str = "X-Http-Method-Override";
    if request.method != "POST" {
        return None;
    }
    let in_form = || {
        let is_form = crate::kit::media_types::content_type(&request.headers)? == "application/x-www-form-urlencoded";
        let mut pairs = form_urlencoded::parse(if is_form { &request.body } else { &[] });
        pairs.find(|(name, _)| name.eq_ignore_ascii_case(NAME)).map(|(_, value)| value.into_owned())
    };
    let method = request.header(NAME).or_else(|| request.query.get(NAME)).map(str::to_owned).or_else(in_form)?;
    let method = method.trim().to_ascii_uppercase();
    matches!(method.as_str(), "PUT" | "DELETE").then_some(method)
}
