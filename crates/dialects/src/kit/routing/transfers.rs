//! The port through which a dialect imports and exports files. The server implements it.

use crate::kit::ResponseBody;
use directory::Caller;
use serde_json::Value;
use uuid::Uuid;

/// Options of an import or export: names and values as sent.
pub type Params = Vec<(String, String)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Invalid options; the message is for the client.
    InvalidRequest(String),
    /// Too many imports wait, or the store is unavailable; the message is for the log.
    Temporary(String),
    /// A storage limit is reached; the message is for the client.
    InsufficientStorage(&'static str),
}

impl From<String> for Rejected {
    fn from(text: String) -> Self {
        Self::InvalidRequest(text)
    }
}

/// Imports and exports of files. Every method sees only the caller's tenant.
pub trait Transfers: Send + Sync {
    /// Creates an import whose file is uploaded next, and returns its resource.
    fn create_import(&self, caller: &Caller, media: Option<&str>, params: &Params) -> Result<(Uuid, Value), Rejected>;
    /// Newest first.
    fn list_imports(&self, caller: &Caller) -> Vec<Value>;
    fn get_import(&self, caller: &Caller, id: Uuid) -> Option<Value>;
    /// Cancels an import unless it has ended; `false` if there is no such import.
    fn cancel_import(&self, caller: &Caller, id: Uuid) -> Result<bool, Rejected>;
    /// The rejected rows of an import: media type and file.
    fn rejected_rows(&self, caller: &Caller, id: Uuid) -> Option<(&'static str, ResponseBody)>;
    /// An export as a file: media type and content. The extension of a name such as `people.csv` selects the format.
    fn export(&self, caller: &Caller, file: &str, params: &Params) -> Result<(&'static str, ResponseBody), Rejected>;
}

/// Extension of a response that is valid only once the file of this import has arrived.
#[derive(Clone, Copy, Debug)]
pub struct PendingUpload(pub Uuid);
