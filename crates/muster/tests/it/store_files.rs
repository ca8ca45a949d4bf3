//! Files of a store in use that an operator replaces, restores or moves, and processes that hang while holding its
//! locks.

use crate::support::{HttpResponse, MUSTER, run_json, send};
use adapters::{OpenMode, StoreSettings};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::waiting::wait_until;

/// A folder with a store that has a tenant, a connection and a backup.
struct StoreFixture {
    folder: tempfile::TempDir,
    bearer: String,
}

impl StoreFixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("muster.db");
        run_json(&store, &["tenant", "add", "Acme"]);
        let added = run_json(&store, &["connection", "add", "c", "--dialect", "all"]);
        let bearer = format!("Bearer {}", added["key"].as_str().expect("a key"));
        let stage = Self { folder, bearer };
        run_json(stage.store(), &["backup", stage.path("b.bak").to_str().expect("text")]);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("muster.db")
    }

    /// The backup restored to another file.
    fn restored(&self) -> PathBuf {
        let other = self.path("r.db");
        run_json(&other, &["restore", self.path("b.bak").to_str().expect("text")]);
        other
    }

    fn serve(&self) -> Command {
        let mut command = Command::new(MUSTER);
        command
            .args(["--json", "--store"])
            .arg(self.store())
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.path("log")).expect("a log"));
        command
    }

    fn start(&self) -> Server<'_> {
        let mut child = self.serve().spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let address = |name: &str| said[name].as_str().expect("an address").replace("http://", "");
        Server { fixture: self, address: address("listening"), admin: address("admin"), child }
    }

    /// Starts a server, which must fail; returns the error.
    fn start_error(&self) -> String {
        let output = self.serve().output().expect("ran");
        assert!(!output.status.success(), "a server started");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command, which must fail; returns the error.
    fn command_error(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(MUSTER);
        let output = command.args(["--json", "--store"]).arg(self.store()).args(arguments).output().expect("ran");
        assert!(!output.status.success(), "{arguments:?} worked");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn user_count(&self) -> Value {
        run_json(self.store(), &["user", "list", "--limit", "1"])["total"].clone()
    }
}

struct Server<'a> {
    fixture: &'a StoreFixture,
    address: String,
    admin: String,
    child: Child,
}

impl Server<'_> {
    fn send_request(&self, method: &str, target: &str, body: &str) -> HttpResponse {
        let headers = [("Authorization", self.fixture.bearer.as_str()), ("Content-Type", "application/json")];
        send(&self.address, method, target, &headers, body.as_bytes())
    }

    fn create(&self, name: &str) -> HttpResponse {
        self.send_request("POST", "/scim/v2/Users", &format!("{{\"userName\":\"{name}\"}}"))
    }

    fn readiness(&self) -> HttpResponse {
        send(&self.admin, "GET", "/readyz", &[], &[])
    }

    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().expect("ran").success());
        self.child.wait().expect("ended");
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// After the files of a store in use are replaced, no change is acknowledged, and nothing is read from another store.
#[test]
fn replacing_the_store_of_a_running_server_is_detected() {
    type ReplaceFile = fn(&StoreFixture, &Path);
    let ways: [(&str, ReplaceFile); 4] = [
        ("another file is renamed to it", |stage, other| fs::rename(other, stage.store()).expect("renamed")),
        ("its content is overwritten", |stage, other| assert!(fs::copy(other, stage.store()).is_ok())),
        ("it is removed", |stage, _| fs::remove_file(stage.store()).expect("removed")),
        ("its log is removed", |stage, _| fs::remove_file(stage.path("muster.db-wal")).expect("removed")),
    ];
    for (way, replace) in ways {
        let stage = StoreFixture::new();
        let other = stage.restored();
        let server = stage.start();
        assert_eq!(server.readiness().status, 200, "{way}");
        // Just before the replacement: the log is written back when the server is idle.
        assert_eq!(server.create("before").status, 201, "{way}");
        replace(&stage, &other);
        for n in 0..5 {
            let reply = server.create(&format!("after{n}"));
            assert!(reply.status >= 500, "{way}: {reply:?}");
        }
        let read = server.send_request("GET", "/scim/v2/Users", "");
        assert_eq!(read.status, 503, "{way}: {read:?}");
        let ready = server.readiness();
        assert!(ready.status == 503 && ready.body.contains("replaced"), "{way}: {ready:?}");
        server.stop();
        let log = fs::read_to_string(stage.path("log")).expect("a log");
        assert!(log.contains("was replaced while it was in use"), "{way}: {log}");
        if way == "another file is renamed to it" {
            // The log may belong to the old file, which may still exist.
            assert!(stage.start_error().contains("-wal does not belong to"));
            for ending in ["-wal", "-shm"] {
                drop(fs::remove_file(stage.path(&format!("muster.db{ending}"))));
            }
            let server = stage.start();
            assert_eq!(
                (server.readiness().status, stage.user_count()),
                (200, Value::from(0)),
                "the store that replaced it"
            );
            assert_eq!(server.create("after").status, 201);
        }
    }
}

/// A command may detect the replacement first: it must not write the log of one file into the other.
#[test]
fn commands_do_not_touch_a_replaced_store() {
    let stage = StoreFixture::new();
    let server = stage.start();
    for n in 0..10 {
        assert_eq!(server.create(&format!("u{n}")).status, 201);
    }
    let other = stage.restored();
    let original = stage.path("original.db");
    fs::hard_link(stage.store(), &original).expect("linked");
    fs::rename(&other, stage.store()).expect("replaced");
    for arguments in [&["user", "list"][..], &["tenant", "add", "Two"], &["audit", "verify"], &["check"]] {
        let said = stage.command_error(arguments);
        assert!(said.contains("was replaced while another process had it open"), "{arguments:?}: {said}");
    }
    server.kill();
    fs::rename(&original, stage.store()).expect("renamed back");
    assert_eq!(stage.user_count(), 10, "no acknowledged change is lost");
    assert_eq!(run_json(stage.store(), &["check"])["sound"], true);
}

#[test]
fn a_store_in_use_is_neither_restored_nor_moved() {
    let stage = StoreFixture::new();
    let backup = stage.path("b.bak");
    let restore = ["restore", backup.to_str().expect("text")];
    // Restoring requires a missing or empty store.
    for ending in ["", "-lock"] {
        fs::remove_file(stage.path(&format!("muster.db{ending}"))).expect("removed");
    }
    let (here, there) = (stage.store(), stage.path("other.db"));
    let (here, there) = (here.to_str().expect("text"), there.to_str().expect("text"));
    let server = stage.start();
    for arguments in [&restore[..], &["move", "--from", here, "--to", there], &["move", "--from", there, "--to", here]]
    {
        if arguments.get(2) == Some(&there) {
            drop(
                StoreSettings::new(there)
                    .engine()
                    .expect("an engine")
                    .acquire(OpenMode::Create)
                    .expect("made")
                    .restore(&archive_origin(), &mut std::iter::empty()),
            );
        }
        let said = stage.command_error(arguments);
        assert!(said.contains("in use by another process"), "{arguments:?}: {said}");
    }
    assert_eq!(server.readiness().status, 200);
    server.stop();
    // A restoring process has exclusive access.
    let hold = StoreSettings::new(here).engine().expect("an engine").acquire(OpenMode::Create).expect("held");
    assert!(stage.command_error(&restore).contains("in use by another process"));
    assert!(stage.start_error().contains("in use by another process"));
    drop(hold);
    run_json(stage.store(), &restore);
    assert_eq!(stage.user_count(), 0);
}

fn archive_origin() -> store::archive::Origin {
    store::archive::Origin { engine: "sqlite".into(), name: "nothing".into() }
}

/// SQLite applies the log that a killed server leaves to any file of that name.
#[test]
fn a_log_of_another_file_is_not_used() {
    let stage = StoreFixture::new();
    // The other file is a restored backup, an older copy of the store,
    let copy = stage.path("copy.db");
    fs::copy(stage.store(), &copy).expect("copied");
    // or a copy made while the server ran.
    let live = stage.path("live.db");
    for other in [stage.restored(), copy, live.clone()] {
        let server = stage.start();
        let before = stage.user_count();
        fs::copy(stage.store(), &live).expect("copied");
        assert_eq!(server.create(&format!("u{before}")).status, 201);
        server.kill();
        let log = fs::metadata(stage.path("muster.db-wal")).expect("a log").len();
        assert!(log > 0);
        let original = stage.path("original.db");
        fs::rename(stage.store(), &original).expect("renamed");
        fs::copy(&other, stage.store()).expect("replaced");
        let expected = if other == live { before.clone() } else { Value::from(0) };
        let content = fs::read(stage.store()).expect("read");
        for said in [
            stage.start_error(),
            stage.command_error(&["user", "list"]),
            stage.command_error(&["tenant", "add", "Two"]),
            stage.command_error(&["check"]),
        ] {
            assert!(said.contains("-wal does not belong to"), "{said}");
        }
        assert!(fs::read(stage.store()).expect("read") == content, "the file was changed");
        assert_eq!(fs::metadata(stage.path("muster.db-wal")).expect("a log").len(), log);
        // The message names both fixes: remove the log, or restore the old file.
        let kept = stage.path("kept");
        for ending in ["-wal", "-shm"] {
            let name = stage.path(&format!("muster.db{ending}"));
            fs::copy(&name, stage.path(&format!("kept{ending}"))).expect("copied");
            fs::remove_file(name).expect("removed");
        }
        let server = stage.start();
        assert_eq!(stage.user_count(), expected, "without the log");
        server.stop();
        fs::rename(&original, stage.store()).expect("renamed back");
        drop(fs::remove_file(stage.path("muster.db-lock")));
        for ending in ["-wal", "-shm"] {
            let name = format!("{}{ending}", kept.display());
            fs::rename(name, stage.path(&format!("muster.db{ending}"))).expect("renamed back");
        }
        let server = stage.start();
        assert_eq!(stage.user_count(), before.as_u64().expect("a number") + 1, "no acknowledged change is lost");
        server.stop();
        assert_eq!(run_json(stage.store(), &["check"])["sound"], true);
    }
}

#[test]
fn a_held_write_lock_is_reported_and_does_not_block_readers() {
    let stage = StoreFixture::new();
    let server = stage.start();
    assert_eq!(server.create("before").status, 201);
    let other = rusqlite::Connection::open(stage.store()).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("begun");
    let begun = Instant::now();
    let ready = server.readiness();
    assert!(ready.status == 503 && ready.body.contains("write lock"), "{ready:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(server.send_request("GET", "/scim/v2/Users", "").status, 200);
    assert_eq!(stage.user_count(), 1, "commands can still read");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let rejected = server.create("meanwhile");
    assert!(rejected.status == 503 && begun.elapsed() < Duration::from_secs(10), "{rejected:?}");
    let metrics = send(&server.admin, "GET", "/metrics", &[], &[]).body;
    assert!(metrics.contains("muster_store_writable 0"), "{metrics}");
    other.execute_batch("ROLLBACK").expect("ended");
    wait_until("the store to be ready again", || server.readiness().status == 200);
    assert_eq!(server.create("after").status, 201);
}

#[test]
fn the_log_is_emptied_when_no_reader_needs_it() {
    let stage = StoreFixture::new();
    let server = stage.start();
    let size = || fs::metadata(stage.path("muster.db-wal")).map_or(0, |log| log.len());
    let reader = rusqlite::Connection::open(stage.store()).expect("opened");
    reader.execute_batch("BEGIN; SELECT count(*) FROM users").expect("begun");
    for n in 0..40 {
        let photo = format!("{{\"value\":\"https://x.example/{}\"}}", "p".repeat(2_000));
        let body = format!("{{\"userName\":\"u{n}\",\"photos\":[{photo}]}}");
        assert_eq!(server.send_request("POST", "/scim/v2/Users", &body).status, 201);
    }
    let full = size();
    std::thread::sleep(Duration::from_secs(2));
    assert!(full > 100_000 && size() >= full, "a reader needs the log: {full}, then {}", size());
    let metrics = send(&server.admin, "GET", "/metrics", &[], &[]).body;
    let shown = metrics.lines().find_map(|line| line.strip_prefix("muster_store_log_bytes "));
    assert_eq!(shown.and_then(|bytes| bytes.parse().ok()), Some(size()), "{metrics}");
    reader.execute_batch("COMMIT").expect("ended");
    wait_until("an empty log", || size() == 0);
    assert_eq!(server.create("after").status, 201);
}

#[test]
fn damage_stops_writes_and_a_damaged_store_is_not_opened() {
    let stage = StoreFixture::new();
    let server = stage.start();
    for n in 0..50 {
        assert_eq!(server.create(&format!("u{n}")).status, 201);
    }
    wait_until("an empty log", || fs::metadata(stage.path("muster.db-wal")).map_or(0, |log| log.len()) == 0);
    // Overwrite all pages except the first.
    let damage = || {
        let mut file = fs::OpenOptions::new().write(true).open(stage.store()).expect("opened");
        let length = usize::try_from(file.metadata().expect("a file").len()).expect("a length");
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(4096)).expect("sought");
        file.write_all(&vec![0xff; length - 4096]).expect("written");
    };
    damage();
    let reply = server.send_request("GET", "/scim/v2/Users", "");
    assert!(reply.status >= 500, "{reply:?}");
    let ready = server.readiness();
    assert!(ready.status == 503 && ready.body.contains("damaged"), "{ready:?}");
    let rejected = server.create("after");
    assert!(rejected.status >= 500, "{rejected:?}");
    server.kill();
    let said = stage.start_error();
    assert!(said.contains("is damaged"), "{said}");
}

/// An import whose file is missing fails and does not block later imports.
#[test]
fn an_import_whose_file_is_lost_fails() {
    let stage = StoreFixture::new();
    let added = run_json(stage.store(), &["connection", "add", "importer", "--dialect", "transfer"]);
    let bearer = format!("Bearer {}", added["key"].as_str().expect("a key"));
    let server = stage.start();
    let rows = (0..20_000).map(|n| format!("u{n}@x.y\n")).collect::<Vec<_>>().concat();
    let post = |server: &Server<'_>, rows: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "text/csv")];
        let reply = send(&server.address, "POST", "/v1/imports", &headers, format!("email\n{rows}").as_bytes());
        assert_eq!(reply.status, 202, "{reply:?}");
        serde_json::from_str::<Value>(&reply.body).expect("JSON")["id"].as_str().expect("an id").to_owned()
    };
    let lost = post(&server, &rows);
    server.kill();
    fs::remove_file(stage.path(&format!("muster.imports/{lost}.data"))).expect("lost");
    let server = stage.start();
    let next = post(&server, "a@x.y\n");
    let state = |id: &str| -> Value {
        let headers = [("Authorization", bearer.as_str())];
        let reply = send(&server.address, "GET", &format!("/v1/imports/{id}"), &headers, &[]);
        serde_json::from_str(&reply.body).expect("JSON")
    };
    wait_until("the end of both", || !state(&lost)["ended"].is_null() && !state(&next)["ended"].is_null());
    let lost = state(&lost);
    assert!(lost["status"] == "failed" && lost["error"].as_str().is_some_and(|why| why.contains("lost")), "{lost}");
    assert_eq!(state(&next)["status"], "done");
}

/// A command that root runs on another user's store creates files that this user can open.
#[test]
fn commands_of_root_leave_a_store_usable_for_its_owner() {
    const NOBODY: u32 = 65_534;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let version = Command::new(MUSTER).arg("--version").uid(NOBODY).output();
    if !is_root || version.is_err() {
        // Only root can switch users, and the other user must be able to run the program.
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("muster.db");
    run_json(&store, &["tenant", "add", "Acme"]);
    std::fs::remove_file(folder.path().join("muster.db-lock")).expect("removed");
    for path in [folder.path(), &store] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("given");
    }
    run_json(&store, &["tenant", "list"]);
    run_json(&store, &["tenant", "add", "Globex"]);
    let mut command = Command::new(MUSTER);
    let tenant = command.arg("--store").arg(&store).args(["tenant", "add", "Initech"]).uid(NOBODY);
    let added = tenant.output().expect("ran");
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert_eq!(run_json(&store, &["tenant", "list"]).as_array().map(Vec::len), Some(3));
}
