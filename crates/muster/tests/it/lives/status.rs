//! Whoever is suspended, switched off, archived or deleted is out at once over every way in, and can come back.

use super::{Firm, GOOD, Home, Visitor, run};
use crate::support::Reply;
use serde_json::{Value, json};

/// Somebody with a password, signed in on the pages.
struct Person<'a> {
    firm: &'a Firm<'a>,
    email: String,
    number: u64,
    id: String,
    visitor: Visitor<'a>,
}

impl<'a> Person<'a> {
    fn new(firm: &'a Firm<'a>, email: &str) -> Self {
        let number = firm.person(email, GOOD);
        let id = firm.cli(&["user", "show", email])["id"].as_str().expect("an id").to_owned();
        let mut person = Self { firm, email: email.into(), number, id, visitor: Visitor::new(firm.door) };
        person.comes_in();
        person
    }

    fn comes_in(&mut self) {
        let reply = self.try_page();
        assert_eq!((reply.status, reply.header("location")), (303, Some(self.firm.page("account").as_str())));
        assert!(self.is_in());
        assert_eq!(self.firm.sign_in(&self.email, GOOD, None).status, 200);
    }

    fn try_page(&mut self) -> Reply {
        let fields = [("user", self.email.as_str()), ("password", GOOD)];
        self.visitor.submit(&self.firm.page("sign-in"), &fields)
    }

    fn is_in(&mut self) -> bool {
        let reply = self.visitor.get(&self.firm.page("account"));
        if reply.status == 200 {
            return true;
        }
        assert_eq!(reply.status, 303, "{}", reply.body);
        assert!(reply.header("location").is_some_and(|next| next.contains("/sign-in")), "{}", reply.head);
        false
    }

    /// Neither the open session nor the right password opens anything.
    fn is_out(&mut self, what: &str) {
        assert!(!self.is_in(), "{what}: the open session goes on");
        let reply = self.firm.sign_in(&self.email, GOOD, None);
        assert_eq!(reply.status, 401, "{what}: {}", reply.body);
        assert_ne!(self.try_page().status, 303, "{what}");
        assert!(!self.is_in(), "{what}");
    }

    /// What the history says of them, in words.
    fn story(&self) -> String {
        let tenant = self.firm.number.to_string();
        let arguments = ["audit", "show", "--user", &self.id, "--tenant", &tenant];
        let (is_well, told) = run(self.firm.door.at(), &arguments);
        assert!(is_well, "{told}");
        told
    }

    /// A call of a dialect that is about this person.
    fn is_told(&self, what: &str) -> Reply {
        let (firm, email, id) = (self.firm, &self.email, &self.id);
        let publisher = |call: &str| firm.call("POST", &format!("/api/2/users/{email}/{call}"), &Value::Null);
        let bulk = |call: &str| {
            let body = json!({"users": {"user": [email]}});
            firm.call("POST", &format!("/api/2/users/{call}"), &body)
        };
        let active = |value: Value| {
            let body = json!({"Operations": [{"op": "replace", "path": "active", "value": value}]});
            firm.call("PATCH", &format!("/scim/v2/Users/{id}"), &body)
        };
        match what.split_once(' ').expect("a dialect and a word") {
            ("publisher", "suspended") => {
                let body =
                    json!({"user": {"email": email, "name": {"firstname": "B"}, "status": "suspended"}});
                firm.call("PUT", &format!("/api/2/users/{email}"), &body)
            }
            ("publisher", call) => publisher(call),
            ("bulk", call) => bulk(call),
            ("scim", "off") => active(false.into()),
            ("scim", "on") => active(true.into()),
            ("put", word) => {
                let body = json!({"userName": email, "emails": [{"value": email}], "active": word == "on"});
                firm.call("PUT", &format!("/scim/v2/Users/{id}"), &body)
            }
            ("onfire", status) => firm.onfire("PUT", json!({"Id": id, "Status": status})),
            (other, _) => panic!("{other}"),
        }
    }
}

#[test]
fn whoever_is_switched_off_is_out_at_once_and_can_come_back() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
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
        let mut person = Person::new(&firm, &format!("p{n}@x.y"));
        let ended = person.story().matches("all sign-ins ended").count();
        let reply = person.is_told(off);
        assert_eq!(reply.status, 200, "{off}: {}", reply.body);
        person.is_out(off);
        let told = person.story();
        assert_eq!(told.matches("all sign-ins ended").count(), ended + 1, "{off}: {told}");
        let reply = person.is_told(on);
        assert_eq!(reply.status, 200, "{on}: {}", reply.body);
        assert!(!person.is_in(), "{on}: an old session does not come back");
        person.comes_in();
    }
}

/// What each dialect says of somebody who is not there.
fn is_nowhere(firm: &Firm, person: &Person) {
    let (email, number, id) = (&person.email, person.number, &person.id);
    let none = Value::Null;
    let reply = firm.call("GET", &format!("/request/user/{number}"), &none);
    assert_eq!((reply.status, reply.body.as_str()), (404, ""));
    for target in [format!("/api/2/users/{email}"), format!("/api/2/users/{number}")] {
        let reply = firm.call("GET", &target, &none);
        assert!(reply.status == 404 && reply.body.contains("\"ref\":108"), "{}", reply.body);
    }
    assert_eq!(firm.call("GET", &format!("/scim/v2/Users/{id}"), &none).status, 404);
    let body = json!({"Id": id, "FirstName": "X"});
    let reply = firm.onfire("PUT", body);
    assert!(reply.status == 400 && reply.body.contains("\"NotFound\""), "{}", reply.body);
    let listed = firm.call("GET", "/api/2/users", &none).body;
    assert!(!listed.contains(email.as_str()), "{listed}");
    let filter = format!("/scim/v2/Users?filter=userName%20eq%20%22{email}%22");
    assert!(firm.call("GET", &filter, &none).body.contains("\"totalResults\":0"));
}

#[test]
fn the_deleted_are_nowhere_and_come_back_as_they_were() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    for way in ["onfire", "ccs", "scim", "terminal"] {
        let mut person = Person::new(&firm, &format!("{way}@x.y"));
        let none = Value::Null;
        match way {
            "onfire" => assert_eq!(firm.onfire("DELETE", json!({"Id": person.id})).status, 200),
            "ccs" => {
                let target = format!("/request/user/{}", person.number);
                assert_eq!(firm.call("DELETE", &target, &none).status, 204);
            }
            "scim" => {
                let target = format!("/scim/v2/Users/{}", person.id);
                assert_eq!(firm.call("DELETE", &target, &none).status, 204);
            }
            _ => assert_eq!(firm.cli(&["user", "delete", &person.email])["removed"], true),
        }
        person.is_out(way);
        is_nowhere(&firm, &person);
        let told = person.story();
        assert!(told.contains("deleted"), "{told}");
        let removed = firm.cli(&["user", "list-deleted"]);
        assert!(removed.to_string().contains(&person.id), "{removed}");
        let back = firm.cli(&["user", "restore", &person.id]);
        assert_eq!(
            (&back["id"], &back["number"]),
            (&person.id.as_str().into(), &person.number.into()),
            "{back}"
        );
        assert!(!person.is_in(), "{way}: an old session does not come back");
        person.comes_in();
        assert!(!firm.cli(&["user", "list-deleted"]).to_string().contains(&person.id));
    }
}

#[test]
fn a_taken_e_mail_is_in_the_way_of_coming_back() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    let old = Person::new(&firm, "ann@x.y");
    firm.cli(&["user", "delete", "ann@x.y"]);
    // E-mail and user name are free again.
    let new = firm.call("POST", "/scim/v2/Users", &json!({"userName": "ann@x.y"}));
    assert_eq!(new.status, 201, "{}", new.body);
    let events = firm.events();
    let refused = firm.cli(&["user", "restore", &old.id]);
    let why = refused["error"].as_str().expect("a sentence");
    println!("{why}");
    assert!(why.contains("ann@x.y") || why.to_lowercase().contains("e-mail"), "{why}");
    assert!(why.contains("taken") || why.contains("in use") || why.contains("somebody else"), "{why}");
    assert_eq!(firm.events(), events, "nothing happens");
    let id =
        serde_json::from_str::<Value>(&new.body).expect("JSON")["id"].as_str().expect("an id").to_owned();
    assert_eq!(firm.call("DELETE", &format!("/scim/v2/Users/{id}"), &Value::Null).status, 204);
    assert_eq!(firm.cli(&["user", "restore", &old.id])["id"], old.id);
    home.wait(31 * 24 * 3600);
    assert_eq!(firm.cli(&["user", "show", "ann@x.y"])["id"], old.id, "who is back does not go later");
}

#[test]
fn an_external_id_brings_the_same_person_back() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    let made = |way: &str, email: &str| {
        let external = format!("ext-{way}");
        let reply = match way {
            "onfire" => firm.onfire(
                "POST",
                json!({"Email": email, "FirstName": "A", "LastName": "B", "ExternalId": external, "DoNotEmail": true}),
            ),
            "publisher" => {
                let body = json!({"user": {"email": email, "name": {"firstname": "A"}, "externalid": external}});
                firm.call("POST", "/api/2/users", &body)
            }
            _ => firm.call("POST", "/scim/v2/Users", &json!({"userName": email, "externalId": external})),
        };
        assert!(matches!(reply.status, 200 | 201), "{way}: {}", reply.body);
        let shown = firm.cli(&["user", "show", email]);
        (shown["id"].clone(), shown["number"].clone())
    };
    for way in ["onfire", "publisher", "scim"] {
        let before = made(way, &format!("{way}@x.y"));
        firm.cli(&["user", "delete", &format!("{way}@x.y")]);
        assert_eq!(made(way, &format!("{way}@x.y")), before, "{way}");
        // Also with another e-mail, and over another dialect's way of saying so.
        firm.cli(&["user", "delete", &format!("{way}@x.y")]);
        assert_eq!(made(way, &format!("{way}-new@x.y")), before, "{way}");
    }
    assert_eq!(firm.cli(&["user", "list"])["total"], 3);
    let (is_whole, said) = run(home.house.store(), &["audit", "verify"]);
    assert!(is_whole, "{said}");
}
