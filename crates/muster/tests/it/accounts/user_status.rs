//! Suspended, inactive, archived and deleted users are signed out at once everywhere, and can be reactivated or
//! restored.

use super::{InProcessServer, PageClient, TenantClient, VALID_PASSWORD, run_command};
use crate::support::HttpResponse;
use serde_json::{Value, json};

/// A user with a password and a session.
struct SignedInUser<'a> {
    client: &'a TenantClient<'a>,
    email: String,
    number: u64,
    id: String,
    browser: PageClient<'a>,
}

impl<'a> SignedInUser<'a> {
    fn new(acme: &'a TenantClient<'a>, email: &str) -> Self {
        let number = acme.create_user(email, VALID_PASSWORD);
        let id = acme.run_json(&["user", "show", email])["id"].as_str().expect("an id").to_owned();
        let mut person = Self { client: acme, email: email.into(), number, id, browser: PageClient::new(acme.target) };
        person.sign_in();
        person
    }

    fn sign_in(&mut self) {
        let reply = self.submit_sign_in();
        assert_eq!((reply.status, reply.header("location")), (303, Some(self.client.page_path("account").as_str())));
        assert!(self.has_session());
        assert_eq!(self.client.sign_in(&self.email, VALID_PASSWORD, None).status, 200);
    }

    fn submit_sign_in(&mut self) -> HttpResponse {
        let fields = [("user", self.email.as_str()), ("password", VALID_PASSWORD)];
        self.browser.submit(&self.client.page_path("sign-in"), &fields)
    }

    fn has_session(&mut self) -> bool {
        let reply = self.browser.get(&self.client.page_path("account"));
        if reply.status == 200 {
            return true;
        }
        assert_eq!(reply.status, 303, "{}", reply.body);
        assert!(reply.header("location").is_some_and(|next| next.contains("/sign-in")), "{}", reply.head);
        false
    }

    /// Asserts that neither the session nor the right password works.
    fn assert_signed_out(&mut self, what: &str) {
        assert!(!self.has_session(), "{what}: the session continues");
        let reply = self.client.sign_in(&self.email, VALID_PASSWORD, None);
        assert_eq!(reply.status, 401, "{what}: {}", reply.body);
        assert_ne!(self.submit_sign_in().status, 303, "{what}");
        assert!(!self.has_session(), "{what}");
    }

    /// The output of `audit show` for the user.
    fn audit_text(&self) -> String {
        let tenant = self.client.number.to_string();
        let arguments = ["audit", "show", "--user", &self.id, "--tenant", &tenant];
        let (is_well, text) = run_command(self.client.target.store(), &arguments);
        assert!(is_well, "{text}");
        text
    }

    /// Changes the user's status: a dialect and an action.
    fn set_status(&self, what: &str) -> HttpResponse {
        let (acme, email, id) = (self.client, &self.email, &self.id);
        let publisher = |call: &str| acme.send_json("POST", &format!("/api/2/users/{email}/{call}"), &Value::Null);
        let bulk = |call: &str| {
            let body = json!({"users": {"user": [email]}});
            acme.send_json("POST", &format!("/api/2/users/{call}"), &body)
        };
        let active = |value: Value| {
            let body = json!({"Operations": [{"op": "replace", "path": "active", "value": value}]});
            acme.send_json("PATCH", &format!("/scim/v2/Users/{id}"), &body)
        };
        match what.split_once(' ').expect("a dialect and a word") {
            ("publisher", "suspended") => {
                let body = json!({"user": {"email": email, "name": {"firstname": "B"}, "status": "suspended"}});
                acme.send_json("PUT", &format!("/api/2/users/{email}"), &body)
            }
            ("publisher", call) => publisher(call),
            ("bulk", call) => bulk(call),
            ("scim", "off") => active(false.into()),
            ("scim", "on") => active(true.into()),
            ("put", word) => {
                let body = json!({"userName": email, "emails": [{"value": email}], "active": word == "on"});
                acme.send_json("PUT", &format!("/scim/v2/Users/{id}"), &body)
            }
            ("onfire", status) => acme.send_onfire("PUT", json!({"Id": id, "Status": status})),
            (other, _) => panic!("{other}"),
        }
    }
}

#[test]
fn deactivated_users_are_signed_out_and_can_be_reactivated() {
    let home = InProcessServer::new();
    let acme = TenantClient::new(&home, "Acme");
    for (n, (off, on)) in [
        ("publisher suspended", "publisher reinstate"),
        ("publisher disable", "publisher activate"),
        ("publisher archive", "publisher activate"),
        ("bulk disable", "bulk activate"),
        ("scim off", "scim on"),
        ("put off", "put on"),
        ("onfire Inactive", "onfire Active"),
        ("publisher suspended", "onfire Active"),
        ("scim off", "publisher activate"),
        ("publisher archive", "scim on"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut person = SignedInUser::new(&acme, &format!("p{n}@x.y"));
        let ended = person.audit_text().matches("signed out everywhere").count();
        let reply = person.set_status(off);
        assert_eq!(reply.status, 200, "{off}: {}", reply.body);
        person.assert_signed_out(off);
        let text = person.audit_text();
        assert_eq!(text.matches("signed out everywhere").count(), ended + 1, "{off}: {text}");
        let reply = person.set_status(on);
        assert_eq!(reply.status, 200, "{on}: {}", reply.body);
        assert!(!person.has_session(), "{on}: sessions are not restored");
        person.sign_in();
    }
}

/// Asserts that the user does not exist in any dialect.
fn assert_not_found(acme: &TenantClient, person: &SignedInUser) {
    let (email, number, id) = (&person.email, person.number, &person.id);
    let none = Value::Null;
    let reply = acme.send_json("GET", &format!("/request/user/{number}"), &none);
    assert_eq!((reply.status, reply.body.as_str()), (404, ""));
    for target in [format!("/api/2/users/{email}"), format!("/api/2/users/{number}")] {
        let reply = acme.send_json("GET", &target, &none);
        assert!(reply.status == 404 && reply.body.contains("\"ref\":108"), "{}", reply.body);
    }
    assert_eq!(acme.send_json("GET", &format!("/scim/v2/Users/{id}"), &none).status, 404);
    let body = json!({"Id": id, "FirstName": "X"});
    let reply = acme.send_onfire("PUT", body);
    assert!(reply.status == 400 && reply.body.contains("\"NotFound\""), "{}", reply.body);
    let listed = acme.send_json("GET", "/api/2/users", &none).body;
    assert!(!listed.contains(email.as_str()), "{listed}");
    let filter = format!("/scim/v2/Users?filter=userName%20eq%20%22{email}%22");
    assert!(acme.send_json("GET", &filter, &none).body.contains("\"totalResults\":0"));
}

#[test]
fn deleted_users_disappear_and_are_restored_unchanged() {
    let home = InProcessServer::new();
    let acme = TenantClient::new(&home, "Acme");
    for way in ["onfire", "ccs", "scim", "terminal"] {
        let mut person = SignedInUser::new(&acme, &format!("{way}@x.y"));
        let none = Value::Null;
        match way {
            "onfire" => assert_eq!(acme.send_onfire("DELETE", json!({"Id": person.id})).status, 200),
            "ccs" => {
                let target = format!("/request/user/{}", person.number);
                assert_eq!(acme.send_json("DELETE", &target, &none).status, 204);
            }
            "scim" => {
                let target = format!("/scim/v2/Users/{}", person.id);
                assert_eq!(acme.send_json("DELETE", &target, &none).status, 204);
            }
            _ => assert_eq!(acme.run_json(&["user", "delete", &person.email])["removed"], true),
        }
        person.assert_signed_out(way);
        assert_not_found(&acme, &person);
        let text = person.audit_text();
        assert!(text.contains("deleted"), "{text}");
        let removed = acme.run_json(&["user", "list-deleted"]);
        assert!(removed.to_string().contains(&person.id), "{removed}");
        let back = acme.run_json(&["user", "restore", &person.id]);
        assert_eq!((&back["id"], &back["number"]), (&person.id.as_str().into(), &person.number.into()), "{back}");
        assert!(!person.has_session(), "{way}: sessions are not restored");
        person.sign_in();
        assert!(!acme.run_json(&["user", "list-deleted"]).to_string().contains(&person.id));
    }
}

#[test]
fn a_taken_email_prevents_restoring() {
    let home = InProcessServer::new();
    let acme = TenantClient::new(&home, "Acme");
    let old = SignedInUser::new(&acme, "ann@x.y");
    acme.run_json(&["user", "delete", "ann@x.y"]);
    // Email and user name can be reused.
    let new = acme.send_json("POST", "/scim/v2/Users", &json!({"userName": "ann@x.y"}));
    assert_eq!(new.status, 201, "{}", new.body);
    let events = acme.event_count();
    let refused = acme.run_json(&["user", "restore", &old.id]);
    let why = refused["error"].as_str().expect("a sentence");
    println!("{why}");
    assert!(why.contains("ann@x.y") || why.to_lowercase().contains("email"), "{why}");
    assert!(why.contains("taken") || why.contains("in use") || why.contains("somebody else"), "{why}");
    assert_eq!(acme.event_count(), events, "nothing changed");
    let id = serde_json::from_str::<Value>(&new.body).expect("JSON")["id"].as_str().expect("an id").to_owned();
    assert_eq!(acme.send_json("DELETE", &format!("/scim/v2/Users/{id}"), &Value::Null).status, 204);
    assert_eq!(acme.run_json(&["user", "restore", &old.id])["id"], old.id);
    home.advance_clock(31 * 24 * 3600);
    assert_eq!(acme.run_json(&["user", "show", "ann@x.y"])["id"], old.id, "the restored user is not purged later");
}

#[test]
fn an_external_id_restores_the_same_user() {
    let home = InProcessServer::new();
    let acme = TenantClient::new(&home, "Acme");
    let made = |way: &str, email: &str| {
        let external = format!("ext-{way}");
        let reply = match way {
            "onfire" => acme.send_onfire(
                "POST",
                json!({"Email": email, "FirstName": "A", "LastName": "B", "ExternalId": external, "DoNotEmail": true}),
            ),
            "publisher" => {
                let body = json!({"user": {"email": email, "name": {"firstname": "A"}, "externalid": external}});
                acme.send_json("POST", "/api/2/users", &body)
            }
            _ => acme.send_json("POST", "/scim/v2/Users", &json!({"userName": email, "externalId": external})),
        };
        assert!(matches!(reply.status, 200 | 201), "{way}: {}", reply.body);
        let shown = acme.run_json(&["user", "show", email]);
        (shown["id"].clone(), shown["number"].clone())
    };
    for way in ["onfire", "publisher", "scim"] {
        let before = made(way, &format!("{way}@x.y"));
        acme.run_json(&["user", "delete", &format!("{way}@x.y")]);
        assert_eq!(made(way, &format!("{way}@x.y")), before, "{way}");
        // Also with another email, and over another dialect.
        acme.run_json(&["user", "delete", &format!("{way}@x.y")]);
        assert_eq!(made(way, &format!("{way}-new@x.y")), before, "{way}");
    }
    assert_eq!(acme.run_json(&["user", "list"])["total"], 3);
    let (is_whole, said) = run_command(home.app.store(), &["audit", "verify"]);
    assert!(is_whole, "{said}");
}
