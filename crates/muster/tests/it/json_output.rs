//! The `--json` output of each command: one document of a documented shape, which scripts rely on.

use crate::no_engine::golden::{Texts, check, golden_dir};
use crate::support::{MUSTER, TestStore, repo_root};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A store and the JSON output of the commands run on it.
struct Session {
    test_store: TestStore,
    texts: Texts,
}

impl Session {
    /// Runs a command; returns its document and keeps it under a name.
    fn run(&mut self, name: &str, arguments: &[&str]) -> Value {
        let output = Command::new(MUSTER)
            .args(["--json", "--store", &self.test_store.store])
            .args(arguments)
            .current_dir(self.test_store.folder.path())
            .envs([crate::secrets_key::secrets_key()])
            .output()
            .expect("ran");
        let text = String::from_utf8(output.stdout).expect("text");
        let document: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"));
        let shown = normalized(&document, "", self.test_store.folder.path());
        let pretty = serde_json::to_string_pretty(&shown).expect("JSON");
        let file = format!("{name}.json");
        assert!(self.texts.insert(file, pretty + "\n").is_none(), "two commands share {name}");
        document
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.test_store.folder.path().join(name), text).expect("written");
    }
}

/// Replaces values that differ between runs, and checks member names.
fn normalized(value: &Value, name: &str, folder: &Path) -> Value {
    match value {
        Value::Object(members) => {
            let shown_member = |(name, value): (&String, &Value)| {
                let is_camel = name.chars().all(|c| c.is_ascii_alphanumeric())
                    && name.starts_with(|c: char| c.is_ascii_lowercase());
                assert!(is_camel, "{name} is not in camelCase");
                (name.clone(), normalized(value, name, folder))
            };
            members.iter().map(shown_member).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(values) => values.iter().map(|value| normalized(value, name, folder)).collect(),
        Value::String(text) => normalized_text(text, name, folder).into(),
        Value::Number(_) if matches!(name, "bytes" | "position" | "last") => "NUMBER".into(),
        other => other.clone(),
    }
}

fn normalized_text(text: &str, name: &str, folder: &Path) -> String {
    let is_time = |text: &str| {
        text.len() == 20 && text.ends_with('Z') && text.get(4..5) == Some("-") && text.get(10..11) == Some("T")
    };
    let is_hex = |text: &str| text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_time(text) {
        return "TIME".into();
    }
    if matches!(name, "created" | "updated" | "at" | "since" | "expires" | "removed" | "until" | "made") {
        panic!("{name} is not an ISO 8601 timestamp: {text}");
    }
    match name {
        _ if uuid::Uuid::try_parse(text).is_ok() && text.contains('-') => "UUID".into(),
        _ if is_hex(text) => "HEX".into(),
        "who" => "WHO".into(),
        // It has the id of the user.
        "request" => "REQUEST".into(),
        _ => text.replace(&folder.display().to_string(), "FOLDER"),
    }
}

#[test]
fn json_documents_match_the_golden_files() {
    let mut session = Session { test_store: TestStore::new(), texts: Texts::new() };
    let s = &mut session;
    s.file(
        "users.csv",
        "email,emails,given name,groups,folders,organisation,department,manager,phone,shoe size\n\
        ann@x.y,,Ann,,,,,,,\nbob@x.y,bob@home.example,Bob,G1;G2,F1,Org,Dep,ann@x.y,+44 1,43\nno address,,,,,,,,,\n",
    );
    s.file("invitation.txt", "{{ link }}\n");
    s.run("tenant-add", &["tenant", "add", "Acme"]);
    s.run("tenant-list", &["tenant", "list"]);
    s.run("tenant-show", &["tenant", "show"]);
    s.run("tenant-set", &["tenant", "set", "--sender-name", "Acme", "--min-password-length", "14"]);
    s.run("role-add", &["role", "add", "Boss", "--rank", "Admin"]);
    s.run("role-list", &["role", "list"]);
    s.run("connection-add", &["connection", "add", "crm", "--dialect", "scim", "--expires", "90d"]);
    s.run("connection-set", &["connection", "set", "crm", "--highest-role", "Admin"]);
    s.run("connection-rotate", &["connection", "rotate", "crm"]);
    s.run("connection-list", &["connection", "list"]);
    s.run("connection-revoke", &["connection", "revoke", "crm"]);
    s.run("import-columns", &["import", "--list-columns"]);
    s.run("import-dry-run", &["import", "users.csv", "--dry-run"]);
    s.run("import", &["import", "users.csv"]);
    s.run("export", &["export", "out.ndjson"]);
    s.run("user-add", &["user", "add", "cy@x.y", "--first-name", "Cy", "--role", "Boss", "--invite"]);
    s.run("user-list", &["user", "list"]);
    s.run("user-show", &["user", "show", "cy@x.y"]);
    s.run("user-invite", &["user", "invite", "cy@x.y"]);
    s.run("mail-list", &["mail", "list"]);
    s.run("mail-retry", &["mail", "retry"]);
    s.run("user-delete", &["user", "delete", "bob@x.y"]);
    s.run("user-list-deleted", &["user", "list-deleted"]);
    s.run("user-restore", &["user", "restore", "bob@x.y"]);
    s.run("audit-show", &["audit", "show", "--kind", "tenant"]);
    s.run("audit-verify", &["audit", "verify"]);
    s.run("check", &["check"]);
    s.run("backup", &["backup", "store.bak"]);
    s.file("key", "key-of-a-target\n");
    let add = ["target", "add", "hr", "--dialect", "scim", "--url", "https://hr.example.com/scim/v2"];
    s.run("target-add", &[&add[..], &["--key-file", "key"]].concat());
    s.run("target-list", &["target", "list"]);
    s.run("target-show", &["target", "show", "hr"]);
    s.run("target-status", &["target", "status", "hr"]);
    s.run("target-set", &["target", "set", "hr", "--rate", "5"]);
    s.run("target-issue-exclude", &["target", "issue", "exclude", "hr", "--user", "cy@x.y"]);
    s.run("target-issues", &["target", "issues", "hr", "--cause", "excluded"]);
    s.run("target-issue-retry", &["target", "issue", "retry", "hr", "--user", "cy@x.y"]);
    s.run("secrets-rekey", &["secrets", "rekey"]);
    s.run("target-key", &["target", "key", "hr", "--key-file", "key", "--next"]);
    s.run("target-pause", &["target", "pause", "hr"]);
    s.run("push", &["push", "cy@x.y", "--target", "hr"]);
    s.run("explain", &["explain", "cy@x.y", "hr"]);
    s.run("leaver", &["leaver", "cy@x.y"]);
    s.run("target-map", &["target", "map", "hr", "--set", "nickName=givenName|cut(20)", "--user", "cy@x.y"]);
    s.run("target-remove", &["target", "remove", "hr"]);
    s.run("error", &["user", "show", "nobody@x.y"]);
    s.run("tenant-delete", &["tenant", "delete", "1", "--yes"]);
    let empty = TestStore::new();
    let backup = s.test_store.folder.path().join("store.bak").display().to_string();
    let old = std::mem::replace(&mut s.test_store, empty);
    s.run("restore", &["restore", &backup]);
    drop(old);
    let documentation = std::fs::read_to_string(repo_root().join("docs/commands.md")).expect("documentation");
    for (name, text) in &session.texts {
        assert_documented(name.trim_end_matches(".json"), text, &documentation);
    }
    check(&golden_dir().join("json"), session.texts);
}

/// Panics if the documentation of a command lacks a member of its JSON output.
fn assert_documented(name: &str, text: &str, documentation: &str) {
    let command = match name {
        "error" => "any, if it fails".to_owned(),
        "import-columns" => "`import --list-columns`".to_owned(),
        "import-dry-run" => "`import`".to_owned(),
        name if name.starts_with("target-issue-") => format!("`{}`", name.replace('-', " ")),
        name => format!("`{}`", name.replacen('-', " ", 1)),
    };
    let rows = documentation.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let mut rows = rows.filter(|(commands, _)| {
        commands
            .split(", `")
            .any(|one| one.trim_start_matches('`') == command.trim_start_matches('`') || one == command)
    });
    let (_, members) = rows.next().unwrap_or_else(|| panic!("docs/commands.md has no row of {command}"));
    let document: Value = serde_json::from_str(text).expect("JSON");
    let one = document.get(0).unwrap_or(&document);
    for member in one.as_object().expect("an object").keys() {
        // The row of a list refers to the row of its elements.
        let is_of_list = members.contains("a list of these");
        assert!(
            is_of_list || members.contains(&format!("`{member}`")),
            "docs/commands.md: the row of {command} lacks `{member}`"
        );
    }
}
