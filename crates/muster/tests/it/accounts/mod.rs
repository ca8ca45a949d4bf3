//! End-to-end tests of user accounts: mails, links, pages, sign-in, status, deletion and audit history. Tests that
//! need a manual clock run in process; tests that need a real server use sockets.

mod audit_history;
mod audit_store;
mod foreign_hashes;
mod history_tampering;
mod mail_content;
mod mail_delivery;
mod mail_links;
mod page_client;
mod sign_in_throttling;
mod user_enumeration;
mod user_status;

use crate::support::{HttpResponse, MUSTER, Server, TestApp, build_request, run_json, send};
use http_body_util::BodyExt;
use outbound::MailSender;
pub(crate) use page_client::PageClient;
use page_client::form_token;
use portal::mail::{DEFAULT_RETRY_POLICY, Worker};
use serde_json::{Value, json as document};
use std::sync::Arc;
use testkit::smtp::{ReceivedMail, SmtpServer};
use tokio::runtime::Runtime;

/// A password that every policy accepts.
const VALID_PASSWORD: &str = "vier rote fische im teich";

/// A server in process or over sockets.
pub(crate) trait HttpTarget: Sync {
    fn send_request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> HttpResponse;
    fn store(&self) -> &str;
}

impl HttpTarget for Server {
    fn send_request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> HttpResponse {
        send(&self.address, method, target, headers, body.as_bytes())
    }

    fn store(&self) -> &str {
        self.store()
    }
}

/// The application in process, with an adjustable clock. Mails are written to a folder.
pub(crate) struct InProcessServer {
    // Dropped before the application.
    runtime: Runtime,
    app: TestApp,
    spool_dir: tempfile::TempDir,
}

impl InProcessServer {
    fn new() -> Self {
        Self::on_app(TestApp::new())
    }

    /// Time advances only manually. Commands still use the system clock.
    fn with_manual_clock() -> Self {
        Self::on_app(TestApp::with_manual_clock())
    }

    /// Uses a store that may contain data.
    pub(crate) fn on_app(test_app: TestApp) -> Self {
        let runtime = crate::support::runtime();
        let spool_dir = tempfile::tempdir().expect("a folder");
        let sender = MailSender::spool(spool_dir.path(), "people@example.com", None).expect("a folder");
        let directory = Arc::clone(&test_app.app.directory);
        let worker = Worker::new(directory, sender, "http://example.com", DEFAULT_RETRY_POLICY, Arc::new(|_, _| ()));
        runtime.spawn(async move { worker.run(std::future::pending()).await });
        Self { runtime, app: test_app, spool_dir }
    }

    pub(crate) fn advance_clock(&self, seconds: i64) {
        self.app.advance_clock(seconds);
    }

    /// Waits for `count` mails to a user; returns the paths of their links, oldest first.
    fn wait_for_links(&self, email: &str, count: usize) -> Vec<String> {
        wait_for(&format!("{count} mails to {email}"), || {
            let files = std::fs::read_dir(self.spool_dir.path()).expect("a folder").filter_map(Result::ok);
            let files = files.map(|file| file.path());
            // Complete mails have the extension eml; their names increase with time.
            let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "eml")).collect();
            files.sort();
            let raw = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
            let mails = raw.map(|raw| ReceivedMail { from: String::new(), to: Vec::new(), raw });
            let links: Vec<_> = mails
                .filter(|mail| mail.header("To").is_some_and(|to| to.contains(email)))
                .filter_map(|mail| mail.links().first().map(|link| url_path(link)))
                .collect();
            (links.len() >= count).then_some(links)
        })
    }

    pub(crate) fn wait_for_link(&self, email: &str) -> String {
        self.wait_for_links(email, 1).remove(0)
    }
}

impl HttpTarget for InProcessServer {
    fn send_request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> HttpResponse {
        self.runtime.block_on(async {
            let answer = self.app.respond(build_request(method, target, headers, body)).await;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let mut text = format!("HTTP/1.1 {}", parts.status);
            for (name, value) in &parts.headers {
                text.push_str(&format!("\r\n{name}: {}", value.to_str().expect("text")));
            }
            HttpResponse::parse(&[text.as_bytes(), b"\r\n\r\n", &body].concat())
        })
    }

    fn store(&self) -> &str {
        self.app.store()
    }
}

fn wait_for<T>(what: &str, find: impl FnMut() -> Option<T>) -> T {
    testkit::waiting::wait_for(what, find)
}

/// The path of a link.
fn url_path(link: &str) -> String {
    let rest = link.split_once("://").expect("a link").1;
    rest[rest.find('/').expect("a path")..].to_owned()
}

/// Runs a command; returns whether it succeeds, and its output.
fn run_command(store: &str, arguments: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(MUSTER).args(["--store", store]).args(arguments).output();
    let output = output.expect("ran");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("text"))
}

/// Starts a mail server and a server that uses it.
fn start_with_mail_server(flags: &[&str]) -> (SmtpServer, Server) {
    let post = SmtpServer::start();
    let server = Server::start(&[&mail_flags(&post.url())[..], flags].concat());
    (post, server)
}

/// Flags for this mail server and short retry intervals.
fn mail_flags(url: &str) -> [&str; 8] {
    ["--smtp-url", url, "--mail-from", "people@example.com", "--smtp-timeout", "2", "--mail-retry-delay", "1"]
}

/// The path of the newest link mailed to a user.
fn newest_mailed_link(post: &SmtpServer, email: &str) -> String {
    wait_for(&format!("a mail to {email}"), || {
        let mails = post.mails();
        let mail = mails.iter().rev().find(|mail| mail.to.iter().any(|to| to == email))?;
        mail.links().first().map(|link| url_path(link))
    })
}

/// Queued and failed mails.
fn queued_mails(acme: &TenantClient) -> Vec<Value> {
    acme.run_json(&["mail", "list"]).as_array().expect("mails").clone()
}

/// A tenant with a key for all dialects and one for sign-ins.
struct TenantClient<'a> {
    target: &'a dyn HttpTarget,
    number: u64,
    key: String,
    sign_in_key: String,
}

impl<'a> TenantClient<'a> {
    fn new(door: &'a dyn HttpTarget, name: &str) -> Self {
        let number = run_json(door.store(), &["tenant", "add", name])["number"].as_u64().expect("a number");
        let mut acme = Self { target: door, number, key: String::new(), sign_in_key: String::new() };
        let key = |answer: Value| answer["key"].as_str().expect("a key").to_owned();
        acme.key =
            key(acme.run_json(&["connection", "add", "main", "--dialect", "all", "--highest-role", "EnterpriseAdmin"]));
        acme.sign_in_key = key(acme.run_json(&["connection", "add", "asking", "--dialect", "sign-in"]));
        acme
    }

    /// An existing tenant, on a restarted server.
    fn from_keys(door: &'a dyn HttpTarget, (number, key, asking): (u64, String, String)) -> Self {
        Self { target: door, number, key, sign_in_key: asking }
    }

    fn keys(&self) -> (u64, String, String) {
        (self.number, self.key.clone(), self.sign_in_key.clone())
    }

    /// Runs a command for this tenant; returns its JSON output.
    fn run_json(&self, arguments: &[&str]) -> Value {
        let number = self.number.to_string();
        run_json(self.target.store(), &[arguments, &["--tenant", &number]].concat())
    }

    /// Waits until the outcome of every mail is recorded, which is an event after the delivery.
    fn wait_for_mail_outcomes(&self) {
        wait_for("the outcomes of all mails", || {
            queued_mails(self).iter().all(|mail| mail["failed"] == true).then_some(())
        });
    }

    /// The number of events, once the outcome of every mail is recorded.
    fn event_count(&self) -> usize {
        self.wait_for_mail_outcomes();
        let (is_well, lines) =
            run_command(self.target.store(), &["audit", "export", "--tenant", &self.number.to_string()]);
        assert!(is_well, "{lines}");
        lines.lines().count()
    }

    /// Sends a request of `ccs`, `publisher` or `scim`.
    fn send_json(&self, method: &str, target: &str, body: &Value) -> HttpResponse {
        let bearer = format!("Bearer {}", self.key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.target.send_request(method, target, &headers, &body)
    }

    /// Sends a request of `onfire`.
    fn send_onfire(&self, method: &str, mut body: Value) -> HttpResponse {
        body["CompanyId"] = self.number.into();
        body["IntegrationKey"] = self.key.as_str().into();
        let headers = [("content-type", "application/json"), ("x-http-method-override", method)];
        self.target.send_request("POST", "/api/v2/user?format=json", &headers, &body.to_string())
    }

    /// Creates and invites a user over `onfire`; returns the id.
    fn invite(&self, email: &str) -> String {
        self.invite_with(email, &document!({}))
    }

    fn invite_with(&self, email: &str, more: &Value) -> String {
        let mut body = document!({"Email": email, "FirstName": "Ann", "LastName": "Lee"});
        for (name, value) in more.as_object().expect("members") {
            body[name] = value.clone();
        }
        let reply = self.send_onfire("POST", body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let answer: Value = serde_json::from_str(&reply.body).expect("JSON");
        answer["User"]["Id"].as_str().expect("an id").to_owned()
    }

    /// Creates an active user with a password over `ccs`; returns the number.
    fn create_user(&self, email: &str, password: &str) -> u64 {
        let body = document!({"firstName": "Bob", "email": email, "roleId": 1, "password": password});
        let reply = self.send_json("POST", "/request/user", &body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str::<Value>(&reply.body).expect("JSON")["id"].as_u64().expect("a number")
    }

    /// Sends a request to the sign-in API, as an application does for a user at an address.
    fn sign_in(&self, user: &str, password: &str, address: Option<&str>) -> HttpResponse {
        let bearer = format!("Bearer {}", self.sign_in_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let mut body = document!({"user": user, "password": password});
        if let Some(address) = address {
            body["address"] = address.into();
        }
        self.target.send_request("POST", "/v1/sign-in", &headers, &body.to_string())
    }

    fn page_path(&self, name: &str) -> String {
        format!("/t/{}/{name}", self.number)
    }
}

/// Asserts that the password was set: the browser is signed in, and the next page is the account page.
pub(crate) fn assert_password_set(reply: &HttpResponse) {
    assert_eq!(reply.status, 303, "{}", reply.body);
    let next = reply.header("location").expect("a next page");
    assert!(next.ends_with("/account?done=chosen"), "{next}");
}

/// Asserts that the reply is an HTML page with this status.
pub(crate) fn assert_page(reply: &HttpResponse, status: u16) {
    assert_eq!(reply.status, status, "{}\n{}", reply.head, reply.body);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.body.contains("<h1>"), "{}", reply.body);
}
