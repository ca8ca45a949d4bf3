//! The accept loop. It sets hyper's timer: without one, a client that sends header bytes slowly holds a connection
//! forever.
//!
//! Time limits apply to headers (including idle time between requests), bodies and reading the response. Connections
//! are limited in total and by address. On shutdown, requests in progress may finish.

use crate::connection_slots::{ConnectionLimits, ConnectionSlots};
use crate::{HttpService, Peer};
use anyhow::Context;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate and its private key.
#[derive(Clone)]
pub struct TlsConfig(TlsAcceptor);

impl TlsConfig {
    pub fn load(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("cannot read the certificate {} (--tls-cert)", certificate.display()))?;
        let secret = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("cannot read the private key {} (--tls-key)", key.display()))?;
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS")?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .context("the certificate and the private key do not match (--tls-cert, --tls-key)")?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

pub struct Listener {
    pub socket: TcpListener,
    pub tls: Option<TlsConfig>,
    pub kind: ListenerKind,
    pub connections: ConnectionLimits,
    /// For headers to arrive; also the idle timeout.
    pub header_timeout: Duration,
    /// For a client to read more of the response.
    pub write_timeout: Duration,
    /// For requests in progress to finish on shutdown.
    pub drain_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// The APIs and pages.
    Public,
    /// Health and metrics only.
    Admin,
}

/// Header timeout on a connection that serves only health probes, and time to reject plain HTTP.
const SHORT_TIMEOUT: Duration = Duration::from_secs(5);

impl Listener {
    /// Serves until `stop`, then lets requests in progress finish. Returns how many connections had to be closed.
    pub async fn serve(
        self,
        service: Arc<HttpService>,
        metrics: Arc<crate::Metrics>,
        stop: impl Future<Output = ()>,
    ) -> usize {
        let max_total = self.connections.total + ConnectionLimits::RESERVED;
        let permits = Arc::new(Semaphore::new(max_total));
        let slots = ConnectionSlots::new(self.connections);
        let graceful = GracefulShutdown::new();
        let mut stop = pin!(stop);
        loop {
            // Take the permit first: until there is one, connections wait in the kernel's queue and cost nothing here.
            let permit = tokio::select! {
                permit = Arc::clone(&permits).acquire_owned() => permit,
                () = &mut stop => break,
            };
            let Ok(permit) = permit else { break };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = &mut stop => break,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the client has disconnected: wait, then continue.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(slot) = slots.take(address.ip()) else {
                metrics.record_rejection("none", "too_many_connections");
                tracing::debug!(address = %address.ip(), "connection closed: too many from this address (--connections-per-address)");
                continue;
            };
            let header_time =
                if slot.peer.is_health_only { self.header_timeout.min(SHORT_TIMEOUT) } else { self.header_timeout };
            let connection = ClientConnection {
                service: Arc::clone(&service),
                listener_kind: self.kind,
                peer: slot.peer,
                header_timeout: header_time,
                write_timeout: self.write_timeout,
                watcher: graceful.watcher(),
            };
            let (tls, metrics) = (self.tls.clone(), Arc::clone(&metrics));
            tokio::spawn(async move {
                metrics.connections.inc();
                connection.serve(stream, tls).await;
                metrics.connections.dec();
                drop((slot, permit));
            });
        }
        drop(self.socket);
        let open = graceful.count();
        tracing::info!(open, "shutting down: waiting for requests in progress");
        let drained = tokio::time::timeout(self.drain_timeout, graceful.shutdown()).await;
        if drained.is_ok() { 0 } else { max_total - permits.available_permits() }
    }

    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.socket.local_addr().context("cannot read the listening address")
    }
}

/// Whether a client sends plain HTTP: the name of a method instead of a handshake (RFC 8446 section 5.1).
async fn is_plain_http(stream: &TcpStream, time: Duration) -> bool {
    let mut first = [0];
    let peeked = tokio::time::timeout(time, stream.peek(&mut first)).await;
    matches!(peeked, Ok(Ok(1))) && first[0].is_ascii_alphabetic()
}

/// Responds to a client that does not use TLS. Reads its request for a short time, or it might not see the response.
async fn reject_plain_http(mut stream: TcpStream) {
    const TEXT: &str = "This port uses HTTPS. Use an address that starts with https://\n";
    let response = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{TEXT}",
        TEXT.len()
    );
    let done = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await?;
        let (mut read, mut rest) = ([0; 4096], 64 * 1024);
        while rest > 0 && stream.read(&mut read).await? > 0 {
            rest -= read.len();
        }
        Ok::<_, std::io::Error>(())
    };
    drop(tokio::time::timeout(SHORT_TIMEOUT, done).await);
}

struct ClientConnection {
    service: Arc<HttpService>,
    listener_kind: ListenerKind,
    peer: Peer,
    header_timeout: Duration,
    write_timeout: Duration,
    watcher: hyper_util::server::graceful::Watcher,
}

impl ClientConnection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsConfig>) {
        // Send small responses at once.
        drop(stream.set_nodelay(true));
        match tls {
            None => self.serve_http(stream).await,
            Some(_) if is_plain_http(&stream, self.header_timeout).await => reject_plain_http(stream).await,
            Some(tls) => match tokio::time::timeout(self.header_timeout, tls.0.accept(stream)).await {
                Ok(Ok(stream)) => self.serve_http(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake timed out"),
            },
        }
    }

    async fn serve_http<S: AsyncRead + AsyncWrite + Send + 'static>(self, stream: S) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_timeout));
        let (service, kind, peer) = (self.service, self.listener_kind, self.peer);
        let service = service_fn(move |request: Request<Incoming>| {
            let service = Arc::clone(&service);
            async move {
                let mut response = match kind {
                    ListenerKind::Public => Box::pin(service.handle(request, peer)).await,
                    ListenerKind::Admin => service.handle_admin(request.method(), request.uri().path()).await,
                };
                if peer.is_health_only {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(100)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "connection closed early");
        }
    }
}
