//! Every failure writes one log line and increments one metric, with the reason and without user data.

use crate::support::{Server, send};
use serde_json::Value;
use testkit::waiting::{wait_for, wait_until};

/// The log lines of responses with this status.
fn answered_lines(server: &Server, status: u64) -> Vec<Value> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "request completed" && line["status"] == status).collect()
}

#[test]
fn rejection_reasons_are_logged_but_not_returned() {
    let server = Server::start(&["--log-format", "json", "--invalid-keys-per-minute", "100000"]);
    let (tenant, live) = server.create_tenant(&[]);
    let scim_only = server.create_connection(tenant, "scim only", &["--dialect", "scim"]);
    let reader = server.create_connection(tenant, "reader", &["--read-only"]);
    let expired = server.create_connection(tenant, "expired", &["--expires", "1s"]);
    let revoked = server.create_connection(tenant, "revoked", &[]);
    server.run_json(&["connection", "revoke", "revoked", "--tenant", &tenant.to_string()]);
    let ask = |method: &str, key: &str| {
        let bearer = format!("Bearer {key}");
        let headers: &[(&str, &str)] =
            if key.is_empty() { &[] } else { &[("Authorization", &bearer), ("Content-Type", "application/json")] };
        let target = if method == "GET" { "/request/role" } else { "/request/user" };
        send(&server.address, method, target, headers, if method == "GET" { b"" } else { b"{}" })
    };
    wait_until("the key to expire", || ask("GET", &expired).status == 401);
    wait_until("the key to be revoked", || ask("GET", &revoked).status == 401);
    let mut answers = Vec::new();
    for (method, key, reason, is_known) in [
        ("GET", "", "no_key", false),
        ("GET", "0123456789abcdef0123456789abcdef", "unknown_key", false),
        ("GET", expired.as_str(), "expired", true),
        ("GET", &revoked, "revoked", true),
        ("GET", &scim_only, "wrong_dialect", true),
        ("POST", &reader, "read_only", true),
    ] {
        let before = answered_lines(&server, 401).len();
        let reply = ask(method, key);
        assert_eq!(reply.status, 401, "{reason}: {}", reply.body);
        answers.push((reason, reply.body));
        let line = wait_for("the line", || answered_lines(&server, 401).get(before).cloned());
        assert_eq!(line["reason"], reason, "{line}");
        let number = if is_known { tenant.into() } else { Value::Null };
        assert_eq!(line["tenant"], number, "{reason}: {line}");
        assert_eq!(answered_lines(&server, 401).len(), before + 1, "one line");
    }
    // The response does not depend on why the key is invalid.
    let said = |reason: &str| &answers.iter().find(|(other, _)| *other == reason).expect("answered").1;
    for reason in ["expired", "revoked"] {
        assert_eq!(said(reason), said("unknown_key"), "{reason}");
    }
    let bearer = format!("Bearer {live}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let new = b"{\"firstName\":\"Secretname\",\"email\":\"no address\",\"roleId\":99}";
    assert_eq!(send(&server.address, "POST", "/request/user", &headers, new).status, 400);
    let line = wait_for("the line", || answered_lines(&server, 400).first().cloned());
    assert_eq!((&line["reason"], &line["tenant"]), (&"invalid".into(), &tenant.into()), "{line}");
    assert!(line["broken_rules"].as_str().is_some_and(|rules| rules.contains("Malformed")), "{line}");
    let asking = server.create_connection(tenant, "asking", &["--dialect", "sign-in"]);
    let bearer = format!("Bearer {asking}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let guess = b"{\"user\":\"ann@example.com\",\"password\":\"Secretname\"}";
    assert_eq!(send(&server.address, "POST", "/v1/sign-in", &headers, guess).status, 401);
    let metrics = send(&server.admin, "GET", "/metrics", &[], b"").body;
    for reason in ["no_key", "unknown_key", "expired", "revoked", "wrong_dialect", "read_only", "invalid"] {
        let label = format!("muster_rejected_total{{dialect=\"ccs\",reason=\"{reason}\"}}");
        assert!(metrics.contains(&label), "{label}: {metrics}");
    }
    assert!(metrics.contains("muster_rejected_total{dialect=\"sign-in\",reason=\"sign_in_failed\"} 1"), "{metrics}");
    assert!(!server.log().contains("Secretname") && !metrics.contains("Secretname"));
}
