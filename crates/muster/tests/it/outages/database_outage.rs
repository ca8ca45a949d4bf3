//! A database outage: meanwhile every dialect answers 503 in its own format, and the process recovers without
//! intervention.

mod requests;

use super::client::{Client, Dialect, Failure, TestUser};
use super::nodes::{Credentials, Node};
use super::print;
use crate::support::{HttpResponse, try_send};
use requests::{Request, all_requests};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use testkit::postgres::Cluster;
use testkit::proxy::{Fault, Proxy};

/// The time limit for detecting the outage and the recovery, for slow machines. The actual times are printed.
const TIMEOUT: Duration = Duration::from_mins(1);
const PASSWORD: &str = "pa55word-of-the-database";

#[test]
fn a_database_that_stops_is_a_503_until_it_is_back() {
    let cluster = Cluster::start(&[]);
    let url = cluster.create_database();
    check_outage(&url, || cluster.stop(), || cluster.restart());
}

#[test]
fn a_database_that_hangs_is_a_503_until_it_answers() {
    let cluster = Cluster::start(&[]);
    let direct = cluster.create_database();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", cluster.port()), |_| Fault::Pass);
    check_outage(&proxy.url(&direct), || proxy.stall(), || proxy.resume());
}

fn check_outage(url: &str, goes: impl Fn(), comes: impl Fn()) {
    let door = Credentials::create(url);
    // The database requires no password, but the URL has one, which must not be logged.
    let node = Node::start_with_log_level("debug", &url.replacen("muster@", &format!("muster:{PASSWORD}@"), 1));
    let client = node.client(&door);
    let first = TestUser { email: "first@x.example".into(), external_id: "first".into(), first_name: "A".into() };
    assert_eq!(client.create(Dialect::Ccs, &first), Ok(()));
    assert_eq!((node.status("/healthz"), node.status("/readyz")), (200, 200));
    let stranger = Credentials { key: "0".repeat(32), id: "nobody".into(), ..door.clone() };
    let ordinary: Vec<HttpResponse> =
        all_requests(&stranger).iter().map(|request| send_timed(&client, request).0).collect();
    for reply in &ordinary {
        assert_eq!(reply.status, 401, "an ordinary rejection: {reply:?}");
    }
    goes();
    let begun = Instant::now();
    let took = node.wait_for("/readyz", 503, TIMEOUT);
    print(&format!("not ready after {took:?}"));
    // Each request waits for some seconds, so send them concurrently.
    let all = all_requests(&door);
    let replies: Vec<(HttpResponse, Duration)> = std::thread::scope(|scope| {
        let client = &client;
        let asking: Vec<_> = all.iter().map(|request| scope.spawn(move || send_timed(client, request))).collect();
        assert_eq!(node.status("/healthz"), 200, "the process is healthy");
        asking.into_iter().map(|one| one.join().expect("answered")).collect()
    });
    for ((request, ordinary), (reply, took)) in all.iter().zip(&ordinary).zip(replies) {
        let name = request.name;
        assert!(took < TIMEOUT, "{name} took {took:?}");
        assert_eq!(reply.status, 503, "{name}: {}\n{}", reply.body, node.log());
        let wait = reply.header("Retry-After").and_then(|text| text.parse::<u32>().ok());
        assert!(wait.is_some(), "{name} has no Retry-After: {}", reply.head);
        assert_eq!(reply.header("Content-Type"), ordinary.header("Content-Type"), "{name}");
        assert_eq!(member_names(&reply.body), member_names(&ordinary.body), "{name}: {}", reply.body);
    }
    assert_eq!((node.status("/healthz"), node.status("/readyz")), (200, 503), "the process is healthy but not ready");
    print(&format!("all requests rejected in {:?}", begun.elapsed()));
    comes();
    let begun = Instant::now();
    print(&format!("ready after {:?}", node.wait_for("/readyz", 200, TIMEOUT)));
    wait_for_creates(&client, begun, &node);
    assert!(!node.log().contains(PASSWORD), "the log contains the password");
}

/// Waits until creates work over every dialect; earlier users must still exist.
fn wait_for_creates(client: &Client, begun: Instant, node: &Node) {
    for (n, api) in Dialect::ALL.into_iter().enumerate() {
        for tries in 0.. {
            let email = format!("back{n}.{tries}@x.example");
            let person = TestUser { external_id: email.clone(), email, first_name: "B".into() };
            let answer = client.create(api, &person);
            assert!(begun.elapsed() < TIMEOUT, "{api:?} does not recover: {}", node.log());
            if answer.is_ok() {
                break;
            }
            assert_eq!(answer, Err(Failure::Unavailable), "{api:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let first = client.read(api, "first@x.example");
        assert!(matches!(&first, Ok(seen) if seen.first == "A"), "{api:?}: {first:?}");
    }
    print(&format!("creates work after {:?}", begun.elapsed()));
}

fn send_timed(client: &Client, request: &Request) -> (HttpResponse, Duration) {
    let headers: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let begun = Instant::now();
    let reply = try_send(&client.address, request.method, &request.target, &headers, request.body.as_bytes());
    (reply.unwrap_or_else(|| panic!("{} got no response", request.name)), begun.elapsed())
}

/// The names of the members of a JSON or XML response, with their paths.
fn member_names(body: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Ok(value) = serde_json::from_str::<Value>(body) {
        collect_names(&value, "", &mut names);
    } else {
        names.extend(body.split('<').skip(1).filter_map(|tag| {
            let name = tag.split(['>', ' ', '/']).next()?;
            (!name.is_empty()).then(|| name.to_owned())
        }));
    }
    names
}

fn collect_names(value: &Value, path: &str, names: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        collect_names(value, &path, names);
        names.insert(path);
    }
}
