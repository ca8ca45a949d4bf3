//! Encrypted backups: through the program `age`, and backups that 0.1.0 encrypted itself.

use super::{
    assert_sound, muster_command, pipe_through, run, run_in_terminal, run_json, store_with_users, tenant_digests,
};
use crate::support::{MUSTER, TestStore, repo_root};
use serde_json::{Map, Value};
use std::process::{Command, Output};

// Generated with Debian's `age-keygen` (age 1.1.1).
const IDENTITY: &str = "AGE-SECRET-KEY-16DDTJQLXDM202VYGGUA56S4SNEDV8V2KAAA2NDHLH8SMMPT47VNSLL4UJ5";
const RECIPIENT: &str = "age17axkhpwyhv39f8v4g20qcnlc6uugkvgyaym7uptfj2cm6x20hgusf9t68t";
const OTHER_IDENTITY: &str = "AGE-SECRET-KEY-1ZE79FPPP49ZARKTJHXGUWKX4C4T9MVKEH6WFCU2CE5N7JDUETGRSJ2TS94";

fn age(arguments: &[&str]) -> Command {
    let mut command = Command::new("age");
    command.args(arguments);
    command
}

/// Runs `age --decrypt … | muster restore -`.
fn decrypt_and_restore(store: &str, identity: &str, file: &str) -> (Output, Output) {
    pipe_through(age(&["--decrypt", "--identity", identity, file]), muster_command(store, &["restore", "-"]))
}

fn output_text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn an_encrypted_backup_goes_through_age_and_back() {
    let place = store_with_users(50);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    std::fs::write(at("identity"), format!("# a key\n{IDENTITY}\n")).expect("written");
    let wanted = tenant_digests(&run_json(&place.store, &["backup", &at("plain")]));
    for (name, flags) in [("keyed", &[][..]), ("armored", &["--armor"])] {
        let to = age(&[&["--recipient", RECIPIENT, "--output", &at(name)], flags].concat());
        let (backup, age) = pipe_through(muster_command(&place.store, &["backup", "-"]), to);
        assert!(backup.status.success() && age.status.success(), "{}{}", output_text(&backup), output_text(&age));
        assert_eq!(tenant_digests(&serde_json::from_slice(&backup.stderr).expect("JSON")), wanted);
        let (age, restore) = decrypt_and_restore(&TestStore::new().store, &at("identity"), &at(name));
        assert!(restore.status.success() && age.status.success(), "{}{}", output_text(&restore), output_text(&age));
        assert_eq!(tenant_digests(&serde_json::from_slice(&restore.stdout).expect("JSON")), wanted, "{name}");
        // An encrypted backup is recognized.
        for output in [
            run(&TestStore::new().store, &["restore", &at(name)]),
            run(&TestStore::new().store, &["restore", &at(name), "--check-only"]),
            pipe_through(cat(&at(name)), muster_command(&TestStore::new().store, &["restore", "-"])).1,
        ] {
            let text = output_text(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains("it is encrypted: decrypt it with `age --decrypt"), "{text}");
        }
    }
    // A change of any bit is detected.
    let whole = std::fs::read(at("keyed")).expect("read");
    for changed in (7..whole.len()).step_by(whole.len() / 9) {
        let mut bent = whole.clone();
        bent[changed] ^= 1;
        std::fs::write(at("bent"), bent).expect("written");
        let target = TestStore::new();
        let (age, restore) = decrypt_and_restore(&target.store, &at("identity"), &at("bent"));
        assert!(!age.status.success() && restore.status.code() == Some(1), "byte {changed}: {}", output_text(&restore));
        assert!(!run(&target.store, &["user", "list"]).status.success(), "the target is unchanged");
    }
    std::fs::write(at("cut"), &whole[..whole.len() - 3]).expect("written");
    std::fs::write(at("other"), OTHER_IDENTITY).expect("written");
    for (identity, file) in [("identity", "cut"), ("other", "keyed")] {
        let target = TestStore::new();
        let (age, restore) = decrypt_and_restore(&target.store, &at(identity), &at(file));
        assert!(!age.status.success() && restore.status.code() == Some(1), "{file}: {}", output_text(&restore));
        assert!(!run(&target.store, &["user", "list"]).status.success(), "the target is unchanged");
    }
}

fn cat(file: &str) -> Command {
    let mut command = Command::new("cat");
    command.arg(file);
    command
}

#[test]
fn a_passphrase_is_prompted_for_at_the_terminal() {
    let place = store_with_users(20);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    let wanted = tenant_digests(&run_json(&place.store, &["backup", &at("plain")]));
    let phrase = "correct horse battery staple\n";
    let script = format!("'{MUSTER}' --store \"$1\" backup - | age --passphrase > \"$2\"");
    let shell = ["sh", "-c", &script, "sh", &place.store, &at("phrase")];
    let (code, shown) = run_in_terminal(&shell, &phrase.repeat(2));
    assert_eq!(code, Some(0), "{shown}");
    let script = format!("age --decrypt \"$2\" | '{MUSTER}' --json --store \"$1\" restore -");
    let shell = |store: &str, typed: &str| run_in_terminal(&["sh", "-c", &script, "sh", store, &at("phrase")], typed);
    let target = TestStore::new();
    let (code, shown) = shell(&target.store, phrase);
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(tenant_digests(&run_json(&target.store, &["backup", &at("again")])), wanted);
    let (code, shown) = shell(&TestStore::new().store, "incorrect horse\n");
    assert!(code == Some(1) && shown.contains("incorrect passphrase"), "{shown}");
}

/// Backups of 0.1.0 with `--recipient` are plain backups inside an age file.
#[test]
fn an_encrypted_0_1_0_backup_restores_through_a_pipe() {
    let data = repo_root().join("crates/muster/tests/data/0.1.0");
    let at = |name: &Value| data.join(name.as_str().expect("a file")).display().to_string();
    let facts = std::fs::read(data.join("facts.json")).expect("read");
    let facts: Value = serde_json::from_slice(&facts).expect("JSON");
    let backup = &facts["backups"]["encrypted"];
    let target = TestStore::new();
    let (age, restore) = decrypt_and_restore(&target.store, &at(&backup["identity"]), &at(&backup["file"]));
    assert!(age.status.success() && restore.status.success(), "{}{}", output_text(&age), output_text(&restore));
    let document: Value = serde_json::from_slice(&restore.stdout).expect("JSON");
    let store = backup["store"].as_str().expect("a store");
    let tenants = facts["stores"][store]["tenants"].as_array().expect("tenants");
    assert!(!tenants.is_empty());
    for tenant in tenants {
        let all = document["tenants"].as_array().expect("tenants");
        let found = all.iter().find(|found| found["tenant"] == tenant["number"]).expect("the tenant");
        let counts: &Map<String, Value> = tenant["counts"].as_object().expect("counts");
        assert!(counts.len() > 5);
        for (what, count) in counts {
            assert_eq!(&found[what], count, "{what} of tenant {}", tenant["number"]);
        }
    }
    assert_sound(&target.store);
    let again = target.folder.path().join("again").display().to_string();
    assert_eq!(tenant_digests(&run_json(&target.store, &["backup", &again])), tenant_digests(&document));
    // An encrypted backup is recognized.
    let output = run(&TestStore::new().store, &["restore", &at(&backup["file"])]);
    assert!(
        output.status.code() == Some(1) && output_text(&output).contains("age --decrypt"),
        "{}",
        output_text(&output)
    );
}

/// The removed options of 0.1.0 name their replacement and do nothing.
#[test]
fn removed_options_name_the_new_commands() {
    let place = store_with_users(1);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    run_json(&place.store, &["backup", &at("plain")]);
    let target = TestStore::new();
    for (arguments, wanted) in [
        (&["backup", &at("new"), "--recipient", RECIPIENT][..], "`muster backup - | age --recipient age1… > FILE`"),
        (&["backup", &at("new"), "--passphrase-file", "p"], "`muster backup - | age --passphrase > FILE`"),
        (
            &["restore", &at("plain"), "--identity", "my.key"],
            "`age --decrypt --identity my.key FILE | muster restore -`",
        ),
        (&["restore", &at("plain"), "--passphrase-file", "p"], "`age --decrypt FILE | muster restore -`"),
    ] {
        let output = run(&target.store, arguments);
        let text = output_text(&output);
        assert!(output.status.code() == Some(1) && text.contains(wanted), "{arguments:?}: {text}");
    }
    assert!(!std::path::Path::new(&at("new")).exists());
    assert!(!run(&target.store, &["user", "list"]).status.success(), "the target is unchanged");
    for command in ["backup", "restore"] {
        let help = output_text(&Command::new(MUSTER).args([command, "--help"]).output().expect("ran"));
        assert!(!help.contains("--recipient") && !help.contains("--identity"), "{help}");
        assert!(!help.contains("--passphrase-file") && help.contains("- is standard"), "{help}");
    }
}
