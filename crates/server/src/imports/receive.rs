//! Receives an uploaded file and writes it to disk. Incomplete uploads are deleted.

use super::job::{Job, JobStatus};
use super::keys::{EarlierImport, ImportKey};
use super::storage::CHECK_INTERVAL;
use super::{DISK_FULL, Imports, MAX_FILE_SIZE, TENANT_STORAGE_FULL, UPLOAD_TIMEOUT};
use crate::content_encoding::{Decoder, Encoding};
use crate::request_body::MeteredBody;
use anyhow::Context;
use bytes::Bytes;
use dialects::kit::transfers::PendingUpload;
use dialects::kit::{DialectResponse, IdempotencyError, RequestError};
use dialects::transfer::{insufficient_storage, repeated_import};
use directory::DirectoryError;
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The interval over which the data rate is measured; an upload that stalls for so long is aborted.
const RATE_WINDOW: Duration = Duration::from_mins(1);

/// The result of an upload.
pub(super) enum CompletedUpload {
    Queued,
    /// It repeats an earlier request: the id and resource of the first import.
    Repeated(Uuid, Value),
    /// Another request had the same `Idempotency-Key`.
    KeyReused,
    /// A request with the same `Idempotency-Key` is in progress in another process.
    KeyInUse,
}

/// An upload in progress. Its files are removed on drop unless it is complete, also if the client disconnects.
struct PartialUpload<'a> {
    imports: &'a Imports,
    id: Uuid,
    is_complete: bool,
}

impl Drop for PartialUpload<'_> {
    fn drop(&mut self) {
        if !self.is_complete {
            self.imports.remove_files(self.id);
        }
    }
}

/// Returns the response of the first upload if this one repeats it.
pub(crate) async fn receive<B>(
    imports: &Arc<Imports>,
    pending: PendingUpload,
    headers: &HeaderMap,
    body: B,
) -> Result<Option<DialectResponse>, RequestError>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin,
{
    let PendingUpload { id, url, key } = pending;
    let mut upload = PartialUpload { imports, id, is_complete: false };
    let received = match tokio::time::timeout(UPLOAD_TIMEOUT, write_body(imports, id, headers, body)).await {
        Ok(received) => received,
        Err(_) => Err(RequestError::BodyIncomplete),
    };
    let file_hash = received?;
    let import_key = key.as_ref().map(|key| ImportKey::new(key, &file_hash));
    let completed = imports.complete_upload(id, import_key);
    upload.is_complete = matches!(completed, Ok(CompletedUpload::Queued));
    let unavailable = |error: anyhow::Error| RequestError::Directory(DirectoryError::Unavailable(format!("{error:#}")));
    match completed.map_err(unavailable)? {
        CompletedUpload::Queued => Ok(None),
        CompletedUpload::Repeated(first, resource) => Ok(Some(repeated_import(&url, first, &resource))),
        CompletedUpload::KeyReused => Err(RequestError::Idempotency(IdempotencyError::Reused)),
        CompletedUpload::KeyInUse => Err(RequestError::Idempotency(IdempotencyError::InProgress)),
    }
}

impl Imports {
    /// Makes an upload durable and queues the import, unless its `Idempotency-Key` was used before.
    pub(super) fn complete_upload(&self, id: Uuid, key: Option<ImportKey>) -> anyhow::Result<CompletedUpload> {
        let mut job = Job::read(&self.path(id, "json")).context("the state of the import is missing")?;
        File::open(self.path(id, "data"))?.sync_all()?;
        job.key = key.map(|key| key.file_id(&job));
        // Held until the job is written, so that two processes cannot both queue it.
        let mut locked_key = None;
        if let (Some(key), Some(file_id)) = (key, job.key) {
            let Some(locked) = self.lock_key(file_id)? else { return Ok(CompletedUpload::KeyInUse) };
            match self.earlier_import(&locked, key)? {
                Some(EarlierImport::Same(first)) => {
                    return Ok(CompletedUpload::Repeated(first.id, first.as_queued().to_json()));
                }
                Some(EarlierImport::Different) => return Ok(CompletedUpload::KeyReused),
                None => locked.record(id, key)?,
            }
            locked_key = Some(locked);
        }
        job.status = JobStatus::Queued;
        if let Err(error) = job.write(&self.path(id, "json")) {
            drop(locked_key);
            self.remove_key(&job);
            return Err(error.into());
        }
        self.uploading.lock().remove(&id);
        self.wake.notify_one();
        Ok(CompletedUpload::Queued)
    }
}

/// Lets `?` turn decoding errors into request errors.
struct ReceiveError(RequestError);

impl From<RequestError> for ReceiveError {
    fn from(error: RequestError) -> Self {
        Self(error)
    }
}

impl From<std::io::Error> for ReceiveError {
    fn from(error: std::io::Error) -> Self {
        Self(RequestError::Unparsable(format!("The body does not match its Content-Encoding: {error}").into()))
    }
}

impl From<ReceiveError> for RequestError {
    fn from(ReceiveError(error): ReceiveError) -> Self {
        error
    }
}

/// Returns the SHA-256 of the file.
async fn write_body<B>(imports: &Imports, id: Uuid, headers: &HeaderMap, body: B) -> Result<[u8; 32], RequestError>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin,
{
    let storage_fault = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return insufficient_storage(DISK_FULL);
        }
        RequestError::Directory(DirectoryError::Unavailable(error.to_string()))
    };
    let encoding =
        Encoding::from_headers(headers).map_err(|error| RequestError::UnsupportedMediaType(Some(error.0)))?;
    let mut decoder = Decoder::new(encoding);
    let mut file = imports.create_data_file(id).map_err(storage_fault)?;
    let (quota, mut body) = (imports.quota_for(id), MeteredBody::new(body, RATE_WINDOW));
    let (mut size, mut next_check, mut hash) = (0, CHECK_INTERVAL, Sha256::new());
    let too_large = || RequestError::BodyTooLarge(usize::try_from(MAX_FILE_SIZE).unwrap_or(usize::MAX));
    let mut sink = |bytes: &[u8]| {
        size += bytes.len() as u64;
        if size > MAX_FILE_SIZE {
            return Err(too_large().into());
        }
        if size > quota {
            return Err(insufficient_storage(TENANT_STORAGE_FULL).into());
        }
        if size >= next_check {
            next_check = size + CHECK_INTERVAL;
            imports.check_disk().map_err(|reason| {
                tracing::error!(%reason, "import rejected: the disk is almost full");
                insufficient_storage(DISK_FULL)
            })?;
        }
        hash.update(bytes);
        file.write_all(bytes).map_err(storage_fault)?;
        Ok::<_, ReceiveError>(())
    };
    let mut received = 0;
    while let Some(bytes) = body.next().await.map_err(|_| RequestError::BodyIncomplete)? {
        received += bytes.len() as u64;
        // Encoded data can consist only of headers.
        if received > MAX_FILE_SIZE {
            return Err(too_large());
        }
        decoder.push(&bytes, &mut sink)?;
    }
    decoder.finish(&mut sink)?;
    if size == 0 { Err(RequestError::BodyMissing) } else { Ok(hash.finalize().into()) }
}
