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
    NotFound,
}

pub struct CreatedImport {
    pub id: Uuid,
    pub resource: Value,
}

pub struct FileBody {
    pub media_type: &'static str,
    pub content: ResponseBody,
}

/// Imports and exports of files. Every method sees only the caller's tenant.
pub trait Transfers: Send + Sync {
    /// Creates an import whose file is uploaded next.
    fn create_import(&self, caller: &Caller, media: Option<&str>, params: &Params) -> Result<CreatedImport, Rejected>;
    /// Newest first.
    fn list_imports(&self, caller: &Caller) -> Vec<Value>;
    fn get_import(&self, caller: &Caller, id: Uuid) -> Option<Value>;
    /// Cancels an import unless it has ended.
    fn cancel_import(&self, caller: &Caller, id: Uuid) -> Result<(), Rejected>;
    fn rejected_rows(&self, caller: &Caller, id: Uuid) -> Option<FileBody>;
    /// The extension of a name such as `people.csv` selects the format.
    fn export(&self, caller: &Caller, file: &str, params: &Params) -> Result<FileBody, Rejected>;
}

/// Marks a response (in its `http::Extensions`) that may be sent only after the file of this import has arrived.
#[derive(Clone, Copy, Debug)]
pub struct PendingUpload(pub Uuid);
