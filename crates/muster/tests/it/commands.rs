//! The command line: start-up errors, key revocation while a server runs, id formats, and file permissions.

use crate::support::{MUSTER, Server, run_json, send};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use testkit::waiting::wait_until;

#[test]
fn startup_errors_are_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let foreign = folder.path().join("notes.txt");
    std::fs::write(
        &foreign,
        "not a store at all, but long enough that SQLite reads a header of one hundred bytes from it, truly.",
    )
    .expect("written");
    let taken = Server::start(&[]);
    for (arguments, wanted) in [
        (vec!["--store", foreign.to_str().expect("text")], "is not a Muster store"),
        (vec!["--store", "/nonexistent/folder/s.db"], "cannot be opened"),
        (vec!["--store", "mysql://x/y"], "takes a file path or a URL"),
        (vec!["--store", "postgres://x"], "the form is postgres://"),
        (vec!["--store", ":memory:", "--listen", &taken.address], "cannot listen on"),
        (vec!["--tls-cert", "x.pem"], "both --tls-cert and --tls-key"),
    ] {
        let output =
            Command::new(MUSTER).arg("serve").args(&arguments).current_dir(folder.path()).output().expect("ran");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(wanted), "{arguments:?}: {said}");
    }
}

#[test]
fn a_revoked_key_stops_working_while_the_server_runs() {
    let server = Server::start(&[]);
    let (_, key) = server.create_tenant(&[]);
    let get =
        || send(&server.address, "GET", "/request/role", &[("Authorization", &format!("Bearer {key}"))], b"").status;
    assert_eq!(get(), 200);
    server.run_json(&["connection", "rotate", "main"]);
    // The use is stored later, only for the key that was used.
    let used = || {
        let keys = server.run_json(&["connection", "list"])[0]["keys"].clone();
        [0, 1].map(|key| keys[key]["lastUse"].is_string())
    };
    wait_until("the use of the first key", || used()[0]);
    assert_eq!(used(), [true, false]);
    server.run_json(&["connection", "revoke", "main"]);
    // Keys are cached for a second.
    wait_until("the key to stop working", || get() == 401);
}

#[test]
fn ids_are_time_ordered_or_random() {
    for (ids, version) in [("time-ordered", '7'), ("random", '4')] {
        let place = crate::support::TestStore::new();
        run_json(&place.store, &["tenant", "add", "Acme", "--id-kind", ids]);
        let id = run_json(&place.store, &["user", "add", "a@x.y", "--first-name", "A", "--id-kind", ids])["id"].clone();
        assert_eq!(id.as_str().expect("an id").chars().nth(14), Some(version), "{ids}: {id}");
    }
}

/// A user who can write to a folder must not set the store or the mail server of a Muster that is started there.
#[test]
fn a_settings_file_writable_by_others_is_read_only_if_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("muster.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:7\"\n").expect("written");
    let config = |arguments: &[&str]| {
        let mut muster = Command::new(MUSTER);
        let output = muster.arg("config").args(arguments).current_dir(folder.path()).output().expect("ran");
        assert!(output.status.success());
        let is_read = String::from_utf8_lossy(&output.stdout).contains("127.0.0.1:7");
        (is_read, String::from_utf8_lossy(&output.stderr).contains("muster.toml is ignored"))
    };
    for (mode, expected) in
        [(0o600, (true, false)), (0o644, (true, false)), (0o664, (false, true)), (0o602, (false, true))]
    {
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).expect("set");
        assert_eq!(config(&[]), expected, "{mode:o}");
        assert_eq!(config(&["--config", "muster.toml"]), (true, false), "{mode:o}");
    }
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("set");
    // Only root can change a file's owner.
    if std::os::unix::fs::chown(&file, Some(1), None).is_ok() {
        assert_eq!(config(&[]), (false, true), "owned by another user");
    }
}

#[test]
fn a_store_readable_by_others_logs_a_warning() {
    let server = Server::start(&[]);
    if crate::support::is_on_postgres() {
        return;
    }
    assert!(!server.log().contains("other users can access the store"), "{}", server.log());
    let path = std::path::PathBuf::from(server.store());
    let place = server.kill();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("set");
    let server = Server::start_on(place, &[]);
    assert!(server.log().contains("other users can access the store"), "{}", server.log());
}
