//! A server with a target, which is a simulator in a process of its own.

use crate::support::{MUSTER, Server, run_json, send, try_send};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A simulated system.
pub(crate) struct Simulator {
    child: Child,
    pub(super) address: String,
    pub(super) url: String,
    key_file: PathBuf,
    dialect: &'static str,
    _folder: tempfile::TempDir,
}

impl Simulator {
    /// `dialect` is that of the target, or `ccs-muster`; `faults` is TOML.
    pub(crate) fn start(dialect: &'static str, faults: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (key_file, faults_file) = (folder.path().join("key"), folder.path().join("faults.toml"));
        std::fs::write(&faults_file, faults).expect("written");
        let api = if dialect == "onfire-v1" { "onfire" } else { dialect };
        let mut child = Command::new(MUSTER)
            .args(["--json", "simulate", api, "--listen", "127.0.0.1:0", "--key-file"])
            .arg(&key_file)
            .arg("--faults")
            .arg(&faults_file)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a line");
        let output: Value = serde_json::from_str(&line).expect("its address");
        let text = |name: &str| output[name].as_str().expect("a text").to_owned();
        Self { child, address: text("address"), url: text("url"), key_file, dialect, _folder: folder }
    }

    /// Adds it as a target of tenant 1.
    pub(crate) fn add_to(&self, store: &str, name: &str, flags: &[&str]) {
        let key_file = self.key_file.to_str().expect("text");
        let dialect = self.dialect.strip_suffix("-muster").unwrap_or(self.dialect);
        let mut arguments = vec!["target", "add", name, "--tenant", "1", "--dialect", dialect, "--url", &self.url];
        arguments.extend(["--key-file", key_file, "--dial-allow", &self.address]);
        if self.dialect.starts_with("onfire") {
            arguments.extend(["--company", "1"]);
        }
        arguments.extend(flags);
        let added = run_json(store, &arguments);
        assert_eq!(added["name"], name, "{added}");
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let response = try_send(&self.address, "GET", path, &[], b"").expect("an answer");
        assert_eq!(response.status, 200, "{}", response.body);
        serde_json::from_str(&response.body).expect("JSON")
    }

    pub(crate) fn accounts(&self) -> Vec<Value> {
        self.get("/-/accounts").as_array().expect("a list").clone()
    }

    pub(super) fn request_count(&self) -> u64 {
        self.get("/-/count")["requests"].as_u64().expect("a number")
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.get("/-/requests").as_array().expect("a list").clone()
    }

    /// The fields of the account of a user, by the id that Muster sets.
    pub(crate) fn account_of(&self, user: &str) -> Option<Value> {
        let name = match self.dialect {
            "scim" => "externalId",
            "publisher" => "externalid",
            _ => "ExternalId",
        };
        let mut found = self.accounts();
        found.retain(|account| account["fields"][name] == user);
        assert!(found.len() <= 1, "several accounts of {user}");
        found.pop()
    }

    /// An account that Muster has not created.
    pub(super) fn create_publisher_account(&self, email: &str) {
        let bearer = format!("Bearer {}", std::fs::read_to_string(&self.key_file).expect("a key").trim());
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = format!(r#"{{"user": {{"email": "{email}", "name": {{"firstname": "Other"}}}}}}"#);
        let response = try_send(&self.address, "POST", "/api/2/users", &headers, body.as_bytes()).expect("an answer");
        assert_eq!(response.status, 200, "{}", response.body);
    }

    pub(super) fn key_path(&self) -> &std::path::Path {
        &self.key_file
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts a server with a tenant, without a connection.
pub(super) fn server() -> Server {
    let server = Server::start(&[]);
    server.run_json(&["tenant", "add", "Acme"]);
    server
}

/// Adds a target of tenant 1 with this credential.
pub(super) fn add_target(server: &Server, name: &str, dialect: &str, url: &str, key: &str, flags: &[&str]) -> Value {
    let key_file = server.data_dir().join(format!("key-of-{name}"));
    std::fs::write(&key_file, key).expect("written");
    let address = url.split('/').nth(2).expect("an absolute URL");
    let add = ["target", "add", name, "--tenant", "1", "--dialect", dialect, "--url", url, "--dial-allow", address];
    let key = ["--key-file", key_file.to_str().expect("text")];
    run_json(server.store(), &[&add[..], &key, flags].concat())
}

/// Imports users into tenant 1.
pub(super) fn import_users(server: &Server, users: std::ops::Range<u64>) {
    let file = server.data_dir().join("users.csv");
    let rows: Vec<String> = users.map(|n| format!("u{n}@example.com,First{n},Last{n}")).collect();
    std::fs::write(&file, format!("email,givenName,familyName\n{}\n", rows.join("\n"))).expect("written");
    server.run_json(&["import", file.to_str().expect("text"), "--tenant", "1"]);
}

/// Sends a SCIM request with a JSON body.
pub(super) fn scim(server: &Server, key: &str, method: &str, path: &str, body: &Value) -> Value {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/scim+json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = send(&server.address, method, path, &headers, body.as_bytes());
    assert!(response.status < 300, "{method} {path}: {} {}", response.status, response.body);
    serde_json::from_str(&response.body).unwrap_or_default()
}

pub(crate) fn status(store: &str, target: &str) -> Value {
    run_json(store, &["target", "status", target, "--tenant", "1"])
}

/// Waits until nothing waits and so many users are linked.
pub(crate) fn wait_until_linked(store: &str, target: &str, users: u64) {
    wait_for(&format!("{users} users in {target}"), || {
        let status = status(store, target);
        (status["linked"] == users && status["waiting"] == 0).then_some(()).ok_or(status)
    });
}

/// Waits for a condition, which says what it finds instead.
pub(crate) fn wait_for<T, E: std::fmt::Display>(what: &str, mut condition: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(found) => assert!(start.elapsed() < Duration::from_mins(2), "no {what}: {found}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
