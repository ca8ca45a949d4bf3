//! The audit history is complete, readable, exportable, and free of secrets.

use super::audit_store::run_sql;
use super::{HttpTarget, InProcessServer, PageClient, TenantClient, VALID_PASSWORD, assert_password_set, run_command};
use serde_json::{Value, json};

/// Creates two tenants and, in the first, every kind of event; returns the secrets that no event may contain.
pub(super) fn record_history(home: &InProcessServer) -> (TenantClient<'_>, TenantClient<'_>, Vec<String>) {
    let (acme, other) = (TenantClient::new(home, "Acme"), TenantClient::new(home, "Other"));
    let none = Value::Null;
    let ok = |reply: crate::support::HttpResponse| assert!(matches!(reply.status, 200..=204), "{}", reply.body);
    let id = acme.invite_with("ann@x.y", &json!({"ExternalId": "ext-1", "Type": "Größe \"ß\" 'x'"}));
    assert_password_set(&PageClient::new(home).set_password(&home.wait_for_link("ann@x.y"), "geheim-nummer-eins"));
    assert_eq!(acme.sign_in("ann@x.y", "geheim-nummer-eins", None).status, 200);
    assert_eq!(acme.sign_in("ann@x.y", "geheim-falsch", None).status, 401);
    ok(acme.send_onfire("PUT", json!({"Id": id, "FirstName": "Anna", "Password": "geheim-nummer-zwei"})));
    other.create_user("bob@x.y", VALID_PASSWORD);
    let number = acme.create_user("bob@x.y", "geheim-nummer-drei");
    let known = json!({"firstName": "Robert", "email": "robert@x.y", "roleId": 2, "departmentId": 3});
    ok(acme.send_json("PUT", &format!("/request/user/{number}"), &known));
    let cid = json!({"user": {"email": "cid@x.y", "name": {"firstname": "Cid"}, "organisation": {"orgname": "Org"}}});
    ok(acme.send_json("POST", "/api/2/users", &cid));
    ok(acme.send_json("POST", "/api/2/groups", &json!({"group": {"name": "G", "users": ["cid@x.y", number]}})));
    ok(acme.send_json("PUT", "/api/2/groups/1", &json!({"group": {"name": "H", "users": [number]}})));
    ok(acme.send_json("POST", "/api/2/users/cid@x.y/disable", &none));
    other.invite("dan@x.y");
    ok(acme.send_json("POST", "/api/2/users/cid@x.y/activate", &none));
    let made = acme.send_json("POST", "/scim/v2/Users", &json!({"userName": "eve", "password": "geheim-nummer-vier"}));
    let made: Value = serde_json::from_str(&made.body).expect("JSON");
    let eve = format!("/scim/v2/Users/{}", made["id"].as_str().expect("an id"));
    let change = json!({"Operations": [{"op": "replace", "path": "displayName", "value": "Eve"}]});
    ok(acme.send_json("PATCH", &eve, &change));
    ok(acme.send_json("DELETE", &eve, &none));
    for arguments in [
        &["user", "add", "fay@x.y", "--first-name", "Fay", "--external-id", "ext-f"][..],
        &["user", "delete", "fay@x.y"],
        &["user", "restore", "ext-f"],
        &["user", "delete", "ext-f"],
        &["role", "add", "Clerk", "--rank", "User"],
        &["tenant", "set", "--sender-name", "Zoë"],
        &["connection", "rotate", "main"],
    ] {
        let said = acme.run_json(arguments);
        assert!(said["error"].is_null(), "{arguments:?}: {said}");
    }
    PageClient::new(home).submit(&acme.page_path("forgot"), &[("user", "robert@x.y")]);
    let reset = home.wait_for_link("robert@x.y");
    assert_password_set(&PageClient::new(home).set_password(&reset, "geheim-nummer-neun"));
    // After this, no event is added.
    acme.wait_for_mail_outcomes();
    other.wait_for_mail_outcomes();
    let link = |path: &str| path.rsplit('/').next().expect("a link").to_owned();
    let secrets = [link(&reset), link(&home.wait_for_link("ann@x.y")), acme.key.clone(), acme.sign_in_key.clone()];
    (acme, other, [&secrets[..], &["geheim-", "$argon2", "fische"].map(str::to_owned)].concat())
}

#[test]
fn history_is_complete_exportable_and_free_of_secrets() {
    let home = InProcessServer::new();
    let (acme, other, secrets) = record_history(&home);
    let store = home.store();
    let (is_whole, said) = run_command(store, &["audit", "verify", "--json"]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert!(is_whole && said["whole"] == true, "{said}");
    let mut positions = Vec::new();
    for (acme, at) in [(&acme, 0), (&other, 1)] {
        let tenant = acme.number.to_string();
        let (is_well, export) = run_command(store, &["audit", "export", "--tenant", &tenant]);
        assert!(is_well, "{export}");
        let events: Vec<Value> =
            export.lines().map(|line| serde_json::from_str(line).expect("one document a line")).collect();
        assert_eq!(said["tenants"][at]["events"], events.len());
        assert_eq!(
            run_sql(store, &format!("SELECT count(*) FROM events WHERE tenant = {tenant}")),
            events.len().to_string()
        );
        for event in &events {
            assert_eq!(event["tenant"], acme.number, "{event}");
            positions.push(event["position"].as_u64().expect("a position"));
        }
        for secret in &secrets {
            assert!(!export.contains(secret.as_str()), "{secret} is exported");
        }
        let after = events[events.len() / 2]["position"].to_string();
        let (_, rest) = run_command(store, &["audit", "export", "--tenant", &tenant, "--after", &after]);
        assert_eq!(rest.lines().count(), events.len() - events.len() / 2 - 1);
    }
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len().to_string(), run_sql(store, "SELECT count(*) FROM events"));
    let tenant = acme.number.to_string();
    let history_text = |who: &str| {
        let (is_well, text) = run_command(store, &["audit", "show", "--user", who, "--tenant", &tenant]);
        assert!(is_well, "{text}");
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{text}");
        text
    };
    let ann = history_text("ann@x.y");
    assert_in_order(&ann, &["created, invited", "mail queued", "mail sent", "link used", "signed in", "password set"]);
    assert_in_order(&history_text("ext-f"), &["created", "deleted", "restored", "deleted"]);
    let cid = history_text("cid@x.y");
    assert_in_order(&cid, &["created", "signed out everywhere", "activated"]);
    assert!(cid.contains("main") && history_text("ext-f").contains("terminal"), "the actor: {cid}");
    // Filters, also without a user.
    let shown = |filters: &[&str]| {
        let (is_well, shown) = run_command(store, &[&["audit", "show", "--tenant", &tenant], filters].concat());
        assert!(is_well && secrets.iter().all(|secret| !shown.contains(secret.as_str())), "{shown}");
        shown
    };
    assert!(ann.contains("\"Anna\""), "the new value: {ann}");
    let roles = shown(&["--kind", "role"]);
    assert!(roles.contains("role \"Clerk\" created") && !roles.contains("user "), "{roles}");
    let groups = shown(&["--kind", "group"]);
    assert!(groups.contains("group \"G\" created; joined: robert@x.y, cid@x.y"), "{groups}");
    assert!(groups.contains("group \"H\" updated: name \"G\" → \"H\"; left: cid@x.y"), "{groups}");
    let over_main = shown(&["--connection", "main", "--kind", "user"]);
    assert!(over_main.contains("main") && !over_main.contains("terminal"), "{over_main}");
    let by_hand = shown(&["--actor", "TERMINAL (", "--since", "2020-01-01", "--until", "2999-01-01T00:00:00Z"]);
    assert!(by_hand.contains("tenant \"Acme\" updated: settings"), "{by_hand}");
    assert!(shown(&["--since", "2999-01-01"]).contains("No event matches"));
    let (is_well, said) = run_command(store, &["audit", "show", "--user", "nobody@x.y", "--tenant", &tenant]);
    assert!(!is_well && said.contains("nobody@x.y"), "{said}");
}

fn assert_in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        rest = rest.split_once(word).unwrap_or_else(|| panic!("{word:?} is missing or out of order in {text}")).1;
    }
}
