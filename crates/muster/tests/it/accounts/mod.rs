//! The lives of people, from outside: mails, links, pages, sign-in, status, deletion, and the history of it all.
//! Where time must pass, the house without a door is asked; where the machine matters, a server over sockets.

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
pub(crate) use page_client::PageClient;
use page_client::form_token;
use portal::mail::{MailSender, RetryPolicy, Worker};
use serde_json::{Value, json as document};
use std::sync::Arc;
use testkit::smtp::{ReceivedMail, SmtpServer};
use tokio::runtime::Runtime;

/// A password that nobody would refuse.
const VALID_PASSWORD: &str = "vier rote fische im teich";

/// Something that answers requests and has a store.
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

/// The house with a clock that is moved by hand. Its mails go into a folder.
pub(crate) struct InProcessServer {
    // It ends before the house does.
    runtime: Runtime,
    app: TestApp,
    spool_dir: tempfile::TempDir,
}

impl InProcessServer {
    fn new() -> Self {
        Self::on_app(TestApp::new())
    }

    /// One where time passes only by hand. What commands do has the machine's time all the same.
    fn with_manual_clock() -> Self {
        Self::on_app(TestApp::with_manual_clock())
    }

    /// On a store that may hold something.
    pub(crate) fn on_app(house: TestApp) -> Self {
        let runtime = crate::support::runtime();
        let post = tempfile::tempdir().expect("a folder");
        let sender = MailSender::spool(post.path(), "people@example.com", None).expect("a folder");
        let directory = Arc::clone(&house.app.directory);
        let worker = Worker::new(directory, sender, "http://example.com", RetryPolicy::default(), Arc::new(|_, _| ()));
        runtime.spawn(async move { worker.run(std::future::pending()).await });
        Self { runtime, app: house, spool_dir: post }
    }

    pub(crate) fn advance_clock(&self, seconds: i64) {
        self.app.advance_clock(seconds);
    }

    /// The paths of the links that were mailed to somebody, the oldest first, as soon as there are so many.
    fn wait_for_links(&self, email: &str, count: usize) -> Vec<String> {
        wait_for(&format!("{count} mails to {email}"), || {
            let files = std::fs::read_dir(self.spool_dir.path()).expect("a folder").filter_map(Result::ok);
            let files = files.map(|file| file.path());
            // Those that are whole; their names rise with time.
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

/// Waits for something that others do.
fn wait_for<T>(what: &str, find: impl FnMut() -> Option<T>) -> T {
    testkit::waiting::wait_for(what, find)
}

/// What comes after the host in a link.
fn url_path(link: &str) -> String {
    let rest = link.split_once("://").expect("a link").1;
    rest[rest.find('/').expect("a path")..].to_owned()
}

/// Runs a command; whether it says that all is well, and what it prints.
fn run_command(store: &str, arguments: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(MUSTER).args(["--store", store]).args(arguments).output();
    let output = output.expect("ran");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("text"))
}

/// A server, and the mail server it sends to.
fn start_with_mail_server(flags: &[&str]) -> (SmtpServer, Server) {
    let post = SmtpServer::start();
    let server = Server::start(&[&mail_flags(&post.url())[..], flags].concat());
    (post, server)
}

/// Mails go there, and are soon tried again.
fn mail_flags(url: &str) -> [&str; 8] {
    ["--smtp-url", url, "--mail-from", "people@example.com", "--smtp-timeout", "2", "--mail-retry-delay", "1"]
}

/// The path of the newest link that was mailed to somebody.
fn newest_mailed_link(post: &SmtpServer, email: &str) -> String {
    wait_for(&format!("a mail to {email}"), || {
        let mails = post.mails();
        let mail = mails.iter().rev().find(|mail| mail.to.iter().any(|to| to == email))?;
        mail.links().first().map(|link| url_path(link))
    })
}

/// The mails that wait or have failed.
fn queued_mails(firm: &TenantClient) -> Vec<Value> {
    firm.run_json(&["mail", "list"]).as_array().expect("mails").clone()
}

/// A tenant, with a key for every dialect and one for sign-ins.
struct TenantClient<'a> {
    target: &'a dyn HttpTarget,
    number: u64,
    key: String,
    sign_in_key: String,
}

impl<'a> TenantClient<'a> {
    fn new(door: &'a dyn HttpTarget, name: &str) -> Self {
        let number = run_json(door.store(), &["tenant", "add", name])["number"].as_u64().expect("a number");
        let mut firm = Self { target: door, number, key: String::new(), sign_in_key: String::new() };
        let key = |answer: Value| answer["key"].as_str().expect("a key").to_owned();
        firm.key =
            key(firm.run_json(&["connection", "add", "main", "--dialect", "all", "--highest-role", "EnterpriseAdmin"]));
        firm.sign_in_key = key(firm.run_json(&["connection", "add", "asking", "--dialect", "sign-in"]));
        firm
    }

    /// The same tenant by its number and keys, on a server that was started again.
    fn from_keys(door: &'a dyn HttpTarget, (number, key, asking): (u64, String, String)) -> Self {
        Self { target: door, number, key, sign_in_key: asking }
    }

    fn keys(&self) -> (u64, String, String) {
        (self.number, self.key.clone(), self.sign_in_key.clone())
    }

    /// A command about this tenant; its JSON document.
    fn run_json(&self, arguments: &[&str]) -> Value {
        let number = self.number.to_string();
        run_json(self.target.store(), &[arguments, &["--tenant", &number]].concat())
    }

    /// Waits until the outcome of every mail is recorded: that is an event too, and follows the mail itself.
    fn wait_for_outcomes(&self) {
        wait_for("the outcomes of all mails", || {
            queued_mails(self).iter().all(|mail| mail["failed"] == true).then_some(())
        });
    }

    /// How many events it has, once the outcome of every mail is recorded.
    fn event_count(&self) -> usize {
        self.wait_for_outcomes();
        let (is_well, lines) =
            run_command(self.target.store(), &["audit", "export", "--tenant", &self.number.to_string()]);
        assert!(is_well, "{lines}");
        lines.lines().count()
    }

    /// A request of `ccs`, `publisher` or `scim`.
    fn send_json(&self, method: &str, target: &str, body: &Value) -> HttpResponse {
        let bearer = format!("Bearer {}", self.key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.target.send_request(method, target, &headers, &body)
    }

    /// A request of `onfire`.
    fn send_onfire(&self, method: &str, mut body: Value) -> HttpResponse {
        body["CompanyId"] = self.number.into();
        body["IntegrationKey"] = self.key.as_str().into();
        let headers = [("content-type", "application/json"), ("x-http-method-override", method)];
        self.target.send_request("POST", "/api/v2/user?format=json", &headers, &body.to_string())
    }

    /// Somebody new over `onfire`; the id.
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

    /// Somebody active with a password over `ccs`; the number.
    fn create_user(&self, email: &str, password: &str) -> u64 {
        let body = document!({"firstName": "Bob", "email": email, "roleId": 1, "password": password});
        let reply = self.send_json("POST", "/request/user", &body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str::<Value>(&reply.body).expect("JSON")["id"].as_u64().expect("a number")
    }

    /// An application asks whether somebody may come in, who tries from an address.
    fn sign_in(&self, user: &str, password: &str, address: Option<&str>) -> HttpResponse {
        let bearer = format!("Bearer {}", self.sign_in_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let mut body = document!({"user": user, "password": password});
        if let Some(address) = address {
            body["address"] = address.into();
        }
        self.target.send_request("POST", "/v1/sign-in", &headers, &body.to_string())
    }

    /// The path of a page.
    fn page_path(&self, name: &str) -> String {
        format!("/t/{}/{name}", self.number)
    }
}

/// A choice was taken: the browser is signed in, and the next page is the account.
pub(crate) fn assert_password_set(reply: &HttpResponse) {
    assert_eq!(reply.status, 303, "{}", reply.body);
    let next = reply.header("location").expect("a next page");
    assert!(next.ends_with("/account?done=chosen"), "{next}");
}

/// A page that says so to people, with this status.
pub(crate) fn assert_page(reply: &HttpResponse, status: u16) {
    assert_eq!(reply.status, status, "{}\n{}", reply.head, reply.body);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.body.contains("<h1>"), "{}", reply.body);
}
