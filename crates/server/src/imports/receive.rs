//! Receives an uploaded file and writes it to disk. Incomplete uploads are deleted.

use super::job::{Job, JobKey, JobStatus};
use super::storage::{self, CHECK_INTERVAL};
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

/// The file that processes lock while they look for an `Idempotency-Key`.
const KEYS_LOCK: &str = "keys.lock";

/// What becomes of an upload.
pub(super) enum CompletedUpload {
    Queued,
    /// It was sent before: the id and resource of the first import.
    Repeated(Uuid, Value),
    /// Another request had the same `Idempotency-Key`.
    KeyReused,
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
    let key = key.map(|key| JobKey { key_hash: key.key_hash, fingerprint: key.fingerprint(&file_hash) });
    let completed = imports.complete_upload(id, key);
    match completed.map_err(|error| RequestError::Directory(DirectoryError::Unavailable(format!("{error:#}"))))? {
        CompletedUpload::Queued => {
            upload.is_complete = true;
            Ok(None)
        }
        CompletedUpload::Repeated(first, resource) => Ok(Some(repeated_import(&url, first, &resource))),
        CompletedUpload::KeyReused => Err(RequestError::Idempotency(IdempotencyError::Reused)),
    }
}

impl Imports {
    /// Makes an upload durable and queues the import, unless its `Idempotency-Key` was used before.
    pub(super) fn complete_upload(&self, id: Uuid, key: Option<JobKey>) -> anyhow::Result<CompletedUpload> {
        let mut job = Job::read(&self.path(id, "json")).context("the state of the import is missing")?;
        File::open(self.path(id, "data"))?.sync_all()?;
        // Held until the job is written, so that two processes cannot both queue it.
        let _lock = key.map(|_| storage::lock(&self.dir.join(KEYS_LOCK))).transpose()?;
        if let Some(key) = key {
            let now = self.directory.now();
            let is_earlier =
                |other: &Job| other.id != id && other.status != JobStatus::Uploading && other.has_key(&job, key, now);
            if let Some(earlier) = self.jobs().into_iter().find(is_earlier) {
                let is_same = earlier.key == Some(key);
                let repeated = || CompletedUpload::Repeated(earlier.id, earlier.as_queued().to_json());
                return Ok(if is_same { repeated() } else { CompletedUpload::KeyReused });
            }
        }
        (job.status, job.key) = (JobStatus::Queued, key);
        job.write(&self.path(id, "json"))?;
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
