//! Stores and backups that Muster 0.1.0 made (`tests/data/0.1.0`) open, are complete, and go on working.
//!
//! Links, tokens and cursors expire, so the clock stands at the time when the stores were made.

use crate::lives::{Door, Home, Visitor, assert_chosen, assert_page};
use crate::support::{House, MUSTER, Place, Reply, is_on_postgres, root};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A password that nobody would reject.
const NEW: &str = "drei blaue boote am kai";

fn data(name: &str) -> PathBuf {
    root().join("crates/muster/tests/data/0.1.0").join(name)
}

/// What is known of a store, by its engine.
fn facts(engine: &str) -> Value {
    let text = std::fs::read_to_string(data("facts.json")).expect("the facts");
    let mut facts: Value = serde_json::from_str(&text).expect("JSON");
    facts["stores"][engine].take()
}

/// A copy of the store that 0.1.0 made on the engine under test, and what is known of it.
fn first_store() -> (Place, Value) {
    let place = Place::blank();
    if is_on_postgres() {
        testkit::postgres::load(&place.store, &data("postgres.sql"));
        return (place, facts("postgres"));
    }
    let compressed = std::fs::read(data("muster.db.zst")).expect("the store");
    std::fs::write(&place.store, zstd::decode_all(&compressed[..]).expect("decompressed")).expect("written");
    (place, facts("sqlite"))
}

/// A backup that 0.1.0 made, restored on the engine under test.
fn restored(backup: &Path, engine: &str) -> (Place, Value) {
    let place = Place::new();
    let facts = facts(engine);
    let said = run(&place.store, &["restore", backup.to_str().expect("text")]);
    assert_counts(&said, &facts);
    (place, facts)
}

/// The document of a command that must do well.
fn run(store: &str, arguments: &[&str]) -> Value {
    let output =
        Command::new(MUSTER).args(["--json", "--store", store]).args(arguments).output().expect("ran");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).expect("JSON")
}

/// A list among the facts.
fn list<'a>(facts: &'a Value, name: &str) -> &'a [Value] {
    facts[name].as_array().unwrap_or_else(|| panic!("{name}: no list"))
}

fn text<'a>(fact: &'a Value, name: &str) -> &'a str {
    fact[name].as_str().unwrap_or_else(|| panic!("{name}: no text in {fact}"))
}

/// A key of a connection.
fn key<'a>(facts: &'a Value, tenant: &Value, name: &str) -> &'a str {
    let connections = list(facts, "connections");
    let found = connections.iter().find(|fact| fact["tenant"] == *tenant && fact["name"] == name);
    found.expect("a connection")["keys"][0].as_str().expect("a key")
}

fn get(home: &Home, target: &str, key: &str) -> Reply {
    home.ask("GET", target, &[("authorization", &format!("Bearer {key}"))], "")
}

fn document(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.body))
}

/// Whether an application may let somebody in.
fn sign_in(home: &Home, facts: &Value, tenant: &Value, user: &str, password: &str) -> u16 {
    let bearer = format!("Bearer {}", key(facts, tenant, "asking"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    home.ask("POST", "/v1/sign-in", &headers, &json!({"user": user, "password": password}).to_string()).status
}

/// The store's directory at the time when it was made. Its mails that are due are sent into a folder.
fn at_that_time(place: Place, facts: &Value) -> Home {
    let face = server::PublicConfig {
        imports_dir: Some(place.folder.path().join("imports")),
        ..server::PublicConfig::default()
    };
    let house = House::on(place, face);
    house.set_clock(facts["made"].as_i64().expect("a time"));
    Home::on(house)
}

/// What a backup says of each tenant.
fn assert_counts(said: &Value, facts: &Value) {
    for fact in list(facts, "tenants") {
        let tenants = said["tenants"].as_array().expect("tenants");
        let found = tenants.iter().find(|tenant| tenant["tenant"] == fact["number"]).expect("a tenant");
        for (name, count) in fact["counts"].as_object().expect("counts") {
            assert_eq!(found[name], *count, "{name} of {}", fact["name"]);
        }
    }
}

/// What the terminal says of the store is what it said then. History is linked anew where the engine is another.
fn assert_complete(store: &str, facts: &Value, is_same_engine: bool) {
    assert_eq!(run(store, &["tenant", "list"]).as_array().map(Vec::len), Some(list(facts, "tenants").len()));
    let verified = run(store, &["audit", "verify"]);
    assert_eq!(verified["whole"], true, "{verified}");
    for (now, then) in list(&verified, "tenants").iter().zip(list(facts, "audit")) {
        assert_eq!((&now["tenant"], &now["events"]), (&then["tenant"], &then["events"]));
        if is_same_engine {
            assert_eq!(now, then);
            let (tenant, end) =
                (now["tenant"].to_string(), format!("{}:{}", then["last"], text(then, "head")));
            let kept = run(store, &["audit", "verify", "--tenant", &tenant, "--expect", &end]);
            assert_eq!(kept["kept"], true, "{kept}");
        }
    }
    let check = run(store, &["check"]);
    assert_eq!(check["sound"], true, "{check}");
    assert_eq!(run(store, &["mail", "list", "--tenant", "1"]), facts["mails"]);
    let backup = tempfile::tempdir().expect("a folder");
    let made = run(store, &["backup", backup.path().join("again").to_str().expect("text")]);
    assert_counts(&made, facts);
}

/// What 0.1.0 let in and later versions reject is listed: roles above the ceiling, identifiers that are the same, and those
/// with invisible characters.
fn assert_violations_are_listed(store: &str, facts: &Value) {
    let check = run(store, &["check"]);
    let notes: Vec<&str> = list(&check, "notes").iter().filter_map(Value::as_str).collect();
    let is_noted = |tenant: &Value, parts: &[&str]| {
        let tenant = format!("tenant {tenant}: ");
        notes.iter().any(|note| note.starts_with(&tenant) && parts.iter().all(|part| note.contains(part)))
    };
    let number = |tenant: &Value, name: &str| {
        let tenant = tenant.to_string();
        run(store, &["user", "show", name, "--tenant", &tenant])["number"].to_string()
    };
    let mut ceilings = 0;
    for fact in list(facts, "above_ceiling") {
        // Two of them cannot be told from users whom an administrator has changed.
        if ["ceiling.promoted", "ceiling.above"].contains(&text(fact, "userName")) {
            continue;
        }
        let user = format!("of user {} contains", number(&fact["tenant"], text(fact, "userName")));
        assert!(is_noted(&fact["tenant"], &[&user]), "{fact}: {notes:#?}");
        ceilings += 1;
    }
    let (mut same, mut hidden) = (0, 0);
    for pair in list(facts, "collisions") {
        let tenant = &pair["tenant"];
        let (first, second) = (text(&pair["first"], "userName"), text(&pair["second"], "userName"));
        let (first, second) = (number(tenant, first), number(tenant, second));
        assert_ne!(first, second, "{pair}: both are still there, and found as they are spelled");
        if is_noted(tenant, &[&format!("users {first} and {second} have the same")]) {
            same += 1;
        } else if is_noted(tenant, &[&format!("of user {second} has invisible")]) {
            hidden += 1;
        } else {
            let what = text(pair, "what");
            assert!(["user name, private use", "external id, case"].contains(&what), "{pair}: {notes:#?}");
        }
    }
    assert_eq!((ceilings, same, hidden), (6, 12, 9), "{notes:#?}");
}

/// Everybody is as they were, and every connection opens what it opened.
fn assert_served(home: &Home, facts: &Value) {
    for tenant in list(facts, "tenants") {
        let reply = get(home, text(facts, "users_request"), key(facts, &tenant["number"], "admin"));
        let users = document(&reply);
        let (users, wanted) = (list(&users, "Resources"), list(tenant, "users"));
        assert_eq!(users.len(), wanted.len(), "users of {}", tenant["name"]);
        for (user, wanted) in users.iter().zip(wanted) {
            assert_eq!(user, wanted);
        }
    }
    for connection in list(facts, "connections") {
        let Some(target) = connection["request"].as_str() else { continue };
        let tenants = list(facts, "tenants");
        let tenant = tenants.iter().find(|tenant| tenant["number"] == connection["tenant"]);
        let users = list(tenant.expect("a tenant"), "users").len();
        for key in list(connection, "keys") {
            let key = key.as_str().expect("a key");
            let reply = get(home, &target.replace("{key}", key), key);
            if connection["state"] != "live" {
                assert_eq!(reply.status, 401, "{connection}: {}", reply.body);
                continue;
            }
            assert_eq!(reply.status, 200, "{connection}: {}", reply.body);
            let count = match text(connection, "count") {
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

/// A client that names a user by their own spelling gets this user, also where another has the same identifier now.
fn assert_found_as_spelled(home: &Home, facts: &Value) {
    let mut pairs = 0;
    for pair in list(facts, "collisions") {
        let what = text(pair, "what");
        if !what.starts_with("email") || what.contains("zero-width") {
            continue;
        }
        let id = |user: &Value| {
            let email = crate::scim_rows::encode(text(user, "userName"));
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

/// Passwords sign in, those of other systems too; a session goes on.
fn assert_sign_ins(home: &Home, facts: &Value) {
    for fact in list(facts, "passwords") {
        let status = sign_in(home, facts, &fact["tenant"], text(fact, "user"), text(fact, "password"));
        assert_eq!(json!(status), fact["status"], "{fact}");
    }
    let session = &facts["session"];
    let mut visitor = Visitor::new(home);
    for (name, value) in session["cookies"].as_object().expect("cookies") {
        visitor.cookies.insert(name.clone(), value.as_str().expect("text").to_owned());
    }
    let page = visitor.get(text(session, "path"));
    assert_page(&page, 200);
    assert!(page.body.contains(text(session, "user")), "{}", page.body);
}

/// A cursor goes on where it stood and a token is accepted, until they expire.
fn assert_short_lived(home: &Home, facts: &Value) {
    let (cursor, token) = (&facts["cursor"], text(&facts["token"], "access_token"));
    let target = format!("{}{}", text(cursor, "request"), text(cursor, "cursor"));
    for key in [key(facts, &cursor["tenant"], text(cursor, "connection")), token] {
        let page = document(&get(home, &target, key));
        let names: Vec<&Value> = list(&page, "Resources").iter().map(|user| &user["userName"]).collect();
        assert_eq!(json!(names), cursor["next"], "{page}");
    }
    home.wait(facts["token"]["seconds"].as_i64().expect("seconds"));
    assert_eq!(get(home, "/scim/v2/Users?count=1", token).status, 401);
    let late = get(home, &target, key(facts, &cursor["tenant"], text(cursor, "connection")));
    assert_eq!((late.status, document(&late)["scimType"].as_str()), (400, Some("expiredCursor")));
}

/// A mailed link can be used once if it is the newest and was not used, and then its user signs in.
fn assert_links(home: &Home, facts: &Value) {
    for link in list(facts, "links") {
        let (path, user) = (text(link, "path"), text(link, "user"));
        if link["state"] == "unused" {
            assert_page(&Visitor::new(home).get(path), 200);
            assert_chosen(&Visitor::new(home).choose(path, NEW));
            assert_eq!(sign_in(home, facts, &link["tenant"], user, NEW), 200, "{link}");
        }
        assert_page(&Visitor::new(home).get(path), 410);
    }
    // The mail that waited is sent now.
    let link = home.link("waiting@example.com");
    assert_chosen(&Visitor::new(home).choose(&link, NEW));
    assert_eq!(sign_in(home, facts, &json!(1), "waiting@example.com", NEW), 200);
}

/// A deleted user comes back when a client creates a user with the same external id.
fn assert_revivable(home: &Home, facts: &Value) {
    let gone = &facts["revivable"];
    let bearer = format!("Bearer {}", key(facts, &json!(1), "admin"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/scim+json")];
    let body = json!({"userName": "revivable.again", "externalId": gone["externalId"]}).to_string();
    let reply = home.ask("POST", "/scim/v2/Users", &headers, &body);
    assert_eq!((reply.status, &document(&reply)["id"]), (201, &gone["id"]), "{}", reply.body);
}

#[test]
fn its_store_is_complete() {
    let (place, facts) = first_store();
    assert_complete(&place.store, &facts, true);
    assert_violations_are_listed(&place.store, &facts);
}

#[test]
fn its_backup_can_be_restored() {
    let (place, facts) = restored(&data("plain.bak"), "sqlite");
    assert_complete(&place.store, &facts, !is_on_postgres());
    assert_violations_are_listed(&place.store, &facts);
    let home = at_that_time(place, &facts);
    assert_served(&home, &facts);
    assert_short_lived(&home, &facts);
}

#[test]
fn what_it_gave_out_still_works() {
    let (place, facts) = first_store();
    let home = at_that_time(place, &facts);
    assert_served(&home, &facts);
    assert_found_as_spelled(&home, &facts);
    assert_sign_ins(&home, &facts);
    assert_links(&home, &facts);
    assert_short_lived(&home, &facts);
    assert_revivable(&home, &facts);
    let verified = run(home.at(), &["audit", "verify"]);
    assert_eq!(verified["whole"], true, "the new events follow the old ones: {verified}");
}
