//! Command-line behavior: exit codes, closed pipes, options by command, and connections.

use crate::support::{MUSTER, TestStore, run_json};
use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn run(store: &OsStr, arguments: &[&str]) -> Output {
    Command::new(MUSTER).arg("--store").arg(store).args(arguments).output().expect("ran")
}

fn run_text(store: &OsStr, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(store, arguments);
    (
        output.status.code(),
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    )
}

#[test]
fn exit_codes_match_the_documentation() {
    let place = TestStore::new();
    let store = OsStr::new(&place.store);
    run_json(store, &["tenant", "add", "Acme"]);
    let file = place.folder.path().join("p.csv");
    let path = file.display().to_string();
    let nowhere = place.folder.path().join("nowhere.db");
    std::fs::write(&file, "email,manager\na@x.example,nobody@x.example\n").expect("written");
    for (store, arguments, wanted) in [
        (store, vec!["tenant", "list"], 0),
        (store, vec!["check"], 0),
        (store, vec!["audit", "verify"], 0),
        (store, vec!["import", &path, "--dry-run"], 3),
        (store, vec!["import", &path], 3),
        (store, vec!["user", "show", "nobody"], 1),
        (store, vec!["no-such-command"], 2),
        (store, vec!["user", "list", "--listen", "127.0.0.1:0"], 2),
        (store, vec!["demo"], 1),
        (nowhere.as_os_str(), vec!["check"], 1),
        (nowhere.as_os_str(), vec!["audit", "verify"], 1),
        (nowhere.as_os_str(), vec!["user", "list"], 1),
    ] {
        let (code, text) = run_text(store, &arguments);
        assert_eq!(code, Some(wanted), "{arguments:?}: {text}");
    }
    if place.store.starts_with("postgres") {
        return;
    }
    let database = rusqlite::Connection::open(&place.store).expect("opened");
    database.execute("UPDATE events SET who = 'somebody else' WHERE position = 1", []).expect("changed");
    drop(database);
    let (code, text) = run_text(store, &["audit", "verify"]);
    assert_eq!(code, Some(4), "{text}");
}

/// Runs a command with closed standard output; returns its exit code and standard error.
fn run_with_closed_output(store: &OsStr, arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(MUSTER)
        .args(arguments)
        .env("MUSTER_STORE", store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(child.stdout.take());
    let begun = Instant::now();
    while child.try_wait().expect("a status").is_none() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{arguments:?} does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("ended");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn closed_pipes_end_commands_silently() {
    let place = TestStore::new();
    let store = OsStr::new(&place.store);
    run_json(store, &["tenant", "add", "Acme"]);
    run_json(store, &["user", "add", "a@x.example"]);
    for arguments in [
        vec!["tenant", "list"],
        vec!["user", "list", "--json"],
        vec!["audit", "show"],
        vec!["config"],
        vec!["import", "--list-columns"],
        vec!["export", "-", "--format", "csv"],
        vec!["demo", "--listen", "127.0.0.1:0"],
    ] {
        assert_eq!(run_with_closed_output(store, &arguments), (Some(141), String::new()), "{arguments:?}");
    }
    // An incomplete backup is an error, even if the reader closed the pipe.
    let (code, text) = run_with_closed_output(store, &["backup", "-"]);
    assert!(code == Some(1) && text.contains("no complete backup"), "{code:?} {text}");
}

#[test]
fn server_options_belong_to_server_commands() {
    let help = |arguments: &[&str]| {
        let output = Command::new(MUSTER).args(arguments).arg("--help").output().expect("ran");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for command in ["serve", "demo", "config"] {
        assert!(help(&[command]).contains("--max-connections"), "{command}");
    }
    for command in [vec![], vec!["user", "list"], vec!["import"], vec!["tenant", "add"], vec!["check"]] {
        let text = help(&command);
        assert!(!text.contains("--max-connections") && text.contains("--store"), "{command:?}");
    }
    assert!(help(&[]).contains("Exit codes:"));
}

#[test]
fn options_without_meaning_for_a_file_are_rejected() {
    let place = TestStore::new();
    let store = OsStr::new(&place.store);
    run_json(store, &["tenant", "add", "Acme"]);
    let file = |name: &str, text: &str| {
        let path = place.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (csv, ndjson) = (file("u.csv", "email\na@x.y\n"), file("u.ndjson", "{\"email\":\"a@x.y\"}\n"));
    let export = place.folder.path().join("o.ldif").display().to_string();
    for (arguments, wanted) in [
        (["import", &csv, "--sheet", "Users"].as_slice(), "'sheet' applies to workbooks"),
        (&["import", &ndjson, "--delimiter", ";"], "'delimiter' applies to CSV files only"),
        (&["import", &csv, "--format", "xlsx", "--encoding", "utf-8"], "'encoding' applies to text files only"),
        (&["import", &csv, "--force"], "--deactivate-missing"),
        (&["export", &export, "--excel"], "'excel' applies to CSV files only"),
    ] {
        let (code, text) = run_text(store, arguments);
        assert!(matches!(code, Some(1 | 2)) && text.contains(wanted), "{arguments:?}: {code:?} {text}");
    }
    assert_eq!(run_json(store, &["user", "list"])["total"], 0, "nothing was imported");
    assert!(!std::path::Path::new(&export).exists());
}

#[test]
fn connections_can_be_edited_and_names_reused() {
    let place = TestStore::new();
    let store = OsStr::new(&place.store);
    run_json(store, &["tenant", "add", "Acme"]);
    let (again, text) = run_text(store, &["tenant", "add", "ACME"]);
    assert!(again == Some(1) && text.contains("--allow-duplicate"), "{text}");
    assert_eq!(run_json(store, &["tenant", "add", "ACME", "--allow-duplicate"])["number"], 2);
    let connection = |arguments: &[&str]| run_json(store, &[&["connection"], arguments, &["--tenant", "1"]].concat());
    let first = connection(&["add", "crm", "--dialect", "ccs"]);
    let changed = connection(&[
        "set",
        "crm",
        "--dialect",
        "scim",
        "--dialect",
        "ccs",
        "--read-only",
        "true",
        "--highest-role",
        "Admin",
        "--expires",
        "30d",
        "--profile",
        "okta",
    ]);
    assert_eq!(changed["id"], first["id"]);
    assert_eq!(
        (&changed["access"], &changed["highestRole"], &changed["profile"]),
        (&"read-only".into(), &"Admin".into(), &"okta".into())
    );
    assert_eq!(changed["dialects"].as_array().map(Vec::len), Some(2));
    assert!(changed["expires"].is_string());
    let changed = connection(&["set", "crm", "--expires", "never"]);
    assert_eq!((&changed["expires"], &changed["access"]), (&serde_json::Value::Null, &"read-only".into()));
    connection(&["rotate", "crm"]);
    let keys = |connection: &serde_json::Value| connection["keys"].as_array().expect("a list").clone();
    let of = |name: &str| {
        let all = connection(&["list"]);
        all.as_array().expect("a list").iter().filter(|one| one["name"] == name).cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&of("crm")[0]).len(), 2);
    connection(&["rotate", "crm", "--revoke-old"]);
    let left = keys(&of("crm")[0]);
    assert_eq!(left.len(), 1);
    assert!(left[0]["id"].as_str().is_some_and(|id| id.len() == 8) && left[0]["created"].is_string(), "{left:?}");
    for _ in 0..2 {
        connection(&["revoke", "crm"]);
        let new = connection(&["add", "crm", "--dialect", "ccs"]);
        assert_ne!(new["id"], first["id"]);
        assert_eq!(of("crm").iter().filter(|one| one["state"] == "live").count(), 1);
    }
    assert_eq!(of("crm").len(), 3);
    let (taken, _) = run_text(store, &["connection", "add", "CRM", "--dialect", "ccs", "--tenant", "1"]);
    assert_eq!(taken, Some(1));
}
