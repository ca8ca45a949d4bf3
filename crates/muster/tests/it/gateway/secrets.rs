//! A target that sends back what it got does not bring credentials or passwords into the log, the store or an answer.

use super::raw_target::{RawTarget, respond};
use super::support::wait_for;
use crate::secret_leaks::store_bytes;
use crate::secrets_key::secrets_key;
use crate::support::{MUSTER, Server, TestStore, run_json, send};
use serde_json::json;
use std::process::Command;

/// As long as a token, so that an error text ends within it, with the user's name in it.
const CREDENTIAL: &str = concat!(
    "target-credential/0123456789+abcdef-ann-0123456789012345678901234567890123456789012345678901234567890123456789",
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
);
/// A part of it that nothing else contains.
const PART: &str = "target-credential";
const PASSWORD: &str = "pa55word-of-ann";

/// Rejects every request with all of it in the message, and in a header.
fn start_echo() -> RawTarget {
    RawTarget::start(|request, stream| {
        let text: String = request.to_lowercase().chars().filter(|it| !it.is_control()).collect();
        let message = format!("{CREDENTIAL} {text}");
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "400", "detail": message,
            "ResponseStatus": {"ErrorCode": "Rejected", "Message": message},
        });
        let head = format!("400 Bad Request\r\nContent-Type: application/json\r\nX-Request-Id: {CREDENTIAL}");
        respond(stream, &head, body.to_string().as_bytes())
    })
}

#[test]
fn an_echoed_credential_is_not_shown_or_stored() {
    let mut server = Server::start(&["--log-level", "debug", "--log-format", "json"]);
    server.run_json(&["tenant", "add", "Acme"]);
    let key = server.create_connection(1, "hr", &[]);
    let key_file = server.data_dir().join("target-key");
    std::fs::write(&key_file, CREDENTIAL).expect("written");
    let key_file = key_file.to_str().expect("text").to_owned();
    let mut shown = String::new();
    for dialect in ["scim", "onfire", "onfire-v1"] {
        let address = start_echo().address;
        let url = format!("http://{address}/");
        let add = ["target", "add", dialect, "--tenant", "1", "--dialect", dialect, "--url", &url];
        let company: &[&str] = if dialect == "scim" { &[] } else { &["--company", "1"] };
        let key = ["--key-file", key_file.as_str(), "--dial-allow", &address];
        shown += &run_json(server.store(), &[&add[..], &key, company].concat()).to_string();
    }
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/scim+json")];
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ann@example.com", "active": true,
        "name": {"givenName": "Ann", "familyName": "Lee"}, "emails": [{"value": "ann@example.com"}],
        "password": PASSWORD,
    });
    let made = send(&server.address, "POST", "/scim/v2/Users", &headers, user.to_string().as_bytes());
    assert_eq!(made.status, 201, "{}", made.body);
    for dialect in ["scim", "onfire", "onfire-v1"] {
        wait_for("a rejected user", || {
            let status = run_json(server.store(), &["target", "status", dialect, "--tenant", "1"]);
            let is_rejected = status["failed"].as_object().is_some_and(|failed| !failed.is_empty());
            if is_rejected { Ok(()) } else { Err(status) }
        });
        for command in ["status", "show", "issues", "test"] {
            let arguments = ["--json", "target", command, dialect, "--tenant", "1"];
            shown += &output(server.store(), &arguments);
            shown += &output(server.store(), &arguments[1..]);
        }
    }
    shown += &output(server.store(), &["push", "--tenant", "1", "ann@example.com"]);
    shown += &send(&server.admin, "GET", "/metrics", &[], b"").body;
    assert!(shown.contains("400"), "the answers of targets are shown: {shown}");
    assert!(server.stop());
    let log = server.log();
    let store = store_bytes(server.store());
    // What a backup contains, which is compressed.
    let backup = server.data_dir().join("backup.muster").display().to_string();
    shown += &output(server.store(), &["backup", &backup]);
    let restored = TestStore::restored_from(&backup);
    let in_backup = store_bytes(&restored.store);
    assert!(in_backup.windows(4).any(|window| window == b"scim"), "the backup has the targets");
    for secret in [CREDENTIAL, PART, PASSWORD, &form_encoded(CREDENTIAL)] {
        assert!(!shown.contains(secret), "shown: {secret} in {shown}");
        assert!(!log.contains(secret), "in the log: {secret}");
        let bytes = secret.as_bytes();
        for (place, content) in [("store", &store), ("backup", &in_backup)] {
            assert!(!content.windows(bytes.len()).any(|window| window == bytes), "in the {place}: {secret}");
        }
    }
}

/// Everything that a command writes.
fn output(store: &str, arguments: &[&str]) -> String {
    let command = Command::new(MUSTER).args(["--store", store]).args(arguments).envs([secrets_key()]).output();
    let output = command.expect("ran");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn form_encoded(text: &str) -> String {
    text.replace('/', "%2F").replace('+', "%2B")
}
