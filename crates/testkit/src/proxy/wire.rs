//! The part of PostgreSQL's protocol (version 3) needed to recognize commits and to reply in place of the server.

use std::io::{Error, ErrorKind, Read, Result, Write};

/// Test messages are smaller, so a greater length means that framing was lost.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
const GSS_REQUEST: [u8; 4] = 80_877_104_u32.to_be_bytes();

/// Reads the startup message, which has no type byte. Encryption requests before it are declined.
pub(super) fn read_startup(mut client: impl Read + Write) -> Result<Vec<u8>> {
    loop {
        let message = read_body(&mut client, Vec::new())?;
        if ![SSL_REQUEST, GSS_REQUEST].iter().any(|code| message[4..].starts_with(code)) {
            return Ok(message);
        }
        client.write_all(b"N")?;
    }
}

/// Reads the next message of either side, including the type byte.
pub(super) fn read_message(mut from: impl Read) -> Result<Vec<u8>> {
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    read_body(from, kind.to_vec())
}

fn read_body(mut from: impl Read, mut head: Vec<u8>) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    head.extend(length);
    // The length includes itself.
    let rest = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX).checked_sub(4);
    let rest = rest.filter(|rest| *rest <= MAX_MESSAGE_BYTES).ok_or(ErrorKind::InvalidData)?;
    let begin = head.len();
    head.resize(begin + rest, 0);
    from.read_exact(&mut head[begin..])?;
    Ok(head)
}

/// Whether the server sends a `ReadyForQuery` for this client message.
pub(super) fn expects_ready_for_query(message: &[u8]) -> bool {
    matches!(message[0], b'Q' | b'S' | b'F')
}

pub(super) fn is_ready_for_query(message: &[u8]) -> bool {
    message[0] == b'Z'
}

/// Whether this is a simple query that commits.
pub(super) fn is_commit(message: &[u8]) -> bool {
    let text = message[5..].strip_suffix(b"\0").and_then(|text| std::str::from_utf8(text).ok());
    let text = text.map(|text| text.trim_end_matches([';', ' ', '\n']));
    message[0] == b'Q' && text.is_some_and(|text| text.eq_ignore_ascii_case("COMMIT"))
}

pub(super) fn rollback_query() -> Vec<u8> {
    frame(b'Q', b"ROLLBACK\0")
}

/// An `ErrorResponse` with this SQLSTATE, followed by `ReadyForQuery`.
pub(super) fn error_response(sqlstate: &str) -> Vec<u8> {
    let fields = format!("SERROR\0VERROR\0C{sqlstate}\0Mcommit failed by fault injection\0\0");
    [frame(b'E', fields.as_bytes()), frame(b'Z', b"I")].concat()
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

pub(super) fn connection_aborted() -> Error {
    ErrorKind::ConnectionAborted.into()
}
