//! A raw HTTP client: every byte of a request is the test's.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl HttpResponse {
    /// Parses head and body of a response.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let (head, body) = (String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[end + 4..]);
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let mut reply = Self { status, head, body: String::new() };
        let is_chunked = reply.header("transfer-encoding") == Some("chunked");
        let body = if is_chunked { decode_chunked(body) } else { body.to_vec() };
        reply.body = String::from_utf8_lossy(&body).into_owned();
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Decodes a chunked body (RFC 9112 §7.1), which must be complete.
fn decode_chunked(mut body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").expect("a chunk's length");
        let length = std::str::from_utf8(&body[..end]).expect("a length");
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length == 0 {
            return decoded;
        }
        decoded.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
}

/// Sends a request, reads the response and checks it against the OpenAPI document. The connection closes after it.
pub(crate) fn send(address: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpResponse {
    let reply = try_send(address, method, target, headers, body).expect("an answer");
    crate::openapi_conformance::assert_documented(
        method,
        target,
        reply.status,
        reply.header("content-type"),
        &reply.body,
    );
    reply
}

/// Like [`send`], without the check. `None` if the server cannot be reached or closes before it has answered.
pub(crate) fn try_send(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<HttpResponse> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("set");
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("Host: example.com\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || !matches!(method, "GET" | "DELETE") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    // A server that rejects a body may close before all is sent, so ignore write errors and read the response.
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let is_complete_head = bytes.windows(4).any(|window| window == b"\r\n\r\n");
    is_complete_head.then(|| HttpResponse::parse(&bytes))
}
