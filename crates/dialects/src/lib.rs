//! The APIs that Muster speaks ("dialects"). Each translates bytes to a command or query of the directory, and the
//! result back to bytes. No dialect decides anything, knows an engine, or knows another dialect.
//!
//! To add one, create a folder with the same files as the others and add its name to `user_apis!` below.
//!
//! ```
//! let document = dialects::openapi("1.0.0");
//! assert!(document["paths"]["/scim/v2/Users"]["post"].is_object());
//! ```

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod kit;
mod oauth;
mod sign_in;
pub mod transfer;

pub use scim::UserFilter;

use http::Response;
use kit::{ApiCredential, DialectRequest, DialectResponse, ObjectSchema, Property, RequestError, Route};

/// Declares the modules of the dialects that manage users, and lists them.
macro_rules! user_apis {
    ($($name:ident,)+) => {
        $(mod $name;)+

        /// The dialects that manage users. If some use one name for different fields, columns of imported files have
        /// the meaning of the last dialect.
        pub static USER_APIS: &[&Dialect] = &[$(&$name::DIALECT),+];
    };
}

// `cargo fmt` does not find modules that a macro declares; `cargo xtask fmt` does.
user_apis! {
    onfire,
    ccs,
    publisher,
    scim,
}

/// An API as data. The router, authentication and the OpenAPI document read it.
pub struct Dialect {
    /// Its name in connections, logs and metrics.
    pub name: &'static str,
    pub description: &'static str,
    pub routes: &'static [Route],
    /// Whether an unknown path belongs to this dialect, which then renders the 404.
    pub claims_path: fn(path: &str) -> bool,
    /// Whether paths may end with `.json` or `.xml`.
    pub has_format_suffixes: bool,
    /// The method that a request names to override its HTTP method.
    pub method_override: fn(&DialectRequest) -> Option<String>,
    /// Rejects an `Accept` header that excludes every response media type.
    pub check_acceptable: fn(&DialectRequest) -> Result<(), RequestError>,
    pub credential: fn(&DialectRequest) -> Result<Option<ApiCredential>, RequestError>,
    /// Whether the body may contain the key, a part of it, or the method. If not, it is read only with a valid key.
    pub has_credential_in_body: bool,
    pub error_response: fn(&RequestError, &DialectRequest) -> DialectResponse,
    pub request_media_types: &'static [&'static str],
    pub response_media_types: &'static [&'static str],
    pub path_parameters: &'static [kit::Parameter],
    /// Query parameters that every operation accepts.
    pub common_parameters: &'static [kit::Parameter],
    pub examples: &'static kit::Examples,
    pub error_schema: &'static ObjectSchema,
    /// Members that every object has besides its own, for the OpenAPI document.
    pub common_properties: fn(&ObjectSchema) -> Vec<Property>,
    /// The names in XML; `None` if the dialect has no XML.
    pub xml_names: Option<kit::XmlNames>,
    /// `curl` commands that `muster demo` prints.
    pub curl_examples: fn(&CurlTarget<'_>) -> Vec<String>,
    /// How Muster provisions systems that have this API.
    pub clients: &'static [&'static dyn kit::TargetClient],
    /// Whether `--dialect all` excludes it, so that connections get it only by name.
    pub is_opt_in: bool,
    pub security_schemes: &'static [(&'static str, SecurityScheme)],
}

/// The server, credentials and user of `curl` examples.
pub struct CurlTarget<'a> {
    /// Scheme and host, such as `http://127.0.0.1:8080`.
    pub url: &'a str,
    pub tenant: u32,
    pub key: &'a str,
    /// The email of an existing user, whose number is 1.
    pub email: &'a str,
}

pub type SecurityScheme = fn() -> serde_json::Value;

/// The dialect that adapts to its clients by [`directory::ClientProfile`].
pub static PROFILED_DIALECT: &Dialect = &scim::DIALECT;

/// Whether empty segments of a path are ignored (`//`).
pub fn ignores_empty_segments(path: &str) -> bool {
    (scim::DIALECT.claims_path)(path)
}

/// All dialects that have routes: user APIs, token endpoint, imports and exports, and sign-in.
pub fn all_dialects() -> impl Iterator<Item = &'static Dialect> {
    USER_APIS.iter().copied().chain([&oauth::DIALECT, &transfer::DIALECT, &sign_in::DIALECT])
}

/// The dialects that a connection can be enabled for.
pub fn grantable_dialects() -> impl Iterator<Item = &'static Dialect> {
    USER_APIS.iter().copied().chain([&sign_in::DIALECT, &transfer::DIALECT])
}

/// The clients of all APIs that targets can have.
pub fn target_clients() -> impl Iterator<Item = &'static dyn kit::TargetClient> {
    USER_APIS.iter().flat_map(|dialect| dialect.clients).copied()
}

/// The client with the name that a target has as its dialect.
pub fn target_client(name: &str) -> Option<&'static dyn kit::TargetClient> {
    target_clients().find(|client| client.name() == name)
}

pub fn openapi(version: &str) -> serde_json::Value {
    kit::openapi::document(&all_dialects().collect::<Vec<_>>(), version)
}

fn text_response(status: http::StatusCode, media: &'static str, body: String) -> DialectResponse {
    let mut response = Response::new(kit::ResponseBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media));
    response
}

fn json_response(status: http::StatusCode, json: String) -> DialectResponse {
    text_response(status, "application/json", json)
}
