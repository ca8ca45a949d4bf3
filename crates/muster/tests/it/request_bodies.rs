//! Compressed request bodies, and oversized ones, whose clients must receive the response.

use crate::support::{HttpResponse, Server, send};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use testkit::waiting::wait_until;

const BODY_LIMIT: usize = 4_194_304;

/// A body in each content encoding.
fn compress_all(body: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    let level = Compression::default();
    let mut gzip = GzEncoder::new(Vec::new(), level);
    let mut zlib = ZlibEncoder::new(Vec::new(), level);
    let mut raw = DeflateEncoder::new(Vec::new(), level);
    for encoder in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw] {
        encoder.write_all(body).expect("written");
    }
    let gzip = gzip.finish().expect("made");
    [
        ("gzip", gzip.clone()),
        ("x-gzip", gzip),
        ("deflate", zlib.finish().expect("made")),
        ("deflate", raw.finish().expect("made")),
    ]
}

fn post(server: &Server, key: &str, target: &str, media: &str, encoding: &str, body: &[u8]) -> HttpResponse {
    let bearer = format!("Bearer {key}");
    let mut headers = vec![("Authorization", bearer.as_str()), ("Content-Type", media)];
    headers.extend((!encoding.is_empty()).then_some(("Content-Encoding", encoding)));
    send(&server.address, "POST", target, &headers, body)
}

#[test]
fn compressed_bodies_are_read_in_every_dialect() {
    let server = Server::start(&[]);
    let (tenant, key) = server.create_tenant(&[]);
    for (n, (target, media, body)) in [
        ("/scim/v2/Users".to_owned(), "application/scim+json", r#"{"userName":"EMAIL"}"#.to_owned()),
        (
            "/api/2/users".into(),
            "application/json",
            r#"{"user":{"name":{"firstname":"A","lastname":"B"},"email":"EMAIL"}}"#.into(),
        ),
        (
            "/request/user".into(),
            "application/json",
            r#"{"title":"Dr","firstName":"A","lastName":"B","email":"EMAIL","roleId":1}"#.into(),
        ),
        (
            "/api/v2/user?format=json".into(),
            "application/x-www-form-urlencoded",
            format!("CompanyId={tenant}&IntegrationKey={key}&Email=EMAIL&FirstName=A&LastName=B"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        for (m, (encoding, bytes)) in
            compress_all(body.replace("EMAIL", &format!("u{n}@x.example")).as_bytes()).into_iter().enumerate()
        {
            let bytes = if m == 0 {
                bytes
            } else {
                let text = body.replace("EMAIL", &format!("u{n}-{m}@x.example"));
                let all = compress_all(text.as_bytes());
                all[m].1.clone()
            };
            let reply = post(&server, &key, &target, media, encoding, &bytes);
            assert!(matches!(reply.status, 200 | 201), "{target} {encoding}: {reply:?}");
            let reply = post(&server, &key, &target, media, encoding, &[&bytes[..], b"garbage"].concat());
            assert_eq!(reply.status, 400, "{target} {encoding}, garbage: {reply:?}");
            let reply = post(&server, &key, &target, media, encoding, &bytes[..bytes.len() - 2]);
            assert_eq!(reply.status, 400, "{target} {encoding}, cut: {reply:?}");
        }
        for encoding in ["br", "gzip, deflate", "compress"] {
            let reply = post(&server, &key, &target, media, encoding, b"x");
            assert_eq!(
                (reply.status, reply.header("accept-encoding")),
                (415, Some("gzip, deflate")),
                "{target}: {reply:?}"
            );
        }
        assert!(matches!(
            post(
                &server,
                &key,
                &target,
                media,
                "identity",
                body.replace("EMAIL", &format!("i{n}@x.example")).as_bytes()
            )
            .status,
            200 | 201
        ));
    }
    // The limit applies to the decompressed size.
    for (encoding, bytes) in compress_all(&vec![b' '; BODY_LIMIT + 1]) {
        assert!(bytes.len() < 100_000);
        let reply = post(&server, &key, "/scim/v2/Users", "application/json", encoding, &bytes);
        assert_eq!(reply.status, 413, "{encoding}: {reply:?}");
    }
}

#[test]
fn compressed_files_are_imported() {
    let server = Server::start(&[]);
    let (_, key) = server.create_tenant(&["--dialect", "transfer"]);
    for (n, (encoding, bytes)) in
        compress_all(b"email,first name\na@x.example,A\nb@x.example,B\n").into_iter().enumerate()
    {
        let reply = post(&server, &key, "/v1/imports", "text/csv", encoding, &bytes);
        assert_eq!(reply.status, 202, "{encoding}: {reply:?}");
        let id = serde_json::from_str::<serde_json::Value>(&reply.body).expect("JSON")["id"].clone();
        let bearer = format!("Bearer {key}");
        let target = format!("/v1/imports/{}", id.as_str().expect("an id"));
        let state = || -> serde_json::Value {
            let reply = send(&server.address, "GET", &target, &[("Authorization", &bearer)], &[]);
            serde_json::from_str(&reply.body).expect("JSON")
        };
        wait_until("the import to end", || state()["status"] == "done");
        let people = state()["report"]["people"].clone();
        let (created, left) = if n == 0 { (2, 0) } else { (0, 2) };
        assert_eq!((&people["created"], &people["left"]), (&created.into(), &left.into()), "{encoding}");
        let reply = post(&server, &key, "/v1/imports", "text/csv", encoding, &[&bytes[..], b"garbage"].concat());
        assert_eq!(reply.status, 400, "{encoding}: {reply:?}");
    }
    let reply = post(&server, &key, "/v1/imports", "text/csv", "br", b"email\nc@x.example\n");
    assert_eq!((reply.status, reply.header("accept-encoding")), (415, Some("gzip, deflate")), "{reply:?}");
    // URLs in an LDIF file are not opened: opening this pipe would block.
    let pipe = server.data_dir().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("run").success());
    let entry = format!("dn: uid=z,dc=x\nobjectClass: person\nuid: z\nsn: Z\njpegPhoto:< file://{}\n", pipe.display());
    let reply = post(&server, &key, "/v1/imports", "text/ldif", "", entry.as_bytes());
    let id = serde_json::from_str::<serde_json::Value>(&reply.body).expect("JSON")["id"].clone();
    let bearer = format!("Bearer {key}");
    let target = format!("/v1/imports/{}", id.as_str().expect("an id"));
    wait_until("the import to end", || {
        let reply = send(&server.address, "GET", &target, &[("Authorization", &bearer)], &[]);
        let state: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
        let ignored = &state["report"]["ignored"][0];
        state["status"] == "done" && ignored["name"] == "jpegPhoto" && ignored["reason"] == "url"
    });
}

/// Sends a head and a body in parts until all is sent or the server stops reading, and only then reads the response, as
/// clients in Python and Node do.
fn send_body_before_reading(server: &Server, head: &str, size: usize) -> (String, bool) {
    let mut stream = TcpStream::connect(&server.address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    stream.write_all(head.as_bytes()).expect("sent");
    let part = vec![b' '; 64 * 1024];
    let is_sent = (0..size / part.len()).all(|_| stream.write_all(&part).is_ok());
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    (String::from_utf8_lossy(&answer).into_owned(), is_sent)
}

#[test]
fn oversized_bodies_get_413() {
    let server = Server::start(&[]);
    let (_, key) = server.create_tenant(&[]);
    let head = |authorization: &str, more: &str| {
        format!(
            "POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{authorization}{more}\r\n"
        )
    };
    let bearer = format!("Authorization: Bearer {key}\r\n");
    let size = 12 << 20;
    let length = format!("Content-Length: {size}\r\n");
    for round in 0..5 {
        let (answer, is_sent) = send_body_before_reading(&server, &head(&bearer, &length), size);
        assert!(is_sent && answer.starts_with("HTTP/1.1 413"), "{round}: {is_sent} {answer}");
        let (answer, is_sent) =
            send_body_before_reading(&server, &head("Authorization: Bearer nonsense\r\n", &length), size);
        assert!(is_sent && answer.starts_with("HTTP/1.1 401"), "{round}: {is_sent} {answer}");
    }
    // A client that sends `Expect: 100-continue` gets the error at once and sends no body.
    let begun = Instant::now();
    let (answer, _) =
        send_body_before_reading(&server, &head(&bearer, &format!("{length}Expect: 100-continue\r\n")), 0);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(4), "the server waited for the body");
    // The server stops reading after a limit.
    let endless = 64 << 20;
    let (_, is_sent) =
        send_body_before_reading(&server, &head(&bearer, &format!("Content-Length: {endless}\r\n")), endless);
    assert!(!is_sent, "the server read more than 16 MiB and the socket buffers");
}

#[test]
fn forms_accept_repeated_and_indexed_lists_and_ccs_accepts_user_put() {
    let server = Server::start(&[]);
    let (tenant, key) = server.create_tenant(&[]);
    let ask = |method: &str, target: &str, media: &str, body: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", media), ("Accept", "application/json")];
        send(&server.address, method, target, &headers, body.as_bytes())
    };
    for name in ["A", "B"] {
        let reply = ask("POST", "/scim/v2/Groups", "application/json", &format!(r#"{{"displayName":"{name}"}}"#));
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    let form = "application/x-www-form-urlencoded";
    for (n, groups) in
        ["Groups=A&Groups=B", "Groups[0]=A&Groups[1]=B", "Groups[0].Id=A&Groups[1].Id=B"].into_iter().enumerate()
    {
        let body = format!(
            "CompanyId={tenant}&IntegrationKey={key}&UseNames=true&Email=f{n}@x.example&Email=other@x.example&FirstName=F&LastName=L&{groups}"
        );
        let reply = ask("POST", "/api/v2/user?format=json", form, &body);
        assert_eq!(reply.status, 200, "{groups}: {reply:?}");
        let found = ask("GET", &format!("/scim/v2/Users?filter=userName%20eq%20%22f{n}@x.example%22"), form, "");
        let found: serde_json::Value = serde_json::from_str(&found.body).expect("JSON");
        assert_eq!(found["Resources"][0]["groups"].as_array().map(Vec::len), Some(2), "{groups}: {found}");
    }
    let space = "http://schemas.datacontract.org/2004/07/CCSCommercialAPI.Models.Users";
    let body = |root: &str| {
        format!(
            "<{root} xmlns=\"{space}\"><Email>put@x.example</Email><FirstName>F</FirstName><LastName>L</LastName><RoleId>1</RoleId><Title>Prof</Title></{root}>"
        )
    };
    let reply = ask("PUT", "/request/user/1", "application/xml", &body("UserPut"));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(ask("PUT", "/request/user/1", "application/xml", &body("UserPost")).status, 200);
    assert_eq!(ask("POST", "/request/user", "application/xml", &body("UserPut")).status, 400);
    assert_eq!(ask("PUT", "/request/user/1", "application/xml", &body("Other")).status, 400);
}
