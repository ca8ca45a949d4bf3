//! Targets that attack: with answers that never end or expand, with redirects, with other servers' certificates, and with
//! values that would leave their place in a request.

use super::raw_target::{RawTarget, respond};
use super::record::create_user;
use super::support::{Simulator, add_target, scim, server, status, wait_for, wait_until_linked};
use crate::support::{Server, TestStore, run_json, run_output};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

const MIB: u64 = 1024 * 1024;

/// An empty list, so that users are created.
fn is_list(request: &str) -> bool {
    request.starts_with("GET")
}

fn empty_list(stream: &mut TcpStream) -> std::io::Result<()> {
    let body = json!({"totalResults": 0, "Resources": []}).to_string();
    respond(stream, "200 OK\r\nContent-Type: application/scim+json", body.as_bytes())
}

/// A target that answers all but searches with `attack`.
fn attacker(attack: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> RawTarget {
    RawTarget::start(move |request, stream| if is_list(request) { empty_list(stream) } else { attack(stream) })
}

/// Writes `head`, and `part` until the client closes the connection.
fn endless(head: &'static str, part: &'static str) -> RawTarget {
    attacker(move |stream| {
        stream.write_all(head.as_bytes())?;
        loop {
            stream.write_all(part.as_bytes())?;
        }
    })
}

fn resident_bytes(server: &Server) -> u64 {
    let path = format!("/proc/{}/status", server.pid());
    let text = std::fs::read_to_string(path).expect("readable");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().split(' ').next().and_then(|text| text.parse::<u64>().ok()).expect("a number") * 1024
}

#[test]
fn hostile_answers_link_nobody_and_take_no_memory() {
    // 256 MiB of spaces in 256 KiB.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..256 * 256 {
        bomb.write_all(&[b' '; 4096]).expect("compressed");
    }
    let bomb = Arc::new(bomb.finish().expect("compressed"));
    let other = RawTarget::start(|_, stream| respond(stream, "200 OK", b"{}"));
    let location = format!("307 Temporary Redirect\r\nLocation: http://{}/Users", other.address);
    let attackers = [
        ("endless-body", endless("HTTP/1.1 201 Created\r\nContent-Length: 999999999999\r\n\r\n", "{\"a\": 1,")),
        ("endless-chunks", endless("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\naaaa\r\n")),
        ("endless-head", endless("HTTP/1.1 201 Created\r\n", "X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")),
        ("endless-line", endless("HTTP/1.1 201 Created\r\nX-Long: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
        ("bomb", {
            attacker(move |stream| {
                let head = "201 Created\r\nContent-Type: application/scim+json\r\nContent-Encoding: gzip";
                respond(stream, head, &bomb)
            })
        }),
        ("redirect", attacker(move |stream| respond(stream, &location, b""))),
        ("nesting", {
            let body = "[".repeat(200_000);
            attacker(move |stream| respond(stream, "201 Created\r\nContent-Type: application/json", body.as_bytes()))
        }),
        ("login-page", {
            attacker(|stream| {
                respond(stream, "200 OK\r\nContent-Type: text/html", b"<html><form>Sign in</form></html>")
            })
        }),
        ("split-id", {
            let body = json!({"id": "1\r\nX-Evil: 1", "externalId": "x", "userName": "ann@example.com"}).to_string();
            attacker(move |stream| respond(stream, "201 Created\r\nContent-Type: application/json", body.as_bytes()))
        }),
        ("silence", {
            attacker(|stream| {
                let mut rest = [0; 1];
                // Until the client closes the connection.
                std::io::Read::read(stream, &mut rest).map(drop)
            })
        }),
    ];
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let honest = Simulator::start("scim", "");
    honest.add_to(server.store(), "honest", &[]);
    create_user(&server.address, &key, "first@example.com");
    wait_until_linked(server.store(), "honest", 1);
    // The peak so far.
    let before = resident_bytes(&server);
    for (name, attacker) in &attackers {
        let url = format!("http://{}/", attacker.address);
        add_target(&server, name, "scim", &url, "credential-of-the-target", &["--timeout", "2"]);
    }
    create_user(&server.address, &key, "ann@example.com");
    for (name, attacker) in &attackers {
        wait_for(&format!("an attempt of {name}"), || {
            let shown = run_json(server.store(), &["explain", "ann@example.com", name, "--tenant", "1"]);
            let attempts = shown["attempts"].as_array().cloned().unwrap_or_default();
            let was_tried = attempts.iter().any(|attempt| attempt["action"] == "create");
            // Whether there is an account is not known.
            if was_tried && shown["state"] == "creating" { Ok(()) } else { Err(shown) }
        });
        let found = status(server.store(), name);
        assert_eq!(found["linked"], 0, "{name}: {found}");
        assert!(attacker.requests().iter().all(|request| !request.contains("X-Evil")), "{name}");
    }
    // Neither the request nor the credential went to another server.
    assert_eq!(other.requests(), Vec::<String>::new());
    let grown = resident_bytes(&server).saturating_sub(before) / MIB;
    assert!(grown < 96, "the answers took {grown} MiB");
    // The attackers do not keep the other target from its changes.
    create_user(&server.address, &key, "last@example.com");
    wait_until_linked(server.store(), "honest", 3);
}

/// A server over TLS as the target of another one: with the right root certificate, without it, and under another name.
#[test]
fn certificates_of_targets_are_checked() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let store = TestStore::new();
    let (certificate, private_key) = (store.folder.path().join("cert.pem"), store.folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&private_key, made.signing_key.serialize_pem()).expect("written");
    let path = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let (certificate, private_key) = (path(&certificate), path(&private_key));
    let downstream =
        Server::start_on(store, &["--tls-cert", &certificate, "--tls-key", &private_key, "--log-level", "error"]);
    downstream.run_json(&["tenant", "add", "Downstream"]);
    let credential = downstream.create_connection(1, "muster", &[]);
    let server = server();
    let port = downstream.address.rsplit_once(':').expect("a port").1.to_owned();
    let add = |name: &str, host: &str, flags: &[&str]| {
        add_target(&server, name, "scim", &format!("https://{host}:{port}/scim/v2"), &credential, flags);
        run_output(server.store(), &["target", "test", name, "--tenant", "1"])
    };
    let trusted = add("trusted", "localhost", &["--ca-file", &certificate]);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stdout));
    for (name, host, flags) in
        [("untrusted", "localhost", vec![]), ("other-name", "127.0.0.1", vec!["--ca-file", certificate.as_str()])]
    {
        let tested = add(name, host, &flags);
        let text = String::from_utf8_lossy(&tested.stdout).to_lowercase();
        assert!(!tested.status.success() && text.contains("certificate"), "{name}: {text}");
    }
    let key = server.create_connection(1, "hr", &[]);
    create_user(&server.address, &key, "ann@example.com");
    wait_until_linked(server.store(), "trusted", 1);
    let users = run_json(downstream.store(), &["user", "list", "--tenant", "1"]);
    assert_eq!(users["total"], 1, "{users}");
}

/// Values that would leave their place in a URL, header or body of the target.
#[test]
fn hostile_values_arrive_as_they_are() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulators = [("scim", Simulator::start("scim", "")), ("onfire", Simulator::start("onfire", ""))];
    for (name, simulator) in &simulators {
        simulator.add_to(server.store(), name, &[]);
    }
    let values =
        ["a\" or \"1\" eq \"1", "../../Users/1", "</LastName><Id>1</Id>", "a&IntegrationKey=x", "%0d%0aX-Evil: 1"];
    let mut ids = Vec::new();
    for (number, value) in values.iter().enumerate() {
        let email = format!("u{number}@example.com");
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": email,
            "name": {"givenName": "Ann", "familyName": value}, "emails": [{"value": email}],
        });
        let made = scim(&server, &key, "POST", "/scim/v2/Users", &user);
        ids.push(made["id"].as_str().expect("an id").to_owned());
    }
    for (name, simulator) in &simulators {
        wait_until_linked(server.store(), name, values.len() as u64);
        for (id, value) in ids.iter().zip(values) {
            let account = simulator.account_of(id).expect("an account");
            let fields = &account["fields"];
            let shown = if *name == "scim" { &fields["name"]["familyName"] } else { &fields["LastName"] };
            assert_eq!(shown, value, "{name}: {account}");
        }
    }
}
