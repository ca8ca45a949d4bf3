//! Real SCIM service providers as targets: scim2-server (`PyPI`) and SCIMMY (npm). First synchronization, changes,
//! deactivation, deletion, and a restart of the target in the middle.

use super::support::{add_target, import_users, scim, status, wait_for, wait_until_linked};
use crate::client_packages;
use crate::support::{Server, repo_root, run_json, try_send};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TOKEN: &str = "token-of-the-target";
const USERS: u64 = 40;

/// A program that is a service provider. It is killed when dropped.
struct Provider {
    start: Box<dyn Fn() -> Child>,
    child: Child,
    address: String,
    path: &'static str,
    /// The path that lists all users.
    list: &'static str,
    /// Whether its accounts survive a restart.
    is_durable: bool,
}

impl Provider {
    fn new(
        path: &'static str,
        list: &'static str,
        is_durable: bool,
        command: impl Fn(&str) -> Command + 'static,
    ) -> Self {
        let port = testkit::postgres::free_port().to_string();
        let address = format!("127.0.0.1:{port}");
        let start = move || command(&port).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let provider = Self { child: start(), start: Box::new(start), address, path, list, is_durable };
        provider.wait();
        provider
    }

    fn wait(&self) {
        wait_for("the service provider", || self.list().ok_or("nothing listens"));
    }

    fn restart(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        self.child = (self.start)();
        self.wait();
    }

    /// All users; `None` if it does not answer.
    fn list(&self) -> Option<Vec<Value>> {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Authorization", bearer.as_str()), ("Host", self.address.as_str())];
        let response = try_send(&self.address, "GET", self.list, &headers, b"")?;
        let body: Value = serde_json::from_str(&response.body).ok()?;
        Some(body["Resources"].as_array().cloned().unwrap_or_default())
    }

    fn user(&self, name: &str) -> Option<Value> {
        self.list().expect("an answer").into_iter().find(|user| user["userName"] == name)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn scim2_server() -> Provider {
    let packages = client_packages::pypi("scim2-server");
    Provider::new("/v2", "/v2/Users?startIndex=1&count=200", false, move |port| {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &packages).args([
            "-c",
            "from scim2_server.testserver.cli import main; main()",
            "--port",
            port,
            "--bearer-token",
            TOKEN,
        ]);
        command
    })
}

fn scimmy(folder: &Path) -> Provider {
    std::os::unix::fs::symlink(client_packages::npm("scimmy"), folder.join("node_modules")).expect("linked");
    let program = folder.join("server.mjs");
    std::fs::copy(repo_root().join("clients/scimmy/server.mjs"), &program).expect("copied");
    let file = folder.join("users.json");
    Provider::new("/scim/v2", "/all", true, move |port| {
        let mut command = Command::new("node");
        command.arg(&program).args([port, TOKEN]).arg(&file);
        command
    })
}

fn patch(server: &Server, key: &str, id: &str, path: &str, value: &Value) {
    let body = json!({"Operations": [{"op": "replace", "path": path, "value": value}]});
    scim(server, key, "PATCH", &format!("/scim/v2/Users/{id}"), &body);
}

fn provision(mut provider: Provider) {
    let server = super::support::server();
    let key = server.create_connection(1, "hr", &[]);
    import_users(&server, 0..USERS);
    let url = format!("http://{}{}", provider.address, provider.path);
    add_target(&server, "real", "scim", &url, TOKEN, &["--rate", "20"]);
    let tested = server.run_json(&["target", "test", "real", "--tenant", "1"]);
    assert_eq!(
        (&tested["capabilities"]["deactivates"], &tested["capabilities"]["deletes"]),
        (&json!(true), &json!(true)),
        "{tested}"
    );
    // A restart in the middle of the first synchronization.
    wait_for("some users", || {
        let status = status(server.store(), "real");
        if status["linked"].as_u64() > Some(10) { Ok(()) } else { Err(status) }
    });
    provider.restart();
    wait_until_linked(server.store(), "real", USERS);
    if provider.is_durable {
        assert_eq!(provider.list().map(|users| users.len() as u64), Some(USERS));
    } else {
        // What it has forgotten is created again when it is pushed.
        let users: Vec<String> = (0..USERS).map(|n| format!("u{n}@example.com")).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        server.run_json(&[&["push", "--tenant", "1"], &users[..]].concat());
        wait_for("all users", || {
            let users = provider.list().expect("an answer").len() as u64;
            if users == USERS { Ok(()) } else { Err(users) }
        });
        wait_until_linked(server.store(), "real", USERS);
    }
    // A change, a deactivation, and a deletion.
    let id = |name: &str| {
        let user = server.run_json(&["user", "show", name, "--tenant", "1"]);
        user["id"].as_str().expect("an id").to_owned()
    };
    patch(&server, &key, &id("u1@example.com"), "name.familyName", &json!("Changed"));
    patch(&server, &key, &id("u2@example.com"), "active", &json!(false));
    server.run_json(&["user", "delete", "u3@example.com", "--tenant", "1"]);
    let has = |name: &str, pointer: &str, value: Value| {
        wait_for(pointer, || {
            let user = provider.user(name).expect("the user");
            if user.pointer(pointer) == Some(&value) { Ok(()) } else { Err(user) }
        });
    };
    has("u1@example.com", "/name/familyName", json!("Changed"));
    has("u2@example.com", "/active", json!(false));
    has("u3@example.com", "/active", json!(false));
    run_json(server.store(), &["target", "set", "real", "--on-delete", "delete", "--tenant", "1"]);
    // The server takes it over within a second.
    std::thread::sleep(std::time::Duration::from_secs(2));
    server.run_json(&["user", "delete", "u4@example.com", "--tenant", "1"]);
    wait_for("the deletion", || if provider.user("u4@example.com").is_none() { Ok(()) } else { Err("still there") });
    let names = provider.list().expect("an answer");
    assert_eq!(names.len() as u64, USERS - 1, "one account each");
}

#[test]
fn scim2_server_is_provisioned() {
    provision(scim2_server());
}

#[test]
fn scimmy_is_provisioned() {
    let folder = tempfile::tempdir().expect("a folder");
    provision(scimmy(folder.path()));
}
