//! How many SQL statements a request takes. It sends a database server a few, however many users and groups it names. On
//! SQLite, where a statement is a function call, each row is one.

use crate::support::{TestApp, build_request, runtime};
use directory::Caller;
use serde_json::{Value, json};
use std::pin::Pin;

/// The most statements of a transaction on PostgreSQL, with `BEGIN` and `COMMIT`. They are sent together.
const BATCH: u64 = 12;

struct Limits {
    transactions: u64,
    /// Without those of the transactions.
    postgres: u64,
    /// With those of the transactions, and those of the health check that reads the count.
    sqlite: u64,
}
const USERS: usize = 100;

/// A request that changes nothing.
const fn read(postgres: u64, sqlite: u64) -> Limits {
    Limits { transactions: 0, postgres, sqlite }
}

/// A change in one transaction.
const fn change(postgres: u64, sqlite: u64) -> Limits {
    Limits { transactions: 1, postgres, sqlite }
}

struct Fixture {
    test_app: TestApp,
    tenant: u32,
    key: String,
    users: Vec<String>,
    groups: Vec<String>,
}

impl Fixture {
    /// 100 users and 100 groups; each user is in three groups.
    async fn new() -> Self {
        let test_app = TestApp::with_manual_clock();
        let caller: Caller = test_app.create_tenant("Counts").await;
        let key = test_app.create_key(&caller, "counts", |new| new.dialects.push("sign-in".into())).await;
        let mut fixture = Self { test_app, tenant: caller.tenant.0, key, users: Vec::new(), groups: Vec::new() };
        for n in 0..USERS {
            let user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("u{n}@x.y"),
                "emails": [{"value": format!("u{n}@x.y"), "type": "work", "primary": true}]});
            let made = fixture.scim("POST", "/Users", &user, 201).await;
            fixture.users.push(id_of(&made));
        }
        for n in 0..USERS {
            let members = (n..n + 3).map(|m| fixture.users[m % USERS].clone()).collect::<Vec<_>>();
            let made = fixture.scim("POST", "/Groups", &group(&format!("g{n}"), &members), 201).await;
            fixture.groups.push(id_of(&made));
        }
        fixture
    }

    async fn send(&self, method: &str, target: &str, media: &str, body: &str, expected: u16) -> Value {
        let bearer = format!("Bearer {}", self.key);
        let headers = [("authorization", bearer.as_str()), ("content-type", media), ("accept", media)];
        let (status, body) = self.test_app.send_request(build_request(method, target, &headers, body)).await;
        assert_eq!(status, expected, "{method} {target}: {body}");
        serde_json::from_str(&body).unwrap_or_default()
    }

    async fn scim(&self, method: &str, target: &str, body: &Value, expected: u16) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, &format!("/scim/v2{target}"), "application/scim+json", &body, expected).await
    }

    async fn health(&self) -> directory::Health {
        self.test_app.directory().health().await.expect("healthy")
    }

    /// Runs a request and asserts how many statements and transactions it took. The memory engine has none.
    async fn at_most<T>(&self, limits: Limits, name: &str, request: Pin<Box<dyn Future<Output = T> + '_>>) -> T {
        let before = self.health().await;
        let done = request.await;
        let after = self.health().await;
        if let (Some(before_count), Some(after_count)) = (before.statements, after.statements) {
            let (statements, transactions) = (after_count - before_count, after.commits - before.commits);
            // Transactions of other tests can conflict on a serializable database.
            let attempts = transactions + after.retries - before.retries;
            let most = if after.engine == "sqlite" { limits.sqlite } else { limits.postgres + BATCH * attempts };
            assert!(transactions <= limits.transactions, "{name}: {transactions} transactions");
            assert!(statements <= most, "{name}: {statements} statements, at most {most}");
            assert!(statements > 0, "{name}: no statement was counted");
        }
        done
    }
}

fn id_of(resource: &Value) -> String {
    resource["id"].as_str().expect("an id").to_owned()
}

fn group(name: &str, members: &[String]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members})
}

fn add_members(ids: &[String]) -> Value {
    let members: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "add", "path": "members", "value": members}]})
}

#[test]
fn a_page_of_users_takes_at_most_four_statements() {
    runtime().block_on(async {
        let fixture = Fixture::new().await;
        // The key is looked up first, and then cached.
        fixture.scim("GET", "/Users?count=1", &Value::Null, 200).await;
        let page = Box::pin(fixture.scim("GET", "/Users?count=100", &Value::Null, 200));
        let page = fixture.at_most(read(4, 112), "scim", page).await;
        assert_eq!(page["Resources"][0]["groups"].as_array().map(Vec::len), Some(3), "{page}");
        assert_eq!(page["Resources"].as_array().map(Vec::len), Some(USERS));
        let key = format!("CompanyId={}&IntegrationKey={}", fixture.tenant, fixture.key);
        let onfire = format!("/api/v2/user/search?UseNames=true&PageSize=100&{key}");
        for (name, target, sqlite) in [
            ("publisher", "/api/2/users?fields=all&limit=100", 12),
            ("ccs", "/request/user?take=100", 18),
            ("onfire", &onfire, 112),
        ] {
            let page = Box::pin(fixture.send("GET", target, "application/json", "", 200));
            fixture.at_most(read(4, sqlite), name, page).await;
        }
    });
}

#[test]
fn a_change_of_members_takes_at_most_eight_statements_and_a_batch() {
    runtime().block_on(async {
        let fixture = Fixture::new().await;
        let empty = id_of(&fixture.scim("POST", "/Groups", &group("empty", &[]), 201).await);
        for (many, sqlite) in [(1, 30), (USERS, 630)] {
            let patch = add_members(&fixture.users[..many]);
            let target = format!("/Groups/{empty}");
            let done = Box::pin(fixture.scim("PATCH", &target, &patch, 204));
            fixture.at_most(change(8, sqlite), &format!("{many} members"), done).await;
            let read = fixture.scim("GET", &target, &Value::Null, 200).await;
            assert_eq!(read["members"].as_array().map(Vec::len), Some(many));
        }
    });
}

#[test]
fn creating_and_deleting_a_user_takes_few_statements() {
    runtime().block_on(async {
        let fixture = Fixture::new().await;
        let user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "new@x.y",
            "emails": [{"value": "new@x.y", "type": "work", "primary": true}]});
        let made = fixture.at_most(change(1, 25), "create", Box::pin(fixture.scim("POST", "/Users", &user, 201))).await;
        let id = id_of(&made);
        for chosen in &fixture.groups {
            fixture.scim("PATCH", &format!("/Groups/{chosen}"), &add_members(std::slice::from_ref(&id)), 204).await;
        }
        let target = format!("/Users/{id}");
        let read =
            fixture.at_most(read(4, 108), "read", Box::pin(fixture.scim("GET", &target, &Value::Null, 200))).await;
        assert_eq!(read["groups"].as_array().map(Vec::len), Some(USERS), "{read}");
        fixture.at_most(change(6, 635), "delete", Box::pin(fixture.scim("DELETE", &target, &Value::Null, 204))).await;
        fixture.scim("GET", &target, &Value::Null, 404).await;
    });
}

#[test]
fn a_bulk_of_creates_shares_its_statements() {
    runtime().block_on(async {
        let fixture = Fixture::new().await;
        let operation = |n: usize| {
            json!({"method": "POST", "path": "/Users", "bulkId": format!("b{n}"), "data": {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("bulk{n}@x.y")}})
        };
        let operations: Vec<Value> = (0..USERS).map(operation).collect();
        let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
        let done = Box::pin(fixture.scim("POST", "/Bulk", &bulk, 200));
        let done = fixture.at_most(change(8, 730), "bulk", done).await;
        let created = done["Operations"].as_array().expect("a list").iter().filter(|one| one["status"] == "201");
        assert_eq!(created.count(), USERS, "{done}");
        // Numbers follow the order of the request.
        let page = fixture.scim("GET", "/Users?filter=userName+sw+%22bulk%22&count=1000", &Value::Null, 200).await;
        let names: Vec<Value> =
            page["Resources"].as_array().expect("a list").iter().map(|user| user["userName"].clone()).collect();
        let expected: Vec<Value> = (0..USERS).map(|n| json!(format!("bulk{n}@x.y"))).collect();
        assert_eq!(names, expected);
    });
}

#[test]
fn an_import_takes_few_statements() {
    runtime().block_on(async {
        let fixture = Fixture::new().await;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.csv");
        let row = |n: usize| format!("Import{n},Person,import{n}@x.y,e{n},team {};team {}\n", n % 50, (n + 1) % 50);
        let rows: String = (0..1_000).map(row).collect();
        std::fs::write(&path, format!("First name,Last name,Email,External id,Groups\n{rows}")).expect("written");
        let columns = transfer::ColumnMapping::new(dialects::kit::field_aliases());
        let options = transfer::import::ImportOptions::new(path, transfer::Format::Csv, columns);
        let scan = transfer::import::scan(&options).expect("scanned");
        let caller = Caller::operator(directory::TenantNumber(fixture.tenant));
        let directory = fixture.test_app.directory();
        let progress: &mut (dyn FnMut(u64) -> bool + Send) = &mut |_| true;
        let import = Box::pin(transfer::import::run(directory, &caller, &options, &scan, progress));
        let report = fixture
            .at_most(Limits { transactions: 10, postgres: 20, sqlite: 24_500 }, "import", import)
            .await
            .expect("imported");
        assert_eq!(report.created_items, 50);
    });
}

#[test]
fn a_sign_in_takes_few_statements() {
    runtime().block_on(async {
        let fixture = Fixture::new().await;
        let user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ann@x.y",
            "password": "correct horse battery staple"});
        fixture.scim("POST", "/Users", &user, 201).await;
        let body = json!({"user": "ann@x.y", "password": "correct horse battery staple"}).to_string();
        let target = "/v1/sign-in";
        fixture.send("POST", target, "application/json", &body, 200).await;
        let again = Box::pin(fixture.send("POST", target, "application/json", &body, 200));
        fixture.at_most(change(3, 26), "sign-in", again).await;
    });
}
