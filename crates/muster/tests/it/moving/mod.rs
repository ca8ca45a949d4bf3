//! People and whole stores on the move: killed in the middle, under load, over HTTP, and as they look at a terminal.

mod commands;
mod http;
mod killed;
mod loaded;

use crate::support::{MUSTER, Place};
use serde_json::Value;
use std::fmt::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// People, each in two of seven groups.
pub(super) fn people(many: u32) -> String {
    let mut text = String::from("email,external id,first name,groups\n");
    for n in 0..many {
        writeln!(text, "p{n}@x.y,x{n},P {n},\"G{}; all\"", n % 7).expect("written");
    }
    text
}

pub(super) fn run(store: &str, arguments: &[&str]) -> Output {
    Command::new(MUSTER).args(["--json", "--store", store]).args(arguments).output().expect("ran")
}

/// What a command says that must work.
pub(super) fn said(store: &str, arguments: &[&str]) -> Value {
    let output = run(store, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).expect("JSON")
}

pub(super) fn begin(store: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(MUSTER);
    command.args(["--json", "--store", store]).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
}

/// Runs a command and kills it after a while; whether it had ended before.
pub(super) fn cut_off(store: &str, arguments: &[&str], after: Duration) -> bool {
    let mut child = begin(store, arguments);
    std::thread::sleep(after);
    let had_ended = child.try_wait().expect("asked").is_some();
    drop(child.kill());
    child.wait().expect("ended");
    had_ended
}

/// A store with a tenant and so many people.
pub(super) fn peopled(many: u32) -> Place {
    let place = Place::new();
    said(&place.store, &["tenant", "add", "Acme"]);
    let file = place.folder.path().join("people.csv");
    std::fs::write(&file, people(many)).expect("written");
    said(&place.store, &["import", &file.display().to_string()]);
    place
}

/// What a store or backup comes to, tenant by tenant.
pub(super) fn digests(document: &Value) -> Vec<String> {
    let tenants = document["tenants"].as_array().expect("tenants");
    tenants.iter().map(|tenant| format!("{} {}", tenant["people"], tenant["digest"])).collect()
}

pub(super) fn is_sound(store: &str) {
    assert_eq!(said(store, &["check"])["sound"], true);
    assert_eq!(run(store, &["audit", "verify"]).status.code(), Some(0));
}
