//! The HTTP client for systems that Muster calls: HTTP/1.1 over TLS, only to permitted addresses, with limits on time and
//! size. It follows no redirects and uses no proxy.

use crate::address_guard::{AddressGuard, ForbiddenAddress};
use crate::send_window::{SendWindow, WindowedStream};
use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error as StdError;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// For resolving the name, connecting and the TLS handshake.
    pub connect_timeout: Duration,
    /// For the whole request, with its response.
    pub total_timeout: Duration,
    /// Of the response, in bytes.
    pub max_body: usize,
    /// Number of header lines of the response.
    pub max_headers: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            max_body: 256 * 1024,
            max_headers: 100,
        }
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the URL must be absolute, without a user name")]
    InvalidUrl,
    #[error("{0}")]
    Forbidden(ForbiddenAddress),
    /// The name could not be resolved, or no connection was made: nothing was sent.
    #[error("cannot connect: {0}")]
    NotConnected(String),
    /// The server may have carried out the request.
    #[error("no response within the time limit")]
    TimedOut,
    /// The server may have carried out the request.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// The server may have carried out the request.
    #[error("no valid response: {0}")]
    Invalid(String),
}

impl HttpError {
    /// Whether the request was certainly not sent, so that the server cannot have carried it out.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::InvalidUrl | Self::Forbidden(_) | Self::NotConnected(_))
    }
}

/// The root certificates of the operating system, which all clients share. A certificate that cannot be read is not
/// trusted.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(load))
}

/// Reuses idle connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<TimedConnector<HttpsConnector<GuardedConnector>>, Full<Bytes>>,
    limits: HttpLimits,
}

impl HttpClient {
    /// `extra_roots` are root certificates in DER, trusted in addition to those of the operating system.
    ///
    /// # Errors
    /// A certificate is not valid.
    pub fn new(
        guard: AddressGuard,
        limits: HttpLimits,
        extra_roots: &[Vec<u8>],
        send_window: SendWindow,
    ) -> Result<Self, tokio_rustls::rustls::Error> {
        let mut roots = system_roots();
        if !extra_roots.is_empty() {
            let mut extended = RootCertStore::clone(&roots);
            for certificate in extra_roots {
                extended.add(certificate.clone().into())?;
            }
            roots = Arc::new(extended);
        }
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = GuardedConnector { guard, send_window };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
        let connector = TimedConnector { connector, timeout: limits.connect_timeout };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http1_max_headers(limits.max_headers)
            // A request that was sent on a kept connection may have been carried out: the caller decides.
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self { client, limits })
    }

    /// Sends a request, and reads the response completely. Redirects are responses like any other.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.send_with_limit(request, self.limits.max_body).await
    }

    /// Like [`Self::send`], with another limit for the size of the response.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn send_with_limit(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> Result<Response<Bytes>, HttpError> {
        let has_user = request.uri().authority().is_none_or(|authority| authority.as_str().contains('@'));
        if has_user || request.uri().scheme().is_none() {
            return Err(HttpError::InvalidUrl);
        }
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await.map_err(|error| to_http_error(&error))?;
            let (head, body) = response.into_parts();
            // `Content-Length`, if there is one.
            if body.size_hint().lower() > max_body as u64 {
                return Err(HttpError::TooLarge(max_body));
            }
            let body = Limited::new(body, max_body).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    HttpError::TooLarge(max_body)
                } else {
                    HttpError::Invalid(error_text(&*error))
                }
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(self.limits.total_timeout, exchange).await.unwrap_or(Err(HttpError::TimedOut))
    }
}

fn to_http_error(error: &hyper_util::client::legacy::Error) -> HttpError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(forbidden) = found.downcast_ref::<ForbiddenAddress>() {
            return HttpError::Forbidden(*forbidden);
        }
        cause = found.source();
    }
    if error.is_connect() { HttpError::NotConnected(error_text(error)) } else { HttpError::Invalid(error_text(error)) }
}

/// The innermost cause.
fn error_text(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// Resolves names, and connects only to addresses that the guard permits.
#[derive(Clone, Debug)]
struct GuardedConnector {
    guard: AddressGuard,
    send_window: SendWindow,
}

type ConnectError = Box<dyn StdError + Send + Sync>;

/// Limits the time to connect. The pool can leave connecting to a task of its own, where no other limit applies.
#[derive(Clone, Debug)]
struct TimedConnector<C> {
    connector: C,
    timeout: Duration,
}

impl<C> Service<Uri> for TimedConnector<C>
where
    C: Service<Uri, Error = ConnectError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.timeout, self.connector.call(uri));
        Box::pin(async move { connected.await.map_err(|_| ConnectError::from("no connection within the time limit"))? })
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<WindowedStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { guard, send_window } = self.clone();
        let look_up = async |host: String, port| Ok(tokio::net::lookup_host((host, port)).await?.collect());
        Box::pin(
            async move { Ok(TokioIo::new(WindowedStream::new(connect(&guard, &uri, look_up).await?, send_window))) },
        )
    }
}

/// Connects to an address that the guard permits. The name is looked up once: another look-up could have another result.
async fn connect(
    guard: &AddressGuard,
    uri: &Uri,
    look_up: impl AsyncFnOnce(String, u16) -> std::io::Result<Vec<SocketAddr>>,
) -> Result<TcpStream, ConnectError> {
    let is_encrypted = uri.scheme() == Some(&Scheme::HTTPS);
    let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
    let host = uri.host().ok_or("the URL has no host")?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut last_error: ConnectError = "the name has no address".into();
    for address in look_up(host.to_owned(), port).await? {
        if let Err(forbidden) = guard.check((host, port), address.ip(), is_encrypted) {
            last_error = forbidden.into();
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last_error = error.into(),
        }
    }
    Err(last_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AllowedTarget;
    use std::net::TcpListener;

    /// A name whose answers change: `answers` are used in turn, one by each look-up.
    async fn connect_in_turn(guard: &AddressGuard, uri: &Uri, answers: &[Vec<SocketAddr>]) -> Vec<Result<(), String>> {
        let mut results = Vec::new();
        for answer in answers {
            let stream = connect(guard, uri, async |_, _| Ok(answer.clone())).await;
            results.push(stream.map(drop).map_err(|error| error.to_string()));
        }
        results
    }

    #[tokio::test]
    async fn a_name_that_changes_between_look_ups_leads_only_to_permitted_addresses() {
        let listen = |address: &str| {
            let listener = TcpListener::bind((address, 0)).expect("a port");
            listener.set_nonblocking(true).expect("set");
            let address = listener.local_addr().expect("an address");
            (listener, address)
        };
        let (permitted, first) = listen("127.0.0.2");
        let (forbidden, second) = listen("127.0.0.3");
        let guard = AddressGuard::new(vec!["127.0.0.2".parse::<AllowedTarget>().expect("a network")]);
        let uri: Uri = format!("https://forms.example:{}/", first.port()).parse().expect("a URI");
        let answers = [vec![first], vec![second], vec![second, first], vec![first, second]];
        let results = connect_in_turn(&guard, &uri, &answers).await;
        let forbidden_address = Err("the address is not public".to_owned());
        assert_eq!(results, [Ok(()), forbidden_address, Ok(()), Ok(())]);
        let accepted = |listener: &TcpListener| std::iter::from_fn(|| listener.accept().ok()).count();
        assert_eq!((accepted(&permitted), accepted(&forbidden)), (3, 0));
    }
}
