//! The languages Muster speaks. Each is a translator at the door: bytes in, a command or query in the middle,
//! bytes out. None of them decides anything, knows an engine, or knows another.
//!
//! Adding one takes a folder with the same files as the others, and a line in [`USER_APIS`].

mod ccs;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod kit;
mod oauth;
mod onfire;
mod publisher;
mod scim;
mod sign_in;
pub mod transfer;

use http::Response;
use kit::{ApiCredential, DialectRequest, DialectResponse, ObjectSchema, Property, RequestError, Route, ValueType};

/// A language.
pub struct Dialect {
    /// Its name, as connections and logs have it.
    pub name: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    /// Its table of paths.
    pub routes: &'static [Route],
    /// Whether a path that is no route is still its to refuse.
    pub claims_path: fn(path: &str) -> bool,
    /// Whether `.json` and `.xml` may end a path.
    pub has_format_suffixes: bool,
    /// The method a request asks for besides the one it was sent with.
    pub method_override: fn(&DialectRequest) -> Option<String>,
    /// Whether the client accepts what this dialect writes.
    pub check_acceptable: fn(&DialectRequest) -> Result<(), RequestError>,
    /// What the client brings to be let in.
    pub credential: fn(&DialectRequest) -> Result<Option<ApiCredential>, RequestError>,
    /// Whether the body may hold the key, a part of it, or the method. If not, the body is read only with a valid key.
    pub has_credential_in_body: bool,
    /// Its voice for everything that goes wrong.
    pub error_response: fn(&RequestError, &DialectRequest) -> DialectResponse,
    /// Media types it reads.
    pub request_media_types: &'static [&'static str],
    /// Media types it writes.
    pub response_media_types: &'static [&'static str],
    /// Query parameters that every operation takes.
    pub common_parameters: &'static [(&'static str, ValueType, &'static str)],
    /// Examples of its requests.
    pub examples: &'static kit::Examples,
    /// The shape of its errors.
    pub error_schema: &'static ObjectSchema,
    /// Members that a record has besides its own, for the OpenAPI document.
    pub common_properties: fn(&ObjectSchema) -> Vec<Property>,
    /// How its XML is named; `None` if it has none.
    pub xml_names: Option<kit::XmlNames>,
    /// Ready `curl` lines for somebody who tries it out.
    pub curl_examples: fn(&CurlTarget<'_>) -> Vec<String>,
    /// Whether `--dialect all` leaves it out, so that a connection gets it by its own name only.
    pub is_opt_in: bool,
    /// Its security schemes, as OpenAPI has them.
    pub security_schemes: &'static [(&'static str, SecurityScheme)],
}

/// Where and as whom a dialect is tried out.
pub struct CurlTarget<'a> {
    /// Scheme and host, such as `http://127.0.0.1:8080`.
    pub url: &'a str,
    /// The tenant's number.
    pub tenant: u32,
    /// A key that opens it.
    pub key: &'a str,
    /// The e-mail of somebody who is there; their number is 1.
    pub email: &'a str,
}

/// Makes a security scheme, as OpenAPI has it.
pub type SecurityScheme = fn() -> serde_json::Value;

/// Every language there is.
pub static USER_APIS: &[&Dialect] = &[&onfire::DIALECT, &ccs::DIALECT, &publisher::DIALECT, &scim::DIALECT];

/// The API whose clients differ as [`directory::ClientProfile`] says.
pub static PROFILED_DIALECT: &Dialect = &scim::DIALECT;

/// Whether a path with empty segments leads where it would lead without them.
pub fn ignores_empty_segments(path: &str) -> bool {
    (scim::DIALECT.claims_path)(path)
}

/// All that may stand behind a path: the languages, where clients get tokens for them, where files of people come in and go
/// out, and where people sign in.
pub fn endpoints() -> impl Iterator<Item = &'static Dialect> {
    USER_APIS.iter().copied().chain([&oauth::DIALECT, &transfer::DIALECT, &sign_in::DIALECT])
}

/// What a connection may be let speak.
pub fn grantable_dialects() -> impl Iterator<Item = &'static Dialect> {
    USER_APIS.iter().copied().chain([&sign_in::DIALECT, &transfer::DIALECT])
}

/// The OpenAPI 3.1 document over all dialects.
pub fn openapi(version: &str) -> serde_json::Value {
    kit::openapi::document(&endpoints().collect::<Vec<_>>(), version)
}

/// An answer with a body of that type.
fn text_response(status: http::StatusCode, media: &'static str, body: String) -> DialectResponse {
    let mut response = Response::new(kit::ResponseBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media));
    response
}
