//! The port through which a dialect imports and exports files.

use crate::kit::ResponseBody;
use directory::Caller;
use serde_json::Value;
use uuid::Uuid;

/// What a client wants of an import or export: names and values, as they were sent.
pub type Params = Vec<(String, String)>;

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// What was wished makes no sense: a sentence for the client.
    InvalidRequest(String),
    /// Too many wait, or the store takes none: for the log.
    Temporary(String),
    /// A storage limit is reached; the message is for the client.
    InsufficientStorage(&'static str),
}

impl From<String> for Rejected {
    fn from(text: String) -> Self {
        Self::InvalidRequest(text)
    }
}

/// Files of people in and out, as the server keeps and carries them. Everything is of the caller's tenant alone.
pub trait Transfers: Send + Sync {
    /// Makes room for an import whose file comes next; its resource.
    fn create_import(&self, caller: &Caller, media: Option<&str>, params: &Params) -> Result<(Uuid, Value), Rejected>;
    /// Imports, newest first.
    fn list_imports(&self, caller: &Caller) -> Vec<Value>;
    /// One import.
    fn get_import(&self, caller: &Caller, id: Uuid) -> Option<Value>;
    /// Calls an import off that has not ended; whether there is one of that name.
    fn cancel_import(&self, caller: &Caller, id: Uuid) -> Result<bool, Rejected>;
    /// The rows of an import that were refused, as a file of this media type.
    fn rejected_rows(&self, caller: &Caller, id: Uuid) -> Option<(&'static str, ResponseBody)>;
    /// An export under a file name such as `people.csv`.
    fn export(&self, caller: &Caller, file: &str, params: &Params) -> Result<(&'static str, ResponseBody), Rejected>;
}

/// Marks an answer that is only true once the file has arrived.
#[derive(Clone, Copy, Debug)]
pub struct PendingUpload(pub Uuid);
