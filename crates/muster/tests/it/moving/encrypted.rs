//! Encrypted backups: the program `age` between two pipes, and those that 0.1.0 encrypted itself.

use super::{digests, is_sound, muster, on_a_terminal, peopled, piped, run, said};
use crate::support::{MUSTER, Place, root};
use serde_json::{Map, Value};
use std::process::{Command, Output};

// Made with the `age-keygen` of Debian (age 1.1.1).
const IDENTITY: &str = "AGE-SECRET-KEY-16DDTJQLXDM202VYGGUA56S4SNEDV8V2KAAA2NDHLH8SMMPT47VNSLL4UJ5";
const RECIPIENT: &str = "age17axkhpwyhv39f8v4g20qcnlc6uugkvgyaym7uptfj2cm6x20hgusf9t68t";
const OTHER: &str = "AGE-SECRET-KEY-1ZE79FPPP49ZARKTJHXGUWKX4C4T9MVKEH6WFCU2CE5N7JDUETGRSJ2TS94";

fn age(arguments: &[&str]) -> Command {
    let mut command = Command::new("age");
    command.args(arguments);
    command
}

/// `age --decrypt … | muster restore -`, into a store.
fn restored(store: &str, identity: &str, file: &str) -> (Output, Output) {
    piped(age(&["--decrypt", "--identity", identity, file]), muster(store, &["restore", "-"]))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn an_encrypted_backup_goes_through_age_and_back() {
    let place = peopled(50);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    std::fs::write(at("identity"), format!("# a key\n{IDENTITY}\n")).expect("written");
    let wanted = digests(&said(&place.store, &["backup", &at("plain")]));
    for (name, flags) in [("keyed", &[][..]), ("armored", &["--armor"])] {
        let to = age(&[&["--recipient", RECIPIENT, "--output", &at(name)], flags].concat());
        let (backup, age) = piped(muster(&place.store, &["backup", "-"]), to);
        assert!(backup.status.success() && age.status.success(), "{}{}", text(&backup), text(&age));
        assert_eq!(digests(&serde_json::from_slice(&backup.stderr).expect("JSON")), wanted);
        let (age, restore) = restored(&Place::new().store, &at("identity"), &at(name));
        assert!(restore.status.success() && age.status.success(), "{}{}", text(&restore), text(&age));
        assert_eq!(digests(&serde_json::from_slice(&restore.stdout).expect("JSON")), wanted, "{name}");
        // Without being decrypted it is recognized.
        for output in [
            run(&Place::new().store, &["restore", &at(name)]),
            run(&Place::new().store, &["restore", &at(name), "--check-only"]),
            piped(cat(&at(name)), muster(&Place::new().store, &["restore", "-"])).1,
        ] {
            let text = text(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains("it is encrypted: decrypt it with `age --decrypt"), "{text}");
        }
    }
    // Every bit counts, wherever it is.
    let whole = std::fs::read(at("keyed")).expect("read");
    for changed in (7..whole.len()).step_by(whole.len() / 9) {
        let mut bent = whole.clone();
        bent[changed] ^= 1;
        std::fs::write(at("bent"), bent).expect("written");
        let target = Place::new();
        let (age, restore) = restored(&target.store, &at("identity"), &at("bent"));
        assert!(
            !age.status.success() && restore.status.code() == Some(1),
            "byte {changed}: {}",
            text(&restore)
        );
        assert!(!run(&target.store, &["user", "list"]).status.success(), "nothing was touched");
    }
    std::fs::write(at("cut"), &whole[..whole.len() - 3]).expect("written");
    std::fs::write(at("other"), OTHER).expect("written");
    for (identity, file) in [("identity", "cut"), ("other", "keyed")] {
        let target = Place::new();
        let (age, restore) = restored(&target.store, &at(identity), &at(file));
        assert!(!age.status.success() && restore.status.code() == Some(1), "{file}: {}", text(&restore));
        assert!(!run(&target.store, &["user", "list"]).status.success(), "nothing was touched");
    }
}

fn cat(file: &str) -> Command {
    let mut command = Command::new("cat");
    command.arg(file);
    command
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal() {
    let place = peopled(20);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    let wanted = digests(&said(&place.store, &["backup", &at("plain")]));
    let phrase = "correct horse battery staple\n";
    let script = format!("'{MUSTER}' --store \"$1\" backup - | age --passphrase > \"$2\"");
    let shell = ["sh", "-c", &script, "sh", &place.store, &at("phrase")];
    let (code, shown) = on_a_terminal(&shell, &phrase.repeat(2));
    assert_eq!(code, Some(0), "{shown}");
    let script = format!("age --decrypt \"$2\" | '{MUSTER}' --json --store \"$1\" restore -");
    let shell =
        |store: &str, typed: &str| on_a_terminal(&["sh", "-c", &script, "sh", store, &at("phrase")], typed);
    let target = Place::new();
    let (code, shown) = shell(&target.store, phrase);
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(digests(&said(&target.store, &["backup", &at("again")])), wanted);
    let (code, shown) = shell(&Place::new().store, "incorrect horse\n");
    assert!(code == Some(1) && shown.contains("incorrect passphrase"), "{shown}");
}

/// What 0.1.0 wrote with `--recipient` is a plain backup inside an age file.
#[test]
fn an_encrypted_backup_of_0_1_0_comes_back_through_a_pipe() {
    let data = root().join("crates/muster/tests/data/0.1.0");
    let at = |name: &Value| data.join(name.as_str().expect("a file")).display().to_string();
    let facts = std::fs::read(data.join("facts.json")).expect("read");
    let facts: Value = serde_json::from_slice(&facts).expect("JSON");
    let backup = &facts["backups"]["encrypted"];
    let target = Place::new();
    let (age, restore) = restored(&target.store, &at(&backup["identity"]), &at(&backup["file"]));
    assert!(age.status.success() && restore.status.success(), "{}{}", text(&age), text(&restore));
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
    is_sound(&target.store);
    let again = target.folder.path().join("again").display().to_string();
    assert_eq!(digests(&said(&target.store, &["backup", &again])), digests(&document));
    // Without `age` it is recognized.
    let output = run(&Place::new().store, &["restore", &at(&backup["file"])]);
    assert!(output.status.code() == Some(1) && text(&output).contains("age --decrypt"), "{}", text(&output));
}

/// The options of 0.1.0 say what to do instead, and do nothing.
#[test]
fn removed_options_name_the_new_commands() {
    let place = peopled(1);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    said(&place.store, &["backup", &at("plain")]);
    let target = Place::new();
    for (arguments, wanted) in [
        (
            &["backup", &at("new"), "--recipient", RECIPIENT][..],
            "`muster backup - | age --recipient age1… > FILE`",
        ),
        (&["backup", &at("new"), "--passphrase-file", "p"], "`muster backup - | age --passphrase > FILE`"),
        (
            &["restore", &at("plain"), "--identity", "my.key"],
            "`age --decrypt --identity my.key FILE | muster restore -`",
        ),
        (&["restore", &at("plain"), "--passphrase-file", "p"], "`age --decrypt FILE | muster restore -`"),
    ] {
        let output = run(&target.store, arguments);
        let text = text(&output);
        assert!(output.status.code() == Some(1) && text.contains(wanted), "{arguments:?}: {text}");
    }
    assert!(!std::path::Path::new(&at("new")).exists());
    assert!(!run(&target.store, &["user", "list"]).status.success(), "nothing was touched");
    for command in ["backup", "restore"] {
        let help = text(&Command::new(MUSTER).args([command, "--help"]).output().expect("ran"));
        assert!(!help.contains("--recipient") && !help.contains("--identity"), "{help}");
        assert!(!help.contains("--passphrase-file") && help.contains("- is standard"), "{help}");
    }
}
