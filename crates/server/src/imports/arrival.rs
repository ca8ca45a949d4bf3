//! A file on its way in: to the disk as it comes, whole or not at all.

use super::storage::CHECK_EVERY;
use super::{ARRIVAL_TIME, DISK_FULL, Imports, LARGEST, TENANT_STORAGE_FULL};
use crate::decoding::{Decoder, Encoding};
use crate::upload::Upload;
use bytes::Bytes;
use dialects::kit::RequestError;
use dialects::transfer::insufficient_storage;
use directory::DirectoryError;
use http::HeaderMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The interval over which the data rate is measured; an upload without bytes ends after it.
const WINDOW: Duration = Duration::from_mins(1);

/// A file that is arriving. Unless it is kept, it is gone, also when whoever sends it has hung up.
struct Arrival<'a> {
    imports: &'a Imports,
    id: Uuid,
    is_kept: bool,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.imports.discard(self.id);
        }
    }
}

/// Takes a file in. What does not arrive whole leaves nothing.
pub(crate) async fn receive<B>(
    imports: &Arc<Imports>,
    id: Uuid,
    headers: &HeaderMap,
    body: B,
) -> Result<(), RequestError>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin,
{
    let mut arrival = Arrival { imports, id, is_kept: false };
    let received = match tokio::time::timeout(ARRIVAL_TIME, write(imports, id, headers, body)).await {
        Ok(received) => received,
        Err(_) => Err(RequestError::BodyIncomplete),
    };
    let kept = received.and_then(|()| {
        let unkept =
            |error: anyhow::Error| RequestError::Directory(DirectoryError::Unavailable(format!("{error:#}")));
        imports.arrived(id).map_err(unkept)
    });
    arrival.is_kept = kept.is_ok();
    kept
}

/// Why a file was rejected while it was decoded.
struct Rejected(RequestError);

impl From<RequestError> for Rejected {
    fn from(fault: RequestError) -> Self {
        Self(fault)
    }
}

impl From<std::io::Error> for Rejected {
    fn from(error: std::io::Error) -> Self {
        Self(RequestError::Unparsable(format!("the body is not of its Content-Encoding: {error}")))
    }
}

impl From<Rejected> for RequestError {
    fn from(Rejected(fault): Rejected) -> Self {
        fault
    }
}

async fn write<B>(imports: &Imports, id: Uuid, headers: &HeaderMap, body: B) -> Result<(), RequestError>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin,
{
    let full = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return insufficient_storage(DISK_FULL);
        }
        RequestError::Directory(DirectoryError::Unavailable(error.to_string()))
    };
    let encoding = Encoding::of(headers).map_err(|name| RequestError::UnsupportedMediaType(Some(name)))?;
    let mut decoder = Decoder::new(encoding);
    let mut file = imports.file(id).map_err(full)?;
    let (most, mut upload) = (imports.quota_for(id), Upload::new(body, WINDOW));
    let (mut size, mut next_check) = (0, CHECK_EVERY);
    let too_large = || RequestError::BodyTooLarge(usize::try_from(LARGEST).unwrap_or(usize::MAX));
    let mut take = |bytes: &[u8]| {
        size += bytes.len() as u64;
        if size > LARGEST {
            return Err(too_large().into());
        }
        if size > most {
            return Err(insufficient_storage(TENANT_STORAGE_FULL).into());
        }
        if size >= next_check {
            next_check = size + CHECK_EVERY;
            imports.check_disk().map_err(|why| {
                tracing::error!(why, "import rejected: the disk is nearly full");
                insufficient_storage(DISK_FULL)
            })?;
        }
        file.write_all(bytes).map_err(full)?;
        Ok::<_, Rejected>(())
    };
    let mut received = 0;
    while let Some(bytes) = upload.next().await.map_err(|_| RequestError::BodyIncomplete)? {
        received += bytes.len() as u64;
        // Encoded, it may be nothing but headers.
        if received > LARGEST {
            return Err(too_large());
        }
        decoder.push(&bytes, &mut take)?;
    }
    decoder.finish(&mut take)?;
    if size == 0 { Err(RequestError::BodyMissing) } else { Ok(()) }
}
