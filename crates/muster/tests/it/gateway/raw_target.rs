//! A target whose answers are bytes that a test chooses.

use parking_lot::Mutex;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct RawTarget {
    pub(super) address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl RawTarget {
    /// Calls `respond` with each request. The connection is closed afterwards.
    pub(super) fn start(respond: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (received, respond) = (Arc::clone(&requests), Arc::new(respond));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (received, respond) = (Arc::clone(&received), Arc::clone(&respond));
                std::thread::spawn(move || {
                    let Ok(request) = read_request(&mut stream) else { return };
                    received.lock().push(request.clone());
                    // Fails if the client has read enough.
                    let _ = respond(&request, &mut stream);
                });
            }
        });
        Self { address, requests }
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut part = [0; 8192];
    loop {
        let read = stream.read(&mut part)?;
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        if read == 0 || body.len() >= length.map_or(0, |length| length.trim().parse().expect("a length")) {
            return Ok(text.into_owned());
        }
    }
}

/// Writes a complete response.
pub(super) fn respond(stream: &mut TcpStream, head: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
