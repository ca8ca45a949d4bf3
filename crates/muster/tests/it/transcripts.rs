//! Transcripts: files of requests and responses, sent over a real socket and compared byte for byte.
//!
//! A file in `dialects/src/<dialect>/transcripts` contains exchanges: `### title`, a request line, headers, a blank
//! line, the body, then `--- status`, required headers, a blank line and the body. White space between tags and outside
//! JSON strings is ignored. `{{name}}` is an earlier value, `{{*}}` any text up to the next quote or angle bracket,
//! `{{name=*}}` the same, saved as `name`, and `{{fill N}}` N letters. `MUSTER_RECORD=1` writes missing responses into
//! the files; review them, and replace generated ids and times by `{{name=*}}`.
//!
//! Each file has a tenant of its own, whose users are numbered from 1. Known from the start: `{{key}}`,
//! `{{read-only-key}}`, `{{sign-in-key}}`, `{{files-key}}`, `{{company}}` (the tenant's number). A file may send
//! requests to other dialects.

use crate::support::{HttpResponse, Server, repo_root, send};
use std::collections::HashMap;
use std::path::PathBuf;
use testkit::diff::text_difference;

/// The transcripts of a dialect, by the name of its folder.
pub(crate) fn transcripts_of(dialect: &str) -> PathBuf {
    repo_root().join("crates/dialects/src").join(dialect).join("transcripts")
}

pub(crate) struct Exchange {
    pub(crate) title: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) status: u16,
    wanted_headers: Vec<(String, String)>,
    wanted_body: String,
}

#[test]
fn every_transcript_matches() {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in std::fs::read_dir(repo_root().join("crates/dialects/src")).expect("dialects") {
        let folder = folder.expect("a folder").path().join("transcripts");
        if folder.is_dir() {
            let inside = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
            files.extend(inside.filter(|path| path.extension().is_some_and(|end| end == "http")));
        }
    }
    files.sort();
    assert!(files.len() >= 10, "too few transcripts: {files:?}");
    let server = Server::start(&[
        "--invalid-keys-per-minute",
        "100000",
        "--hash-threads",
        "2",
        "--public-url",
        "http://example.com",
    ]);
    let mut wrong = Vec::new();
    for file in &files {
        let (tenant, key) = server.create_tenant(&["--highest-role", "SuperAdmin"]);
        let reader = server.create_connection(tenant, "reader", &["--read-only"]);
        let mut known = HashMap::from([
            ("company".to_owned(), tenant.to_string()),
            ("key".to_owned(), key),
            ("read-only-key".to_owned(), reader),
            ("sign-in-key".to_owned(), server.create_connection(tenant, "app", &["--dialect", "sign-in"])),
            ("files-key".to_owned(), server.create_connection(tenant, "files", &["--dialect", "transfer"])),
        ]);
        let is_recording = std::env::var_os("MUSTER_RECORD").is_some();
        let text = std::fs::read_to_string(file).expect("read");
        let mut recorded = text.split("\n### ").next().unwrap_or_default().to_owned();
        for part in text.split("\n### ").skip(1) {
            let exchange = parse_exchange(part);
            let reply = send_exchange(&server, &exchange, &known);
            recorded.push_str("\n### ");
            if is_recording && exchange.status == 0 {
                recorded.push_str(&record(part, &reply, &known));
                continue;
            }
            recorded.push_str(part);
            if let Err(what) = compare(&exchange, &reply, &mut known) {
                let name = file.strip_prefix(repo_root()).unwrap_or(file).display();
                wrong.push(format!("{name}: {}: {what}", exchange.title));
            }
        }
        if is_recording {
            std::fs::write(file, recorded).expect("written");
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn send_exchange(server: &Server, exchange: &Exchange, known: &HashMap<String, String>) -> HttpResponse {
    let filled: Vec<(String, String)> =
        exchange.headers.iter().map(|(name, value)| (name.clone(), substitute(value, known))).collect();
    let headers: Vec<(&str, &str)> = filled.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let target = substitute(&exchange.target, known);
    send(&server.address, &exchange.method, &target, &headers, substitute(&exchange.body, known).as_bytes())
}

pub(crate) fn parse(text: &str) -> Vec<Exchange> {
    text.split("\n### ").skip(1).map(parse_exchange).collect()
}

fn parse_exchange(text: &str) -> Exchange {
    let (title, rest) = text.split_once('\n').expect("a title");
    let (request, answer) = rest.split_once("\n---").unwrap_or((rest, ""));
    let (line, request) = request.trim_start().split_once('\n').unwrap_or((request.trim(), ""));
    let (method, target) = line.trim().split_once(' ').expect("a request line");
    let (headers, body) = head_and_body(request);
    let (status, answer) = answer.split_once('\n').unwrap_or((answer, ""));
    let (wanted_headers, wanted_body) = head_and_body(answer);
    Exchange {
        title: title.trim().to_owned(),
        method: method.to_owned(),
        target: target.trim().to_owned(),
        headers,
        body,
        status: status.trim().parse().unwrap_or(0),
        wanted_headers,
        wanted_body,
    }
}

fn head_and_body(text: &str) -> (Vec<(String, String)>, String) {
    let mut headers = Vec::new();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n').or_else(|| (!rest.is_empty()).then_some((rest, ""))) {
        rest = after;
        let Some((name, value)) = line.split_once(':').filter(|_| !line.trim().is_empty()) else { break };
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    (headers, rest.trim_end().to_owned())
}

pub(crate) fn substitute(text: &str, known: &HashMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("}} after {{");
        filled.push_str(before);
        match name.strip_prefix("fill ") {
            Some(count) => filled.push_str(&"a".repeat(count.parse().expect("a number"))),
            None => filled.push_str(known.get(name).unwrap_or_else(|| panic!("unknown value {name}"))),
        }
        rest = after;
    }
    filled + rest
}

pub(crate) fn compare(
    exchange: &Exchange,
    reply: &HttpResponse,
    known: &mut HashMap<String, String>,
) -> Result<(), String> {
    if reply.status != exchange.status {
        return Err(format!("status {} instead of {}: {}", reply.status, exchange.status, reply.body));
    }
    for (name, value) in &exchange.wanted_headers {
        let got = reply.header(name).unwrap_or("nothing");
        if got != value {
            return Err(format!("{name}: {got} instead of {value}"));
        }
    }
    matches(&strip_whitespace(&exchange.wanted_body), &strip_whitespace(&reply.body), known)
        .map_err(|at| format!("{at}\n  wanted {:.2000}\n  got    {:.2000}", exchange.wanted_body, reply.body))
}

/// Removes white space between tags and outside JSON strings.
pub(crate) fn strip_whitespace(text: &str) -> String {
    let text = text.trim();
    if text.starts_with('<') {
        return text.split('>').map(str::trim_start).collect::<Vec<_>>().join(">");
    }
    let (mut tight, mut inside, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        if inside || !c.is_whitespace() {
            tight.push(c);
        }
        if c == '"' && !escaped {
            inside = !inside;
        }
        escaped = c == '\\' && !escaped;
    }
    tight
}

/// Compares with the placeholders of `wanted`; a value is any text without quotes and angle brackets.
fn matches(wanted: &str, got: &str, known: &mut HashMap<String, String>) -> Result<(), String> {
    let (mut wanted, mut got) = (wanted, got);
    loop {
        let (literal, wild) = wanted.split_once("{{").unwrap_or((wanted, ""));
        let ends_here = literal.len() == wanted.len();
        let same = if ends_here { got == literal } else { got.starts_with(literal) };
        if !same {
            return Err(format!("differs{}", text_difference(literal, got)));
        }
        if ends_here {
            return Ok(());
        }
        got = &got[literal.len()..];
        let (name, after) = wild.split_once("}}").ok_or("}} is missing")?;
        let next = after.split("{{").next().unwrap_or_default();
        let (value, rest) = match name {
            "*" => take_value(got, next)?,
            _ => {
                if let Some(name) = name.strip_suffix("=*") {
                    let (value, rest) = take_value(got, next)?;
                    known.insert(name.to_owned(), value.to_owned());
                    (value, rest)
                } else {
                    let value = known.get(name).ok_or_else(|| format!("unknown value {name}"))?;
                    let rest = got.strip_prefix(value.as_str()).ok_or_else(|| format!("{name} is not {value}"))?;
                    ("", rest)
                }
            }
        };
        debug_assert!(!value.contains('<'));
        (wanted, got) = (after, rest);
    }
}

fn take_value<'a>(got: &'a str, next: &str) -> Result<(&'a str, &'a str), String> {
    let stop = next.chars().next();
    let end = got.find(|c| matches!(c, '<' | '>' | '"') || Some(c) == stop).unwrap_or(got.len());
    if end == 0 { Err("no value".into()) } else { Ok(got.split_at(end)) }
}

/// An exchange with the response that the server sent.
fn record(part: &str, reply: &HttpResponse, known: &HashMap<String, String>) -> String {
    let mut body = reply.body.clone();
    for (name, value) in known.iter().filter(|(_, value)| value.len() > 4) {
        body = body.replace(value.as_str(), &format!("{{{{{name}}}}}"));
    }
    if let Some(number) = reply.header("x-request-id") {
        body = body.replace(number, "{{*}}");
    }
    let media = reply.header("content-type").map_or_else(String::new, |m| format!("Content-Type: {m}\n"));
    let request = part.split("\n---").next().unwrap_or(part).trim_end();
    format!("{request}\n\n--- {}\n{media}\n{body}\n", reply.status)
}
