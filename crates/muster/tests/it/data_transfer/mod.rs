//! Imports, exports, backups, restores and moves: interrupted, under load, over HTTP, through pipes, and their
//! messages.

mod backup_pipes;
mod backup_under_load;
mod commands;
mod encrypted_backups;
mod http_imports;
mod interrupted;

use crate::support::{MUSTER, TestStore};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A CSV file of users, each in two of seven groups.
pub(super) fn user_rows(many: u32) -> String {
    let mut text = String::from("email,external id,first name,groups\n");
    for n in 0..many {
        writeln!(text, "p{n}@x.y,x{n},P {n},\"G{}; all\"", n % 7).expect("written");
    }
    text
}

pub(super) fn run(store: &str, arguments: &[&str]) -> Output {
    muster_command(store, arguments).output().expect("ran")
}

/// Runs a command that must succeed; returns its JSON output.
pub(super) fn run_json(store: &str, arguments: &[&str]) -> Value {
    let output = run(store, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).expect("JSON")
}

pub(super) fn spawn(store: &str, arguments: &[&str]) -> Child {
    let mut command = muster_command(store, arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
}

/// Runs a command and kills it after a time; returns whether it had ended before.
pub(super) fn kill_after(store: &str, arguments: &[&str], after: Duration) -> bool {
    let mut child = spawn(store, arguments);
    std::thread::sleep(after);
    let had_ended = child.try_wait().expect("a status").is_some();
    drop(child.kill());
    child.wait().expect("ended");
    had_ended
}

/// A store with a tenant and `many` users.
pub(super) fn store_with_users(many: u32) -> TestStore {
    let place = TestStore::new();
    run_json(&place.store, &["tenant", "add", "Acme"]);
    let file = place.folder.path().join("people.csv");
    std::fs::write(&file, user_rows(many)).expect("written");
    run_json(&place.store, &["import", &file.display().to_string()]);
    place
}

/// Pipes the output of one command to another, as a shell does with `|`; returns the output of both.
pub(super) fn pipe_through(mut from: Command, mut to: Command) -> (Output, Output) {
    let mut first = from.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let pipe = first.stdout.take().expect("output");
    let second = to.stdin(pipe).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    // Close this reader of the pipe, or the first command would not notice that the second has ended.
    drop(to);
    let second = second.wait_with_output().expect("ended");
    (first.wait_with_output().expect("ended"), second)
}

/// Runs a command on a pseudoterminal with the input `typed`; returns its exit code and the terminal output.
pub(super) fn run_in_terminal(command: &[&str], typed: &str) -> (Option<i32>, String) {
    let program = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    child.stdin.take().expect("input").write_all(typed.as_bytes()).expect("typed");
    let output = child.wait_with_output().expect("ended");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) fn muster_command(store: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(MUSTER);
    command.args(["--json", "--store", store]).args(arguments);
    command
}

/// The digest of each tenant in a store or backup.
pub(super) fn tenant_digests(document: &Value) -> Vec<String> {
    let tenants = document["tenants"].as_array().expect("tenants");
    tenants.iter().map(|tenant| format!("{} {}", tenant["people"], tenant["digest"])).collect()
}

pub(super) fn assert_sound(store: &str) {
    assert_eq!(run_json(store, &["check"])["sound"], true);
    assert_eq!(run(store, &["audit", "verify"]).status.code(), Some(0));
}
