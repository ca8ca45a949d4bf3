//! The body of an answer: whole, or in parts that are read while the client takes them.

use super::Permit;
use bytes::Bytes;
use directory::{BoxFuture, DirectoryError};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A part, and where the next one comes from.
pub type Part = (Bytes, Box<dyn Source>);

/// Where the parts of a body come from.
pub trait Source: Send {
    /// Reads the next part; `None` when there is no more.
    fn next(self: Box<Self>) -> BoxFuture<'static, Result<Option<Part>, DirectoryError>>;
}

/// The body of an answer.
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// A part at a time, so that what is long takes no more memory than what is short. The connection is cut when a
    /// part cannot be read, so that half an answer cannot be taken for a whole one.
    Parts(Parts),
}

/// A body that is read while it is sent.
pub struct Parts {
    /// Held until the body was sent.
    permits: Vec<Permit>,
    source: Option<Box<dyn Source>>,
    reading: Option<BoxFuture<'static, Result<Option<Part>, DirectoryError>>>,
}

impl Content {
    /// A body in parts.
    pub fn parts(source: Box<dyn Source>) -> Self {
        Self::Parts(Parts { permits: Vec::new(), source: Some(source), reading: None })
    }

    /// Holds permits until the client has read the body.
    pub(crate) fn holding(self, mut permits: Vec<Permit>) -> Self {
        match self {
            Self::Whole(bytes) => Self::Whole(Bytes::from_owner(Held { bytes, _permits: permits })),
            Self::Parts(mut parts) => {
                parts.permits.append(&mut permits);
                Self::Parts(parts)
            }
        }
    }

    /// The whole body, where it is whole.
    pub fn whole(&self) -> Option<&Bytes> {
        if let Self::Whole(bytes) = self { Some(bytes) } else { None }
    }
}

/// Bytes that hold permits until the last reference to them is dropped: the body itself ends when it is buffered.
struct Held {
    bytes: Bytes,
    _permits: Vec<Permit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self::Whole(bytes.into())
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Parts(_) => f.write_str("parts"),
        }
    }
}

/// A part could not be read; what went wrong is in the log.
#[derive(Debug, thiserror::Error)]
#[error("the rest could not be read")]
pub struct Cut;

impl Body for Content {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let parts = match self.get_mut() {
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Self::Parts(parts) => parts,
        };
        if let Some(source) = parts.source.take() {
            parts.reading = Some(source.next());
        }
        let Some(reading) = parts.reading.as_mut() else { return Poll::Ready(None) };
        let Poll::Ready(read) = reading.as_mut().poll(context) else { return Poll::Pending };
        parts.reading = None;
        Poll::Ready(match read {
            Ok(Some((bytes, source))) => {
                parts.source = Some(source);
                Some(Ok(Frame::data(bytes)))
            }
            Ok(None) => None,
            Err(_) => Some(Err(Cut)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.whole().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.whole().map_or_else(SizeHint::default, |bytes| SizeHint::with_exact(bytes.len() as u64))
    }
}
