//! A file on its way in: to the disk as it comes, whole or not at all.

use super::{ARRIVAL_TIME, Imports, LARGEST};
use bytes::Bytes;
use dialects::kit::Fault;
use directory::Refusal;
use http_body_util::BodyExt;
use std::io::Write;
use std::sync::Arc;
use uuid::Uuid;

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
pub(crate) async fn receive<B>(imports: &Arc<Imports>, id: Uuid, body: B) -> Result<(), Fault>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut arrival = Arrival { imports, id, is_kept: false };
    let received = match tokio::time::timeout(ARRIVAL_TIME, write(imports, id, body)).await {
        Ok(received) => received,
        Err(_) => Err(Fault::BodyCut),
    };
    let kept = received.and_then(|()| {
        let unkept = |error: anyhow::Error| Fault::Refused(Refusal::Unavailable(format!("{error:#}")));
        imports.arrived(id).map_err(unkept)
    });
    arrival.is_kept = kept.is_ok();
    kept
}

async fn write<B>(imports: &Imports, id: Uuid, mut body: B) -> Result<(), Fault>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin,
{
    let full = |error: std::io::Error| Fault::Refused(Refusal::Unavailable(error.to_string()));
    let mut file = imports.file(id).map_err(full)?;
    let mut left = LARGEST;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Fault::BodyCut) };
        let Ok(bytes) = frame.into_data() else { continue };
        left = left
            .checked_sub(bytes.len() as u64)
            .ok_or(Fault::BodyTooLarge(usize::try_from(LARGEST).unwrap_or(usize::MAX)))?;
        file.write_all(&bytes).map_err(full)?;
    }
    if left == LARGEST { Err(Fault::BodyMissing) } else { Ok(()) }
}
