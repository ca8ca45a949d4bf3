//! The body of an answer: whole, or in parts that are read while the client takes them.

use crate::kit::Permit;
use bytes::Bytes;
use directory::{BoxFuture, DirectoryError};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A part, and where the next one comes from.
pub type Chunk = (Bytes, Box<dyn ChunkSource>);

/// Where the parts of a body come from.
pub trait ChunkSource: Send {
    /// Reads the next part; `None` when there is no more.
    fn next_chunk(self: Box<Self>) -> BoxFuture<'static, Result<Option<Chunk>, DirectoryError>>;
}

/// The body of an answer.
pub enum ResponseBody {
    /// All of it.
    Full(Bytes),
    /// A part at a time, so that what is long takes no more memory than what is short. The connection is cut when a
    /// part cannot be read, so that half an answer cannot be taken for a whole one.
    Streamed(StreamedBody),
}

/// A body that is read while it is sent.
pub struct StreamedBody {
    /// Held until the body was sent.
    permits: Vec<Permit>,
    source: Option<Box<dyn ChunkSource>>,
    pending_read: Option<BoxFuture<'static, Result<Option<Chunk>, DirectoryError>>>,
}

impl ResponseBody {
    /// A body in parts.
    pub fn streamed(source: Box<dyn ChunkSource>) -> Self {
        Self::Streamed(StreamedBody { permits: Vec::new(), source: Some(source), pending_read: None })
    }

    /// Holds permits until the client has read the body.
    pub(crate) fn with_permits(self, mut permits: Vec<Permit>) -> Self {
        match self {
            Self::Full(bytes) => Self::Full(Bytes::from_owner(BytesWithPermits { bytes, _permits: permits })),
            Self::Streamed(mut streamed) => {
                streamed.permits.append(&mut permits);
                Self::Streamed(streamed)
            }
        }
    }

    /// The whole body, where it is whole.
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
            Self::Streamed(_) => f.write_str("parts"),
        }
    }
}

/// A part could not be read; what went wrong is in the log.
#[derive(Debug, thiserror::Error)]
#[error("the rest could not be read")]
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
