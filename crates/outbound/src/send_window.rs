//! Until when requests may be sent.

use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A time after which nothing is written to connections. A process that is paused can wake up in the middle of a
/// request, long after another process has taken over its work.
///
/// It ends by both clocks: the monotonic one does not count the time for which the machine was suspended, and the other
/// one can be set back.
#[derive(Clone, Debug)]
pub struct SendWindow {
    start: Instant,
    /// Milliseconds since the start.
    end: Arc<AtomicU64>,
    /// Milliseconds since 1970.
    end_time: Arc<AtomicU64>,
}

impl SendWindow {
    /// Never ends.
    pub fn open() -> Self {
        Self::ending(u64::MAX)
    }

    /// Has ended, until it is extended.
    pub fn closed() -> Self {
        Self::ending(0)
    }

    fn ending(end: u64) -> Self {
        let (end, end_time) = (Arc::new(AtomicU64::new(end)), Arc::new(AtomicU64::new(end)));
        Self { start: Instant::now(), end, end_time }
    }

    /// Sets the end.
    pub fn set_end(&self, end: Instant) {
        let end_time = since_1970() + end.saturating_duration_since(Instant::now());
        self.end_time.store(millis(end_time), Ordering::Release);
        self.end.store(millis(end.saturating_duration_since(self.start)), Ordering::Release);
    }

    /// Ends it now.
    pub fn close(&self) {
        self.end.store(0, Ordering::Release);
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        let left = |end: &AtomicU64, elapsed| end.load(Ordering::Acquire).saturating_sub(millis(elapsed));
        Duration::from_millis(left(&self.end, self.start.elapsed()).min(left(&self.end_time, since_1970())))
    }

    fn check(&self) -> io::Result<()> {
        if self.remaining().is_zero() { Err(io::Error::other("the time to send requests is over")) } else { Ok(()) }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests cannot set the monotonic clock either")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A connection that is written to only within a window.
#[derive(Debug)]
pub(crate) struct WindowedStream {
    stream: TcpStream,
    window: SendWindow,
}

impl WindowedStream {
    pub(crate) fn new(stream: TcpStream, window: SendWindow) -> Self {
        Self { stream, window }
    }
}

impl Connection for WindowedStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for WindowedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WindowedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.window.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.window.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        assert!(SendWindow::open().check().is_ok());
        let window = SendWindow::closed();
        assert!(window.check().is_err());
        window.set_end(Instant::now() + Duration::from_mins(1));
        assert!(window.remaining() > Duration::from_secs(59));
        window.close();
        assert!(window.check().is_err());
        // As if the machine had been suspended: only one clock has gone on.
        window.set_end(Instant::now() + Duration::from_mins(1));
        window.end_time.store(0, Ordering::Release);
        assert!(window.check().is_err());
        window.set_end(Instant::now().checked_sub(Duration::from_secs(1)).expect("after the start of the machine"));
        assert!(window.check().is_err());
    }
}
