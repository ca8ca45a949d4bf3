//! A connection grants no role above its highest one, and changes no user who has such a role.

use crate::support::{HttpResponse, Server, send};
use serde_json::{Value, json};
use testkit::waiting::wait_for;

/// A server with a tenant, a connection up to `User`, and one up to `SuperAdmin`.
struct Fixture {
    server: Server,
    number: u64,
    limited_key: String,
    admin_key: String,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start(&[]);
        let (number, high) = server.create_tenant(&["--highest-role", "SuperAdmin"]);
        let low = server.create_connection(number, "low", &["--highest-role", "User"]);
        Self { server, number, limited_key: low, admin_key: high }
    }

    fn send_request(&self, key: &str, method: &str, target: &str, media: &str, body: &str) -> HttpResponse {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", media)];
        send(&self.server.address, method, target, &headers, body.as_bytes())
    }

    fn scim(&self, key: &str, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = self.send_request(key, method, &format!("/scim/v2{target}"), "application/scim+json", &body);
        (reply.status, serde_json::from_str(&reply.body).unwrap_or_default())
    }

    /// Creates a SCIM resource and returns its id.
    fn create(&self, target: &str, body: &Value) -> String {
        let (status, made) = self.scim(&self.admin_key, "POST", target, body);
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().expect("an id").to_owned()
    }

    fn create_user(&self, name: &str, roles: &Value) -> String {
        let mut user = user_body(name);
        user["roles"] = roles.clone();
        self.create("/Users", &user)
    }

    fn read(&self, target: &str) -> Value {
        let (status, read) = self.scim(&self.admin_key, "GET", target, &Value::Null);
        assert_eq!(status, 200, "{target}: {read}");
        read
    }

    /// Asserts that the request is rejected for the limited connection and these resources do not change.
    fn assert_rejected(&self, targets: &[&str], method: &str, target: &str, body: &Value) {
        let before: Vec<Value> = targets.iter().map(|target| self.read(target)).collect();
        let (status, said) = self.scim(&self.limited_key, method, target, body);
        assert_eq!(status, 403, "{method} {target} {body}: {said}");
        let after: Vec<Value> = targets.iter().map(|target| self.read(target)).collect();
        assert_eq!(before, after, "{method} {target} {body}");
    }
}

/// A PUT body that changes only the roles of a user.
fn user_body(name: &str) -> Value {
    let email = format!("{name}@example.com");
    let emails = json!([{"value": email, "type": "work", "primary": true}]);
    json!({"userName": email, "externalId": format!("E-{name}"), "emails": emails})
}

fn with_member(mut user: Value, member: &str, value: Value) -> Value {
    user[member] = value;
    user
}

fn patch(operations: &Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// Lists that contain a role above `User` in different positions and spellings.
fn roles_above_ceiling() -> Vec<Value> {
    vec![
        json!([{"value": "SuperAdmin"}]),
        json!([{"value": "User"}, {"value": "SuperAdmin"}]),
        json!([{"value": "User", "primary": true}, {"value": "superadmin"}]),
        json!([{"value": "unheard of"}, {"value": "User"}, {"value": "ADMIN", "type": "app", "display": "User"}]),
        json!([{"value": "User", "primary": true}, {"value": "Lead"}]),
        json!([{"value": "User", "primary": true}, {"value": "lead"}]),
    ]
}

#[test]
fn listed_roles_above_the_ceiling_are_rejected() {
    let t = Fixture::new();
    t.server.run_json(&["role", "add", "Lead", "--rank", "Admin", "--tenant", &t.number.to_string()]);
    let id = t.create_user("ann", &json!([{"value": "User"}]));
    let user = format!("/Users/{id}");
    for (n, roles) in roles_above_ceiling().into_iter().enumerate() {
        let email = format!("new{n}@example.com");
        let new = json!({"userName": email, "roles": roles});
        t.assert_rejected(&[], "POST", "/Users", &new);
        let bulk = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [
                {"method": "POST", "path": "/Users", "bulkId": "a", "data": new},
                {"method": "POST", "path": "/Groups", "bulkId": "b", "data": {"displayName": "g", "members": [{"value": "bulkId:a"}]}},
                {"method": "PATCH", "path": user, "data": patch(&json!([{"op": "add", "path": "roles", "value": roles}]))},
                {"method": "PUT", "path": user, "data": with_member(user_body("ann"), "roles", roles.clone())},
            ]
        });
        let (status, said) = t.scim(&t.limited_key, "POST", "/Bulk", &bulk);
        assert_eq!(status, 200, "{said}");
        for operation in [0, 2, 3] {
            assert_eq!(said["Operations"][operation]["status"], "403", "{operation}: {said}");
        }
        let put = with_member(user_body("ann"), "roles", roles.clone());
        t.assert_rejected(&[&user], "PUT", &user, &put);
        for op in ["add", "replace"] {
            let change = patch(&json!([{"op": op, "path": "roles", "value": roles}]));
            t.assert_rejected(&[&user], "PATCH", &user, &change);
            let change = patch(&json!([{"op": op, "value": {"roles": roles}}]));
            t.assert_rejected(&[&user], "PATCH", &user, &change);
        }
    }
    for (path, value) in [
        ("roles[value eq \"User\"].value", json!("SuperAdmin")),
        ("roles[primary eq true].value", json!("Lead")),
        ("roles[type eq \"new\"].value", json!("Admin")),
    ] {
        let change = patch(&json!([{"op": "replace", "path": path, "value": value}]));
        let add = patch(&json!([{"op": "add", "path": path, "value": value}]));
        for change in [change, add] {
            let before = t.read(&user);
            let (status, said) = t.scim(&t.limited_key, "PATCH", &user, &change);
            // A filter without a match is another error.
            assert!(status == 403 || status == 400, "{change}: {status} {said}");
            assert_eq!(before, t.read(&user), "{change}");
        }
    }
    let found = t.read("/Users?filter=roles.value%20ne%20%22User%22");
    assert_eq!(found["totalResults"], 0, "{found}");
}

#[test]
fn a_role_above_the_ceiling_never_becomes_effective() {
    let t = Fixture::new();
    let id = t.create_user("ann", &json!([{"value": "User", "primary": true}, {"value": "SuperAdmin"}]));
    let user = format!("/Users/{id}");
    for change in [
        json!([{"op": "remove", "path": "roles[value eq \"User\"]"}]),
        json!([{"op": "remove", "path": "roles"}]),
        json!([{"op": "replace", "path": "roles[value eq \"SuperAdmin\"].primary", "value": true}]),
        json!([{"op": "replace", "path": "active", "value": false}]),
        json!([{"op": "add", "path": "emails", "value": [{"value": "evil@example.com", "type": "home"}]}]),
        json!([{"op": "add", "path": "entitlements", "value": [{"value": "everything"}]}]),
        json!([{"op": "replace", "path": "userName", "value": "other@example.com"}]),
        json!([{"op": "replace", "path": "password", "value": "correct horse 99 battery"}]),
    ] {
        t.assert_rejected(&[&user], "PATCH", &user, &patch(&change));
    }
    t.assert_rejected(&[&user], "DELETE", &user, &Value::Null);
    // The same over dialects with a single role.
    let before = t.read(&user);
    let onfire = json!({"Email": "ann@example.com", "WebsiteRole": "ReadOnly"}).to_string();
    let put = t.send_request(
        &t.limited_key,
        "PUT",
        &with_credentials(&t, "/api/v2/user?format=json"),
        "application/json",
        &onfire,
    );
    assert_eq!(put.status, 403, "{}", put.body);
    let delete = t.send_request(&t.limited_key, "DELETE", "/request/user/1", "", "");
    assert_eq!(delete.status, 401, "{}", delete.body);
    assert_eq!(before, t.read(&user));
    // Other changes are allowed.
    let change = patch(&json!([{"op": "replace", "path": "title", "value": "Engineer"}]));
    assert_eq!(t.scim(&t.limited_key, "PATCH", &user, &change).0, 200);
    let change = patch(&json!([{"op": "remove", "path": "roles[value eq \"User\"]"}]));
    assert_eq!(t.scim(&t.admin_key, "PATCH", &user, &change).0, 200);
    assert_eq!(t.read(&user)["roles"][0]["value"], "SuperAdmin");
}

/// The target with the tenant and the limited key, as `onfire` expects them.
fn with_credentials(t: &Fixture, target: &str) -> String {
    let sign = if target.contains('?') { '&' } else { '?' };
    format!("{target}{sign}CompanyId={}&IntegrationKey={}", t.number, t.limited_key)
}

/// A listed name that is no role when it is stored can become one later.
#[test]
fn a_listed_name_that_becomes_a_role_later_does_not_become_effective() {
    let t = Fixture::new();
    let id = t.create_user("ann", &json!([{"value": "User"}]));
    let user = format!("/Users/{id}");
    let roles = json!([{"value": "User", "primary": true}, {"value": "Auditor"}]);
    let change = patch(&json!([{"op": "replace", "path": "roles", "value": roles}]));
    assert_eq!(t.scim(&t.limited_key, "PATCH", &user, &change).0, 200);
    let number = t.number.to_string();
    t.server.run_json(&["role", "add", "Auditor", "--rank", "SuperAdmin", "--tenant", &number]);
    let remove = patch(&json!([{"op": "remove", "path": "roles[value eq \"User\"]"}]));
    t.assert_rejected(&[&user], "PATCH", &user, &remove);
    let put = with_member(user_body("ann"), "roles", json!([{"value": "Auditor"}]));
    t.assert_rejected(&[&user], "PUT", &user, &put);
    let check = t.server.run_json(&["check"]);
    assert_eq!((&check["sound"], check["notes"].as_array().map(Vec::len)), (&json!(true), Some(1)), "{check}");
    let note = check["notes"][0].as_str().expect("text");
    assert!(note.contains("user 1 ") && note.contains("\"Auditor\""), "{note}");
}

/// Two concurrent additions that are each below the ceiling must not exceed it together.
#[test]
fn additions_at_the_same_time_stay_below_the_ceiling() {
    let t = Fixture::new();
    let number = t.number.to_string();
    for (name, rank) in [("Clerk", "User"), ("Helper", "ReadOnly"), ("Lead", "Admin")] {
        t.server.run_json(&["role", "add", name, "--rank", rank, "--tenant", &number]);
    }
    let id = t.create_user("ann", &json!([]));
    let user = format!("/Users/{id}");
    std::thread::scope(|scope| {
        for name in ["Clerk", "Helper", "User", "Lead"] {
            let (t, user) = (&t, &user);
            scope.spawn(move || {
                let change = patch(&json!([{"op": "add", "path": "roles", "value": [{"value": name}]}]));
                let expected = if name == "Lead" { 403 } else { 200 };
                for _ in 0..5 {
                    assert_eq!(t.scim(&t.limited_key, "PATCH", user, &change).0, expected, "{name}");
                }
            });
        }
    });
    let roles = t.read(&user)["roles"].as_array().expect("roles").clone();
    let mut names: Vec<&str> = roles.iter().filter_map(|role| role["value"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Clerk", "Helper", "User"]);
}

#[test]
fn deleted_users_above_the_ceiling_are_not_restored() {
    let t = Fixture::new();
    let listed = json!([{"value": "User", "primary": true}, {"value": "Admin"}]);
    for (name, roles) in [("ann", json!([{"value": "Admin"}])), ("bob", listed)] {
        let id = t.create_user(name, &roles);
        assert_eq!(t.scim(&t.admin_key, "DELETE", &format!("/Users/{id}"), &Value::Null).0, 204);
        let again = json!({"userName": format!("{name}@example.com"), "externalId": format!("E-{name}")});
        let (status, said) = t.scim(&t.limited_key, "POST", "/Users", &again);
        assert_eq!(status, 403, "{name}: {said}");
        assert_eq!(t.scim(&t.admin_key, "POST", "/Users", &again).0, 201);
    }
    let id = t.create_user("carl", &json!([{"value": "User"}]));
    assert_eq!(t.scim(&t.admin_key, "DELETE", &format!("/Users/{id}"), &Value::Null).0, 204);
    let mut again = json!({"userName": "carl@example.com", "externalId": "E-carl"});
    again["roles"] = json!([{"value": "User", "primary": true}, {"value": "Admin"}]);
    assert_eq!(t.scim(&t.limited_key, "POST", "/Users", &again).0, 403);
}

#[test]
fn groups_of_users_above_the_ceiling_cannot_be_changed() {
    let t = Fixture::new();
    let admin = t.create_user("ann", &json!([{"value": "User", "primary": true}, {"value": "Admin"}]));
    let other = t.create_user("bob", &json!([{"value": "User"}]));
    let (in_it, alone) = (json!([{"value": admin}, {"value": other}]), json!([{"value": other}]));
    let with = t.create("/Groups", &json!({"displayName": "with", "members": in_it}));
    let without = t.create("/Groups", &json!({"displayName": "without", "members": alone}));
    let user = format!("/Users/{admin}");
    let (with, without) = (format!("/Groups/{with}"), format!("/Groups/{without}"));
    let all = [user.as_str(), &with, &without];
    let member = json!([{"value": admin}]);
    for (target, change) in [
        (&without, json!([{"op": "add", "path": "members", "value": member}])),
        (&without, json!([{"op": "replace", "path": "members", "value": in_it}])),
        (&with, json!([{"op": "remove", "path": format!("members[value eq \"{admin}\"]")}])),
        (&with, json!([{"op": "remove", "path": "members", "value": member}])),
        (&with, json!([{"op": "replace", "path": "members", "value": alone}])),
        (&with, json!([{"op": "remove", "path": "members"}])),
    ] {
        t.assert_rejected(&all, "PATCH", target, &patch(&change));
    }
    t.assert_rejected(&all, "PUT", &without, &json!({"displayName": "without", "members": in_it}));
    t.assert_rejected(&all, "PUT", &with, &json!({"displayName": "with", "members": alone}));
    t.assert_rejected(&all, "DELETE", &with, &Value::Null);
    t.assert_rejected(&all, "POST", "/Groups", &json!({"displayName": "new", "members": member}));
    let onfire = json!({"Email": "ann@example.com", "Groups": ["without"], "UseNames": true}).to_string();
    let before = t.read(&user);
    let target = with_credentials(&t, "/api/v2/user?format=json");
    assert_eq!(t.send_request(&t.limited_key, "PUT", &target, "application/json", &onfire).status, 403);
    assert_eq!(before, t.read(&user));
    // Changes that keep the user's membership are allowed.
    assert_eq!(t.scim(&t.limited_key, "PUT", &with, &json!({"displayName": "new name", "members": in_it})).0, 200);
    assert_eq!(t.scim(&t.limited_key, "PUT", &with, &json!({"displayName": "new name", "members": member})).0, 200);
    assert_eq!(t.scim(&t.limited_key, "DELETE", &without, &Value::Null).0, 204);
}

/// Swapping external ids would make the next import confuse the users.
#[test]
fn external_ids_of_users_above_the_ceiling_cannot_be_changed() {
    let t = Fixture::new();
    let admin = t.create_user("ann", &json!([{"value": "Admin"}]));
    let user = format!("/Users/{admin}");
    let change = json!([{"op": "replace", "path": "externalId", "value": "E-other"}]);
    t.assert_rejected(&[&user], "PATCH", &user, &patch(&change));
    t.assert_rejected(&[&user], "PATCH", &user, &patch(&json!([{"op": "remove", "path": "externalId"}])));
    let put =
        with_member(with_member(user_body("ann"), "roles", json!([{"value": "Admin"}])), "externalId", json!("E-x"));
    t.assert_rejected(&[&user], "PUT", &user, &put);
    let before = t.read(&user);
    let onfire = json!({"Id": admin, "ExternalId": "E-x"}).to_string();
    let target = with_credentials(&t, "/api/v2/user?format=json");
    assert_eq!(t.send_request(&t.limited_key, "PUT", &target, "application/json", &onfire).status, 403);
    assert_eq!(before, t.read(&user));
    // The external id of a deleted user above the ceiling cannot be assigned, either.
    let gone = t.create_user("gone", &json!([{"value": "Admin"}]));
    assert_eq!(t.scim(&t.admin_key, "DELETE", &format!("/Users/{gone}"), &Value::Null).0, 204);
    let mine = format!("/Users/{}", t.create_user("mine", &json!([{"value": "User"}])));
    let change = json!([{"op": "replace", "path": "externalId", "value": "E-gone"}]);
    t.assert_rejected(&[&mine], "PATCH", &mine, &patch(&change));
    // The rules also apply to each row of an import over a connection.
    let files = t.server.create_connection(t.number, "files", &["--dialect", "transfer", "--highest-role", "User"]);
    let rows = [
        json!({"kind": "user", "id": admin, "email": "ann@example.com", "externalId": "E-x"}),
        json!({"kind": "role", "name": "Mine", "rank": "SuperAdmin"}),
        json!({"kind": "user", "email": "new@example.com", "role": "User", "roles": [{"value": "SuperAdmin"}]}),
        json!({"kind": "user", "email": "new2@example.com", "role": "Admin"}),
        json!({"kind": "user", "email": "fine@example.com", "role": "User"}),
    ];
    let file = rows.map(|row| row.to_string()).join("\n");
    let reply = t.send_request(&files, "POST", "/v1/imports?update=true", "application/x-ndjson", &file);
    assert_eq!(reply.status, 202, "{}", reply.body);
    let id = serde_json::from_str::<Value>(&reply.body).expect("JSON")["id"].as_str().expect("an id").to_owned();
    let job = wait_for("the import to end", || {
        let read = t.send_request(&files, "GET", &format!("/v1/imports/{id}"), "", "").body;
        let job: Value = serde_json::from_str(&read).expect("JSON");
        (!job["ended"].is_null()).then_some(job)
    });
    let people = &job["report"]["people"];
    assert_eq!((&people["created"], &people["refused"]), (&json!(1), &json!(3)), "{job}");
    assert_eq!(before, t.read(&user));
}
