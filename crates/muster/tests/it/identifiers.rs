//! All Unicode spellings of an identifier are the same identifier, and invisible characters are rejected.

use crate::support::{HttpResponse, Server, send};
use serde_json::{Value, json};

struct Fixture {
    server: Server,
    number: u64,
    key: String,
    sign_in: String,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start(&[]);
        let (number, key) = server.create_tenant(&["--dialect", "all", "--dialect", "transfer"]);
        let sign_in = server.create_connection(number, "asking", &["--dialect", "sign-in"]);
        Self { server, number, key, sign_in }
    }

    fn send_request(&self, key: &str, method: &str, target: &str, media: &str, body: &str) -> HttpResponse {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", media)];
        send(&self.server.address, method, target, &headers, body.as_bytes())
    }

    fn scim(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let target = format!("/scim/v2{target}");
        let reply = self.send_request(&self.key, method, &target, "application/scim+json", &body);
        (reply.status, serde_json::from_str(&reply.body).unwrap_or_default())
    }

    /// Creates a user with this email over every dialect; `#` is replaced by a digit, a different one for each dialect.
    fn create_over_all_dialects(&self, email: &str) -> Vec<(&'static str, HttpResponse)> {
        let onfire = format!("?format=json&CompanyId={}&IntegrationKey={}", self.number, self.key);
        let (first, second) = (format!("/api/v1/suser{onfire}"), format!("/api/v2/user{onfire}"));
        let dialects = [
            ("onfire v1", first.as_str()),
            ("onfire v2", second.as_str()),
            ("ccs", "/request/user"),
            ("publisher", "/api/2/users"),
            ("scim", "/scim/v2/Users"),
        ];
        let create = |(number, (dialect, target)): (usize, (&'static str, &str))| {
            let email = email.replace('#', &number.to_string());
            let body = match dialect {
                "publisher" => json!({"user": {"email": email, "name": {"firstname": "A", "lastname": "B"}}}),
                "scim" => json!({"userName": email, "emails": [{"value": email}]}),
                "ccs" => json!({"Email": email, "FirstName": "A", "LastName": "B", "RoleId": 1}),
                _ => json!({"Email": email, "FirstName": "A", "LastName": "B", "WebsiteRole": "User"}),
            };
            (dialect, self.send_request(&self.key, "POST", target, "application/json", &body.to_string()))
        };
        dialects.into_iter().enumerate().map(create).collect()
    }

    fn user_count(&self) -> Value {
        self.scim("GET", "/Users?count=0", &Value::Null).1["totalResults"].clone()
    }

    fn search(&self, filter: &str) -> Value {
        let filter = crate::scim_spec::percent_encode(filter);
        let (status, found) = self.scim("GET", &format!("/Users?filter={filter}"), &Value::Null);
        assert_eq!(status, 200, "{found}");
        found
    }
}

/// Spellings of one email: composed, decomposed, full width, Punycode, other case.
const SPELLINGS: [&str; 6] = [
    "ren\u{e9}@b\u{fc}cher.example",
    "rene\u{301}@bu\u{308}cher.example",
    "ren\u{e9}@xn--bcher-kva.example",
    "REN\u{c9}@B\u{dc}CHER.example",
    "\u{FF52}en\u{e9}@b\u{fc}cher.example",
    "ren\u{e9}@b\u{fc}cher\u{3002}example",
];

#[test]
fn all_spellings_of_an_email_are_one_user() {
    let t = Fixture::new();
    let first = SPELLINGS[1];
    let user = json!({"userName": first, "emails": [{"value": first}], "password": "p\u{e4}sse im teich"});
    let (status, made) = t.scim("POST", "/Users", &user);
    assert_eq!((status, &made["userName"]), (201, &json!(first)), "the response has the original spelling: {made}");
    for email in SPELLINGS {
        for (dialect, reply) in t.create_over_all_dialects(email) {
            let is_taken = reply.status == 409
                || reply.body.contains("taken")
                || reply.body.contains("AlreadyExists")
                || reply.body.contains("already exists");
            assert!(is_taken && reply.status >= 400, "{dialect} {email}: {} {}", reply.status, reply.body);
        }
        for password in ["p\u{e4}sse im teich", "pa\u{308}sse\u{a0}im\u{3000}teich"] {
            let body = json!({"user": email, "password": password}).to_string();
            let reply = t.send_request(&t.sign_in, "POST", "/v1/sign-in", "application/json", &body);
            assert_eq!(reply.status, 200, "{email} {password}: {}", reply.body);
        }
        for attribute in ["userName", "emails.value"] {
            let found = t.search(&format!("{attribute} eq \"{email}\""));
            assert_eq!(found["Resources"][0]["id"], made["id"], "{attribute} {email}: {found}");
        }
        let listed = t.server.run_json(&["user", "show", email]);
        assert_eq!(listed["id"], made["id"], "{email}");
    }
    assert_eq!(t.user_count(), 1);
    let others = ["rene@b\u{fc}cher.example", "ren\u{e9}@buecher.example", "ren\u{435}@b\u{fc}cher.example"];
    for email in others {
        assert_eq!(t.search(&format!("userName eq \"{email}\""))["totalResults"], 0, "{email}");
    }
}

#[test]
fn an_external_id_is_the_same_composed_and_decomposed() {
    let t = Fixture::new();
    let user = |name: &str, id: &str| json!({"userName": name, "externalId": id});
    assert_eq!(t.scim("POST", "/Users", &user("ann", "n\u{e9}-1")).0, 201);
    let (status, said) = t.scim("POST", "/Users", &user("eve", "ne\u{301}-1"));
    assert_eq!((status, &said["scimType"]), (409, &json!("uniqueness")), "{said}");
    assert_eq!(t.scim("POST", "/Users", &user("eve", "N\u{c9}-1")).0, 201, "external ids are case-sensitive");
    assert_eq!(t.search("externalId eq \"ne\u{301}-1\"")["totalResults"], 1);
}

#[test]
fn a_domain_is_the_same_in_punycode() {
    let t = Fixture::new();
    let make = |name: &str, domain: &str| {
        let body = json!({"organisation": {"name": name, "domains": {"domain": [domain]}}}).to_string();
        t.send_request(&t.key, "POST", "/api/2/organisations", "application/json", &body)
    };
    let made = make("Books", "b\u{fc}cher.example");
    assert!(made.status < 300, "{}", made.body);
    let again = make("Other", "xn--bcher-kva.example");
    assert!(again.status >= 400, "{}", again.body);
    let (status, user) = t.scim("POST", "/Users", &{
        let email = "ann@xn--bcher-kva.example";
        json!({"userName": email, "emails": [{"value": email}]})
    });
    assert_eq!(status, 201, "{user}");
    let shown = t.server.run_json(&["user", "show", "ann@b\u{fc}cher.example"]);
    assert!(shown["organization"].is_string(), "the organization is found by its domain: {shown}");
}

#[test]
fn identifiers_have_no_invisible_characters_and_no_space_around() {
    let t = Fixture::new();
    // Control, format, line separator, paragraph separator, unassigned.
    let hidden = ["\u{7}", "\u{85}", "\u{ad}", "\u{200b}", "\u{202e}", "\u{feff}", "\u{2028}", "\u{2029}", "\u{378}"];
    for c in hidden {
        for (dialect, reply) in t.create_over_all_dialects(&format!("an{c}n@example.com")) {
            assert!((400..500).contains(&reply.status), "{dialect} {c:?}: {} {}", reply.status, reply.body);
        }
        for user in [
            json!({"userName": format!("an{c}n")}),
            json!({"userName": format!("ann{c}")}),
            json!({"userName": "ann", "externalId": format!("1{c}2")}),
            json!({"userName": "ann", "emails": [{"value": "a@x.example"}, {"value": format!("b{c}@x.example"), "type": "home"}]}),
        ] {
            let (status, said) = t.scim("POST", "/Users", &user);
            assert_eq!((status, &said["scimType"]), (400, &json!("invalidValue")), "{user}: {said}");
        }
        let group = json!({"displayName": "g", "externalId": format!("1{c}2")});
        assert_eq!(t.scim("POST", "/Groups", &group).0, 400, "{group}");
    }
    for text in [" ann", "ann ", "\u{a0}ann", "ann\u{3000}", "ann\t"] {
        for user in [json!({"userName": text}), json!({"userName": "ann", "externalId": text})] {
            let (status, said) = t.scim("POST", "/Users", &user);
            assert_eq!((status, &said["scimType"]), (400, &json!("invalidValue")), "{user}: {said}");
        }
    }
    assert_eq!(t.user_count(), 0);
    // The rule also applies to PUT, PATCH and imports.
    let (status, made) = t.scim("POST", "/Users", &json!({"userName": "ann"}));
    assert_eq!(status, 201, "{made}");
    let user = format!("/Users/{}", made["id"].as_str().expect("an id"));
    let change = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "userName", "value": "an\u{200b}n"}]
    });
    assert_eq!(t.scim("PATCH", &user, &change).0, 400);
    assert_eq!(t.scim("PUT", &user, &json!({"userName": "an\u{202e}n"})).0, 400);
    let reply = t.send_request(&t.key, "POST", "/v1/imports?dryRun=true", "text/csv", "email\nan\u{200b}n@x.example\n");
    assert_eq!(reply.status, 202, "{}", reply.body);
    assert_eq!(t.scim("GET", &user, &Value::Null).1, made);
    // Visible characters are allowed in every dialect, however unusual.
    for name in ["visible", "\u{5d0}\u{5d1}", "o'neill+x"] {
        for (dialect, reply) in t.create_over_all_dialects(&format!("{name}#@x.example")) {
            assert!(reply.status < 300, "{dialect} {name}: {} {}", reply.status, reply.body);
        }
    }
    for name in ["日本語", "\u{5d0}\u{5d1}", "o'neill+x", "\u{1f600}", "two words"] {
        assert_eq!(t.scim("POST", "/Users", &json!({"userName": name})).0, 201, "{name}");
    }
}
