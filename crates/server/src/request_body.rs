//! Reads request bodies within limits on size, time and data rate.

use crate::content_encoding::{DECODE_CHUNK, Decoder, Encoding};
use bytes::{Bytes, BytesMut};
use dialects::kit::BodyError;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// Minimum data rate of a body, in bytes per second.
const MIN_BYTES_PER_SECOND: u64 = 1024;
/// Bodies up to this size need no slot. Bytes.
const SMALL_BODY: usize = 64 * 1024;
/// Bytes per slot. Larger bodies take several at once.
const SLOT_SIZE: u64 = 1 << 20;
/// How many bytes of a rejected request's body are read, and for how long: a client that is still sending would get a
/// connection reset instead of the response.
const MAX_DISCARDED: usize = 16 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// A body with a minimum data rate.
pub(crate) struct MeteredBody<B> {
    body: B,
    /// The interval over which the rate is measured.
    rate_window: Duration,
    window_end: Instant,
    /// Bytes received in the current window.
    received: u64,
}

impl<B> MeteredBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    pub(crate) fn new(body: B, window: Duration) -> Self {
        Self { body, rate_window: window, window_end: Instant::now() + window, received: 0 }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match timeout_at(self.window_end, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(BodyError::Incomplete),
                Ok(Some(Ok(frame))) => {
                    // Trailers are ignored.
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.received += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Err(_) if self.received < MIN_BYTES_PER_SECOND * self.rate_window.as_secs() => {
                    return Err(BodyError::Incomplete);
                }
                Err(_) => {
                    self.window_end = Instant::now() + self.rate_window;
                    self.received = 0;
                }
            }
        }
    }

    /// Reads and drops the rest if it is short; returns whether the end was reached.
    pub(crate) async fn discard(mut self) -> bool {
        let mut remaining = MAX_DISCARDED;
        let drain = async {
            loop {
                match self.next().await {
                    Ok(None) => return true,
                    Ok(Some(bytes)) if bytes.len() <= remaining => remaining -= bytes.len(),
                    _ => return false,
                }
            }
        };
        timeout(DISCARD_TIMEOUT, drain).await.unwrap_or(false)
    }
}

/// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// The largest body of a request whose key is not verified, in bytes.
const MAX_UNAUTHENTICATED_SIZE: usize = 1 << 20;

/// Limits of bodies that are read into memory.
#[derive(Clone, Copy)]
pub(crate) struct BodyLimits {
    /// In bytes.
    pub(crate) size: usize,
    pub(crate) timeout: Duration,
    /// The interval over which the data rate is measured.
    pub(crate) rate_window: Duration,
}

impl BodyLimits {
    /// The limits of a request whose key is not verified.
    pub(crate) fn unauthenticated(self) -> Self {
        Self { size: self.size.min(MAX_UNAUTHENTICATED_SIZE), ..self }
    }

    /// Reads and decodes a complete body. A large one needs some of the `slots`, and takes them only after its first
    /// bytes have arrived, so that silent clients hold none. If it is too large, the rest is read for a short time,
    /// unless the client waits for `100 Continue`.
    pub(crate) async fn read<B>(&self, headers: &HeaderMap, body: B, slots: &Semaphore) -> Result<Bytes, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let encoding = Encoding::from_headers(headers).map_err(|error| BodyError::UnsupportedEncoding(error.0))?;
        let mut upload = MeteredBody::new(body, self.rate_window);
        let body = if content_length(headers).is_some_and(|length| length > self.size as u64) {
            Err(BodyError::TooLarge(self.size))
        } else {
            let reading = self.read_all(headers, &mut upload, encoding, slots);
            timeout(self.timeout, reading).await.unwrap_or(Err(BodyError::Incomplete))
        };
        if matches!(body, Err(BodyError::TooLarge(_))) && !expects_continue(headers) {
            upload.discard().await;
        }
        body
    }

    async fn read_all<B>(
        &self,
        headers: &HeaderMap,
        upload: &mut MeteredBody<B>,
        encoding: Encoding,
        slots: &Semaphore,
    ) -> Result<Bytes, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut buffer, mut decoder) = (BytesMut::new(), Decoder::new(encoding));
        let (mut slot, mut received) = (None, 0);
        while let Some(bytes) = upload.next().await? {
            received += bytes.len();
            // Encoded data can be larger than decoded data, or consist only of headers.
            if received > self.size {
                return Err(BodyError::TooLarge(self.size));
            }
            if encoding == Encoding::Identity && buffer.is_empty() && bytes.len() <= self.size {
                buffer = BytesMut::from(bytes);
                continue;
            }
            // A few encoded bytes can decode to many.
            let chunk = if encoding == Encoding::Identity { bytes.len().max(1) } else { DECODE_CHUNK };
            for chunk in bytes.chunks(chunk) {
                let next = if encoding == Encoding::Identity { chunk.len() } else { 0 };
                if slot.is_none() && buffer.len() + next > SMALL_BODY {
                    // A body of unknown length can have the maximum size.
                    let is_known = encoding == Encoding::Identity;
                    let length = content_length(headers).filter(|_| is_known).unwrap_or(self.size as u64);
                    let parts = length.div_ceil(SLOT_SIZE).clamp(1, (self.size as u64).div_ceil(SLOT_SIZE).max(1));
                    slot = slots.acquire_many(u32::try_from(parts).unwrap_or(1)).await.ok();
                }
                decoder.push(chunk, &mut |bytes| self.append(&mut buffer, bytes))?;
            }
        }
        if !(buffer.is_empty() && matches!(decoder, Decoder::Identity)) {
            decoder.finish(&mut |bytes| self.append(&mut buffer, bytes))?;
        }
        Ok(buffer.freeze())
    }

    fn append(&self, buffer: &mut BytesMut, bytes: &[u8]) -> Result<(), BodyError> {
        if buffer.len() + bytes.len() > self.size {
            return Err(BodyError::TooLarge(self.size));
        }
        buffer.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};
    use std::io::Write;

    /// A body whose parts each arrive after some seconds.
    fn body(parts: Vec<(u64, usize)>) -> impl Body<Data = Bytes, Error = std::convert::Infallible> + Unpin {
        Box::pin(StreamBody::new(stream::unfold(parts.into_iter(), |mut parts| async move {
            let (seconds, length) = parts.next()?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Some((Ok(Frame::data(Bytes::from(vec![b'x'; length]))), parts))
        })))
    }

    fn limits() -> BodyLimits {
        BodyLimits { size: 1024 * 1024, timeout: Duration::from_secs(1000), rate_window: Duration::from_secs(10) }
    }

    async fn read(parts: Vec<(u64, usize)>, slots: &Semaphore) -> Result<usize, BodyError> {
        limits().read(&HeaderMap::new(), body(parts), slots).await.map(|bytes| bytes.len())
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_are_cut_off() {
        let slots = Semaphore::new(1);
        assert_eq!(read(vec![(9, 100)], &slots).await, Ok(100));
        assert_eq!(read(vec![(11, 100)], &slots).await, Err(BodyError::Incomplete), "no data for too long");
        assert_eq!(read(vec![(1, 1000); 60], &slots).await, Err(BodyError::Incomplete), "1,000 bytes a second");
        assert_eq!(read(vec![(1, 1100); 60], &slots).await, Ok(66_000));
        assert_eq!(
            read(vec![(0, 20_000), (9, 1), (9, 1), (9, 1)], &slots).await,
            Err(BodyError::Incomplete),
            "it stopped"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_large_bodies_that_have_arrived_take_a_slot() {
        let slots = Semaphore::new(1);
        let taken = slots.acquire().await;
        assert_eq!(read(vec![(0, 40_000)], &slots).await, Ok(40_000), "small bodies need no slot");
        let (limits, headers) = (BodyLimits { timeout: Duration::from_secs(5), ..limits() }, HeaderMap::new());
        let large = limits.read(&headers, body(vec![(0, 40_000); 2]), &slots).await;
        assert_eq!(large, Err(BodyError::Incomplete), "it waits for a slot");
        drop(taken);
        let silent = limits.read(&headers, body(vec![(4, 1)]), &slots);
        let (silent, large) = tokio::join!(silent, limits.read(&headers, body(vec![(0, 40_000); 2]), &slots));
        assert_eq!((silent.map(|b| b.len()), large.map(|b| b.len())), (Ok(1), Ok(80_000)));
        let too_large = read(vec![(0, 600_000); 2], &slots).await;
        assert_eq!(too_large, Err(BodyError::TooLarge(1024 * 1024)));
        let at_once = read(vec![(0, 1024 * 1024 + 1)], &slots).await;
        assert_eq!(at_once, Err(BodyError::TooLarge(1024 * 1024)));
    }

    #[tokio::test(start_paused = true)]
    async fn encoded_bodies_take_slots_by_what_they_become() {
        let gzip = |body: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).expect("encoded");
            Bytes::from(encoder.finish().expect("encoded"))
        };
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, "gzip".parse().expect("a value"))]);
        let limits = BodyLimits { timeout: Duration::from_secs(5), ..limits() };
        let slots = Semaphore::new(1);
        let read = async |body: Bytes| limits.read(&headers, Full::new(body), &slots).await.map(|bytes| bytes.len());
        let (small, large) = (gzip(&vec![b'a'; 60_000]), gzip(&vec![b'a'; 900_000]));
        assert!(large.len() < 2_000);
        let taken = slots.acquire().await;
        assert_eq!(read(small).await, Ok(60_000), "small bodies need no slot");
        assert_eq!(read(large.clone()).await, Err(BodyError::Incomplete), "it waits for a slot");
        drop(taken);
        assert_eq!(read(large).await, Ok(900_000));
        let nothing = Bytes::from(gzip(b"").repeat(60_000));
        assert!(nothing.len() > limits.size);
        assert_eq!(read(nothing).await, Err(BodyError::TooLarge(limits.size)), "received, and decoded to nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn unwanted_bodies_are_read_for_a_short_time() {
        let discard = |parts| MeteredBody::new(body(parts), Duration::from_secs(10)).discard();
        assert!(discard(vec![(0, 8_000_000), (1, 8_000_000)]).await);
        assert!(!discard(vec![(0, 8_000_000), (0, 9_000_000)]).await, "too much");
        assert!(!discard(vec![(6, 1)]).await, "too late");
    }
}
