//! A TLS server that answers each request as a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What the server sends for one request.
#[derive(Clone)]
pub(crate) enum Answer {
    Bytes(Vec<u8>),
    /// Sends the bytes, then closes the connection.
    Closed(Vec<u8>),
    /// Sends the first bytes, then the second ones again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends the bytes, then nothing more.
    Stalled(Vec<u8>),
}

impl Answer {
    pub(crate) fn text(response: &str) -> Self {
        Self::Bytes(response.as_bytes().to_vec())
    }
}

pub(crate) struct TestServer {
    pub(crate) port: u16,
    /// The certificate that signed that of the server.
    pub(crate) authority: Vec<u8>,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl TestServer {
    /// Serves TLS for a name on 127.0.0.1. `answer` gets the number of the request, from 1.
    pub(crate) async fn start(name: &str, answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let signed = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        let (certificate, key) = (signed.cert.der().clone(), signed.signing_key.serialize_der());
        let config = ServerConfig::builder().with_no_client_auth();
        let key = PrivateKeyDer::try_from(key).expect("a key");
        let config = config.with_single_cert(vec![certificate.clone()], key).expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (accepted, received, answer) = (Arc::clone(&connections), Arc::clone(&requests), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, received, answer) = (acceptor.clone(), Arc::clone(&received), Arc::clone(&answer));
                // The client may give up at any point.
                tokio::spawn(async move { serve(stream, &acceptor, &received, &*answer).await.ok() });
            }
        });
        Self { port, authority: certificate.to_vec(), connections, requests }
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    received: &AtomicUsize,
    answer: &(impl Fn(usize) -> Answer + Send + Sync),
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).await?;
            head.push(byte[0]);
        }
        match answer(received.fetch_add(1, Ordering::SeqCst) + 1) {
            Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
            Answer::Closed(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Answer::Endless(first, again) => {
                stream.write_all(&first).await?;
                loop {
                    stream.write_all(&again).await?;
                }
            }
            Answer::Stalled(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                std::future::pending::<()>().await;
            }
        }
        stream.flush().await?;
    }
}
