//! Bodies of responses: complete, or streamed in chunks that are read as the client takes them.

use crate::kit::Permit;
use bytes::Bytes;
use directory::{BoxFuture, DirectoryError};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

pub type Chunk = (Bytes, Box<dyn ChunkSource>);

pub trait ChunkSource: Send {
    /// Reads the next chunk; `None` at the end.
    fn next_chunk(self: Box<Self>) -> BoxFuture<'static, Result<Option<Chunk>, DirectoryError>>;
}

pub enum ResponseBody {
    Full(Bytes),
    /// In chunks, so that memory does not depend on the length. If a chunk cannot be read, the connection is closed, so
    /// that the client notices that the response is incomplete.
    Streamed(StreamedBody),
}

pub struct StreamedBody {
    permits: Vec<Permit>,
    source: Option<Box<dyn ChunkSource>>,
    pending_read: Option<BoxFuture<'static, Result<Option<Chunk>, DirectoryError>>>,
}

impl ResponseBody {
    pub fn streamed(source: Box<dyn ChunkSource>) -> Self {
        Self::Streamed(StreamedBody { permits: Vec::new(), source: Some(source), pending_read: None })
    }

    pub(crate) fn with_permits(self, mut permits: Vec<Permit>) -> Self {
        match self {
            Self::Full(bytes) => Self::Full(Bytes::from_owner(BytesWithPermits { bytes, _permits: permits })),
            Self::Streamed(mut streamed) => {
                streamed.permits.append(&mut permits);
                Self::Streamed(streamed)
            }
        }
    }

    pub fn as_full(&self) -> Option<&Bytes> {
        if let Self::Full(bytes) = self { Some(bytes) } else { None }
    }
}

/// Bytes that hold permits until the last reference to them is dropped: the body itself ends when it is buffered.
struct BytesWithPermits {
    bytes: Bytes,
    _permits: Vec<Permit>,
}

impl AsRef<[u8]> for BytesWithPermits {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::Full(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for ResponseBody {
    fn from(bytes: T) -> Self {
        Self::Full(bytes.into())
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Streamed(_) => f.write_str("streamed"),
        }
    }
}

/// A chunk could not be read. The log has the details.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the body cannot be read")]
pub struct IncompleteBody;

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = IncompleteBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncompleteBody>>> {
        let streamed = match self.get_mut() {
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Self::Streamed(streamed) => streamed,
        };
        if let Some(source) = streamed.source.take() {
            streamed.pending_read = Some(source.next_chunk());
        }
        let Some(reading) = streamed.pending_read.as_mut() else { return Poll::Ready(None) };
        let Poll::Ready(read) = reading.as_mut().poll(context) else { return Poll::Pending };
        streamed.pending_read = None;
        Poll::Ready(match read {
            Ok(Some((bytes, source))) => {
                streamed.source = Some(source);
                Some(Ok(Frame::data(bytes)))
            }
            Ok(None) => None,
            Err(_) => Some(Err(IncompleteBody)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.as_full().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.as_full().map_or_else(SizeHint::default, |bytes| SizeHint::with_exact(bytes.len() as u64))
    }
}
