//! Faults of the embedded engine: one server, its file, and the disk.

use super::disk::Disk;
use super::readiness;
use super::server_process::{ServerProcess, signal};
use super::shared_state::{CreateOnlyUser, SharedState};
use super::{Deployment, print, wait_for_recovery};
use crate::support::{MUSTER, run_json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testkit::generators::Rng;

/// Users in an import.
const ROWS: usize = 1_000;

pub(super) struct EmbeddedSetup {
    program: ServerProcess,
    disk: Disk,
    store: PathBuf,
    next: u32,
}

impl EmbeddedSetup {
    pub(super) fn new() -> Self {
        let disk = Disk::new();
        let store = disk.path().join("muster.db");
        Self { program: ServerProcess::new(0, &store.display().to_string()), disk, store, next: 0 }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.store.with_file_name(name)
    }

    fn kill(&mut self, world: &SharedState, pause: Duration) {
        world.begin_fault("server killed");
        self.program.kill(world);
        std::thread::sleep(pause);
        self.program.restart(world);
        world.end_fault();
    }

    fn stop(&mut self, world: &SharedState, time: Duration) {
        world.begin_fault("server stopped and continued");
        self.program.signal("STOP");
        std::thread::sleep(time);
        self.program.signal("CONT");
        world.end_fault();
    }

    /// Stops an import while it holds the write lock; returns whether it could be stopped before it ended.
    fn stop_import(&mut self, world: &SharedState, time: Duration, is_killed: bool) -> bool {
        self.next += 1;
        let next = self.next;
        let file = self.program.folder().join(format!("import{next}.ndjson"));
        let (mut rows, mut emails) = (String::new(), Vec::new());
        for row in 0..ROWS {
            let email = format!("import{next}.{row}@chaos.example");
            rows.push_str(&format!("{{\"email\":\"{email}\",\"givenName\":\"I{row}\"}}\n"));
            let user = CreateOnlyUser { first: format!("I{row}"), exists: None };
            world.create_only_users.lock().insert(email.clone(), user);
            emails.push(email);
        }
        std::fs::write(&file, rows).expect("written");
        let mut import = Command::new(MUSTER)
            .args(["--json", "--store"])
            .arg(&self.store)
            .args(["import", "--tenant", "1"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut is_stopped = false;
        while !is_stopped && import.try_wait().expect("a status").is_none() {
            std::thread::sleep(Duration::from_millis(40));
            let stopped = Instant::now();
            signal(&import, "STOP");
            if is_locked(&self.store) {
                world.begin_fault_at("import stopped while it holds the lock", stopped);
                std::thread::sleep(time);
                world.end_fault();
                is_stopped = true;
                if is_killed {
                    import.kill().expect("killed");
                }
            }
            signal(&import, "CONT");
        }
        let status = import.wait().expect("ended");
        if status.success() {
            let mut create_only_users = world.create_only_users.lock();
            for email in &emails {
                if let Some(user) = create_only_users.get_mut(email) {
                    user.exists = Some(true);
                }
            }
        }
        print(&format!("the import ended with {status}"));
        is_stopped
    }

    fn fill_disk(&mut self, world: &SharedState, time: Duration) {
        // Empty the log: frames that are checkpointed already could be overwritten without using space.
        if let Ok(db) = rusqlite::Connection::open(&self.store) {
            drop(db.busy_timeout(Duration::from_secs(2)));
            drop(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        }
        world.begin_fault("disk full");
        self.disk.fill(self.program.pid());
        std::thread::sleep(time);
        self.disk.free_space(self.program.pid());
        world.end_fault();
    }

    /// Creates a backup and restores it to another file.
    fn restored_copy(&mut self, world: &SharedState) -> PathBuf {
        self.next += 1;
        let backup = self.program.folder().join(format!("{}.bak", self.next));
        let copy = self.file(&format!("restored{}.db", self.next));
        let backup = backup.to_str().expect("text");
        run_ok(world, &self.store, &["backup", backup]);
        run_ok(world, &copy, &["restore", backup]);
        drop(std::fs::remove_file(with_suffix(&copy, "-lock")));
        for end in ["-wal", "-shm"] {
            assert!(!with_suffix(&copy, end).exists(), "a restored store needs no log");
        }
        copy
    }

    /// Replaces the store's file while the server runs, and puts the original and its log back afterwards. With
    /// `is_listed`, a command lists the new file meanwhile, as after a restore, which must not remove the original's
    /// log.
    fn replace_file_while_running(&mut self, world: &SharedState, time: Duration, is_killed: bool, is_listed: bool) {
        let copy = self.restored_copy(world);
        let original = self.file("original.db");
        std::fs::hard_link(&self.store, &original).expect("linked");
        world.begin_fault(if is_listed {
            "file replaced under the running server, then listed"
        } else {
            "file replaced under the running server"
        });
        std::fs::rename(&copy, &self.store).expect("renamed");
        let since = Instant::now();
        *world.servers[0].replaced_since.lock() = Some(since);
        if is_listed {
            run_json(&self.store, &["user", "list", "--limit", "1", "--tenant", "1"]);
        }
        std::thread::sleep(time);
        readiness::assert_not_ready_since(world, since);
        if !self.program.is_running() {
            world.violation(&format!("the server exited unexpectedly: {}", self.program.log()));
        }
        if is_killed {
            self.program.kill(world);
        } else {
            self.program.terminate(world);
        }
        // The -wal and -shm files, if they still exist, belong to the original.
        std::fs::rename(&original, &self.store).expect("renamed");
        world.report_served_after_replacement();
        *world.servers[0].replaced_since.lock() = None;
        self.program.restart(world);
        world.end_fault();
    }

    /// Replaces the store's file next to the log of a killed server. A server must not start on it.
    fn replace_file_while_stopped(&mut self, world: &SharedState) {
        let copy = self.restored_copy(world);
        world.begin_fault("file replaced after a kill, next to the old log");
        self.program.kill(world);
        let kept = self.file("kept.db");
        let files: Vec<(PathBuf, PathBuf)> = ["", "-wal"]
            .into_iter()
            .map(|end| (with_suffix(&self.store, end), with_suffix(&kept, end)))
            .filter(|(file, _)| file.exists())
            .collect();
        let log = std::fs::metadata(with_suffix(&self.store, "-wal")).map_or(0, |data| data.len());
        for (file, kept) in &files {
            std::fs::copy(file, kept).expect("copied");
        }
        let original = self.file("original.db");
        std::fs::rename(&self.store, &original).expect("renamed");
        std::fs::rename(&copy, &self.store).expect("renamed");
        // Clients must not be served from the wrong file, not even briefly.
        *world.servers[0].replaced_since.lock() = Some(Instant::now());
        match self.program.start(world) {
            Ok(()) if log > 0 => {
                world
                    .violation(&format!("the server starts on a replaced file with another file's log of {log} bytes"));
            }
            Ok(()) => print("the killed server left no log"),
            Err(said) if said.contains("-wal") => world.count("starts refused"),
            Err(said) => world.violation(&format!("the start error does not name the -wal file: {said}")),
        }
        self.program.kill(world);
        std::fs::rename(&original, &self.store).expect("renamed");
        let is_changed = |(file, kept): &&(PathBuf, PathBuf)| std::fs::read(file).ok() != std::fs::read(kept).ok();
        for (file, kept) in files.iter().filter(is_changed) {
            world.violation(&format!("a failed start has changed {}", file.display()));
            std::fs::copy(kept, file).expect("copied");
        }
        drop(std::fs::remove_file(with_suffix(&self.store, "-shm")));
        for (_, kept) in &files {
            std::fs::remove_file(kept).expect("removed");
        }
        world.report_served_after_replacement();
        *world.servers[0].replaced_since.lock() = None;
        self.program.restart(world);
        world.end_fault();
    }
}

impl Deployment for EmbeddedSetup {
    fn start(&mut self, world: &SharedState) {
        self.program.start(world).expect("the first start");
    }

    fn fault_kinds(&self) -> Vec<&'static str> {
        vec!["kill", "stop", "import", "replace running", "replace and list", "replace stopped", "backup", "disk"]
    }

    fn inject(&mut self, kind: &str, world: &SharedState, rng: &mut Rng, is_short: bool) {
        let mut time =
            |short: u64, longest: u64| Duration::from_millis(if is_short { short } else { 300 + rng.below(longest) });
        match kind {
            "kill" => self.kill(world, time(100, 4_000)),
            "stop" => self.stop(world, time(1_500, 12_000)),
            "import" => {
                let (time, is_killed) = (time(6_000, 15_000), rng.below(2) == 0);
                let is_stopped = (0..5).any(|_| self.stop_import(world, time, is_killed));
                assert!(is_stopped, "an import is stopped while it holds the lock");
            }
            "disk" => self.fill_disk(world, time(4_000, 12_000)),
            "replace running" => {
                self.replace_file_while_running(world, time(4_000, 10_000), rng.below(3) == 0, false);
            }
            "replace and list" => {
                self.replace_file_while_running(world, time(500, 5_000), rng.below(3) == 0, true);
            }
            "replace stopped" => self.replace_file_while_stopped(world),
            _ => {
                super::checks::verify_backup(world, self.store(), self.program.folder(), rng.below(1 << 32));
            }
        }
        wait_for_recovery(world, || self.program.log());
        if !self.program.is_running() {
            world.violation(&format!("the server exited unexpectedly: {}", self.program.log()));
            self.program.kill(world);
            self.program.restart(world);
        }
    }

    fn store(&self) -> &str {
        self.store.to_str().expect("text")
    }

    fn stop(&mut self, world: &SharedState) {
        self.program.terminate(world);
    }
}

/// Whether a process holds the write lock longer than a server does.
fn is_locked(store: &Path) -> bool {
    let Ok(db) = rusqlite::Connection::open(store) else { return false };
    drop(db.busy_timeout(Duration::from_millis(700)));
    let result = db.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
    matches!(result, Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == rusqlite::ErrorCode::DatabaseBusy)
}

fn with_suffix(file: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", file.display()))
}

/// Runs a command that must succeed.
pub(super) fn run_ok(world: &SharedState, store: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) {
    let said = run_json(store, arguments);
    if said.get("error").is_some() {
        world.violation(&format!("{arguments:?} fails: {said}"));
    }
}
