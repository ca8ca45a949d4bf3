//! A full disk loses no data. A file size limit simulates it: writes fail.

use crate::gateway::{Simulator, wait_until_linked};
use crate::secrets_key::secrets_key;
use crate::support::{HttpResponse, MUSTER, repo_root, run_json, send};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use testkit::waiting::wait_until;

/// Runs the program with a file size limit in blocks of 512 bytes.
fn with_file_limit(blocks: u32, store: &Path, arguments: &str) -> Command {
    let mut command = Command::new("sh");
    let store = store.display();
    let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec '{MUSTER}' --json --store '{store}' {arguments}");
    command.envs([secrets_key()]).args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// A server with a file size limit, and a key.
struct Server {
    child: Child,
    address: String,
    bearer: String,
}

impl Server {
    fn start(blocks: u32, store: &Path) -> Self {
        let number = run_json(store, &["tenant", "add", "Acme"])["number"].to_string();
        let added = run_json(store, &["connection", "add", "c", "--dialect", "all", "--tenant", &number]);
        let bearer = format!("Bearer {}", added["key"].as_str().expect("a key"));
        let serve = "serve --listen 127.0.0.1:0 --admin-listen none --log-level error";
        let mut child = with_file_limit(blocks, store, serve).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let address = said["listening"].as_str().expect("an address").replace("http://", "");
        Self { child, address, bearer }
    }

    /// Simulates that disk space was freed.
    #[cfg(target_os = "linux")]
    fn lift_limit(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let unlimited = rustix::process::Rlimit { current: None, maximum: None };
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, unlimited).expect("the limit is lifted");
    }

    fn send_request(&self, method: &str, target: &str, body: &str) -> HttpResponse {
        let headers = [("Authorization", self.bearer.as_str()), ("Content-Type", "application/json")];
        send(&self.address, method, target, &headers, body.as_bytes())
    }

    /// Creates users until one is rejected; returns their number and the response.
    fn create_until_rejected(&self, body: impl Fn(u32) -> (&'static str, String)) -> (u32, HttpResponse) {
        for n in 0..5_000 {
            let (target, body) = body(n);
            let reply = self.send_request("POST", target, &body);
            if reply.status >= 300 {
                return (n, reply);
            }
        }
        panic!("no create was rejected");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn assert_consistent(store: &Path, users: u32) {
    assert_eq!(run_json(store, &["check"])["sound"], true);
    assert_eq!(run_json(store, &["audit", "verify"])["whole"], true);
    assert_eq!(run_json(store, &["user", "list", "--limit", "1"])["total"], users);
}

/// Linux only: other systems cannot change the limit of another process.
#[cfg(target_os = "linux")]
#[test]
fn writes_get_503_and_reads_continue() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("muster.db");
    let server = Server::start(700, &store);
    let (done, rejected) = server.create_until_rejected(|n| {
        let name = "A".repeat(100);
        ("/request/user", format!("{{\"firstName\":\"{name}\",\"email\":\"{n}@x.y\",\"roleId\":1}}"))
    });
    assert_eq!(rejected.status, 503, "{rejected:?}");
    assert!(rejected.header("retry-after").is_some() && rejected.body.contains("\"message\""), "{rejected:?}");
    let ready = server.send_request("GET", "/readyz", "");
    let has_reason = ["rejects changes", "the last write failed"].iter().any(|text| ready.body.contains(text));
    assert!(ready.status == 503 && has_reason, "{ready:?}");
    assert_eq!(server.send_request("GET", "/request/user/1", "").status, 200);
    server.lift_limit();
    wait_until("a successful retry", || server.send_request("GET", "/readyz", "").status == 200);
    let created =
        server.send_request("POST", "/request/user", "{\"firstName\":\"A\",\"email\":\"last@x.y\",\"roleId\":1}");
    assert_eq!(created.status, 200, "{created:?}");
    drop(server);
    assert_consistent(&store, done + 1);
}

/// What cannot be stored is not sent: afterwards, each user has one account.
#[cfg(target_os = "linux")]
#[test]
fn pushes_wait_and_duplicate_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("muster.db");
    let server = Server::start(900, &store);
    let path = store.to_str().expect("text");
    let simulator = Simulator::start("scim", "allow-duplicates = true");
    simulator.add_to(path, "target", &["--rate", "0"]);
    let (done, rejected) = server.create_until_rejected(|n| {
        ("/request/user", format!("{{\"firstName\":\"A\",\"email\":\"{n}@x.y\",\"roleId\":1}}"))
    });
    assert_eq!(rejected.status, 503, "{rejected:?}");
    assert!(simulator.accounts().len() < done as usize, "the disk is full before all users were pushed");
    server.lift_limit();
    wait_until("a successful retry", || server.send_request("GET", "/readyz", "").status == 200);
    wait_until_linked(path, "target", done.into());
    assert_eq!(simulator.accounts().len(), done as usize);
    drop(server);
    assert_consistent(&store, done);
}

/// The log can still be written, but its content no longer fits into the store's file.
#[test]
fn a_checkpoint_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("muster.db");
    // A checkpoint runs after 4,000 pages, which are 16 MiB; twice as much does not fit.
    let blocks = 36_000;
    let server = Server::start(blocks, &store);
    let photos: Vec<Value> = (0..30)
        .map(|n| serde_json::json!({"value": format!("https://x.example/{n}/{}", "p".repeat(2_000)), "type": format!("t{n}")}))
        .collect();
    let photos = serde_json::to_string(&photos).expect("JSON");
    let (done, rejected) =
        server.create_until_rejected(|n| ("/scim/v2/Users", format!("{{\"userName\":\"u{n}\",\"photos\":{photos}}}")));
    assert_eq!(rejected.status, 503, "{rejected:?}");
    let size = std::fs::metadata(&store).expect("a file").len();
    assert!(size > u64::from(blocks) * 256, "no checkpoint succeeded: {size} bytes after {done} users");
    drop(server);
    assert_consistent(&store, done);
}

#[test]
fn a_backup_is_complete_or_absent() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("muster.db");
    run_json(&store, &["tenant", "add", "Acme"]);
    let backup = folder.path().join("b.bak");
    for blocks in [0, 1] {
        let Output { status, stdout, .. } =
            with_file_limit(blocks, &store, &format!("backup '{}'", backup.display())).output().expect("ran");
        let said = String::from_utf8_lossy(&stdout);
        assert!(!status.success() && said.contains("no backup was created"), "{said}");
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).expect("read").flatten().map(|file| file.file_name()).collect();
        assert!(left.iter().all(|name| name.to_string_lossy().starts_with("muster.db")), "{left:?}");
    }
    run_json(&store, &["backup", backup.to_str().expect("text")]);
    assert_consistent(&store, 0);
}

/// A server or command that cannot start reports the reason and does not change the store.
#[test]
fn startup_on_a_full_disk_is_a_clear_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("muster.db");
    let number = run_json(&store, &["tenant", "add", "Acme"])["number"].to_string();
    for arguments in ["serve --listen 127.0.0.1:0 --admin-listen none", &format!("user list --tenant {number}")] {
        for has_lock in [true, false] {
            let lock = folder.path().join("muster.db-lock");
            if !has_lock {
                std::fs::remove_file(&lock).expect("removed");
            }
            let said = with_file_limit(0, &store, arguments).output().expect("ran");
            let text = String::from_utf8_lossy(&said.stdout);
            assert!(!said.status.success() && text.contains("disk"), "{arguments}: {text}");
            assert_consistent(&store, 0);
        }
    }
}

#[test]
fn migrations_are_atomic() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("muster.db");
    let compressed = repo_root().join("crates/muster/tests/data/0.1.0/muster.db.zst");
    let before = zstd::decode_all(&std::fs::read(compressed).expect("the store")[..]).expect("decompressed");
    std::fs::write(&store, &before).expect("written");
    let steps = || {
        let db = rusqlite::Connection::open(&store).expect("opened");
        db.query_row("SELECT count(*) FROM migrations", [], |row| row.get::<_, u32>(0)).expect("counted")
    };
    let (first, mut failures) = (steps(), Vec::new());
    // The first attempt writes nothing, later ones write more and more of the log.
    for blocks in [0, 8, 16, 24, 32, 40, 64, 96] {
        let said = with_file_limit(blocks, &store, "tenant add Late").output().expect("ran");
        if said.status.success() {
            break;
        }
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(text.contains("\"error\""), "{text}");
        failures.push(steps());
    }
    assert!(failures.len() > 2 && failures.is_sorted(), "{failures:?}");
    let tenants = run_json(&store, &["tenant", "list"]).as_array().map(Vec::len);
    assert!(tenants >= Some(3), "{tenants:?}");
    run_json(&store, &["tenant", "set", "--tenant", "1", "--sender-name", "Acme"]);
    assert!(steps() > first, "the migration succeeds with enough space");
    assert_eq!(run_json(&store, &["check"])["sound"], true);
    assert_eq!(run_json(&store, &["audit", "verify"])["whole"], true);
}
