//! Failed sign-ins, invalid keys, rejected requests, exports and downloads are counted, within limits and without what
//! was typed.

use crate::support::{Server, TestApp, runtime, send};
use directory::{Caller, SecurityEvent, SecurityKind, TenantNumber, Time};
use serde_json::{Value, json};
use testkit::waiting::wait_for;

fn event(tenant: TenantNumber, source: &str) -> SecurityEvent {
    SecurityEvent { tenant, kind: SecurityKind::SignIn, source: source.into(), reason: "test".into(), user: None }
}

#[test]
fn failures_are_counted_by_minute_and_shown() {
    let server = Server::start(&[]);
    let (tenant, _) = server.create_tenant(&[]);
    let sign_in_key = server.create_connection(tenant, "portal", &["--dialect", "sign-in"]);
    let read_key = server.create_connection(tenant, "reader", &["--read-only"]);
    let files_key = server.create_connection(tenant, "files", &["--dialect", "transfer"]);
    server.run_json(&["user", "list", "--tenant", &tenant.to_string()]);
    let request = |key: &str, method: &str, target: &str, body: &Value| {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&server.address, method, target, &headers, body.as_bytes()).status
    };
    let secret_typed_as_login = "My$PassPhrase";
    for _ in 0..3 {
        let body = json!({"user": secret_typed_as_login, "password": "wrong password"});
        assert_eq!(request(&sign_in_key, "POST", "/v1/sign-in", &body), 401);
        assert_eq!(request("0123456789abcdef0123456789abcdef", "GET", "/scim/v2/Users", &Value::Null), 401);
        assert_eq!(request(&read_key, "POST", "/scim/v2/Users", &json!({"userName": "a@example.com"})), 403);
    }
    assert_eq!(request(&files_key, "GET", "/v1/exports/people.csv", &Value::Null), 200);
    let shown = |tenant: u64| server.run_json(&["audit", "failures", "--tenant", &tenant.to_string()]);
    let count = |shown: &Value, kind: &str| -> u64 {
        let records = shown.as_array().expect("a list").iter().filter(|record| record["kind"] == kind);
        records.filter_map(|record| record["count"].as_u64()).sum()
    };
    let of_tenant = wait_for("the records", || {
        let shown = shown(tenant);
        (count(&shown, "export") == 1 && count(&shown, "rejected") == 3).then_some(shown)
    });
    assert_eq!((count(&of_tenant, "sign-in"), count(&of_tenant, "invalid-key")), (3, 0), "{of_tenant}");
    assert_eq!(count(&shown(0), "invalid-key"), 3);
    let by_source = |kind: &str| {
        let records = of_tenant.as_array().expect("a list").iter();
        records.filter(|record| record["kind"] == kind).map(|record| record["source"].clone()).collect::<Vec<_>>()
    };
    assert!(by_source("rejected").iter().all(|source| source == "reader"), "{of_tenant}");
    assert!(by_source("export").iter().all(|source| source == "files"), "{of_tenant}");
    assert!(!of_tenant.to_string().contains(secret_typed_as_login), "{of_tenant}");
    let filtered = server.run_json(&["audit", "failures", "--tenant", &tenant.to_string(), "--kind", "export"]);
    assert_eq!(filtered.as_array().map(Vec::len), Some(1), "{filtered}");
    let history = server.run_json(&["audit", "show", "--tenant", &tenant.to_string()]);
    assert!(!history.to_string().contains("invalid-credentials"), "records are not part of the history");
}

#[test]
fn a_tenant_has_at_most_ten_thousand_rows_a_day_and_thirty_days() {
    const MAX: usize = 10_000;
    runtime().block_on(async {
        let test_app = TestApp::with_manual_clock();
        let (one, two) = (test_app.create_tenant("One").await, test_app.create_tenant("Two").await);
        let directory = test_app.directory();
        let records = async |caller: &Caller| directory.security_records(caller, Time(0), None).await.expect("read");
        for n in 0..6_000 {
            directory.record_security_event(event(one.tenant, &format!("10.0.{}.{}", n / 250, n % 250)));
        }
        directory.flush_security_log().await.expect("stored");
        assert_eq!(records(&one).await.len(), 6_000);
        for n in 0..6_000 {
            directory.record_security_event(event(one.tenant, &format!("10.1.{}.{}", n / 250, n % 250)));
        }
        directory.record_security_event(event(two.tenant, "192.0.2.1"));
        directory.record_security_event(event(two.tenant, "192.0.2.1"));
        directory.flush_security_log().await.expect("stored");
        let all = records(&one).await;
        assert_eq!(all.len(), MAX + 1, "and one for the others");
        assert_eq!(all.iter().map(|record| u64::from(record.count)).sum::<u64>(), 12_000, "none is lost");
        let other = records(&two).await;
        assert_eq!(other.iter().map(|record| record.count).collect::<Vec<_>>(), [2], "another tenant is not affected");
        directory.delete_old_security_records(30).await.expect("deleted");
        assert_eq!(records(&one).await.len(), MAX + 1);
        test_app.advance_clock(31 * 24 * 3600);
        directory.record_security_event(event(two.tenant, "192.0.2.2"));
        directory.flush_security_log().await.expect("stored");
        directory.delete_old_security_records(30).await.expect("deleted");
        assert_eq!((records(&one).await.len(), records(&two).await.len()), (0, 1));
    });
}
