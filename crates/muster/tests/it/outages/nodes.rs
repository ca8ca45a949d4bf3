//! Processes of the program on a shared store, each with a log of its own, to be killed and started again.

use super::client::Client;
use crate::support::{MUSTER, launch, run_json, try_send};
use adapters::{Argon2Cost, Engine, StoreSettings};
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
}

impl Node {
    pub(super) fn start(url: &str) -> Self {
        Self::start_with_log_level("warn", url)
    }

    /// One that logs from this level on.
    pub(super) fn start_with_log_level(level: &'static str, url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, address) = serve(url, level, &folder);
        Self { url: url.to_owned(), level, folder, child, address }
    }

    /// A new process in the place of the one that was killed.
    pub(super) fn restart(&mut self) {
        (self.child, self.address) = serve(&self.url, self.level, &self.folder);
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log")
    }

    pub(super) fn client(&self, door: &Credentials) -> Client {
        Client { address: self.address.clone(), credentials: door.clone() }
    }

    /// The status of one of its own pages.
    pub(super) fn status(&self, page: &str) -> u16 {
        try_send(&self.address, "GET", page, &[], b"").expect("the process is there").status
    }

    /// Waits until a page has a status; how long that took.
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

fn serve(url: &str, level: &str, folder: &TempDir) -> (Child, String) {
    let launched = launch(Path::new(MUSTER), folder.path(), Path::new(url), &["--log-level", level]);
    (launched.child, launched.address)
}

/// A store whose parts agree with one another and whose history is whole, as the program itself finds.
pub(super) fn assert_sound(url: &str) {
    assert_eq!(run_json(url, &["check"]), serde_json::json!({"sound": true, "found": [], "notes": []}));
}

/// The store, opened in this process.
pub(super) fn open_store(url: &str) -> App {
    let engine = Engine::open(&StoreSettings::new(url)).expect("a store");
    let limits = Limits { hash_strength: Argon2Cost::FOR_TESTS, ..Limits::default() };
    let parts = Ports::new(engine.store(), Arc::new(adapters::TimeOrderedIds));
    server::build_app(parts, limits, server::PublicConfig::default()).expect("a house")
}

/// What opens a tenant.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) tenant: u64,
    pub(super) key: String,
    /// The connection, as a client of OAuth names it.
    pub(super) id: String,
}

impl Credentials {
    /// A new tenant on a store, and a key for it.
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
