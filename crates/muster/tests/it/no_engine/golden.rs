//! Compares texts that clients and operators rely on with files: the help of every command and `muster config` in
//! `tests/golden`, and each dialect's part of the OpenAPI document in its folder. `MUSTER_RECORD=1` writes the files.

use crate::support::{MUSTER, TestApp, build_request, repo_root, runtime};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Golden files by name.
pub(crate) type Texts = BTreeMap<String, String>;

#[test]
fn openapi_document_matches_golden() {
    let (status, body) = runtime()
        .block_on(async { TestApp::in_memory().send_request(build_request("GET", "/openapi.json", &[], "")).await });
    assert_eq!(status, 200);
    let mut document: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for dialect in dialects::all_dialects() {
        let folder = repo_root().join("crates/dialects/src").join(dialect.name.replace('-', "_"));
        let part = serde_json::to_string_pretty(&take_part(&mut document, dialect.name)).expect("JSON") + "\n";
        check(&folder, Texts::from([("openapi.json".into(), part)]));
    }
    // The version is not compared, so that releases do not change the file.
    document["info"]["version"] = "VERSION".into();
    let rest = serde_json::to_string_pretty(&document).expect("JSON") + "\n";
    check(&golden_dir(), Texts::from([("openapi.json".into(), rest)]));
}

/// Removes the operations, schemas and responses of a dialect from the OpenAPI document.
fn take_part(document: &mut Value, dialect: &str) -> Value {
    let tags = document["tags"].as_array_mut().expect("tags");
    let tag = tags.remove(tags.iter().position(|tag| tag["name"] == dialect).expect("a tag"));
    let mut take = |pointer: &str, is_part: &dyn Fn(&str, &Value) -> bool| {
        let members = document.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
        let (part, rest) = std::mem::take(members).into_iter().partition(|(name, value)| is_part(name, value));
        *members = rest;
        Value::Object(part)
    };
    let has_tag = |_: &str, path: &Value| {
        let operations = path.as_object().expect("operations");
        operations.values().all(|operation| operation["tags"] == serde_json::json!([dialect]))
    };
    let has_prefix = |name: &str, _: &Value| name.split('.').next() == Some(dialect);
    serde_json::json!({
        "description": tag["description"],
        "paths": take("/paths", &has_tag),
        "schemas": take("/components/schemas", &has_prefix),
        "responses": take("/components/responses", &has_prefix),
    })
}

#[test]
fn settings_match_golden() {
    check(&golden_dir(), Texts::from([("config.txt".into(), output(&["config"]))]));
}

#[test]
fn help_texts_match_golden() {
    let mut texts = Texts::new();
    collect_help(&cli::command(), &[], &mut texts);
    assert!(texts.len() > 30, "too few commands: {:?}", texts.keys());
    let folder = golden_dir().join("help");
    for stale in file_names(&folder).into_iter().filter(|name| !texts.contains_key(name)) {
        assert!(is_recording(), "{stale}: no command has this help; {RECORD_HINT}");
        std::fs::remove_file(folder.join(stale)).expect("removed");
    }
    check(&folder, texts);
}

#[test]
fn no_stale_golden_files() {
    let known = ["config.txt", "help", "json", "openapi.json"];
    let stale: Vec<String> = file_names(&golden_dir()).into_iter().filter(|name| !known.contains(&&**name)).collect();
    assert!(stale.is_empty(), "no test compares {stale:?}");
}

/// Collects the help of a command and its subcommands.
fn collect_help(command: &clap::Command, above: &[&str], texts: &mut Texts) {
    let mut arguments = above.to_vec();
    arguments.push("--help");
    let name = [&["muster"], above].concat().join("-") + ".txt";
    assert!(texts.insert(name.clone(), output(&arguments)).is_none(), "two commands share {name}");
    for below in command.get_subcommands() {
        collect_help(below, &[above, &[below.get_name()]].concat(), texts);
    }
}

/// The program's output without environment variables and settings file.
fn output(arguments: &[&str]) -> String {
    let empty = tempfile::tempdir().expect("a folder");
    let output = Command::new(MUSTER).args(arguments).env_clear().current_dir(&empty).output().expect("ran");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn golden_dir() -> PathBuf {
    repo_root().join("crates/muster/tests/golden")
}

fn file_names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten();
    let name = |file: std::io::Result<std::fs::DirEntry>| file.expect("a file").file_name().into_string();
    let mut names: Vec<String> = files.map(|file| name(file).expect("text")).collect();
    names.sort();
    names
}

const RECORD_HINT: &str = "if this is intended, record it as CONTRIBUTING.md says and review the changes";

fn is_recording() -> bool {
    std::env::var_os("MUSTER_RECORD").is_some()
}

/// Compares texts with the files of a folder, or records them.
pub(crate) fn check(folder: &Path, texts: Texts) {
    let mut wrong = Vec::new();
    for (name, text) in texts {
        let path = folder.join(&name);
        if is_recording() {
            std::fs::create_dir_all(folder).expect("a folder");
            std::fs::write(path, text).expect("written");
        } else if let Err(what) = compare(&std::fs::read_to_string(path).unwrap_or_default(), &text) {
            wrong.push(format!("{name}:{what}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n{RECORD_HINT}", wrong.join("\n"));
}

/// Returns the first different line as an error.
fn compare(golden: &str, text: &str) -> Result<(), String> {
    if golden == text {
        return Ok(());
    }
    let (mut wanted, mut got) = (golden.split_inclusive('\n'), text.split_inclusive('\n'));
    let mut number = 1;
    loop {
        match (wanted.next(), got.next()) {
            (Some(wanted), Some(got)) if wanted == got => number += 1,
            (wanted, got) => {
                let show = |line: Option<&str>| line.map_or("the end".into(), |line| format!("{line:?}"));
                return Err(format!("{number}\n  golden {}\n  now    {}", show(wanted), show(got)));
            }
        }
    }
}

#[test]
fn the_first_difference_is_reported() {
    assert_eq!(compare("a\nb\n", "a\nb\n"), Ok(()));
    let of = |golden, text| compare(golden, text).expect_err("a difference");
    assert_eq!(of("a\nb\nc\n", "a\nx\ny\n"), "2\n  golden \"b\\n\"\n  now    \"x\\n\"");
    assert_eq!(of("a\nb\n", "a\n"), "2\n  golden \"b\\n\"\n  now    the end");
    assert_eq!(of("a\n", "a"), "1\n  golden \"a\\n\"\n  now    \"a\"");
    assert_eq!(of("", "a"), "1\n  golden the end\n  now    \"a\"");
}
