//! Processes of the program on a shared store, each with its own log, that can be killed and restarted.

use super::client::Client;
use crate::support::{Launched, MUSTER, launch, run_json, try_send};
use adapters::{Argon2Cost, OpenMode, StoreSettings};
use server::{App, Limits, Ports};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A process on a store. It is killed when dropped.
pub(super) struct Node {
    url: String,
    level: &'static str,
    folder: TempDir,
    child: Child,
    pub(super) address: String,
    /// The address of the admin listener.
    admin: String,
}

impl Node {
    pub(super) fn start(url: &str) -> Self {
        Self::start_with_log_level("warn", url)
    }

    /// Starts a process with this log level.
    pub(super) fn start_with_log_level(level: &'static str, url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let Launched { child, address, admin } = serve(url, level, &folder);
        Self { url: url.to_owned(), level, folder, child, address, admin }
    }

    /// Replaces the killed process by a new one.
    pub(super) fn restart(&mut self) {
        let launched = serve(&self.url, self.level, &self.folder);
        (self.child, self.address, self.admin) = (launched.child, launched.address, launched.admin);
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log")
    }

    pub(super) fn client(&self, credentials: &Credentials) -> Client {
        Client { address: self.address.clone(), credentials: credentials.clone() }
    }

    /// How many requests to targets this process has sent.
    pub(super) fn push_count(&self) -> u64 {
        let metrics = try_send(&self.admin, "GET", "/metrics", &[], b"").expect("a running process").body;
        let counts = metrics.lines().filter(|line| line.starts_with("muster_push_total{"));
        counts
            .map(|line| line.rsplit_once(' ').and_then(|(_, count)| count.parse::<u64>().ok()).expect("a count"))
            .sum()
    }

    /// The status of a page such as `/readyz`.
    pub(super) fn status(&self, page: &str) -> u16 {
        try_send(&self.address, "GET", page, &[], b"").expect("a running process").status
    }

    /// Waits until a page has a status; returns the duration.
    pub(super) fn wait_for(&self, page: &str, status: u16, at_most: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let is_there = self.status(page) == status;
            let took = begun.elapsed();
            assert!(took < at_most, "{page} is not {status} after {took:?}: {}", self.log());
            if is_there {
                return took;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn serve(url: &str, level: &str, folder: &TempDir) -> Launched {
    launch(Path::new(MUSTER), folder.path(), Path::new(url), &["--log-level", level])
}

/// Asserts that `muster check` finds no problems.
pub(super) fn assert_sound(url: &str) {
    assert_eq!(run_json(url, &["check"]), serde_json::json!({"sound": true, "found": [], "notes": []}));
}

/// Opens the store in this process.
pub(super) fn open_store(url: &str) -> App {
    let engine = StoreSettings::new(url).engine().expect("an engine");
    let store = engine.open(OpenMode::Create).expect("a store");
    let limits = Limits { hash_cost: Argon2Cost::FOR_TESTS, ..Limits::default() };
    let parts = Ports::new(store as _, Arc::new(adapters::TimeOrderedIds));
    server::build_app(parts, limits, server::PublicConfig::default()).expect("an app")
}

/// A tenant and a connection to it.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) tenant: u64,
    pub(super) key: String,
    /// The connection's id, which is the OAuth client id.
    pub(super) id: String,
}

impl Credentials {
    /// Creates a tenant with a connection.
    pub(super) fn create(url: &str) -> Self {
        let store = Path::new(url);
        let added = run_json(store, &["tenant", "add", "Acme"]);
        let tenant = added["number"].as_u64().unwrap_or_else(|| panic!("no number: {added}"));
        let number = tenant.to_string();
        let added = run_json(
            store,
            &[
                "connection",
                "add",
                "main",
                "--dialect",
                "all",
                "--highest-role",
                "EnterpriseAdmin",
                "--tenant",
                &number,
            ],
        );
        let listed = run_json(store, &["connection", "list"]);
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        Self { tenant, key: text(&added["key"]), id: text(&listed[0]["id"]) }
    }
}
