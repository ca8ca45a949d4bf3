//! The lives of people, from outside: mails, links, pages, sign-in, status, deletion, and the history of it all.
//! Where time must pass, the house without a door is asked; where the machine matters, a server over sockets.

mod hashes;
mod history;
mod ledger;
mod links;
mod mails;
mod meddling;
mod post;
mod status;
mod throttle;
mod uniform;
mod visitor;

use crate::support::{House, MUSTER, Reply, Server, json, request, send};
use http_body_util::BodyExt;
use portal::mail::{MailSender, RetryPolicy, Worker};
use serde_json::{Value, json as document};
use std::sync::Arc;
use testkit::smtp::{Received, Receiver};
use tokio::runtime::Runtime;
pub(crate) use visitor::Visitor;
use visitor::token;

/// A password that nobody would refuse.
const GOOD: &str = "vier rote fische im teich";

/// Something that answers requests and has a store.
pub(crate) trait Door: Sync {
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply;
    fn at(&self) -> &str;
}

impl Door for Server {
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        send(&self.address, method, target, headers, body.as_bytes())
    }

    fn at(&self) -> &str {
        self.store()
    }
}

/// The house with a clock that is moved by hand. Its mails go into a folder.
pub(crate) struct Home {
    // It ends before the house does.
    runtime: Runtime,
    house: House,
    post: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self::on(House::new())
    }

    /// One where time passes only by hand. What commands do has the machine's time all the same.
    fn still() -> Self {
        Self::on(House::still())
    }

    /// On a store that may hold something.
    pub(crate) fn on(house: House) -> Self {
        let runtime = crate::support::runtime();
        let post = tempfile::tempdir().expect("a folder");
        let sender = MailSender::spool(post.path(), "people@example.com", None).expect("a folder");
        let directory = Arc::clone(&house.app.directory);
        let worker =
            Worker::new(directory, sender, "http://example.com", RetryPolicy::default(), Arc::new(|_, _| ()));
        runtime.spawn(async move { worker.run(std::future::pending()).await });
        Self { runtime, house, post }
    }

    pub(crate) fn wait(&self, seconds: i64) {
        self.house.wait(seconds);
    }

    /// The paths of the links that were mailed to somebody, the oldest first, as soon as there are so many.
    fn links(&self, email: &str, count: usize) -> Vec<String> {
        patiently(&format!("{count} mails to {email}"), || {
            let files = std::fs::read_dir(self.post.path()).expect("a folder").filter_map(Result::ok);
            let files = files.map(|file| file.path());
            // Those that are whole; their names rise with time.
            let mut files: Vec<_> =
                files.filter(|file| file.extension().is_some_and(|end| end == "eml")).collect();
            files.sort();
            let raw = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
            let mails = raw.map(|raw| Received { from: String::new(), to: Vec::new(), raw });
            let links: Vec<_> = mails
                .filter(|mail| mail.header("To").is_some_and(|to| to.contains(email)))
                .filter_map(|mail| mail.links().first().map(|link| path(link)))
                .collect();
            (links.len() >= count).then_some(links)
        })
    }

    pub(crate) fn link(&self, email: &str) -> String {
        self.links(email, 1).remove(0)
    }
}

impl Door for Home {
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.runtime.block_on(async {
            let answer = self.house.answer(request(method, target, headers, body)).await;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let mut text = format!("HTTP/1.1 {}", parts.status);
            for (name, value) in &parts.headers {
                text.push_str(&format!("\r\n{name}: {}", value.to_str().expect("text")));
            }
            Reply::parse(&[text.as_bytes(), b"\r\n\r\n", &body].concat())
        })
    }

    fn at(&self) -> &str {
        self.house.store()
    }
}

/// Waits for something that others do.
fn patiently<T>(what: &str, find: impl FnMut() -> Option<T>) -> T {
    testkit::waiting::wait_for(what, find)
}

/// What comes after the host in a link.
fn path(link: &str) -> String {
    let rest = link.split_once("://").expect("a link").1;
    rest[rest.find('/').expect("a path")..].to_owned()
}

/// Runs a command; whether it says that all is well, and what it prints.
fn run(store: &str, arguments: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(MUSTER).args(["--store", store]).args(arguments).output();
    let output = output.expect("ran");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("text"))
}

/// A server, and the mail server it sends to.
fn with_post(flags: &[&str]) -> (Receiver, Server) {
    let post = Receiver::start();
    let server = Server::start(&[&mail_flags(&post.url())[..], flags].concat());
    (post, server)
}

/// Mails go there, and are soon tried again.
fn mail_flags(url: &str) -> [&str; 8] {
    ["--smtp-url", url, "--mail-from", "people@example.com", "--smtp-timeout", "2", "--mail-retry-delay", "1"]
}

/// The path of the newest link that was mailed to somebody.
fn mailed(post: &Receiver, email: &str) -> String {
    patiently(&format!("a mail to {email}"), || {
        let mails = post.mails();
        let mail = mails.iter().rev().find(|mail| mail.to.iter().any(|to| to == email))?;
        mail.links().first().map(|link| path(link))
    })
}

/// The mails that wait or have failed.
fn waiting(firm: &Firm) -> Vec<Value> {
    firm.cli(&["mail", "list"]).as_array().expect("mails").clone()
}

/// A tenant, with a key for every dialect and one for sign-ins.
struct Firm<'a> {
    door: &'a dyn Door,
    number: u64,
    key: String,
    asking: String,
}

impl<'a> Firm<'a> {
    fn new(door: &'a dyn Door, name: &str) -> Self {
        let number = json(door.at(), &["tenant", "add", name])["number"].as_u64().expect("a number");
        let mut firm = Self { door, number, key: String::new(), asking: String::new() };
        let key = |answer: Value| answer["key"].as_str().expect("a key").to_owned();
        firm.key = key(firm.cli(&[
            "connection",
            "add",
            "main",
            "--dialect",
            "all",
            "--highest-role",
            "EnterpriseAdmin",
        ]));
        firm.asking = key(firm.cli(&["connection", "add", "asking", "--dialect", "sign-in"]));
        firm
    }

    /// The same tenant by its number and keys, on a server that was started again.
    fn of(door: &'a dyn Door, (number, key, asking): (u64, String, String)) -> Self {
        Self { door, number, key, asking }
    }

    fn keys(&self) -> (u64, String, String) {
        (self.number, self.key.clone(), self.asking.clone())
    }

    /// A command about this tenant; its JSON document.
    fn cli(&self, arguments: &[&str]) -> Value {
        let number = self.number.to_string();
        json(self.door.at(), &[arguments, &["--tenant", &number]].concat())
    }

    /// Waits until the outcome of every mail is recorded: that is an event too, and follows the mail itself.
    fn wait_for_outcomes(&self) {
        patiently("the outcomes of all mails", || {
            waiting(self).iter().all(|mail| mail["failed"] == true).then_some(())
        });
    }

    /// How many events it has, once the outcome of every mail is recorded.
    fn events(&self) -> usize {
        self.wait_for_outcomes();
        let (is_well, lines) =
            run(self.door.at(), &["audit", "export", "--tenant", &self.number.to_string()]);
        assert!(is_well, "{lines}");
        lines.lines().count()
    }

    /// A request of `ccs`, `publisher` or `scim`.
    fn call(&self, method: &str, target: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.door.ask(method, target, &headers, &body)
    }

    /// A request of `onfire`.
    fn onfire(&self, method: &str, mut body: Value) -> Reply {
        body["CompanyId"] = self.number.into();
        body["IntegrationKey"] = self.key.as_str().into();
        let headers = [("content-type", "application/json"), ("x-http-method-override", method)];
        self.door.ask("POST", "/api/v2/user?format=json", &headers, &body.to_string())
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
        let reply = self.onfire("POST", body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let answer: Value = serde_json::from_str(&reply.body).expect("JSON");
        answer["User"]["Id"].as_str().expect("an id").to_owned()
    }

    /// Somebody active with a password over `ccs`; the number.
    fn person(&self, email: &str, password: &str) -> u64 {
        let body = document!({"firstName": "Bob", "email": email, "roleId": 1, "password": password});
        let reply = self.call("POST", "/request/user", &body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str::<Value>(&reply.body).expect("JSON")["id"].as_u64().expect("a number")
    }

    /// An application asks whether somebody may come in, who tries from an address.
    fn sign_in(&self, user: &str, password: &str, address: Option<&str>) -> Reply {
        let bearer = format!("Bearer {}", self.asking);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let mut body = document!({"user": user, "password": password});
        if let Some(address) = address {
            body["address"] = address.into();
        }
        self.door.ask("POST", "/v1/sign-in", &headers, &body.to_string())
    }

    /// The path of a page.
    fn page(&self, name: &str) -> String {
        format!("/t/{}/{name}", self.number)
    }
}

/// A choice was taken: the browser is signed in, and the next page is the account.
pub(crate) fn assert_chosen(reply: &Reply) {
    assert_eq!(reply.status, 303, "{}", reply.body);
    let next = reply.header("location").expect("a next page");
    assert!(next.ends_with("/account?done=chosen"), "{next}");
}

/// A page that says so to people, with this status.
pub(crate) fn assert_page(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}\n{}", reply.head, reply.body);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.body.contains("<h1>"), "{}", reply.body);
}
