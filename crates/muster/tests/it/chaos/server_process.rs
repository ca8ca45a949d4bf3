//! The server process: start, kill, suspend, resume, and failed starts.

use super::shared_state::SharedState;
use crate::support::MUSTER;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The time limit for a start.
const STARTUP_TIMEOUT: Duration = Duration::from_mins(1);

/// A server on a store. It is killed when dropped.
pub(super) struct ServerProcess {
    server: usize,
    store: String,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl ServerProcess {
    /// A server that is not started yet; `server` is its index.
    pub(super) fn new(server: usize, store: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { server, store: store.to_owned(), folder, child: None }
    }

    /// Starts the server and publishes its address to clients; returns its output if it fails.
    pub(super) fn start(&mut self, world: &SharedState) -> Result<(), String> {
        let log = self.log_file();
        let errors = File::options().create(true).append(true).open(&log).expect("a log");
        let before = std::fs::metadata(&log).map_or(0, |data| data.len());
        // Ignore SIGXFSZ, so that the file size limit is an error and does not end the server.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", MUSTER])
            .args(["serve", "--json", "--log-level", "warn", "--store", &self.store])
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .env("MUSTER_MAIL_SPOOL_DIR", self.folder.path().join("mail"))
            .env("MUSTER_IMPORTS_DIR", self.folder.path().join("imports"))
            .env("MUSTER_MIN_FREE_DISK_MIB", "0")
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("started");
        let output = child.stdout.take().expect("output");
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            drop(BufReader::new(output).read_line(&mut line));
            drop(send.send(line));
        });
        let line = receive.recv_timeout(STARTUP_TIMEOUT).unwrap_or_default();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |name: &str| said[name].as_str().map(|url| url.replace("http://", ""));
        let (Some(listening), Some(admin)) = (address("listening"), address("admin")) else {
            drop(child.kill());
            let status = child.wait().expect("ended");
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let news = log.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default();
            return Err(format!("{status}: {line}{news}"));
        };
        let server = &world.servers[self.server];
        *server.admin.write() = Some(admin);
        *server.address.write() = Some(listening);
        self.child = Some(child);
        Ok(())
    }

    /// Starts the server. Reports a failure as a violation and retries, so that the test can continue.
    pub(super) fn restart(&mut self, world: &SharedState) {
        let begun = Instant::now();
        while let Err(said) = self.start(world) {
            world.violation(&format!("the server does not restart: {said}"));
            assert!(begun.elapsed() < STARTUP_TIMEOUT, "the server never restarts: {said}");
            std::thread::sleep(Duration::from_millis(500));
        }
        world.count("starts");
    }

    /// Sends SIGKILL.
    pub(super) fn kill(&mut self, world: &SharedState) {
        self.clear_addresses(world);
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Sends SIGTERM and waits for the exit.
    pub(super) fn terminate(&mut self, world: &SharedState) {
        self.clear_addresses(world);
        self.signal("TERM");
        if let Some(mut child) = self.child.take() {
            let begun = Instant::now();
            while child.try_wait().expect("a status").is_none() {
                if begun.elapsed() > STARTUP_TIMEOUT {
                    world.violation("the server does not exit after SIGTERM");
                    drop(child.kill());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn clear_addresses(&self, world: &SharedState) {
        let server = &world.servers[self.server];
        *server.address.write() = None;
        *server.admin.write() = None;
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    pub(super) fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            signal(child, name);
        }
    }

    /// Whether the process still runs; an unexpected exit is a violation.
    pub(super) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("a status").is_none())
    }

    /// The folder of the log, on another disk than the store.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The last lines of the log.
    pub(super) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

pub(super) fn signal(child: &Child, name: &str) {
    Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("sent");
}
