//! Commands and settings, on stores that these tests choose themselves, so they run on one engine only.

use crate::support::{MUSTER, run_json};
use std::process::Command;

#[test]
fn every_command_prints_one_json_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("s.db");
    let ask = |arguments: &[&str]| run_json(&store, arguments);
    assert_eq!(ask(&["tenant", "add", "Acme", "--number", "42"])["number"], 42);
    assert_eq!(ask(&["tenant", "list"])[0]["name"], "Acme");
    let added =
        ask(&["connection", "add", "crm", "--tenant", "42", "--dialect", "ccs", "--read-only", "--expires", "90d"]);
    assert_eq!(added["key"].as_str().expect("a key").len(), 32);
    assert_eq!(added["dialects"][0], "ccs");
    let rotated = ask(&["connection", "rotate", "crm"]);
    assert_ne!(rotated["key"], added["key"]);
    let listed = ask(&["connection", "list"]);
    let keys = listed[0]["keys"].as_array().expect("a list");
    assert_eq!((keys.len(), &listed[0]["access"]), (2, &"read-only".into()));
    assert!(!listed.to_string().contains(added["key"].as_str().expect("a key")), "a key is shown once");
    assert_eq!(ask(&["connection", "revoke", "crm"])["revoked"], true);
    assert_eq!(ask(&["connection", "list"])[0]["state"], "revoked");
    assert_eq!(ask(&["role", "add", "Clerk", "--rank", "User"])["number"], 7);
    assert_eq!(ask(&["role", "list"]).as_array().expect("roles").len(), 7);
    assert_eq!(ask(&["user", "add", "a@x.y", "--first-name", "A", "--role", "Clerk"])["number"], 1);
    assert_eq!(ask(&["user", "show", "A@x.y"])["email"], "a@x.y");
    assert_eq!(ask(&["user", "list", "--search", "a@"])["total"], 1);
    assert_eq!(ask(&["user", "delete", "1"])["removed"], true);
    assert_eq!(ask(&["check"])["sound"], true);
    assert!(ask(&["user", "show", "1"])["error"].as_str().expect("an error").contains("no user 1"));
    assert!(ask(&["connection", "revoke", "other"])["error"].is_string());
    assert!(ask(&["tenant", "add", "Twice", "--number", "42"])["error"].as_str().expect("an error").contains("in use"));
}

#[test]
fn settings_precedence_is_flag_variable_file_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("my.toml");
    std::fs::write(&file, "store = \"from-file.db\"\nbody_limit = 5\nheader-timeout = 7\n").expect("written");
    let output = Command::new(MUSTER)
        .args(["config", "--json", "--header-timeout", "9", "--config"])
        .arg(&file)
        .env("MUSTER_BODY_LIMIT", "6")
        .current_dir(folder.path())
        .output()
        .expect("ran");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let of = |name: &str| {
        (said[name]["value"].as_str().unwrap_or_default(), said[name]["from"].as_str().unwrap_or_default())
    };
    assert_eq!(of("header-timeout"), ("9", "--header-timeout"));
    assert_eq!(of("body-limit"), ("6", "MUSTER_BODY_LIMIT"));
    assert_eq!(of("store"), ("from-file.db", file.to_str().expect("text")));
    assert_eq!(of("listen"), ("127.0.0.1:8080", "built in"));
    std::fs::write(&file, "stoer = \"x\"\n").expect("written");
    let output = Command::new(MUSTER).args(["config", "--config"]).arg(&file).output().expect("ran");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("unknown setting stoer"), "{said}");
}

#[test]
fn settings_are_accepted_under_the_names_of_0_1_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("my.toml");
    std::fs::write(
        &file,
        "header_time = 7\nids = \"time-ordered\"\nid-kind = \"random\"\nstore-lanes = 3\nmail-spool = \"/spool\"\n",
    )
    .expect("written");
    let old_variables = [
        ("MUSTER_IMPORTS", "/imports"),
        ("MUSTER_IMPORTS_MIB", "34"),
        ("MUSTER_LEAST_FREE_MIB", "35"),
        ("MUSTER_ANSWER_TIME", "31"),
        ("MUSTER_DRAIN_TIME", "36"),
        ("MUSTER_BODY_TIME", "32"),
    ];
    let output = Command::new(MUSTER)
        .args(["config", "--json", "--bad-keys", "61", "--mail-time", "37", "--mail-retry", "38", "--config"])
        .arg(&file)
        .envs(old_variables)
        .env("MUSTER_BODY_TIMEOUT", "33")
        .output()
        .expect("ran");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (name, value) in [
        ("header-timeout", "7"),
        ("store-writers", "3"),
        ("mail-spool-dir", "/spool"),
        ("id-kind", "random"),
        ("imports-dir", "/imports"),
        ("imports-quota-mib", "34"),
        ("min-free-disk-mib", "35"),
        ("response-timeout", "31"),
        ("drain-timeout", "36"),
        ("invalid-keys-per-minute", "61"),
        ("smtp-timeout", "37"),
        ("mail-retry-delay", "38"),
        ("body-timeout", "33"),
    ] {
        assert_eq!(said[name]["value"], value, "{name}: {said}");
    }
}

#[test]
fn commands_are_accepted_under_the_names_of_0_1_0() {
    for command in [
        "tenant remove 1 --yes",
        "user remove 1",
        "user removed",
        "tenant set --min-password 12",
        "tenant set --mails-to a@x.y",
        "import a.csv --deactivate-missing --yes-really",
        "import a.csv --empty-clears",
        "import a.csv --refused b.csv",
    ] {
        let parsed = cli::command().try_get_matches_from(["muster"].into_iter().chain(command.split(' ')));
        assert!(parsed.is_ok(), "{command}: {parsed:?}");
    }
}

#[test]
fn store_passwords_are_never_shown() {
    let commands: [&[&str]; 6] =
        [&["config"], &["help"], &["serve", "--help"], &["user", "list"], &["check"], &["serve"]];
    // Commands that connect wait for a timeout, so all run concurrently.
    std::thread::scope(|scope| {
        for arguments in commands {
            for is_flag in [true, false] {
                scope.spawn(move || assert_password_hidden(arguments, is_flag));
            }
            for url in ["postgress://ann:s3cret@h/db", "POSTGRES://ann:s3cret@h/db", "host=h password=s3cret"] {
                scope.spawn(move || {
                    let said = output(Command::new(MUSTER).args(arguments).args(["--store", url]));
                    assert!(!said.contains("s3cret"), "{arguments:?} {url}");
                });
            }
        }
    });
}

/// Runs a command with a store URL that contains a password, in the environment and optionally in `--store`.
fn assert_password_hidden(arguments: &[&str], is_flag: bool) {
    let url = "postgres://ann:s3cret@127.0.0.1:1/people?connect_timeout=1";
    let mut command = Command::new(MUSTER);
    command.env("MUSTER_STORE", url).args(arguments);
    if is_flag {
        command.args(["--store", url]);
    }
    let said = output(&mut command);
    assert!(!said.contains("s3cret") && !said.is_empty(), "{arguments:?}: {said}");
    if arguments == ["config"] {
        assert!(said.contains("postgres://ann@127.0.0.1:1/people"), "{said}");
    }
}

/// The standard output and standard error of a command.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("ran");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
