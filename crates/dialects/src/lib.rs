//! The languages Muster speaks. Each is a translator at the door: bytes in, a command or query in the middle,
//! bytes out. None of them decides anything, knows an engine, or knows another.
//!
//! Adding one takes a folder with the same files as the others, and a line in [`ALL`].

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
use kit::{Answer, Call, Credential, Fault, Kind, Member, Record, Route};

/// A language.
pub struct Dialect {
    /// Its name, as connections and logs have it.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Its table of paths.
    pub routes: &'static [Route],
    /// Whether a path that is no route is still its to refuse.
    pub owns: fn(path: &str) -> bool,
    /// Whether `.json` and `.xml` may end a path.
    pub suffixes: bool,
    /// The method a request asks for besides the one it was sent with.
    pub overrides: fn(&Call) -> Option<String>,
    /// Whether the client accepts what this dialect writes.
    pub acceptable: fn(&Call) -> Result<(), Fault>,
    /// What the client brings to be let in.
    pub credential: fn(&Call) -> Result<Option<Credential>, Fault>,
    /// Whether the body may hold the key, a part of it, or the method. If not, the body is read only with a valid key.
    pub has_credential_in_body: bool,
    /// Its voice for everything that goes wrong.
    pub refuse: fn(&Fault, &Call) -> Answer,
    /// Media types it reads.
    pub reads: &'static [&'static str],
    /// Media types it writes.
    pub writes: &'static [&'static str],
    /// Query parameters that every operation takes.
    pub parameters: &'static [(&'static str, Kind, &'static str)],
    /// Examples of its requests.
    pub examples: &'static kit::Examples,
    /// The shape of its errors.
    pub error: &'static Record,
    /// Members that a record has besides its own, for the OpenAPI document.
    pub common: fn(&Record) -> Vec<Member>,
    /// How its XML is named; `None` if it has none.
    pub xml: Option<kit::XmlNames>,
    /// Ready `curl` lines for somebody who tries it out.
    pub curls: fn(&Trial<'_>) -> Vec<String>,
    /// Whether `--dialect all` leaves it out, so that a connection gets it by its own name only.
    pub by_name: bool,
    /// Its security schemes, as OpenAPI has them.
    pub security: &'static [(&'static str, SecurityScheme)],
}

/// Where and as whom a dialect is tried out.
pub struct Trial<'a> {
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
pub static ALL: &[&Dialect] = &[&onfire::DIALECT, &ccs::DIALECT, &publisher::DIALECT, &scim::DIALECT];

/// The API whose clients differ as [`directory::ClientProfile`] says.
pub static PROFILED: &Dialect = &scim::DIALECT;

/// Whether a path with empty segments leads where it would lead without them.
pub fn takes_empty_segments(path: &str) -> bool {
    (scim::DIALECT.owns)(path)
}

/// All that may stand behind a path: the languages, where clients get tokens for them, where files of people come in and go
/// out, and where people sign in.
pub fn doors() -> impl Iterator<Item = &'static Dialect> {
    ALL.iter().copied().chain([&oauth::DIALECT, &transfer::DIALECT, &sign_in::DIALECT])
}

/// What a connection may be let speak.
pub fn spoken() -> impl Iterator<Item = &'static Dialect> {
    ALL.iter().copied().chain([&sign_in::DIALECT, &transfer::DIALECT])
}

/// The OpenAPI 3.1 document over all dialects.
pub fn openapi(version: &str) -> serde_json::Value {
    kit::openapi::document(&doors().collect::<Vec<_>>(), version)
}

/// An answer with a body of that type.
fn answer(status: http::StatusCode, media: &'static str, body: String) -> Answer {
    let mut answer = Response::new(kit::Content::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media));
    answer
}
