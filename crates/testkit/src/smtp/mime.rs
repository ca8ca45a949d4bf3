//! The part of MIME (RFC 2045 to 2047) that tests need to read messages. Text must be UTF-8.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Splits a message or part into headers and body.
pub(super) fn split_head(raw: &str) -> (&str, &str) {
    match raw.strip_prefix("\r\n") {
        Some(body) => ("", body),
        None => raw.split_once("\r\n\r\n").unwrap_or((raw, "")),
    }
}

/// The first header of this name, unfolded.
pub(super) fn header_value(head: &str, name: &str) -> Option<String> {
    let mut lines = head.split("\r\n");
    let first = lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim_end().eq_ignore_ascii_case(name).then_some(value)
    })?;
    let more = lines.take_while(|line| line.starts_with([' ', '\t']));
    let value: String = std::iter::once(first).chain(more).collect();
    Some(value.trim().to_owned())
}

/// The first part of this type, decoded, with LF line ends. Attachments are skipped.
pub(super) fn find_part(raw: &str, wanted: &str) -> Option<String> {
    let (head, body) = split_head(raw);
    let of_type = header_value(head, "Content-Type").unwrap_or_else(|| "text/plain".to_owned());
    let kind = of_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.starts_with("multipart/") {
        let boundary = parameter(&of_type, "boundary").expect("multipart types have a boundary");
        return parts(body, &boundary).iter().find_map(|raw| find_part(raw, wanted));
    }
    let disposition = header_value(head, "Content-Disposition").unwrap_or_default().to_ascii_lowercase();
    if kind != wanted || disposition.starts_with("attachment") {
        return None;
    }
    let encoding = header_value(head, "Content-Transfer-Encoding").unwrap_or_default().to_ascii_lowercase();
    let text = match encoding.as_str() {
        "base64" => {
            let text: String = body.split_ascii_whitespace().collect();
            let bytes = STANDARD.decode(text).expect("valid base64");
            String::from_utf8(bytes).expect("valid UTF-8")
        }
        "quoted-printable" => {
            String::from_utf8(decode_quoted_printable(&remove_soft_breaks(body))).expect("valid UTF-8")
        }
        _ => body.to_owned(),
    };
    Some(text.replace("\r\n", "\n"))
}

fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The parts between boundary lines. The line break before a boundary line belongs to the boundary.
fn parts(body: &str, boundary: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in body.split_inclusive("\r\n") {
        match line.trim_end().strip_prefix("--").and_then(|line| line.strip_prefix(boundary)) {
            Some("") => parts.push(String::new()),
            Some("--") => break,
            _ => parts.last_mut().into_iter().for_each(|part| part.push_str(line)),
        }
    }
    for part in &mut parts {
        part.truncate(part.strip_suffix("\r\n").unwrap_or(part).len());
    }
    parts
}

/// Removes trailing white space and soft line breaks.
fn remove_soft_breaks(body: &str) -> String {
    let lines: Vec<&str> = body.split("\r\n").map(|line| line.trim_end_matches([' ', '\t'])).collect();
    lines.join("\r\n").replace("=\r\n", "")
}

fn decode_quoted_printable(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..2).filter(|code| *first == b'=' && code.iter().all(u8::is_ascii_hexdigit));
        let byte = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    bytes
}

/// Decodes the encoded words of a header; malformed ones stay as they are.
pub(super) fn decode_encoded_words(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value;
    let mut is_behind_word = false;
    while let Some(start) = rest.find("=?") {
        let before = &rest[..start];
        let found = decode_encoded_word(&rest[start..]);
        // White space between two encoded words is ignored (RFC 2047 §6.2).
        if !(is_behind_word && found.is_some() && before.trim().is_empty()) {
            text.push_str(before);
        }
        is_behind_word = found.is_some();
        let (decoded, length) = found.unwrap_or_else(|| ("=?".to_owned(), 2));
        text.push_str(&decoded);
        rest = &rest[start + length..];
    }
    text + rest
}

/// Decodes the encoded word at the start of a text; also returns its length.
fn decode_encoded_word(text: &str) -> Option<(String, usize)> {
    let mut pieces = text.strip_prefix("=?")?.splitn(4, '?');
    let (charset, encoding, content, rest) = (pieces.next()?, pieces.next()?, pieces.next()?, pieces.next()?);
    let rest = rest.strip_prefix('=')?;
    // A language tag may follow the charset (RFC 2231 §5).
    let charset = charset.split('*').next().unwrap_or_default().to_ascii_lowercase();
    let bytes = match (charset.as_str(), encoding) {
        ("utf-8" | "us-ascii", "B" | "b") => STANDARD.decode(content).ok()?,
        ("utf-8" | "us-ascii", "Q" | "q") if !content.contains([' ', '\t']) => {
            decode_quoted_printable(&content.replace('_', " "))
        }
        _ => return None,
    };
    Some((String::from_utf8(bytes).ok()?, text.len() - rest.len()))
}
