//! Stores and backups of Muster 0.1.0 (`tests/data/0.1.0`) can be opened, are complete, and still work.
//!
//! Links, tokens and cursors expire, so the clock is set to the time when the stores were created.

use crate::accounts::{HttpTarget, InProcessServer, PageClient, assert_page, assert_password_set};
use crate::support::{HttpResponse, MUSTER, TestApp, TestStore, is_on_postgres, repo_root};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A password that every policy accepts.
const NEW_PASSWORD: &str = "drei blaue boote am kai";

fn data_path(name: &str) -> PathBuf {
    repo_root().join("crates/muster/tests/data/0.1.0").join(name)
}

/// Facts about the store of an engine.
fn facts(engine: &str) -> Value {
    let text = std::fs::read_to_string(data_path("facts.json")).expect("the facts");
    let mut facts: Value = serde_json::from_str(&text).expect("JSON");
    facts["stores"][engine].take()
}

/// A copy of the store that 0.1.0 created on the engine under test, and its facts.
fn first_store() -> (TestStore, Value) {
    let place = TestStore::without_tables();
    if is_on_postgres() {
        testkit::postgres::load_dump(&place.store, &data_path("postgres.sql"));
        return (place, facts("postgres"));
    }
    let compressed = std::fs::read(data_path("muster.db.zst")).expect("the store");
    std::fs::write(&place.store, zstd::decode_all(&compressed[..]).expect("decompressed")).expect("written");
    (place, facts("sqlite"))
}

/// A backup of 0.1.0, restored on the engine under test, and its facts.
fn restored(backup: &Path, engine: &str) -> (TestStore, Value) {
    let place = TestStore::new();
    let facts = facts(engine);
    let said = run_json(&place.store, &["restore", backup.to_str().expect("text")]);
    assert_counts(&said, &facts);
    (place, facts)
}

/// Runs a command that must succeed; returns its JSON output.
fn run_json(store: &str, arguments: &[&str]) -> Value {
    let output = Command::new(MUSTER).args(["--json", "--store", store]).args(arguments).output().expect("ran");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).expect("JSON")
}

fn fact_list<'a>(facts: &'a Value, name: &str) -> &'a [Value] {
    facts[name].as_array().unwrap_or_else(|| panic!("{name}: no list"))
}

fn fact_text<'a>(fact: &'a Value, name: &str) -> &'a str {
    fact[name].as_str().unwrap_or_else(|| panic!("{name}: no text in {fact}"))
}

fn key<'a>(facts: &'a Value, tenant: &Value, name: &str) -> &'a str {
    let connections = fact_list(facts, "connections");
    let found = connections.iter().find(|fact| fact["tenant"] == *tenant && fact["name"] == name);
    found.expect("a connection")["keys"][0].as_str().expect("a key")
}

fn get(home: &InProcessServer, target: &str, key: &str) -> HttpResponse {
    home.send_request("GET", target, &[("authorization", &format!("Bearer {key}"))], "")
}

fn document(reply: &HttpResponse) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.body))
}

/// The status of a request to the sign-in API.
fn sign_in(home: &InProcessServer, facts: &Value, tenant: &Value, user: &str, password: &str) -> u16 {
    let bearer = format!("Bearer {}", key(facts, tenant, "asking"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    home.send_request("POST", "/v1/sign-in", &headers, &json!({"user": user, "password": password}).to_string()).status
}

/// Starts a server in process at the time when the store was created. Due mails are written to a folder.
fn open_at_original_time(place: TestStore, facts: &Value) -> InProcessServer {
    let face = server::PublicConfig {
        imports_dir: Some(place.folder.path().join("imports")),
        ..server::PublicConfig::default()
    };
    let test_app = TestApp::on_store(place, face);
    test_app.set_clock(facts["made"].as_i64().expect("a time"));
    InProcessServer::on_app(test_app)
}

/// Checks the counts that a backup reports for each tenant.
fn assert_counts(said: &Value, facts: &Value) {
    for fact in fact_list(facts, "tenants") {
        let tenants = said["tenants"].as_array().expect("tenants");
        let found = tenants.iter().find(|tenant| tenant["tenant"] == fact["number"]).expect("a tenant");
        for (name, count) in fact["counts"].as_object().expect("counts") {
            assert_eq!(found[name], *count, "{name} of {}", fact["name"]);
        }
    }
}

/// Checks that commands return the same as 0.1.0 did. On another engine, the hash chain is computed anew.
fn assert_complete(store: &str, facts: &Value, is_same_engine: bool) {
    assert_eq!(run_json(store, &["tenant", "list"]).as_array().map(Vec::len), Some(fact_list(facts, "tenants").len()));
    let verified = run_json(store, &["audit", "verify"]);
    assert_eq!(verified["whole"], true, "{verified}");
    for (now, then) in fact_list(&verified, "tenants").iter().zip(fact_list(facts, "audit")) {
        assert_eq!((&now["tenant"], &now["events"]), (&then["tenant"], &then["events"]));
        if is_same_engine {
            assert_eq!(now, then);
            let (tenant, end) = (now["tenant"].to_string(), format!("{}:{}", then["last"], fact_text(then, "head")));
            let kept = run_json(store, &["audit", "verify", "--tenant", &tenant, "--expect", &end]);
            assert_eq!(kept["kept"], true, "{kept}");
        }
    }
    let check = run_json(store, &["check"]);
    assert_eq!(check["sound"], true, "{check}");
    assert_eq!(run_json(store, &["mail", "list", "--tenant", "1"]), facts["mails"]);
    let backup = tempfile::tempdir().expect("a folder");
    let made = run_json(store, &["backup", backup.path().join("again").to_str().expect("text")]);
    assert_counts(&made, facts);
}

/// Checks that data which later versions reject is listed: roles above the ceiling, equal identifiers, and identifiers
/// with invisible characters.
fn assert_violations_are_listed(store: &str, facts: &Value) {
    let check = run_json(store, &["check"]);
    let notes: Vec<&str> = fact_list(&check, "notes").iter().filter_map(Value::as_str).collect();
    let is_noted = |tenant: &Value, parts: &[&str]| {
        let tenant = format!("tenant {tenant}: ");
        notes.iter().any(|note| note.starts_with(&tenant) && parts.iter().all(|part| note.contains(part)))
    };
    let number = |tenant: &Value, name: &str| {
        let tenant = tenant.to_string();
        run_json(store, &["user", "show", name, "--tenant", &tenant])["number"].to_string()
    };
    let mut ceilings = 0;
    for fact in fact_list(facts, "above_ceiling") {
        // Two of them cannot be distinguished from users that an administrator has changed.
        if ["ceiling.promoted", "ceiling.above"].contains(&fact_text(fact, "userName")) {
            continue;
        }
        let user = format!("of user {} contains", number(&fact["tenant"], fact_text(fact, "userName")));
        assert!(is_noted(&fact["tenant"], &[&user]), "{fact}: {notes:#?}");
        ceilings += 1;
    }
    let (mut same, mut hidden) = (0, 0);
    for pair in fact_list(facts, "collisions") {
        let tenant = &pair["tenant"];
        let (first, second) = (fact_text(&pair["first"], "userName"), fact_text(&pair["second"], "userName"));
        let (first, second) = (number(tenant, first), number(tenant, second));
        assert_ne!(first, second, "{pair}: both still exist and are found by exact spelling");
        if is_noted(tenant, &[&format!("users {first} and {second} have the same")]) {
            same += 1;
        } else if is_noted(tenant, &[&format!("of user {second} has invisible")]) {
            hidden += 1;
        } else {
            let what = fact_text(pair, "what");
            assert!(["user name, private use", "external id, case"].contains(&what), "{pair}: {notes:#?}");
        }
    }
    assert_eq!((ceilings, same, hidden), (6, 12, 9), "{notes:#?}");
}

/// Checks that all users are unchanged and every connection works.
fn assert_served(home: &InProcessServer, facts: &Value) {
    for tenant in fact_list(facts, "tenants") {
        let reply = get(home, fact_text(facts, "users_request"), key(facts, &tenant["number"], "admin"));
        let users = document(&reply);
        let (users, wanted) = (fact_list(&users, "Resources"), fact_list(tenant, "users"));
        assert_eq!(users.len(), wanted.len(), "users of {}", tenant["name"]);
        for (user, wanted) in users.iter().zip(wanted) {
            assert_eq!(user, wanted);
        }
    }
    for connection in fact_list(facts, "connections") {
        let Some(target) = connection["request"].as_str() else { continue };
        let tenants = fact_list(facts, "tenants");
        let tenant = tenants.iter().find(|tenant| tenant["number"] == connection["tenant"]);
        let users = fact_list(tenant.expect("a tenant"), "users").len();
        for key in fact_list(connection, "keys") {
            let key = key.as_str().expect("a key");
            let reply = get(home, &target.replace("{key}", key), key);
            if connection["state"] != "live" {
                assert_eq!(reply.status, 401, "{connection}: {}", reply.body);
                continue;
            }
            assert_eq!(reply.status, 200, "{connection}: {}", reply.body);
            let count = match fact_text(connection, "count") {
                "lines" => reply.body.lines().count(),
                "length" => document(&reply).as_array().map_or(0, Vec::len),
                pointer => {
                    let count = document(&reply).pointer(pointer).and_then(Value::as_u64);
                    usize::try_from(count.expect("a count")).expect("few")
                }
            };
            assert_eq!(count, users, "{connection}: users");
        }
    }
}

/// An exact spelling finds its user even if another user now has the same identifier.
fn assert_exact_spelling_wins(home: &InProcessServer, facts: &Value) {
    let mut pairs = 0;
    for pair in fact_list(facts, "collisions") {
        let what = fact_text(pair, "what");
        if !what.starts_with("email") || what.contains("zero-width") {
            continue;
        }
        let id = |user: &Value| {
            let email = crate::scim_spec::percent_encode(fact_text(user, "userName"));
            let reply = get(home, &format!("/api/2/users/{email}"), key(facts, &pair["tenant"], "admin"));
            assert_eq!(reply.status, 200, "{pair}: {}", reply.body);
            (document(&reply)["user"]["id"].clone(), document(&reply)["user"]["email"].clone())
        };
        let (first, second) = (id(&pair["first"]), id(&pair["second"]));
        assert_eq!((&first.1, &second.1), (&pair["first"]["userName"], &pair["second"]["userName"]));
        assert_ne!(first.0, second.0, "{pair}");
        pairs += 1;
    }
    assert_eq!(pairs, 6);
}

/// Passwords work, including imported hashes of other systems, and sessions continue.
fn assert_sign_ins(home: &InProcessServer, facts: &Value) {
    for fact in fact_list(facts, "passwords") {
        let status = sign_in(home, facts, &fact["tenant"], fact_text(fact, "user"), fact_text(fact, "password"));
        assert_eq!(json!(status), fact["status"], "{fact}");
    }
    let session = &facts["session"];
    let mut visitor = PageClient::new(home);
    for (name, value) in session["cookies"].as_object().expect("cookies") {
        visitor.cookies.insert(name.clone(), value.as_str().expect("text").to_owned());
    }
    let page = visitor.get(fact_text(session, "path"));
    assert_page(&page, 200);
    assert!(page.body.contains(fact_text(session, "user")), "{}", page.body);
}

/// Cursors continue and tokens are accepted until they expire.
fn assert_short_lived(home: &InProcessServer, facts: &Value) {
    let (cursor, token) = (&facts["cursor"], fact_text(&facts["token"], "access_token"));
    let target = format!("{}{}", fact_text(cursor, "request"), fact_text(cursor, "cursor"));
    for key in [key(facts, &cursor["tenant"], fact_text(cursor, "connection")), token] {
        let page = document(&get(home, &target, key));
        let names: Vec<&Value> = fact_list(&page, "Resources").iter().map(|user| &user["userName"]).collect();
        assert_eq!(json!(names), cursor["next"], "{page}");
    }
    home.advance_clock(facts["token"]["seconds"].as_i64().expect("seconds"));
    assert_eq!(get(home, "/scim/v2/Users?count=1", token).status, 401);
    let late = get(home, &target, key(facts, &cursor["tenant"], fact_text(cursor, "connection")));
    assert_eq!((late.status, document(&late)["scimType"].as_str()), (400, Some("expiredCursor")));
}

/// The newest unused link of a user works once, and the user can then sign in.
fn assert_links(home: &InProcessServer, facts: &Value) {
    for link in fact_list(facts, "links") {
        let (path, user) = (fact_text(link, "path"), fact_text(link, "user"));
        if link["state"] == "unused" {
            assert_page(&PageClient::new(home).get(path), 200);
            assert_password_set(&PageClient::new(home).set_password(path, NEW_PASSWORD));
            assert_eq!(sign_in(home, facts, &link["tenant"], user, NEW_PASSWORD), 200, "{link}");
        }
        assert_page(&PageClient::new(home).get(path), 410);
    }
    // The waiting mail is sent now.
    let link = home.wait_for_link("waiting@example.com");
    assert_password_set(&PageClient::new(home).set_password(&link, NEW_PASSWORD));
    assert_eq!(sign_in(home, facts, &json!(1), "waiting@example.com", NEW_PASSWORD), 200);
}

/// A deleted user comes back when a client creates a user with the same external id.
fn assert_deleted_users_can_be_restored(home: &InProcessServer, facts: &Value) {
    let gone = &facts["revivable"];
    let bearer = format!("Bearer {}", key(facts, &json!(1), "admin"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/scim+json")];
    let body = json!({"userName": "revivable.again", "externalId": gone["externalId"]}).to_string();
    let reply = home.send_request("POST", "/scim/v2/Users", &headers, &body);
    assert_eq!((reply.status, &document(&reply)["id"]), (201, &gone["id"]), "{}", reply.body);
}

#[test]
fn a_0_1_0_store_is_complete() {
    let (place, facts) = first_store();
    assert_complete(&place.store, &facts, true);
    assert_violations_are_listed(&place.store, &facts);
}

#[test]
fn a_0_1_0_backup_can_be_restored() {
    let (place, facts) = restored(&data_path("plain.bak"), "sqlite");
    assert_complete(&place.store, &facts, !is_on_postgres());
    assert_violations_are_listed(&place.store, &facts);
    let home = open_at_original_time(place, &facts);
    assert_served(&home, &facts);
    assert_short_lived(&home, &facts);
}

#[test]
fn links_tokens_and_sessions_of_0_1_0_still_work() {
    let (place, facts) = first_store();
    let home = open_at_original_time(place, &facts);
    assert_served(&home, &facts);
    assert_exact_spelling_wins(&home, &facts);
    assert_sign_ins(&home, &facts);
    assert_links(&home, &facts);
    assert_short_lived(&home, &facts);
    assert_deleted_users_can_be_restored(&home, &facts);
    let verified = run_json(home.store(), &["audit", "verify"]);
    assert_eq!(verified["whole"], true, "new events continue the chain: {verified}");
}

/// An older process could not use an upgraded store, so the upgrade waits for its end. SQLite keeps the old file.
#[test]
fn a_store_in_use_is_not_upgraded() {
    let (place, _) = first_store();
    let upgrade = || Command::new(MUSTER).args(["--store", &place.store, "tenant", "list"]).output().expect("ran");
    let migrations = |store: &str| {
        if is_on_postgres() {
            return testkit::postgres::query(store, "SELECT count(*) FROM migrations");
        }
        let db = rusqlite::Connection::open(store).expect("opened");
        let count: u32 = db.query_row("SELECT count(*) FROM migrations", [], |row| row.get(0)).expect("counted");
        count.to_string()
    };
    let before = migrations(&place.store);
    let assert_refused = || {
        let refused = upgrade();
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && text.contains("in use by another process"), "{text}");
        assert_eq!(migrations(&place.store), before, "nothing was migrated");
    };
    if is_on_postgres() {
        // Version 0.1.0 has only the lease `sealer`, later ones have one for each process.
        for name in ["sealer", "process 1"] {
            let query = |statement: &str| testkit::postgres::query(&place.store, statement);
            query(&format!("DELETE FROM leases WHERE name = '{name}'"));
            query(&format!(
                "INSERT INTO leases VALUES ('{name}', gen_random_uuid(), clock_timestamp() + INTERVAL '1 hour', 0)"
            ));
            assert_refused();
            query(&format!("UPDATE leases SET until = clock_timestamp() WHERE name = '{name}'"));
        }
    } else {
        // Version 0.1.0 has only a connection, later ones also lock a file.
        let older = rusqlite::Connection::open(&place.store).expect("opened");
        let users: u32 = older.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).expect("counted");
        assert!(users > 0);
        assert_refused();
        drop(older);
        let file = std::fs::File::create(PathBuf::from(format!("{}-lock", place.store))).expect("created");
        file.lock_shared().expect("locked");
        assert_refused();
    }
    let done = upgrade();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_ne!(migrations(&place.store), before);
    if !is_on_postgres() {
        let copy = format!("{}.schema-{before}", place.store);
        assert_eq!(migrations(&copy), before, "the old file is kept");
        let file = std::fs::metadata(&copy).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions());
        assert_eq!(mode & 0o777, 0o600, "only its owner can read it");
    }
}
