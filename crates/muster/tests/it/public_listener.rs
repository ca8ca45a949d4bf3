//! The public listener: slow and idle clients, connection limits, graceful shutdown, and TLS.

use crate::support::{Server, send, terminate, try_send};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use testkit::waiting::{TIMEOUT, wait_until};

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream
}

/// Reads until the server closes the connection; panics if it does not.
fn read_to_close(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the connection is still open: {}", String::from_utf8_lossy(&bytes))
        }
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

#[test]
fn slow_headers_and_idle_connections_are_closed() {
    let server = Server::start(&["--header-timeout", "1"]);
    let mut slow = connect(&server);
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").expect("sent");
    let mut idle = connect(&server);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    wait_until("the slow connection to be closed", || {
        std::thread::sleep(Duration::from_millis(90));
        slow.write_all(b"a: b\r\n").is_err()
    });
    assert!(read_to_close(&mut idle).contains("alive"), "the response, then the end of the connection");
    assert_eq!(send(&server.address, "GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn a_missing_body_gets_408_in_the_dialects_format() {
    let server = Server::start(&["--body-timeout", "1"]);
    let (_, key) = server.create_tenant(&[]);
    let mut slow = connect(&server);
    let head = format!(
        "POST /request/user HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).expect("sent");
    let answer = read_to_close(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"message\""), "{answer}");
}

/// When idle connections use up the limit, clients get a 503 in their API's format, and health probes still work.
#[test]
fn connections_are_limited_and_health_probes_are_not() {
    let server = Server::start(&["--max-connections", "3", "--header-timeout", "600"]);
    let (tenant, key) = server.create_tenant(&[]);
    let mut held: Vec<TcpStream> = (0..3).map(|_| connect(&server)).collect();
    let bearer = format!("Bearer {key}");
    let get = |target: &str| send(&server.address, "GET", target, &[("Authorization", &bearer)], b"");
    wait_until("the connection limit", || get("/request/role").status == 503);
    let onfire = format!("/api/v2/user?format=json&CompanyId={tenant}&IntegrationKey={key}");
    for (target, shape) in [
        (onfire.as_str(), "ResponseStatus"),
        ("/request/role", "\"message\""),
        ("/api/2/users", "\"summary\""),
        ("/scim/v2/Users", "\"detail\""),
        ("/v1/imports", "\"error\""),
        ("/t/1/sign-in", "Too many connections"),
    ] {
        let reply = get(target);
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{target}: {reply:?}");
        assert!(reply.body.contains(shape), "{target}: {reply:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{target}");
    }
    assert_eq!(get("/healthz").body, "alive\n");
    assert_eq!(get("/readyz").body, "ready\n");
    drop(held.pop());
    wait_until("a free connection", || get("/request/role").status == 200);
    drop(held);
    // Idle connections are closed after the header timeout.
    let server = Server::start(&["--max-connections", "3", "--header-timeout", "1"]);
    let held: Vec<TcpStream> = (0..3).map(|_| connect(&server)).collect();
    wait_until("a place", || send(&server.address, "GET", "/request/role", &[], b"").status == 401);
    drop(held);
}

/// Loopback is exempt, so the clients use another address of the machine.
#[test]
fn connections_are_limited_by_address() {
    let server = Server::start(&["--listen", "0.0.0.0:0", "--connections-per-address", "3"]);
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let Ok(()) = probe.connect("192.0.2.1:9") else { return };
    let own = format!("{}:{port}", probe.local_addr().expect("an address").ip());
    let held: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(&own).expect("connected")).collect();
    wait_until("the address to reach its limit", || try_send(&own, "GET", "/healthz", &[], b"").is_none());
    assert_eq!(send(&format!("127.0.0.1:{port}"), "GET", "/healthz", &[], b"").status, 200);
    drop(held);
    wait_until("a place", || try_send(&own, "GET", "/healthz", &[], b"").is_some());
}

const JSON_HEAD: &str = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n";

#[test]
fn an_invalid_key_is_rejected_before_the_body() {
    let server = Server::start(&["--body-timeout", "600"]);
    let (tenant, _) = server.create_tenant(&[]);
    let onfire = format!("/api/v2/user?format=json&CompanyId={tenant}&IntegrationKey=guessed");
    for (target, key) in [
        (onfire.as_str(), ""),
        ("/request/user", "Authorization: Bearer guessed\r\n"),
        ("/request/user", ""),
        ("/api/2/users", "Authorization: Bearer guessed\r\n"),
        ("/scim/v2/Users", "Authorization: Bearer guessed\r\n"),
        ("/v1/imports", "Authorization: Bearer guessed\r\n"),
    ] {
        let mut stream = connect(&server);
        stream.write_all(format!("POST {target} HTTP/1.1\r\n{JSON_HEAD}{key}\r\n{{").as_bytes()).expect("sent");
        let answer = read_to_close(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 401"), "{target}: {answer}");
    }
}

/// In 0.1.0, 128 of them delayed every body of unknown length.
#[test]
fn silent_clients_do_not_delay_other_bodies() {
    let server = Server::start(&["--body-timeout", "600"]);
    let (tenant, key) = server.create_tenant(&[]);
    let head = |target: &str, key: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{key}Transfer-Encoding: chunked\r\n\r\n"
        )
    };
    let silent: Vec<TcpStream> = (0..300)
        .map(|number| {
            let mut stream = connect(&server);
            let target = ["/api/v2/user", "/v1/sign-in", "/t/1/sign-in", "/oauth2/token"][number % 4];
            stream.write_all(head(target, "").as_bytes()).expect("sent");
            let _ = stream.write_all(b"1\r\n{\r\n");
            stream
        })
        .collect();
    let body = "{\"firstName\":\"A\",\"email\":\"a@x.y\",\"roleId\":1}";
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let mut stream = connect(&server);
    let bearer = format!("Connection: close\r\nAuthorization: Bearer {key}\r\n");
    stream.write_all((head("/request/user", &bearer) + &chunk).as_bytes()).expect("sent");
    let answer = read_to_close(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let body = format!(
        "{{\"CompanyId\":{tenant},\"IntegrationKey\":\"{key}\",\"Email\":\"b@x.y\",\"FirstName\":\"B\",\"LastName\":\"B\"}}"
    );
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let mut stream = connect(&server);
    stream.write_all((head("/api/v2/user", "Connection: close\r\n") + &chunk).as_bytes()).expect("sent");
    let answer = read_to_close(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200"), "a key in the body: {answer}");
    drop(silent);
}

#[test]
fn slow_bodies_get_408() {
    let server = Server::start(&["--body-timeout", "600"]);
    let (_, key) = server.create_tenant(&[]);
    let mut slow = connect(&server);
    let head = format!("POST /request/user HTTP/1.1\r\n{JSON_HEAD}Authorization: Bearer {key}\r\n\r\n{{");
    slow.write_all(head.as_bytes()).expect("sent");
    let answer = read_to_close(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"message\""), "{answer}");
}

#[test]
fn clients_that_do_not_read_are_disconnected() {
    let server = Server::start(&["--body-timeout", "1", "--max-connections", "2"]);
    let mut greedy: Vec<TcpStream> = (0..2).map(|_| connect(&server)).collect();
    for stream in &mut greedy {
        // The responses exceed all buffers, and none is read.
        for _ in 0..400 {
            if stream.write_all(b"GET /docs/swagger-ui.css HTTP/1.1\r\nHost: x\r\n\r\n").is_err() {
                break;
            }
        }
    }
    wait_until("a place", || send(&server.address, "GET", "/request/role", &[], b"").status == 401);
}

#[test]
fn requests_finish_during_shutdown() {
    let mut server = Server::start(&[]);
    let (_, key) = server.create_tenant(&[]);
    let mut stream = connect(&server);
    let body = "{\"firstName\":\"A\",\"email\":\"a@x.y\",\"roleId\":1}";
    let head = format!(
        "POST /request/user HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    // 100 Continue shows that the request is being processed.
    let mut reader = BufReader::new(stream.try_clone().expect("the same"));
    let mut asked = String::new();
    for _ in 0..2 {
        reader.read_line(&mut asked).expect("answered");
    }
    assert_eq!(asked, "HTTP/1.1 100 Continue\r\n\r\n");
    terminate(server.pid());
    wait_until("new connections to be refused", || TcpStream::connect(&server.address).is_err());
    stream.write_all(body.as_bytes()).expect("sent");
    let answer = read_to_close(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("{\"id\":1}"), "{answer}");
    assert!(server.stop(), "a clean exit");
    assert_eq!(server.run_json(&["user", "list"])["total"], 1);
}

#[test]
fn tls_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let (c, k) = (certificate.to_str().expect("text"), key.to_str().expect("text"));
    let server = Server::start(&["--tls-cert", c, "--tls-key", k]);
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    let url = format!("https://localhost:{port}/healthz");
    let output = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--cacert", c, "--resolve", &format!("localhost:{port}:127.0.0.1"), &url])
        .output()
        .expect("curl");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "alive\n", "{}", String::from_utf8_lossy(&output.stderr));
    let plain = try_send(&server.address, "GET", "/healthz", &[], b"").expect("an answer");
    assert!(plain.status == 400 && plain.body.contains("https://"), "{plain:?}");
}

#[test]
fn keep_alive_works() {
    let server = Server::start(&[]);
    let mut stream = connect(&server);
    for _ in 0..3 {
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).expect("answered");
        assert!(String::from_utf8_lossy(&buffer[..read]).ends_with("ready\n"));
    }
}

/// RFC 9112 §3.2: with two hosts, a proxy and the server could route a request differently.
#[test]
fn a_request_names_exactly_one_host() {
    let server = Server::start(&[]);
    let (_, key) = server.create_tenant(&[]);
    for (target, shape) in [
        ("/healthz", "Host"),
        ("/t/1/sign-in", "Host"),
        ("/api/v2/user?format=json", "ResponseStatus"),
        ("/request/role", "\"message\""),
        ("/api/2/users", "\"summary\""),
        ("/scim/v2/Users", "\"detail\""),
        ("/v1/imports", "\"error\""),
        ("/oauth2/token", "\"error\""),
    ] {
        for hosts in ["", "Host: a.example\r\nHost: b.example\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: u@b\r\n"] {
            let mut stream = connect(&server);
            let head = format!("GET {target} HTTP/1.1\r\n{hosts}Authorization: Bearer {key}\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("sent");
            let answer = read_to_close(&mut stream);
            assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(shape), "{target} {hosts}: {answer}");
        }
    }
    for head in ["GET /healthz HTTP/1.0\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"] {
        let mut stream = connect(&server);
        stream.write_all(head.as_bytes()).expect("sent");
        let answer = read_to_close(&mut stream);
        assert!(answer.contains(" 200 OK"), "{head}: {answer}");
    }
}
