//! Where the client connects, and how it handles responses.

use crate::test_server::{Answer, TestServer};
use bytes::Bytes;
use http::{Request, Response};
use outbound::{AddressGuard, ForbiddenAddress, HttpClient, HttpError, HttpLimits, SendWindow};
use std::sync::atomic::Ordering;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Enough for a busy machine.
const TIMEOUT: Duration = Duration::from_mins(1);

fn limits() -> HttpLimits {
    HttpLimits { connect_timeout: TIMEOUT, total_timeout: TIMEOUT, max_body: 1_000, ..HttpLimits::default() }
}

/// A client that trusts the server, and may connect to these targets.
fn client(server: &TestServer, allowed: &[&str]) -> HttpClient {
    client_with(server, allowed, limits())
}

fn client_with(server: &TestServer, allowed: &[&str], limits: HttpLimits) -> HttpClient {
    let allowed = allowed.iter().map(|target| target.parse().expect("a target")).collect();
    HttpClient::new(AddressGuard::new(allowed), limits, std::slice::from_ref(&server.authority), SendWindow::open())
        .expect("a client")
}

async fn get(client: &HttpClient, url: &str) -> Result<Response<Bytes>, HttpError> {
    client.send(Request::get(url).body(Bytes::new()).expect("a request")).await
}

/// The result of a request to a server that sends this response.
async fn exchange(answer: Answer) -> Result<Response<Bytes>, HttpError> {
    exchange_within(TIMEOUT, answer).await
}

async fn exchange_within(total_timeout: Duration, answer: Answer) -> Result<Response<Bytes>, HttpError> {
    let server = TestServer::start("localhost", move |_| answer.clone()).await;
    let client = client_with(&server, &["127.0.0.1"], HttpLimits { total_timeout, ..limits() });
    get(&client, &format!("https://localhost:{}/", server.port)).await
}

#[tokio::test]
async fn responses_are_read_and_connections_kept() {
    let server = TestServer::start("localhost", |_| Answer::text(OK)).await;
    let client = client(&server, &["127.0.0.1/32"]);
    for _ in 0..3 {
        let response = get(&client, &format!("https://localhost:{}/users", server.port)).await.expect("a response");
        assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"hi"[..]));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn addresses_that_are_not_public_get_no_connection() {
    let server = TestServer::start("localhost", |_| Answer::text(OK)).await;
    let strict = client(&server, &[]);
    for (url, expected) in [
        (format!("https://localhost:{}/", server.port), ForbiddenAddress::NotPublic),
        (format!("https://127.0.0.1:{}/", server.port), ForbiddenAddress::NotPublic),
        (format!("https://[::ffff:127.0.0.1]:{}/", server.port), ForbiddenAddress::NotPublic),
        (format!("http://localhost:{}/", server.port), ForbiddenAddress::NotEncrypted),
        ("https://127.0.0.1:25/".to_owned(), ForbiddenAddress::Port),
        ("https://[fd00::1]/".to_owned(), ForbiddenAddress::NotPublic),
        ("https://169.254.169.254/latest/meta-data".to_owned(), ForbiddenAddress::NotPublic),
        ("https://0x7f000001/".to_owned(), ForbiddenAddress::NotPublic),
    ] {
        match get(&strict, &url).await {
            Err(HttpError::Forbidden(found)) => assert_eq!(found, expected, "{url}"),
            // A resolver may reject this notation.
            Err(HttpError::NotConnected(_)) if url.contains("0x7f") => {}
            other => panic!("{url}: {other:?}"),
        }
    }
    // An exception is for one port.
    let other_port = client(&server, &["localhost:1", "127.0.0.1:1"]);
    let sent = get(&other_port, &format!("https://localhost:{}/", server.port)).await;
    assert!(matches!(sent, Err(HttpError::Forbidden(_))), "{sent:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn certificates_are_checked() {
    let server = TestServer::start("other.example", |_| Answer::text(OK)).await;
    let url = format!("https://localhost:{}/", server.port);
    let wrong_name = get(&client(&server, &["127.0.0.1"]), &url).await;
    assert!(wrong_name.as_ref().is_err_and(HttpError::is_unsent), "{wrong_name:?}");
    let server = TestServer::start("localhost", |_| Answer::text(OK)).await;
    let url = format!("https://localhost:{}/", server.port);
    let guard = AddressGuard::new(vec!["127.0.0.1".parse().expect("a target")]);
    let untrusted = get(&HttpClient::new(guard, limits(), &[], SendWindow::open()).expect("a client"), &url).await;
    assert!(untrusted.as_ref().is_err_and(HttpError::is_unsent), "{untrusted:?}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
    let server = TestServer::start("localhost", move |_| Answer::text(redirect)).await;
    let url = format!("https://localhost:{}/", server.port);
    let response = get(&client(&server, &["127.0.0.1"]), &url).await.expect("a response");
    assert_eq!((response.status().as_u16(), server.requests.load(Ordering::SeqCst)), (302, 1));
}

#[tokio::test]
async fn long_responses_are_cut_off() {
    let chunk = b"64\r\n".iter().chain(&[b'x'; 100]).chain(b"\r\n").copied().collect::<Vec<u8>>();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let large = exchange(Answer::Endless(chunked, chunk)).await;
    assert!(matches!(large, Err(HttpError::TooLarge(1_000))), "{large:?}");
    let announced = exchange(Answer::text("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")).await;
    assert!(matches!(announced, Err(HttpError::TooLarge(1_000))), "{announced:?}");
    for head in [b"HTTP/1.1 200 OK\r\n".to_vec(), b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec()] {
        let line = if head.ends_with(b": ") { b"xxxxxxxxxxxxxxxx".to_vec() } else { b"X-A: b\r\n".to_vec() };
        let endless = exchange(Answer::Endless(head, line)).await;
        assert!(matches!(endless, Err(HttpError::Invalid(_))), "{endless:?}");
    }
}

#[tokio::test]
async fn slow_and_broken_servers_differ_from_unreachable_ones() {
    const SHORT: Duration = Duration::from_secs(1);
    let silent = exchange_within(SHORT, Answer::Stalled(Vec::new())).await;
    assert!(matches!(silent, Err(HttpError::TimedOut)), "{silent:?}");
    let half =
        exchange_within(SHORT, Answer::Stalled(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec())).await;
    assert!(matches!(half, Err(HttpError::TimedOut)), "{half:?}");
    for broken in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let sent = exchange(Answer::Closed(broken.as_bytes().to_vec())).await;
        assert!(matches!(sent, Err(HttpError::Invalid(_))), "{broken:?}: {sent:?}");
    }
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let server = TestServer::start("localhost", |_| Answer::text(OK)).await;
    let refused = get(&client(&server, &["127.0.0.1"]), &format!("https://localhost:{unused}/")).await;
    assert!(matches!(refused, Err(HttpError::NotConnected(_))), "{refused:?}");
    // The handshake is a part of connecting: nothing was sent.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let limits = HttpLimits { connect_timeout: Duration::from_millis(300), ..limits() };
    let guard = AddressGuard::new(vec!["127.0.0.1".parse().expect("a network")]);
    let client = HttpClient::new(guard, limits, &[], SendWindow::open()).expect("a client");
    let sent = get(&client, &format!("https://localhost:{port}/")).await;
    assert!(matches!(sent, Err(HttpError::NotConnected(_))), "{sent:?}");
}

/// A request on a kept connection may have been carried out, so the client does not send it again.
#[tokio::test]
async fn requests_are_never_sent_twice() {
    let server =
        TestServer::start(
            "localhost",
            |number| {
                if number == 1 { Answer::text(OK) } else { Answer::Closed(Vec::new()) }
            },
        )
        .await;
    let (client, url) = (client(&server, &["127.0.0.1"]), format!("https://localhost:{}/", server.port));
    get(&client, &url).await.expect("a response");
    let lost = get(&client, &url).await;
    assert!(lost.as_ref().is_err_and(|error| !error.is_unsent()), "{lost:?}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn urls_must_be_absolute_and_without_a_user() {
    let server = TestServer::start("localhost", |_| Answer::text(OK)).await;
    let client = client(&server, &["127.0.0.1"]);
    for url in ["/users", "https://user@localhost/", "https://user:password@localhost/"] {
        let sent = get(&client, url).await;
        assert!(matches!(sent, Err(HttpError::InvalidUrl)), "{url}: {sent:?}");
    }
}
