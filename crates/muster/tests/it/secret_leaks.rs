//! No secret that a client sends appears in logs, events, metrics, responses or the store.

use crate::support::{Server, is_on_postgres, send};

/// Every event, as text.
fn events(store: &str) -> String {
    let all = "coalesce(before, '') || coalesce(after, '') || who || request, '|') FROM events";
    if is_on_postgres() {
        return testkit::postgres::query(store, &format!("SELECT string_agg({all}"));
    }
    let db = rusqlite::Connection::open(store).expect("opened");
    db.query_row(&format!("SELECT group_concat({all}"), [], |row| row.get(0)).expect("events")
}

/// Everything that is stored, as bytes.
pub(crate) fn store_bytes(store: &str) -> Vec<u8> {
    if !is_on_postgres() {
        return std::fs::read(store).expect("read");
    }
    let dump = std::process::Command::new("pg_dump").arg(store).output().expect("pg_dump");
    assert!(dump.status.success() && dump.stdout.len() > 1000, "{}", String::from_utf8_lossy(&dump.stderr));
    dump.stdout
}

#[test]
#[expect(clippy::too_many_lines, reason = "one sequence of steps")]
fn secrets_never_leak() {
    let mut server =
        Server::start(&["--log-level", "debug", "--log-format", "json", "--invalid-keys-per-minute", "100000"]);
    let (tenant, key) = server.create_tenant(&[]);
    let rotated = server.run_json(&["connection", "rotate", "main", "--tenant", &tenant.to_string()])["key"]
        .as_str()
        .expect("a key")
        .to_owned();
    let id = server.run_json(&["connection", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={key}");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let given = send(&server.address, "POST", "/oauth2/token", &kind, form.as_bytes()).body;
    let given: serde_json::Value = serde_json::from_str(&given).expect("a token");
    let token = given["access_token"].as_str().expect("a token").to_owned();
    let secrets = [
        key.as_str(),
        rotated.as_str(),
        "pa55word-one",
        "pa55word-two",
        "pa55word-three",
        "pa55word-four",
        "pa55word-five",
        "pa55word-six",
        token.as_str(),
        "guessed-key-0001",
    ];
    let mut answers = String::new();
    let mut ask = |method: &str, target: &str, headers: &[(&str, &str)], body: &str| {
        let reply = send(&server.address, method, target, headers, body.as_bytes());
        answers.push_str(&reply.head);
        answers.push_str(&reply.body);
        reply.status
    };
    let json = ("Content-Type", "application/json");
    let xml = ("Content-Type", "application/xml");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let bearer = format!("Bearer {key}");
    let auth = ("Authorization", bearer.as_str());
    let bad = ("Authorization", "Bearer guessed-key-0001");
    let user = |email: &str, password: &str| {
        format!(
            "{{\"CompanyId\":{tenant},\"IntegrationKey\":\"{rotated}\",\"Email\":\"{email}\",\"FirstName\":\"A\",\"LastName\":\"B\",\"Password\":\"{password}\"}}"
        )
    };
    assert_eq!(ask("POST", "/api/v2/user", &[json], &user("a@x.y", "pa55word-one")), 200);
    assert_eq!(ask("POST", "/api/v2/user", &[json], &user("a@x.y", "pa55word-two")), 400);
    assert_eq!(ask("PUT", "/api/v2/user", &[json], &user("a@x.y", "pa55word-two")), 200);
    let query = format!("/api/v2/user?CompanyId={tenant}&IntegrationKey={key}&Email=a@x.y&Password=pa55word-three");
    assert_eq!(ask("GET", &query, &[], ""), 200);
    assert_eq!(
        ask("DELETE", &format!("/api/v2/user?CompanyId={tenant}&IntegrationKey=guessed-key-0001&Id=x"), &[], ""),
        401
    );
    assert_eq!(ask("POST", &query, &[xml], "<User><Password>pa55word-three</Password><broken"), 400);
    assert_eq!(ask("POST", &query, &[json], "{\"Password\":\"pa55word-three\",\"Email\":5"), 400);
    assert_eq!(
        ask(
            "POST",
            "/request/user",
            &[auth, json],
            "{\"email\":\"b@x.y\",\"firstName\":\"B\",\"roleId\":1,\"password\":\"pa55word-four\"}"
        ),
        200
    );
    assert_eq!(ask("POST", "/request/user", &[auth, form], "password=pa55word-four&roleId=pa55word"), 400);
    assert_eq!(
        ask(
            "PUT",
            "/request/user/2",
            &[auth, json],
            "{\"email\":\"b@x.y\",\"firstName\":\"B\",\"roleId\":\"x\",\"password\":\"pa55word-four\"}"
        ),
        400
    );
    assert_eq!(ask("GET", "/request/user", &[bad], ""), 401);
    assert_eq!(ask("GET", &format!("/nowhere?IntegrationKey={key}"), &[auth], ""), 404);
    assert_eq!(ask("GET", "/api/2/users?search=a", &[auth], ""), 200);
    assert_eq!(ask("PATCH", "/api/2/users", &[auth], "pa55word-four"), 405);
    let bearer = format!("Bearer {token}");
    let auth = ("Authorization", bearer.as_str());
    let made = "{\"userName\":\"c@x.y\",\"password\":\"pa55word-five\"}";
    assert_eq!(ask("POST", "/scim/v2/Users", &[auth, json], made), 201);
    assert_eq!(ask("POST", "/scim/v2/Users", &[auth, json], made), 409);
    let changed = "{\"Operations\":[{\"op\":\"replace\",\"path\":\"password\",\"value\":\"pa55word-six\"}]}";
    assert_eq!(ask("PATCH", &format!("/scim/v2/Users/{id}"), &[auth, json], changed), 404);
    let bad = "{\"Operations\":[{\"op\":\"add\",\"value\":{\"password\":{\"pa55word-six\":\"pa55word-six\"}}}]}";
    assert_eq!(ask("PATCH", &format!("/scim/v2/Users/{id}"), &[auth, json], bad), 404);
    let bulk = "{\"Operations\":[{\"method\":\"POST\",\"path\":\"/Users\",\"bulkId\":\"a\",\"data\":{\"userName\":\"d@x.y\",\"password\":\"pa55word-six\",\"active\":\"pa55word\"}}]}";
    assert_eq!(ask("POST", "/scim/v2/Bulk", &[auth, json], bulk), 200);
    let filter = "/scim/v2/Users?filter=password%20eq%20%22pa55word-six%22";
    assert_eq!(ask("GET", filter, &[auth], ""), 400);
    let form = format!("grant_type=client_credentials&client_id=x&client_secret={key}");
    assert_eq!(ask("POST", "/oauth2/token", &kind, &form), 401);
    assert_eq!(ask("GET", "/metrics", &[], ""), 404);
    answers.push_str(&send(&server.admin, "GET", "/metrics", &[], b"").body);
    assert!(answers.contains("muster_requests_total"));
    let events = events(server.store());
    assert!(events.contains("a@x.y"));
    assert!(server.stop());
    // The log is complete after the server has stopped.
    let log = server.log();
    assert!(log.lines().filter(|line| line.contains("\"request\"")).count() > 10, "requests are not logged: {log}");
    let store = store_bytes(server.store());
    for secret in secrets {
        for (place, text) in [("an answer", &answers), ("the log", &log), ("an event", &events)] {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
        let bytes = secret.as_bytes();
        assert!(!store.windows(bytes.len()).any(|window| window == bytes), "{secret} is in the store");
    }
    // Password hashes appear only in their column.
    for place in [&answers, &log, &events] {
        assert!(!place.contains("argon2"));
    }
}
