//! Pagination during deletions: cursor and index paging return every user who is not deleted exactly once. Concurrent
//! creates with one name, and changes of one version: exactly one succeeds.

use crate::support::{TestApp, build_request, runtime};
use directory::{Caller, Command, UserKey};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use testkit::generators::Rng;
use testkit::seeds::repetitions;

/// Users in a normal run.
const USERS: u32 = 5_000;
/// During paging, one user in this many is deleted.
const ONE_DELETED_IN: usize = 10;
/// Races for one name in a normal run.
const RACES: u32 = 250;

struct Fixture {
    app: Arc<TestApp>,
    caller: Caller,
    bearer: String,
}

impl Fixture {
    async fn new() -> Self {
        let test_app = Arc::new(TestApp::new());
        let caller = test_app.create_tenant("T").await;
        let bearer = format!("Bearer {}", test_app.create_key(&caller, "walker", |_| {}).await);
        Self { app: test_app, caller, bearer }
    }

    async fn send_request(&self, method: &str, target: &str, more: &[(&str, &str)], body: Value) -> (u16, Value) {
        let mut headers = vec![("authorization", self.bearer.as_str()), ("content-type", "application/scim+json")];
        headers.extend(more);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = self.app.send_request(build_request(method, target, &headers, &body)).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Creates `count` users and returns their ids.
    async fn create_users(&self, count: u32) -> Vec<directory::UserId> {
        let mut tasks = tokio::task::JoinSet::new();
        for part in 0..20 {
            let (test_app, caller) = (Arc::clone(&self.app), self.caller.clone());
            tasks.spawn(async move {
                let mut ids = Vec::new();
                for n in (0..count).filter(|n| n % 20 == part) {
                    let command = Command::CreateUser(testkit::conformance::new_user(&format!("p{n}@x.y")));
                    ids.push(test_app.directory().run(&caller, command).await.expect("added").users[0].id);
                }
                ids
            });
        }
        tasks.join_all().await.concat()
    }

    /// Deletes the users in random order; returns their ids.
    fn delete_random_users(&self, ids: &[directory::UserId], seed: u64) -> tokio::task::JoinHandle<HashSet<String>> {
        let (test_app, caller, ids) = (Arc::clone(&self.app), self.caller.clone(), ids.to_vec());
        tokio::spawn(async move {
            let (mut rng, mut gone) = (Rng::new(seed), HashSet::new());
            while gone.len() < ids.len() / ONE_DELETED_IN {
                let id = *rng.choose(&ids);
                if test_app.directory().run(&caller, Command::DeleteUser(UserKey::Id(id))).await.is_ok() {
                    gone.insert(id.to_string());
                }
                tokio::task::yield_now().await;
            }
            gone
        })
    }
}

/// Counts the users of a page in `seen`; returns the size of the page.
fn record_page(page: &Value, seen: &mut HashMap<String, u32>) -> u64 {
    let rows = page["Resources"].as_array().expect("a page");
    for row in rows {
        *seen.entry(row["id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    rows.len() as u64
}

/// Asserts that every remaining user was returned exactly once, and no user twice.
fn assert_each_survivor_once(seen: &HashMap<String, u32>, all: &[directory::UserId], gone: &HashSet<String>) {
    let twice: Vec<&String> = seen.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id).collect();
    assert!(twice.is_empty(), "returned more than once: {}", twice.len());
    let survivors = all.iter().map(ToString::to_string).filter(|id| !gone.contains(id));
    let missed = survivors.filter(|id| !seen.contains_key(id)).count();
    assert_eq!(missed, 0, "remaining users that were not returned");
    assert_eq!(gone.len(), all.len() / ONE_DELETED_IN);
}

#[test]
fn cursor_paging_returns_every_survivor_once() {
    runtime().block_on(async {
        let world = Fixture::new().await;
        let ids = world.create_users(repetitions(USERS)).await;
        let deleting = world.delete_random_users(&ids, 1);
        let (mut seen, mut cursor) = (HashMap::new(), String::new());
        loop {
            let target = format!("/scim/v2/Users?attributes=id&count=100&cursor={cursor}");
            let (status, page) = world.send_request("GET", &target, &[], Value::Null).await;
            assert_eq!(status, 200, "{page}");
            record_page(&page, &mut seen);
            match page["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_each_survivor_once(&seen, &ids, &deleting.await.expect("deleted"));
    });
}

#[test]
fn index_paging_returns_every_survivor_once() {
    runtime().block_on(async {
        let world = Fixture::new().await;
        let ids = world.create_users(repetitions(USERS)).await;
        let deleting = world.delete_random_users(&ids, 2);
        let (mut seen, mut start) = (HashMap::new(), 1);
        loop {
            let target = format!("/scim/v2/Users?attributes=id&count=100&startIndex={start}");
            let (status, page) = world.send_request("GET", &target, &[], Value::Null).await;
            assert_eq!((status, page["startIndex"].as_u64()), (200, Some(start)), "{page}");
            start += record_page(&page, &mut seen);
            // As clients do: stop after totalResults.
            if start > page["totalResults"].as_u64().expect("a number") {
                break;
            }
        }
        assert_each_survivor_once(&seen, &ids, &deleting.await.expect("deleted"));
    });
}

#[test]
fn forward_and_backward_paging_agree() {
    runtime().block_on(async {
        let world = Fixture::new().await;
        world.create_users(230).await;
        let base = "/scim/v2/Users?attributes=userName&count=40&sortBy=userName&sortOrder=descending&filter=userName%20co%20%22p1%22";
        let (mut forward, mut backward, mut cursor, mut last) = (Vec::new(), Vec::new(), String::new(), None);
        loop {
            let (status, page) = world.send_request("GET", &format!("{base}&cursor={cursor}"), &[], Value::Null).await;
            assert_eq!((status, page["totalResults"].as_u64()), (200, Some(111)), "{page}");
            forward.extend(page["Resources"].as_array().expect("a page").clone());
            last = page["previousCursor"].as_str().map(str::to_owned).or(last);
            match page["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let mut names: Vec<&str> = forward.iter().filter_map(|user| user["userName"].as_str()).collect();
        assert_eq!(names.len(), 111);
        assert!(names.is_sorted_by(|a, b| a > b), "in order, without duplicates");
        let mut tail = 111 % 40;
        while let Some(previous) = last {
            let (status, page) = world.send_request("GET", &format!("{base}&cursor={previous}"), &[], Value::Null).await;
            assert_eq!(status, 200, "{page}");
            let rows = page["Resources"].as_array().expect("a page").clone();
            backward = [rows, backward].concat();
            last = page["previousCursor"].as_str().map(str::to_owned);
        }
        names.truncate(111 - tail);
        tail = names.len();
        let again: Vec<&str> = backward.iter().filter_map(|user| user["userName"].as_str()).collect();
        assert_eq!((again, tail), (names, 80), "the same pages, backwards");
    });
}

#[test]
fn members_of_a_huge_group_are_streamed_once_and_skipped_if_excluded() {
    runtime().block_on(async {
        let world = Fixture::new().await;
        let mut ids: Vec<String> = world.create_users(3_500).await.iter().map(ToString::to_string).collect();
        let members: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
        let body = json!({"displayName": "Everybody", "members": members});
        let (status, made) = world.send_request("POST", "/scim/v2/Groups?excludedAttributes=members", &[], body).await;
        assert_eq!((status, &made["members"]), (201, &Value::Null));
        let path = format!("/scim/v2/Groups/{}", made["id"].as_str().expect("an id"));
        ids.sort_unstable();
        for target in [path.clone(), "/scim/v2/Groups".into()] {
            let bearer = [("authorization", world.bearer.as_str())];
            let answer = world.app.respond(build_request("GET", &target, &bearer, "")).await;
            assert!(answer.body().as_full().is_none(), "the body is streamed");
            let (_, group) = world.send_request("GET", &target, &[], Value::Null).await;
            let group = group["Resources"].get(0).cloned().unwrap_or(group);
            let members = group["members"].as_array().expect("members");
            let mut read: Vec<&str> = members.iter().filter_map(|member| member["value"].as_str()).collect();
            read.sort_unstable();
            assert_eq!(read, ids, "{target}");
            let without = format!("{target}?excludedAttributes=members");
            let answer = world.app.respond(build_request("GET", &without, &bearer, "")).await;
            assert!(answer.body().as_full().is_some_and(|body| body.len() < 1_000), "{without}");
        }
    });
}

#[test]
fn one_of_two_concurrent_creates_with_one_name_wins() {
    runtime().block_on(async {
        let world = Arc::new(Fixture::new().await);
        let races = repetitions(RACES);
        for n in 0..races {
            let ask = |name: String| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    world.send_request("POST", "/scim/v2/Users", &[], json!({"userName": name})).await
                })
            };
            let (one, two) = (ask(format!("Racer{n}@x.y")), ask(format!("rACER{n}@X.Y")));
            let (one, two) = (one.await.expect("answered"), two.await.expect("answered"));
            let mut statuses = [one.0, two.0];
            statuses.sort_unstable();
            assert_eq!(statuses, [201, 409], "{n}: {} {}", one.1, two.1);
            let refused = if one.0 == 409 { one.1 } else { two.1 };
            assert_eq!(refused["scimType"], "uniqueness");
        }
        let (_, all) = world.send_request("GET", "/scim/v2/Users?count=0", &[], Value::Null).await;
        assert_eq!(all["totalResults"], races);
    });
}

#[test]
fn one_of_two_conditional_changes_wins() {
    runtime().block_on(async {
        let world = Arc::new(Fixture::new().await);
        let (_, made) = world.send_request("POST", "/scim/v2/Users", &[], json!({"userName": "racer@x.y"})).await;
        let path = format!("/scim/v2/Users/{}", made["id"].as_str().expect("an id"));
        for n in 0..200 {
            let (_, user) = world.send_request("GET", &path, &[], Value::Null).await;
            let version = user["meta"]["version"].as_str().expect("a version").to_owned();
            let ask = |title: String| {
                let (world, path, version) = (Arc::clone(&world), path.clone(), version.clone());
                tokio::spawn(async move {
                    let body = json!({"Operations": [{"op": "replace", "path": "title", "value": title}]});
                    world.send_request("PATCH", &path, &[("if-match", &version)], body).await.0
                })
            };
            let (one, two) = (ask(format!("one {n}")), ask(format!("two {n}")));
            let (one, two) = (one.await.expect("answered"), two.await.expect("answered"));
            let (_, now) = world.send_request("GET", &path, &[], Value::Null).await;
            let wanted = match (one, two) {
                (200, 412) => format!("one {n}"),
                (412, 200) => format!("two {n}"),
                other => panic!("{n}: {other:?}"),
            };
            assert_eq!(now["title"], wanted);
        }
        // Without If-Match, both changes succeed one after the other, and neither reverts the other.
        let ask = |path_of: &'static str, value: &'static str| {
            let (world, path) = (Arc::clone(&world), path.clone());
            tokio::spawn(async move {
                let body = json!({"Operations": [{"op": "replace", "path": path_of, "value": value}]});
                world.send_request("PATCH", &path, &[], body).await.0
            })
        };
        for _ in 0..100 {
            let (one, two) = (ask("nickName", "Nick"), ask("locale", "de-CH"));
            assert_eq!((one.await.expect("answered"), two.await.expect("answered")), (200, 200));
        }
        let (_, now) = world.send_request("GET", &path, &[], Value::Null).await;
        assert_eq!((now["nickName"].as_str(), now["locale"].as_str()), (Some("Nick"), Some("de-CH")));
    });
}
