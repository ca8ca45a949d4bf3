//! The port through which a dialect imports and exports files. The server implements it.

use crate::kit::idempotency_key::HeldKey;
use crate::kit::{DerivedKeys, ResponseBody};
use directory::Caller;
use serde_json::Value;
use std::sync::Arc;
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
#[derive(Clone)]
pub struct PendingUpload {
    pub id: Uuid,
    /// The URL of all imports.
    pub url: String,
    pub key: Option<UploadKey>,
}

/// The `Idempotency-Key` of an upload. The request is the same as another one if the options and the file are.
#[derive(Clone)]
pub struct UploadKey {
    pub key_hash: [u8; 32],
    pub(crate) options: Vec<u8>,
    pub(crate) keys: Arc<DerivedKeys>,
    /// Held until the upload is complete.
    pub(crate) _held: Arc<HeldKey>,
}

impl UploadKey {
    /// A keyed hash of the request, given the SHA-256 of its file.
    pub fn fingerprint(&self, file_hash: &[u8; 32]) -> [u8; 32] {
        self.keys.fingerprint(&[b"import", &self.options, file_hash])
    }
}
