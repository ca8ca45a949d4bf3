//! The tools every dialect uses: readers built for hostile input, exact writers, routing, credentials.
//!
//! No dialect is named in here.

pub(crate) mod accept;
mod authenticator;
mod call;
mod concurrency;
mod content;
mod credentials;
pub(crate) mod dates;
pub(crate) mod door;
mod examples;
mod fault;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod jwt;
pub(crate) mod lenient;
mod node;
pub(crate) mod openapi;
mod operation;
mod out;
mod query;
mod read;
mod record;
mod route;
mod seal;
mod spellings;
pub mod transfers;
mod walks;
pub(crate) mod xml;

pub(crate) use authenticator::Denial;
pub use authenticator::{Brake, Gate};
pub use call::{Answer, BodyFault, Call};
pub use concurrency::{Concurrency, ConcurrencyLimits, LARGE_RESPONSE, Permit};
pub use content::{Content, Cut, Part, Source};
pub use credentials::{Credential, challenge, hash_key};
pub(crate) use credentials::{bearer, bearer_scheme};
pub use dates::{parse as parse_time, rfc3339};
pub use door::{Arrival, Served, arrive, give_up};
pub use examples::{EMAIL, Examples, FOLDER_ID, GROUP_ID, USER_ID};
pub use fault::{Fault, FieldFault, OwnFault};
pub use jwt::check_public_key;
pub use node::{Duplicates, Node, Object};
pub use openapi::XmlNames;
pub use operation::{About, Access, Success};
pub use out::Out;
pub use query::Query;
pub(crate) use read::check;
pub use read::{Body, boolean, integer, pairs_of, parts, text_of};
pub use record::{FILE, Kind, Member, Record, Way};
pub use route::{Desk, Found, Handler, Matched, Route, RoutePath, RouteTable, Verb, claiming, route_paths};
pub use seal::Seals;
pub use spellings::spellings;
pub(crate) use walks::Question;
pub use walks::Walks;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// `application/x-www-form-urlencoded`; only ever read.
    Form,
}

/// In which format and under which media type an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// The format.
    pub format: Format,
    /// The `Content-Type`, whole.
    pub media: &'static str,
}
