//! An HTTP request with a deadline. A truncated response counts as none.

use crate::support::HttpResponse;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a str,
}

impl<'a> Request<'a> {
    pub(super) fn get(target: &'a str) -> Self {
        Self { method: "GET", target, headers: &[], body: "" }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { method, target, headers, body } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n");
        for (name, value) in *headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || !matches!(*method, "GET" | "DELETE") {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        text.into_bytes()
    }
}

/// Sends a request; `None` without a complete response within the limit.
pub(super) fn send_request(address: &str, request: &Request<'_>, limit: Duration) -> Option<HttpResponse> {
    let deadline = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&address.parse().ok()?, limit).ok()?;
    stream.set_write_timeout(Some(limit)).ok()?;
    stream.write_all(&request.bytes()).ok()?;
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    is_complete(&bytes).then(|| HttpResponse::parse(&bytes))
}

fn is_complete(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let body = &bytes[end + 4..];
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    if header("transfer-encoding:") == Some("chunked") {
        return body.ends_with(b"0\r\n\r\n");
    }
    let length = header("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0);
    body.len() >= length
}
