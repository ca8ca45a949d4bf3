//! Receives an uploaded file and writes it to disk. Incomplete uploads are deleted.

use super::storage::CHECK_INTERVAL;
use super::{DISK_FULL, Imports, MAX_FILE_SIZE, TENANT_STORAGE_FULL, UPLOAD_TIMEOUT};
use crate::content_encoding::{Decoder, Encoding};
use crate::request_body::MeteredBody;
use bytes::Bytes;
use dialects::kit::RequestError;
use dialects::transfer::insufficient_storage;
use directory::DirectoryError;
use http::HeaderMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The interval over which the data rate is measured; an upload that stalls for so long is aborted.
const RATE_WINDOW: Duration = Duration::from_mins(1);

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

pub(crate) async fn receive<B>(
    imports: &Arc<Imports>,
    id: Uuid,
    headers: &HeaderMap,
    body: B,
) -> Result<(), RequestError>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin,
{
    let mut upload = PartialUpload { imports, id, is_complete: false };
    let received = match tokio::time::timeout(UPLOAD_TIMEOUT, write_body(imports, id, headers, body)).await {
        Ok(received) => received,
        Err(_) => Err(RequestError::BodyIncomplete),
    };
    let result = received.and_then(|()| {
        let unavailable =
            |error: anyhow::Error| RequestError::Directory(DirectoryError::Unavailable(format!("{error:#}")));
        imports.complete_upload(id).map_err(unavailable)
    });
    upload.is_complete = result.is_ok();
    result
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

async fn write_body<B>(imports: &Imports, id: Uuid, headers: &HeaderMap, body: B) -> Result<(), RequestError>
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
    let (mut size, mut next_check) = (0, CHECK_INTERVAL);
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
    if size == 0 { Err(RequestError::BodyMissing) } else { Ok(()) }
}
