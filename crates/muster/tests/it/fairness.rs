//! Limits on what one tenant can use, so that others are not affected.

use crate::support::{Server, send, try_send};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use testkit::waiting::{TIMEOUT, wait_until};

/// Creates another tenant with a key.
fn second_tenant(server: &Server, flags: &[&str]) -> (u64, String) {
    let number = server.run_json(&["tenant", "add", "Other"])["number"].as_u64().expect("a number");
    (number, server.create_connection(number, "other", flags))
}

fn user_body(tenant: u64, key: &str, name: &str) -> String {
    format!(
        "{{\"CompanyId\":{tenant},\"IntegrationKey\":\"{key}\",\"Email\":\"{name}@example.com\",\"FirstName\":\"A\",\"LastName\":\"B\",\"Password\":\"vier rote fische\"}}"
    )
}

/// In 0.1.0, other tenants' sign-ins got a 503.
#[test]
fn creating_users_does_not_block_sign_ins_of_another_tenant() {
    let server = Server::start(&["--log-level", "error"]);
    let (one, greedy) = server.create_tenant(&[]);
    let (two, key) = second_tenant(&server, &[]);
    let asking = server.create_connection(two, "asking", &["--dialect", "sign-in"]);
    let json = ("Content-Type", "application/json");
    let create = |tenant, key: &str, name: &str| {
        send(&server.address, "POST", "/api/v2/user?format=json", &[json], user_body(tenant, key, name).as_bytes())
            .status
    };
    assert_eq!(create(two, &key, "ann"), 200);
    let (is_over, rejected) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..140 {
            let (is_over, rejected, create, greedy) = (&is_over, &rejected, &create, greedy.as_str());
            scope.spawn(move || {
                let mut round = 0;
                while !is_over.load(Ordering::Relaxed) {
                    round += 1;
                    if create(one, greedy, &format!("u{number}.{round}")) == 503 {
                        rejected.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        wait_until("the queue to be full", || rejected.load(Ordering::Relaxed) > 0);
        let bearer = format!("Bearer {asking}");
        let headers = [("Authorization", bearer.as_str()), json];
        let guess = b"{\"user\":\"ann@example.com\",\"password\":\"vier rote fische\"}";
        let answers: Vec<u16> =
            (0..10).map(|_| send(&server.address, "POST", "/v1/sign-in", &headers, guess).status).collect();
        let create = create(two, &key, "bob");
        is_over.store(true, Ordering::Relaxed);
        assert_eq!((answers, create), (vec![200; 10], 200));
    });
}

/// Requests with incomplete bodies.
struct HeldRequests<'a> {
    server: &'a Server,
    request: String,
    streams: Vec<TcpStream>,
}

impl<'a> HeldRequests<'a> {
    /// `request` is the first part of each request.
    fn open(server: &'a Server, request: String, many: usize) -> Self {
        let mut held = Self { server, request, streams: Vec::new() };
        held.streams = (0..many).map(|_| held.connect()).collect();
        held
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.server.address).expect("connected");
        // A request rejected before it was sent completely is sent again.
        drop(stream.write_all(self.request.as_bytes()));
        stream.set_nonblocking(true).expect("set");
        stream
    }

    /// Reopens requests that were rejected or disconnected.
    fn reconnect(&mut self) {
        for place in 0..self.streams.len() {
            let is_open =
                matches!(self.streams[place].peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
            if !is_open {
                self.streams[place] = self.connect();
            }
        }
    }
}

/// Incomplete creates, with enough body bytes for the minimum data rate while the test runs.
fn hold_creates<'a>(server: &'a Server, key: &str, many: usize) -> HeldRequests<'a> {
    let body = " ".repeat(50_000);
    let request = format!(
        "POST /request/user HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{body}"
    );
    HeldRequests::open(server, request, many)
}

#[test]
fn concurrent_requests_are_limited_by_connection_and_tenant() {
    let server = Server::start(&["--body-timeout", "600", "--log-level", "error"]);
    let (tenant, one) = server.create_tenant(&[]);
    let keys: Vec<String> = ["b", "c"].iter().map(|name| server.create_connection(tenant, name, &[])).collect();
    let (_, elsewhere) = second_tenant(&server, &[]);
    let status = |key: &str| {
        send(&server.address, "GET", "/request/role", &[("Authorization", &format!("Bearer {key}"))], b"").status
    };
    let mut first = hold_creates(&server, &one, 256);
    wait_until("the connection's limit", || {
        first.reconnect();
        status(&one) == 429
    });
    let bearer = format!("Bearer {one}");
    let onfire = format!("/api/v2/user?format=json&CompanyId={tenant}&IntegrationKey={one}");
    for (target, shape) in [
        (onfire.as_str(), "ResponseStatus"),
        ("/request/role", "\"message\""),
        ("/api/2/users", "\"summary\""),
        ("/scim/v2/Users", "\"detail\""),
    ] {
        let reply = send(&server.address, "GET", target, &[("Authorization", &bearer)], b"");
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")), "{target}: {reply:?}");
        assert!(reply.body.contains(shape), "{target}: {reply:?}");
    }
    assert_eq!(status(&keys[0]), 200, "another connection of the tenant");
    let mut second = hold_creates(&server, &keys[0], 256);
    wait_until("the tenant's limit", || {
        first.reconnect();
        second.reconnect();
        status(&keys[1]) == 429
    });
    assert_eq!(status(&elsewhere), 200, "another tenant");
    let metrics = send(&server.admin, "GET", "/metrics", &[], b"").body;
    assert!(metrics.contains("muster_rejected_total{dialect=\"scim\",reason=\"too_many_concurrent\"} 1"), "{metrics}");
    drop((first, second));
    wait_until("the permits to be released", || status(&one) == 200 && status(&keys[1]) == 200);
}

/// Sends a request and reads only the first bytes of the response.
fn open_unread(server: &Server, target: &str, key: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(&server.address).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("answered");
    (stream, String::from_utf8_lossy(&first).into_owned())
}

#[test]
fn unread_responses_are_limited_by_tenant() {
    let server = Server::start(&["--body-timeout", "600", "--log-level", "error"]);
    let (_, key) = server.create_tenant(&["--dialect", "transfer", "--dialect", "scim"]);
    let (_, elsewhere) = second_tenant(&server, &["--dialect", "transfer", "--dialect", "scim"]);
    // The response exceeds the socket buffers.
    server.import_large_users(1_500);
    for (target, many) in [("/v1/exports/people.ndjson", 4), ("/scim/v2/Users?count=1000", 8)] {
        let held: Vec<_> = (0..many).map(|_| open_unread(&server, target, &key)).collect();
        assert!(held.iter().all(|(_, status)| status == "HTTP/1.1 200"), "{target}");
        let (_, status) = open_unread(&server, target, &key);
        assert_eq!(status, "HTTP/1.1 429", "{target}");
        assert_eq!(open_unread(&server, target, &elsewhere).1, "HTTP/1.1 200", "{target}: another tenant");
        let small = [("Authorization", &*format!("Bearer {key}"))];
        assert_eq!(send(&server.address, "GET", "/scim/v2/Users?count=1", &small, b"").status, 200);
        drop(held);
        wait_until("the permits to be released", || open_unread(&server, target, &key).1 == "HTTP/1.1 200");
        assert!(try_send(&server.address, "GET", target, &small, b"").is_some_and(|reply| reply.status == 200));
    }
}

#[test]
fn imports_of_other_tenants_do_not_wait() {
    let server = Server::start(&["--log-level", "error"]);
    let flags = ["--dialect", "transfer"];
    let (_, key) = server.create_tenant(&flags);
    let (_, elsewhere) = second_tenant(&server, &flags);
    let ask = |key: &str, method: &str, target: &str, body: &str| {
        let headers = [("Authorization", &*format!("Bearer {key}")), ("Content-Type", "text/csv")];
        let reply = send(&server.address, method, target, &headers, body.as_bytes());
        serde_json::from_str::<serde_json::Value>(&reply.body).unwrap_or_else(|_| panic!("{reply:?}"))
    };
    let rows = (0..60_000).fold(String::new(), |rows, n| rows + "p" + &n.to_string() + "@x.example\n");
    let large = ask(&key, "POST", "/v1/imports", &format!("email\n{rows}"));
    let behind = ask(&key, "POST", "/v1/imports", "email\nbehind@x.example\n");
    let small = ask(&elsewhere, "POST", "/v1/imports", "email\nann@x.example\n");
    let state = |key: &str, job: &serde_json::Value| {
        ask(key, "GET", &format!("/v1/imports/{}", job["id"].as_str().expect("an id")), "")["status"].clone()
    };
    wait_until("the other tenant's import to end", || state(&elsewhere, &small) == "done");
    assert_eq!(state(&key, &large), "running");
    assert_eq!(state(&key, &behind), "queued", "a tenant's own imports keep their order");
}

/// 200 users of 60 KiB each are two pages, whatever page size a client requests.
#[test]
fn a_page_ends_early_when_it_is_large() {
    let server = Server::start(&["--log-level", "error"]);
    let (_, key) = server.create_tenant(&["--dialect", "scim"]);
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/scim+json")];
    let photos: Vec<_> = (0..30)
        .map(|n| serde_json::json!({"value": format!("https://x.example/{n}/{}", "p".repeat(2_000)), "type": format!("t{n}")}))
        .collect();
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (photos, headers, server) = (&photos, &headers, &server);
            scope.spawn(move || {
                for n in 0..50 {
                    let body = serde_json::json!({"userName": format!("u{part}.{n}"), "photos": photos}).to_string();
                    let reply = send(&server.address, "POST", "/scim/v2/Users", headers, body.as_bytes());
                    assert_eq!(reply.status, 201, "{}", reply.body);
                }
            });
        }
    });
    for (head, order) in [("", ""), ("", "&sortBy=userName"), ("cursor&", "")] {
        let (mut names, mut start, mut cursor, mut pages) = (Vec::new(), 1, String::new(), 0);
        loop {
            let from = if head.is_empty() { format!("startIndex={start}") } else { format!("cursor={cursor}") };
            let target = format!("/scim/v2/Users?{from}&count=1000{order}");
            let reply = send(&server.address, "GET", &target, &headers[..1], b"");
            assert!(reply.status == 200 && reply.body.len() < 9 << 20, "{} {}", reply.status, reply.body.len());
            let page: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
            let users = page["Resources"].as_array().expect("users");
            assert_eq!(page["itemsPerPage"], users.len(), "{target}");
            names.extend(users.iter().map(|user| user["userName"].as_str().expect("a name").to_owned()));
            start += users.len();
            pages += 1;
            cursor = page["nextCursor"].as_str().unwrap_or_default().to_owned();
            let is_last = if head.is_empty() { names.len() == 200 } else { cursor.is_empty() };
            if is_last || pages > 9 {
                break;
            }
        }
        names.sort();
        names.dedup();
        assert_eq!((names.len(), pages), (200, 2), "{head}{order}");
    }
}

#[test]
fn import_files_have_a_storage_limit() {
    let server = Server::start(&["--imports-quota-mib", "1"]);
    let flags = ["--dialect", "transfer"];
    let (_, key) = server.create_tenant(&flags);
    let (_, elsewhere) = second_tenant(&server, &flags);
    let sent = |server: &Server, key: &str, file: &str| {
        let headers = [("Authorization", &*format!("Bearer {key}")), ("Content-Type", "text/csv")];
        send(&server.address, "POST", "/v1/imports", &headers, file.as_bytes())
    };
    let too_much = sent(&server, &key, &format!("email\n{}\n", "x".repeat(2 << 20)));
    assert_eq!(too_much.status, 507, "{too_much:?}");
    assert!(
        too_much.body.contains("\"insufficient_storage\"") && too_much.body.contains("storage limit"),
        "{too_much:?}"
    );
    // Rejected rows are kept and count toward the limit.
    let rejected = "no address\n".repeat(60_000);
    assert_eq!(sent(&server, &key, &format!("email\n{rejected}")).status, 202);
    wait_until("the tenant's storage limit", || sent(&server, &key, &format!("email\n{rejected}")).status == 507);
    assert_eq!(sent(&server, &elsewhere, "email\nann@example.com\n").status, 202, "another tenant");
    // Simulates a nearly full disk.
    let server = Server::start(&["--min-free-disk-mib", "1000000000"]);
    let (_, key) = server.create_tenant(&flags);
    let reply = sent(&server, &key, "email\nann@example.com\n");
    assert!(reply.status == 507 && reply.body.contains("disk"), "{reply:?}");
    let kept = std::fs::read_dir(server.data_dir().join("imports")).map_or(0, Iterator::count);
    assert_eq!(kept, 0, "no file is left");
}

#[test]
fn a_tenant_uploads_two_files_at_a_time() {
    let server = Server::start(&["--log-level", "error"]);
    let flags = ["--dialect", "transfer"];
    let (_, key) = server.create_tenant(&flags);
    let (_, elsewhere) = second_tenant(&server, &flags);
    let request = format!(
        "POST /v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: text/csv\r\nContent-Length: 1000\r\n\r\nemail\r\n"
    );
    let mut held = HeldRequests::open(&server, request, 2);
    let sent = |key: &str| {
        let headers = [("Authorization", &*format!("Bearer {key}")), ("Content-Type", "text/csv")];
        send(&server.address, "POST", "/v1/imports", &headers, b"email\r\nann@example.com\r\n")
    };
    wait_until("two uploads to begin", || {
        held.reconnect();
        sent(&key).status == 429
    });
    let reply = sent(&key);
    assert!(reply.header("retry-after").is_some() && reply.body.contains("\"slow_down\""), "{reply:?}");
    assert_eq!(sent(&elsewhere).status, 202, "another tenant");
    drop(held);
    wait_until("the uploads to end", || sent(&key).status == 202);
}
