//! For every route of the router's table: missing, invalid, revoked, expired and read-only keys, and keys of another
//! tenant, get the right error, change nothing and disclose nothing.

use crate::example_requests::{Example, Resource, create_resources, enable_every_dialect};
use crate::support::{TestApp, TestStore, build_request, runtime};
use dialects::kit::RequiredAccess;
use directory::{
    Access, Caller, Command, FieldUpdate, ItemKind, ItemQuery, OrganizationEdit, RequestedStatus, UserKey, UserQuery,
};
use testkit::conformance::new_user;

/// Occurs in all data of the first tenant.
const MARKER: &str = "alphaonly";

/// The status for a valid key without permission: `ccs` answers 401 where others answer 403.
fn forbidden(dialect: &str) -> u16 {
    if dialect == "ccs" { 401 } else { 403 }
}

/// Keys of two tenants. Each is enabled for every dialect, except `other`.
struct Keys {
    reader: String,
    other: String,
    expired: String,
    revoked: String,
    /// A permitted key of the second tenant.
    foreign: String,
}

impl Keys {
    async fn new(test_app: &TestApp, alpha: &Caller, beta: &Caller) -> Self {
        let past = test_app.directory().now().plus_seconds(-60);
        let keys = Self {
            reader: test_app
                .create_key(alpha, "reader", |new| {
                    enable_every_dialect(new);
                    new.access = Access::ReadOnly;
                })
                .await,
            other: test_app.create_key(alpha, "other", |new| new.dialects = vec!["none of them".into()]).await,
            expired: test_app
                .create_key(alpha, "expired", |new| {
                    enable_every_dialect(new);
                    new.expires = Some(past);
                })
                .await,
            revoked: test_app.create_key(alpha, "revoked", enable_every_dialect).await,
            foreign: test_app.create_key(beta, "foreign", enable_every_dialect).await,
        };
        let all = test_app.directory().connections(alpha).await.expect("listed");
        let id = all.iter().find(|c| c.name == "revoked").expect("found").id;
        test_app.directory().run(alpha, Command::RevokeConnection(id)).await.expect("revoked");
        keys
    }
}

#[test]
fn every_route_rejects_invalid_keys_without_disclosure() {
    runtime().block_on(async {
        let imports = tempfile::tempdir().expect("a folder");
        let config = server::PublicConfig { imports_dir: Some(imports.path().into()), ..Default::default() };
        let test_app = TestApp::on_store(TestStore::new(), config);
        let (alpha, beta) = (test_app.create_tenant("Alpha").await, test_app.create_tenant("Beta").await);
        for n in 1..=3 {
            let name = FieldUpdate::Set(format!("{MARKER}-{n}"));
            let edit = OrganizationEdit { name, ..OrganizationEdit::default() };
            test_app.directory().run(&alpha, Command::CreateOrganization(edit)).await.expect("created");
        }
        let active = FieldUpdate::Set(RequestedStatus::Active);
        create_resources(&test_app, &alpha, Resource::ALL, MARKER, active).await;
        let role = Command::AddRole { name: format!("{MARKER}-role"), rank: 2 };
        test_app.directory().run(&alpha, role).await.expect("created");
        let keys = Keys::new(&test_app, &alpha, &beta).await;
        let document = dialects::openapi("test");
        let mut before = test_app.event_count(alpha.tenant).await;
        let (mut operations, mut named) = (0, 0);
        for dialect in dialects::grantable_dialects() {
            for (route, method) in dialect.routes.iter().flat_map(|r| r.methods.iter().map(move |m| (r, m))) {
                let example = Example::of(&document, &method.name.to_ascii_lowercase(), route.path);
                let operation = format!("{} {} {}", dialect.name, method.name, route.path);
                if method.access == RequiredAccess::Public {
                    check_public_operation(&test_app, &example, &operation).await;
                } else {
                    check_keys_of_the_tenant(&test_app, &example, &keys, method.access, &operation).await;
                    check_foreign_key(&test_app, &example, &keys.foreign, beta.tenant.0, &operation).await;
                    clear_second_tenant(&test_app, &beta).await;
                }
                // The sign-in with the tenant's own key succeeds and is recorded.
                before += usize::from(dialect.name == "sign-in");
                assert_eq!(test_app.event_count(alpha.tenant).await, before, "nothing changed: {operation}");
                operations += 1;
                named += usize::from(example.names_a_resource);
            }
        }
        assert!(operations > 80 && named > 40, "only {operations} operations, {named} of them with a resource");
    });
}

/// A public operation returns the same response to all clients and discloses nothing about tenants.
async fn check_public_operation(test_app: &TestApp, example: &Example, operation: &str) {
    let without = example.send(test_app, None).await;
    assert_eq!(without.0, 200, "{operation}");
    assert!(!without.1.contains(MARKER), "{operation}");
    assert_eq!(example.send(test_app, Some(&"x".repeat(32))).await, without, "{operation}");
}

async fn check_keys_of_the_tenant(
    test_app: &TestApp,
    example: &Example,
    keys: &Keys,
    access: RequiredAccess,
    operation: &str,
) {
    let dialect = operation.split(' ').next().unwrap_or_default();
    let no_key = example.send(test_app, None).await;
    assert_eq!(no_key.0, 401, "no key: {operation}");
    let invalid = "x".repeat(32);
    for (name, key) in [("invalid", &invalid), ("revoked", &keys.revoked), ("expired", &keys.expired)] {
        let (status, body) = example.send(test_app, Some(key)).await;
        assert_eq!(status, 401, "{name} key: {operation}");
        assert!(!body.contains(MARKER) && !body.contains(key), "{name}: {body}");
        // The response does not depend on what is wrong with the key.
        let without_ids =
            |text: &str| text.split('"').map(|t| if t.contains("/error/") { "" } else { t }).collect::<String>();
        assert_eq!(without_ids(&body), without_ids(&no_key.1), "{name} key: {operation}");
    }
    let (status, _) = example.send(test_app, Some(&keys.other)).await;
    assert_eq!(status, forbidden(dialect), "another dialect's key: {operation}");
    let (status, body) = example.send(test_app, Some(&keys.reader)).await;
    if access == RequiredAccess::Write {
        assert_eq!(status, forbidden(dialect), "read-only key: {operation}");
        assert!(!body.contains(MARKER), "{body}");
    } else {
        let is_permitted = is_success_or_client_error(status, operation) && status != 401 && status != 403;
        assert!(is_permitted, "read-only key on a read: {status} {operation}");
    }
}

/// Sends the request with a key of the second tenant.
async fn check_foreign_key(test_app: &TestApp, example: &Example, key: &str, tenant: u32, operation: &str) {
    let mut example = example.clone();
    if example.target.contains("CompanyId=1") {
        let (status, body) = example.send(test_app, Some(key)).await;
        assert_eq!(status, 401, "another company's key: {operation}");
        assert!(!body.contains(MARKER), "{body}");
        example.target = example.target.replace("CompanyId=1", &format!("CompanyId={tenant}"));
    }
    let (status, body) = example.send(test_app, Some(key)).await;
    assert!(!body.contains(MARKER), "{operation}: {body}");
    if example.names_a_resource {
        let unknown = if operation.starts_with("onfire") { 400 } else { 404 };
        assert_eq!(status, unknown, "another tenant's: {operation} {body}");
    } else {
        assert!(is_success_or_client_error(status, operation), "{status} {operation} {body}");
    }
}

/// Also accepts 501 for `/Me` with a key that belongs to no user.
fn is_success_or_client_error(status: u16, operation: &str) -> bool {
    status < 500 || (status == 501 && operation.ends_with("/Me"))
}

/// Deletes what the second tenant's key was permitted to add to its own tenant.
async fn clear_second_tenant(test_app: &TestApp, beta: &Caller) {
    let all = UserQuery { limit: 100, ..UserQuery::default() };
    for user in test_app.directory().find_users(beta, all).await.expect("read").rows {
        test_app.directory().run(beta, Command::DeleteUser(UserKey::Id(user.id))).await.expect("deleted");
    }
    for kind in [ItemKind::Group, ItemKind::Folder, ItemKind::Organization] {
        for item in test_app.directory().find_items(beta, ItemQuery::all(kind)).await.expect("read").rows {
            let delete = Command::DeleteItem { kind, item: directory::ItemKey::Id(item.id()) };
            test_app.directory().run(beta, delete).await.expect("deleted");
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
        let connection = test_app.directory().all_connections(&Caller::installation()).await.expect("listed").remove(0);
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
