//! `Idempotency-Key`: a repeated POST gets the first response again and changes nothing, on every dialect, also if the
//! response was lost and the repeat reaches another process.

mod lossy_relay;

use crate::support::{HttpResponse, MUSTER, Server, TestStore, is_on_postgres, launch, run_json, send, try_send};
use lossy_relay::LossyRelay;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Child;
use testkit::seeds::repetitions;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Scim,
    Publisher,
    Ccs,
    OnfireV1,
    OnfireV2,
}

const APIS: [Api; 5] = [Api::Scim, Api::Publisher, Api::Ccs, Api::OnfireV1, Api::OnfireV2];

impl Api {
    fn path(self) -> &'static str {
        match self {
            Self::Scim => "/scim/v2/Users",
            Self::Publisher => "/api/2/users",
            Self::Ccs => "/request/user",
            Self::OnfireV1 => "/api/v1/suser",
            Self::OnfireV2 => "/api/v2/user",
        }
    }

    fn user(self, email: &str) -> Value {
        match self {
            Self::Scim => json!({"userName": email, "emails": [{"value": email, "primary": true}]}),
            Self::Publisher => json!({"user": {"name": {"firstname": "Ann"}, "email": email}}),
            Self::Ccs => json!({"firstName": "Ann", "email": email, "roleId": 2}),
            Self::OnfireV1 | Self::OnfireV2 => json!({"Email": email, "FirstName": "Ann", "LastName": "Lee"}),
        }
    }
}

/// A connection.
#[derive(Clone)]
struct Client {
    tenant: u64,
    key: String,
}

impl Client {
    fn post(
        &self,
        send: impl Fn(&str, &[(&str, &str)], &[u8]) -> Option<HttpResponse>,
        (api, idempotency_key, body): (Api, &str, &Value),
    ) -> Option<HttpResponse> {
        let bearer = format!("Bearer {}", self.key);
        let mut target = api.path().to_owned();
        let mut headers = vec![("Content-Type", "application/json"), ("Idempotency-Key", idempotency_key)];
        if matches!(api, Api::OnfireV1 | Api::OnfireV2) {
            target.push_str(&format!("?format=json&CompanyId={}&IntegrationKey={}", self.tenant, self.key));
        } else {
            headers.push(("Authorization", &bearer));
        }
        send(&target, &headers, body.to_string().as_bytes())
    }
}

/// The parts of a response that a repeat must reproduce: all but what names the request itself.
fn essence(response: &HttpResponse) -> (u16, Vec<String>, String) {
    let is_own = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !matches!(name.as_str(), "date" | "x-request-id")
    };
    let mut head: Vec<String> = response.head.lines().filter(is_own).map(str::to_owned).collect();
    head.sort();
    (response.status, head, response.body.clone())
}

fn user_count(store: &str, tenant: u64) -> u64 {
    let list = run_json(store, &["user", "list", "--limit", "1", "--tenant", &tenant.to_string()]);
    list["total"].as_u64().expect("a number")
}

#[test]
fn a_repeated_post_gets_the_first_response_on_every_dialect() {
    let server = Server::start(&[]);
    let (tenant, key) = server.create_tenant(&[]);
    let client = Client { tenant, key };
    let other = Client { tenant, key: server.create_connection(tenant, "other", &[]) };
    let post = |client: &Client, api, key: &str, body: &Value| {
        let sent = client
            .post(|target, headers, body| Some(send(&server.address, "POST", target, headers, body)), (api, key, body));
        sent.expect("a response")
    };
    for (n, api) in (1..).zip(APIS) {
        let (email, key) = (format!("{api:?}@example.com"), format!("\"key {api:?}\""));
        let body = api.user(&email);
        let first = post(&client, api, &key, &body);
        assert!((200..300).contains(&first.status), "{api:?}: {first:?}");
        assert_eq!(essence(&post(&client, api, &key, &body)), essence(&first), "{api:?}");
        assert_eq!(user_count(server.store(), tenant), n, "{api:?}");
        // Another body.
        let reused = post(&client, api, &key, &api.user("else@example.com"));
        assert_eq!(reused.status, 422, "{api:?}: {reused:?}");
        assert!(reused.body.contains("was used for another request"), "{api:?}: {}", reused.body);
        // The key of another connection is another key.
        let taken = post(&other, api, &key, &body);
        assert!(taken.status >= 400 && !taken.body.contains("Idempotency"), "{api:?}: {taken:?}");
        // A rejected request gets the same rejection again, even if the cause no longer exists.
        let rejected_key = format!("rejected-{api:?}");
        let rejected = post(&client, api, &rejected_key, &body);
        assert!(rejected.status >= 400, "{api:?}: {rejected:?}");
        let tenant_argument = tenant.to_string();
        server.run_json(&["user", "delete", &email, "--tenant", &tenant_argument]);
        assert_eq!(essence(&post(&client, api, &rejected_key, &body)), essence(&rejected), "{api:?}");
        server.run_json(&["user", "restore", &email, "--tenant", &tenant_argument]);
        for malformed in ["\"", "two words", &"a".repeat(256)] {
            let response = post(&client, api, malformed, &api.user("new@example.com"));
            assert_eq!(response.status, 400, "{api:?} {malformed}: {response:?}");
        }
        assert_eq!(user_count(server.store(), tenant), n, "{api:?}");
    }
}

/// Changes a store behind the back of its servers.
fn execute_sql(store: &str, statement: &str) {
    if is_on_postgres() {
        testkit::postgres::query(store, statement);
    } else {
        rusqlite::Connection::open(store).expect("opened").execute_batch(statement).expect("executed");
    }
}

/// The process ends after the operations of a bulk request were committed, and before its response is stored: the
/// repeat finds each operation done, also those that their own effects would reject.
#[test]
fn an_interrupted_bulk_request_gets_the_results_of_its_own_operations() {
    let server = Server::start(&[]);
    let (tenant, key) = server.create_tenant(&[]);
    let client = Client { tenant, key };
    let post = |target: &str, idempotency_key: &str, body: &Value| {
        let bearer = format!("Bearer {}", client.key);
        let headers =
            [("Content-Type", "application/json"), ("Authorization", &*bearer), ("Idempotency-Key", idempotency_key)];
        let response = send(&server.address, "POST", target, &headers, body.to_string().as_bytes());
        (response.status, serde_json::from_str::<Value>(&response.body).expect("JSON"))
    };
    let create =
        |email: &str| post("/scim/v2/Users", email, &Api::Scim.user(email)).1["id"].as_str().map(str::to_owned);
    let [ann, bob, cleo] =
        ["ann@example.com", "bob@example.com", "cleo@example.com"].map(|email| create(email).expect("an id"));
    let group = post("/scim/v2/Groups", "group", &json!({"displayName": "Old", "members": [{"value": cleo}]})).1;
    let group = group["id"].as_str().expect("an id");
    let user =
        |n: usize, data: Value| json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": data});
    let new_user = |n: usize| user(n, Api::Scim.user(&format!("u{n}@example.com")));
    let patch = |path: String, version: &str, operation: Value| json!({"method": "PATCH", "path": path, "version": version, "data": {"Operations": [operation]}});
    let team = json!({"displayName": "Team", "members": [{"value": "bulkId:u7"}]});
    // Users that are created together before and after operations that run alone.
    let operations = json!([
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": team},
        new_user(1),
        patch(format!("/Users/{ann}"), "W/\"1\"", json!({"op": "replace", "path": "title", "value": "Pilot"})),
        new_user(2), new_user(3), user(4, Api::Scim.user("ann@example.com")), new_user(5), new_user(6), new_user(7),
        patch(format!("/Groups/{group}"), "W/\"1\"", json!({"op": "remove", "path": "members"})),
        {"method": "DELETE", "path": format!("/Users/{bob}"), "version": "W/\"1\""},
    ]);
    let body = json!({"Operations": operations});
    let results = |(status, body): (u16, Value)| {
        assert_eq!(status, 200, "{body}");
        let operations = body["Operations"].as_array().expect("results").clone();
        let result = |operation: Value| (operation["status"].clone(), operation["location"].clone());
        operations.into_iter().map(result).collect::<Vec<_>>()
    };
    let first = results(post("/scim/v2/Bulk", "bulk", &body));
    let statuses: Vec<_> = first.iter().map(|(status, _)| status.as_str().unwrap_or_default()).collect();
    let expected = ["201", "201", "200", "201", "201", "409", "201", "201", "201", "204", "204"];
    assert_eq!(statuses, expected);
    execute_sql(server.store(), "DELETE FROM idempotency_records WHERE step = 2147483647");
    assert_eq!(results(post("/scim/v2/Bulk", "bulk", &body)), first);
    assert_eq!(user_count(server.store(), tenant), 8, "ann, cleo and six new users");
}

/// Two processes share the folder of imports.
#[test]
fn a_repeated_upload_creates_no_second_import() {
    let imports = tempfile::tempdir().expect("a folder");
    let flags = ["--imports-dir", imports.path().to_str().expect("a path")];
    let processes = Processes::start_with(2, &flags);
    let store = processes.store.store.as_str();
    let tenant = run_json(store, &["tenant", "add", "Acme"])["number"].as_u64().expect("a number").to_string();
    let key_of = |name: &str| {
        let arguments = ["connection", "add", name, "--tenant", &tenant, "--dialect", "transfer"];
        run_json(store, &arguments)["key"].as_str().expect("a key").to_owned()
    };
    let (main, other) = (key_of("main"), key_of("other"));
    let upload = |process: usize, key: &str, idempotency_key: &str, target: &str, file: &str| {
        let bearer = format!("Bearer {key}");
        let headers =
            [("Content-Type", "text/csv"), ("Authorization", bearer.as_str()), ("Idempotency-Key", idempotency_key)];
        send(&processes.addresses[process], "POST", target, &headers, file.as_bytes())
    };
    let list = || {
        let bearer = format!("Bearer {main}");
        let headers = [("Authorization", bearer.as_str())];
        let body = send(&processes.addresses[0], "GET", "/v1/imports", &headers, b"").body;
        let list: Value = serde_json::from_str(&body).expect("JSON");
        list["imports"].as_array().expect("a list").clone()
    };
    let file = "email,givenName\nann@example.com,Ann\n";
    let first = upload(0, &main, "one", "/v1/imports", file);
    assert_eq!(first.status, 202, "{first:?}");
    for process in [0, 1] {
        assert_eq!(essence(&upload(process, &main, "one", "/v1/imports", file)), essence(&first));
    }
    testkit::waiting::wait_for("the import", || (list()[0]["status"] == "done").then_some(()));
    assert_eq!(essence(&upload(1, &main, "one", "/v1/imports", file)), essence(&first), "also when it has ended");
    for (target, file) in [("/v1/imports", "email\nbob@example.com\n"), ("/v1/imports?dryRun=true", file)] {
        let reused = upload(1, &main, "one", target, file);
        assert_eq!(reused.status, 422, "{target}: {reused:?}");
    }
    assert_eq!(upload(0, &main, "\"", "/v1/imports", file).status, 400);
    assert_eq!(list().len(), 1, "{:?}", list());
    assert_eq!(upload(1, &other, "one", "/v1/imports", file).status, 202, "the key of another connection");
    assert_eq!(upload(1, &main, "two", "/v1/imports", file).status, 202, "another key");
    assert_eq!(list().len(), 3);
    let stored = std::fs::read_dir(imports.path()).expect("the folder").flatten();
    let text = stored.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect::<String>();
    assert!(!text.contains("\"one\""), "keys are stored as hashes");
}

/// Servers on one store.
struct Processes {
    store: TestStore,
    children: Vec<Child>,
    addresses: Vec<String>,
    relays: Vec<LossyRelay>,
    folders: Vec<tempfile::TempDir>,
}

impl Processes {
    fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    fn start_with(count: usize, flags: &[&str]) -> Self {
        let store = TestStore::new();
        let (mut children, mut addresses, mut relays, mut folders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let folder = tempfile::tempdir().expect("a folder");
            let launched = launch(Path::new(MUSTER), folder.path(), &store.store, flags);
            relays.push(LossyRelay::start(&launched.address));
            addresses.push(launched.address);
            children.push(launched.child);
            folders.push(folder);
        }
        Self { store, children, addresses, relays, folders }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A create, and what happens to its attempts: whether the response is lost, and which process gets the next one.
#[derive(Clone, Debug)]
struct Create {
    api: Api,
    attempts: Vec<(usize, lossy_relay::Loss)>,
    /// Sent to all processes at the same time first.
    is_concurrent: bool,
}

fn create() -> impl Strategy<Value = Create> {
    let loss = prop_oneof![
        1 => Just(lossy_relay::Loss::Request),
        3 => Just(lossy_relay::Loss::Response),
        1 => Just(lossy_relay::Loss::HalfOfResponse),
    ];
    let attempts = proptest::collection::vec((0..3_usize, loss), 0..4);
    (proptest::sample::select(&APIS[..]), attempts, any::<bool>()).prop_map(|(api, attempts, is_concurrent)| Create {
        api,
        attempts,
        is_concurrent,
    })
}

/// Random creates are repeated under their keys until two responses have arrived.
#[test]
fn every_create_makes_one_user_whatever_is_lost() {
    let processes = Processes::start(3);
    let store = processes.store.store.clone();
    let tenant = run_json(&store, &["tenant", "add", "Acme"])["number"].as_u64().expect("a number");
    let arguments = ["connection", "add", "main", "--tenant", &tenant.to_string(), "--dialect", "all"];
    let key = run_json(&store, &arguments)["key"].as_str().expect("a key").to_owned();
    let client = Client { tenant, key };
    let count = std::cell::Cell::new(0_u64);
    let config = ProptestConfig {
        cases: repetitions(60),
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    proptest!(config, |(create in create())| {
        count.set(count.get() + 1);
        let (number, api) = (count.get(), create.api);
        let (idempotency_key, body) = (format!("create-{number}"), api.user(&format!("u{number}@example.com")));
        let request = (api, idempotency_key.as_str(), &body);
        let through = |process: usize, loss| {
            client.post(
                |target, headers, body| try_send(&processes.relays[process].address(loss), "POST", target, headers, body),
                request,
            )
        };
        if create.is_concurrent {
            std::thread::scope(|scope| {
                let sent: Vec<_> =
                    (0..3).map(|process| scope.spawn(move || through(process, lossy_relay::Loss::Nothing))).collect();
                for response in sent {
                    let response = response.join().expect("sent").expect("a response");
                    assert!(matches!(response.status, 200..300 | 409), "{request:?}: {response:?}");
                }
            });
        }
        for (process, loss) in &create.attempts {
            drop(through(*process, *loss));
        }
        let answer = |process: usize| {
            // An attempt whose client disconnected may still be in progress.
            testkit::waiting::wait_for("a response", || {
                through(process, lossy_relay::Loss::Nothing).filter(|response| response.status != 409)
            })
        };
        let answers: Vec<_> = (0..3).map(|process| essence(&answer(process))).collect();
        prop_assert!((200..300).contains(&answers[0].0), "{:?}: {:?}", request, answers[0]);
        prop_assert_eq!(&answers[1], &answers[0]);
        prop_assert_eq!(&answers[2], &answers[0]);
    });
    assert_eq!(user_count(&store, tenant), count.get());
    let lost: usize = processes.relays.iter().map(LossyRelay::lost).sum();
    assert!(lost > 20, "only {lost} messages were lost");
    assert_eq!(processes.folders.len(), 3);
}
