//! The port through which a dialect imports and exports files.

use super::Content;
use directory::Caller;
use serde_json::Value;
use uuid::Uuid;

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

/// Marks an answer that is only true once the file has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Awaited(pub Uuid);
