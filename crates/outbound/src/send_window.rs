//! Until when requests may be sent.

use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A time after which nothing is written to connections. A process that is paused can wake up in the middle of a
/// request, long after another process has taken over its work.
#[derive(Clone, Debug)]
pub struct SendWindow {
    start: Instant,
    /// Milliseconds since the start.
    end: Arc<AtomicU64>,
}

impl SendWindow {
    /// Never ends.
    pub fn open() -> Self {
        Self { start: Instant::now(), end: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Has ended, until it is extended.
    pub fn closed() -> Self {
        Self { start: Instant::now(), end: Arc::new(AtomicU64::new(0)) }
    }

    /// Sets the end.
    pub fn set_end(&self, end: Instant) {
        let millis = end.saturating_duration_since(self.start).as_millis();
        self.end.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Ends it now.
    pub fn close(&self) {
        self.end.store(0, Ordering::Release);
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        let end = self.end.load(Ordering::Acquire);
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(end.saturating_sub(elapsed))
    }

    fn check(&self) -> io::Result<()> {
        if self.remaining().is_zero() { Err(io::Error::other("the time to send requests is over")) } else { Ok(()) }
    }
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
        window.set_end(Instant::now().checked_sub(Duration::from_secs(1)).expect("after the start of the machine"));
        assert!(window.check().is_err());
    }
}
