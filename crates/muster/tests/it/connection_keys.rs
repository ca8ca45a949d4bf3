//! For every route of the router's table: missing, invalid, revoked, expired and read-only keys, and keys of another
//! tenant, get the right error, change nothing and disclose nothing.

use crate::support::{TestApp, build_request, runtime};
use dialects::kit::{Route, RouteMethod};
use directory::{
    Access, Caller, Command, Field, FieldUpdate, FolderEdit, GroupEdit, MemberEdit, OrganizationEdit, UserKey,
};
use testkit::conformance::new_user;

/// Occurs in all data of the first tenant.
const MARKER: &str = "alphaonly";

struct Case<'a> {
    dialect: &'static str,
    route: &'static Route,
    verb: &'static RouteMethod,
    ids: &'a Ids,
}

/// Identifiers of the first tenant's resources.
struct Ids {
    user: String,
    group: String,
    folder: String,
}

impl Case<'_> {
    /// Sends the request with this key, as the dialect expects it; returns status and body.
    async fn send_request(&self, test_app: &TestApp, key: Option<&str>, tenant: u32) -> (u16, String) {
        let path = self.route.path.to_owned();
        let mut target = path
            .replace("/{context}", "/ctx")
            .replace("{format}", "json")
            .replace("{id}", self.id())
            .replace("{name}", "User")
            .replace("{urn}", "urn:ietf:params:scim:schemas:core:2.0:User")
            .replace("{user}", &format!("{MARKER}@x.y"))
            .replace("{group}", "1")
            .replace("{organisation}", "3");
        let mut headers = vec![("content-type", "application/json")];
        let bearer = format!("Bearer {}", key.unwrap_or_default());
        let lower = path.to_ascii_lowercase();
        if self.dialect == "onfire" {
            let id = if lower.contains("folder") {
                &self.ids.folder
            } else if lower.contains("usergroup") {
                &self.ids.group
            } else {
                &self.ids.user
            };
            target.push_str(&format!("?CompanyId={tenant}"));
            if let Some(key) = key {
                target.push_str(&format!("&IntegrationKey={key}"));
            }
            if self.verb.name != "POST" && !lower.ends_with("search") {
                target.push_str(&format!("&Id={id}"));
            }
        } else if key.is_some() {
            headers.push(("authorization", &bearer));
        }
        test_app.send_request(build_request(self.verb.name, &target, &headers, self.body())).await
    }

    /// The value for `{id}` in a path.
    fn id(&self) -> &str {
        match (self.dialect, self.route.path.contains("Groups")) {
            ("scim", true) => &self.ids.group,
            ("scim", false) => &self.ids.user,
            _ => "1",
        }
    }

    /// A body that a permitted key could send.
    fn body(&self) -> &'static str {
        let path = self.route.path.to_ascii_lowercase();
        match (self.dialect, self.verb.name) {
            (_, "GET" | "DELETE") => "",
            ("scim", "PATCH") => "{\"Operations\":[{\"op\":\"replace\",\"path\":\"displayName\",\"value\":\"Beta\"}]}",
            ("scim", _) if path.ends_with("bulk") => {
                "{\"Operations\":[{\"method\":\"POST\",\"path\":\"/Users\",\"bulkId\":\"1\",\"data\":{\"userName\":\"beta@x.y\"}}]}"
            }
            ("scim", _) if path.ends_with(".search") => "{}",
            ("scim", _) => "{\"userName\":\"beta@x.y\",\"displayName\":\"Beta\"}",
            ("onfire", _) if path.ends_with("search") => "{}",
            ("onfire", _) if path.contains("usergroup") || path.contains("folder") => "{\"Name\":\"Beta\"}",
            ("onfire", _) => "{\"Email\":\"beta@x.y\",\"FirstName\":\"B\",\"LastName\":\"C\"}",
            ("ccs", _) => "{\"firstName\":\"B\",\"email\":\"beta@x.y\",\"roleId\":1}",
            _ if path.ends_with("/users/activate") || path.ends_with("/users/disable") => {
                "{\"users\":{\"user\":[\"alphaonly@x.y\",1]}}"
            }
            _ if path.ends_with("/organisations/activate") || path.ends_with("/organisations/disable") => {
                "{\"organisations\":{\"organisation\":[3]}}"
            }
            _ if path.ends_with("/domains") => "{\"domain\":{\"url\":\"beta.org\"}}",
            _ if path.ends_with("groups/{group}/users") => "{\"group\":{\"users\":[1]}}",
            _ if path.contains("groups") => "{\"group\":{\"name\":\"Beta\",\"users\":[]}}",
            _ if path.contains("organisations") => "{\"organisation\":{\"name\":\"Beta\"}}",
            _ => "{\"user\":{\"email\":\"beta@x.y\",\"name\":{\"firstname\":\"B\"}}}",
        }
    }

    /// Also accepts 501 for `/Me` with a key that belongs to no user.
    fn is_success_or_client_error(&self, status: u16) -> bool {
        status < 500 || (status == 501 && self.route.path.ends_with("/Me"))
    }

    fn description(&self) -> String {
        format!("{} {} {}", self.dialect, self.verb.name, self.route.path)
    }

    /// Whether the path contains the id of a resource of the first tenant.
    fn addresses_a_resource(&self) -> bool {
        let path = self.route.path.to_ascii_lowercase();
        match self.dialect {
            "onfire" => self.verb.name != "POST" && !path.ends_with("search"),
            _ => {
                path.contains("{id}")
                    || path.contains("{user}")
                    || path.contains("{group}")
                    || path.contains("{organisation}")
                    || path.ends_with("/activate")
                    || path.ends_with("/disable")
            }
        }
    }
}

async fn create_resources(test_app: &TestApp, alpha: &Caller) -> Ids {
    let run = async |command| test_app.directory().run(alpha, command).await.expect("done");
    let mut edit = new_user("alphaonly@x.y");
    edit.set_text(Field::GivenName, FieldUpdate::Set(format!("{MARKER}-name")));
    edit.department = FieldUpdate::Set(directory::DepartmentRef::Name(format!("{MARKER}-department")));
    let user = run(Command::CreateUser(edit)).await.users[0].id.0.simple().to_string();
    let name = || FieldUpdate::Set(format!("{MARKER}-item"));
    let members = Some(MemberEdit::Replace(vec![UserKey::Number(1)]));
    let group = run(Command::CreateGroup(GroupEdit { name: name(), members, ..GroupEdit::default() })).await;
    let folder = run(Command::CreateFolder(FolderEdit { name: name(), ..FolderEdit::default() })).await;
    // The second tenant adds one user, so it never has number 3.
    for n in 1..=3 {
        let name = FieldUpdate::Set(format!("{MARKER}-{n}"));
        run(Command::CreateOrganization(OrganizationEdit { name, ..OrganizationEdit::default() })).await;
    }
    run(Command::AddRole { name: format!("{MARKER}-role"), rank: 2 }).await;
    let id = |receipt: &directory::Receipt| receipt.items[0].id().0.simple().to_string();
    Ids { user, group: id(&group), folder: id(&folder) }
}

/// The status for a valid key without permission: `ccs` answers 401 where others answer 403.
fn forbidden(dialect: &str) -> u16 {
    if dialect == "ccs" { 401 } else { 403 }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one sequence of steps")]
fn every_route_rejects_invalid_keys_without_disclosure() {
    runtime().block_on(async {
        let test_app = TestApp::new();
        let (alpha, beta) = (test_app.create_tenant("Alpha").await, test_app.create_tenant("Beta").await);
        let ids = create_resources(&test_app, &alpha).await;
        let reader = test_app.create_key(&alpha, "reader", |new| new.access = Access::ReadOnly).await;
        let other = test_app.create_key(&alpha, "other", |new| new.dialects = vec!["none of them".into()]).await;
        let past = test_app.directory().now().plus_seconds(-60);
        let expired = test_app.create_key(&alpha, "expired", |new| new.expires = Some(past)).await;
        let revoked = test_app.create_key(&alpha, "revoked", |_| {}).await;
        let all = test_app.directory().connections(Some(alpha.tenant)).await.expect("listed");
        let id = all.iter().find(|c| c.name == "revoked").expect("found").id;
        test_app.directory().run(&alpha, Command::RevokeConnection(id)).await.expect("revoked");
        let foreign = test_app.create_key(&beta, "foreign", |_| {}).await;
        let mut routes = 0;
        let before = test_app.event_count(alpha.tenant).await;
        for dialect in dialects::USER_APIS {
            for route in dialect.routes {
                for verb in route.methods {
                    routes += 1;
                    let case = Case { dialect: dialect.name, route, verb, ids: &ids };
                    if verb.access == dialects::kit::RequiredAccess::Public {
                        check_open_route(&test_app, &case, alpha.tenant.0).await;
                        continue;
                    }
                    let no_key = case.send_request(&test_app, None, alpha.tenant.0).await;
                    assert_eq!(no_key.0, 401, "no key: {}", case.description());
                    for (name, key) in
                        [("bad", "x".repeat(32)), ("revoked", revoked.clone()), ("expired", expired.clone())]
                    {
                        let (status, body) = case.send_request(&test_app, Some(&key), alpha.tenant.0).await;
                        assert_eq!(status, 401, "{name} key: {}", case.description());
                        assert!(!body.contains(MARKER) && !body.contains(&key), "{name}: {body}");
                        // The response does not depend on what is wrong with the key.
                        let number = |text: &str| {
                            text.split('"').map(|t| if t.contains("/error/") { "" } else { t }).collect::<String>()
                        };
                        assert_eq!(number(&body), number(&no_key.1), "{name} key: {}", case.description());
                    }
                    let (status, _) = case.send_request(&test_app, Some(&other), alpha.tenant.0).await;
                    assert_eq!(status, forbidden(dialect.name), "another dialect's key: {}", case.description());
                    if verb.access == dialects::kit::RequiredAccess::Write {
                        let (status, body) = case.send_request(&test_app, Some(&reader), alpha.tenant.0).await;
                        assert_eq!(status, forbidden(dialect.name), "read-only key: {}", case.description());
                        assert!(!body.contains(MARKER), "{body}");
                    } else {
                        let (status, _) = case.send_request(&test_app, Some(&reader), alpha.tenant.0).await;
                        assert!(
                            case.is_success_or_client_error(status) && status != 401 && status != 403,
                            "read-only key on a read: {status} {}",
                            case.description()
                        );
                    }
                    if dialect.name == "onfire" {
                        let (status, body) = case.send_request(&test_app, Some(&foreign), alpha.tenant.0).await;
                        assert_eq!(status, 401, "another company's key: {}", case.description());
                        assert!(!body.contains(MARKER), "{body}");
                    }
                    let (status, body) = case.send_request(&test_app, Some(&foreign), beta.tenant.0).await;
                    assert!(!body.replace("alphaonly@x.y", "").contains(MARKER), "{}: {body}", case.description());
                    if case.addresses_a_resource() {
                        let unknown = if dialect.name == "onfire" { 400 } else { 404 };
                        assert_eq!(status, unknown, "another tenant's: {} {body}", case.description());
                    } else {
                        assert!(case.is_success_or_client_error(status), "{} {body}", case.description());
                    }
                    assert_eq!(
                        test_app.event_count(alpha.tenant).await,
                        before,
                        "nothing changed: {}",
                        case.description()
                    );
                    clear_second_tenant(&test_app, &beta).await;
                }
            }
        }
        assert!(routes > 80, "only {routes} routes tested");
    });
}

/// A public route returns the same response to all clients and discloses nothing about tenants.
async fn check_open_route(test_app: &TestApp, case: &Case<'_>, tenant: u32) {
    let without = case.send_request(test_app, None, tenant).await;
    assert_eq!(without.0, 200, "{}", case.description());
    assert!(!without.1.contains(MARKER), "{}", case.description());
    assert_eq!(case.send_request(test_app, Some(&"x".repeat(32)), tenant).await, without, "{}", case.description());
}

/// Deletes what the second tenant's key was permitted to add to its own tenant.
async fn clear_second_tenant(test_app: &TestApp, beta: &Caller) {
    let everybody = directory::UserQuery { limit: 100, ..directory::UserQuery::default() };
    for user in test_app.directory().users(beta, everybody).await.expect("read").rows {
        test_app.directory().run(beta, Command::DeleteUser(UserKey::Id(user.id))).await.expect("deleted");
    }
    for kind in [directory::ItemKind::Group, directory::ItemKind::Folder] {
        let all = directory::ItemQuery::all(kind);
        for item in test_app.directory().items(beta, all).await.expect("read").rows {
            let gone = Command::DeleteItem { kind, item: directory::ItemKey::Id(item.id()) };
            test_app.directory().run(beta, gone).await.expect("deleted");
        }
    }
}

#[test]
fn a_key_grants_no_higher_role_and_rotation_has_no_gap() {
    runtime().block_on(async {
        let test_app = TestApp::new();
        let alpha = test_app.create_tenant("Alpha").await;
        let key = test_app.create_key(&alpha, "low", |new| new.highest_role = 2).await;
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let post = |role: u32| {
            let body = format!("{{\"firstName\":\"B\",\"email\":\"b{role}@x.y\",\"roleId\":{role}}}");
            build_request("POST", "/request/user", &headers, &body)
        };
        assert_eq!(test_app.send_request(post(2)).await.0, 200);
        assert_eq!(test_app.send_request(post(3)).await.0, 401);
        let query = format!("/api/v2/user?CompanyId={}&IntegrationKey={key}", alpha.tenant);
        let json = [("content-type", "application/json")];
        let body = "{\"Email\":\"c@x.y\",\"FirstName\":\"C\",\"LastName\":\"D\",\"WebsiteRole\":\"SuperAdmin\"}";
        let (status, answer) = test_app.send_request(build_request("POST", &query, &json, body)).await;
        assert_eq!(status, 403, "{answer}");
        // A user with a higher role keeps role and password.
        let mut admin = new_user("admin@x.y");
        admin.role = FieldUpdate::Set(directory::RoleRef::Number(6));
        test_app.directory().run(&alpha, Command::CreateUser(admin)).await.expect("added");
        let takeover = "{\"Email\":\"admin@x.y\",\"Password\":\"my own now\"}";
        assert_eq!(test_app.send_request(build_request("PUT", &query, &json, takeover)).await.0, 403);
        let connection = test_app.directory().connections(None).await.expect("listed").remove(0);
        let second = adapters::generate_api_key().expect("a key");
        let command = Command::AddKey {
            connection: connection.id,
            key_hash: dialects::kit::hash_key(&second),
            revoke_others: false,
        };
        test_app.directory().run(&alpha, command).await.expect("rotated");
        for key in [key, second] {
            let target = format!("/api/v2/user/search?CompanyId={}&IntegrationKey={key}", alpha.tenant);
            assert_eq!(test_app.send_request(build_request("GET", &target, &[], "")).await.0, 200);
        }
    });
}
