//! `transfer`: files of people in and out, for integrators. A door like sign-in: no API over single users, and not in
//! [`crate::ALL`]; for connections that were told by name that they may use it.
//!
//! What an import does and what a file looks like is the server's matter ([`Transfers`]); this says it over HTTP. The file
//! itself is not read here: it is streamed to where imports are kept, once it is known whose it is.

mod errors;
mod examples;
mod read;
mod routes;
mod wire;
mod write;

use crate::Dialect;
use crate::kit::{Content, Found, bearer, bearer_scheme};
use directory::Caller;
use serde_json::Value;
use uuid::Uuid;

pub(crate) static DIALECT: Dialect = Dialect {
    name: "transfer",
    about: "Import and export: files of people in CSV, NDJSON, Excel and LDIF",
    routes: routes::ROUTES,
    owns: |path| path.starts_with("/v1/imports") || path.starts_with("/v1/exports"),
    suffixes: false,
    overrides: |_| None,
    acceptable: |_| Ok(()),
    credential: |call| Ok(bearer(call)),
    has_credential_in_body: false,
    refuse: errors::refuse,
    reads: &["application/octet-stream", "text/csv", "application/x-ndjson", XLSX, "text/ldif"],
    writes: &["application/json"],
    parameters: &[],
    examples: &examples::EXAMPLES,
    error: &wire::ERROR,
    common: |_| Vec::new(),
    xml: None,
    curls: |_| Vec::new(),
    by_name: true,
    security: &[("bearer", bearer_scheme)],
};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// What a client wants of an import or export: names and values, as they were sent.
pub type Wishes = Vec<(String, String)>;

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// What was wished makes no sense: a sentence for the client.
    Wrong(String),
    /// Too many wait, or the store takes none: for the log.
    NotNow(String),
    /// A storage limit is reached; the message is for the client.
    InsufficientStorage(&'static str),
}

impl From<String> for NotTaken {
    fn from(text: String) -> Self {
        Self::Wrong(text)
    }
}

/// Files of people in and out, as the server keeps and carries them. Everything is of the caller's tenant alone.
pub trait Transfers: Send + Sync {
    /// Makes room for an import whose file comes next; its resource.
    fn open(&self, caller: &Caller, media: Option<&str>, wishes: &Wishes) -> Result<(Uuid, Value), NotTaken>;
    /// Imports, newest first.
    fn all(&self, caller: &Caller) -> Vec<Value>;
    /// One import.
    fn one(&self, caller: &Caller, id: Uuid) -> Option<Value>;
    /// Calls an import off that has not ended; whether there is one of that name.
    fn call_off(&self, caller: &Caller, id: Uuid) -> Result<bool, NotTaken>;
    /// The rows of an import that were refused, as a file of this media type.
    fn refused(&self, caller: &Caller, id: Uuid) -> Option<(&'static str, Content)>;
    /// An export under a file name such as `people.csv`.
    fn export(
        &self,
        caller: &Caller,
        file: &str,
        wishes: &Wishes,
    ) -> Result<(&'static str, Content), NotTaken>;
}

/// The 507 of an upload that reaches a storage limit.
pub fn insufficient_storage(what: &str) -> crate::kit::Fault {
    read::insufficient_storage(what)
}

/// Marks an answer that is only true once the file has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Awaited(pub Uuid);

/// Whether a request brings a file that is not to be read into memory.
pub fn brings_file(method: &http::Method, found: &Found) -> bool {
    method == http::Method::POST && found.matched.as_ref().is_some_and(|m| m.route.path == routes::IMPORTS)
}
