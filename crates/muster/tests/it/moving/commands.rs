//! The commands as somebody at a terminal meets them.

use super::{digests, peopled, run, said};
use crate::support::{MUSTER, Place};
use std::process::Command;

fn words(store: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(MUSTER).args(["--store", store]).args(arguments).output().expect("ran");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn an_import_says_what_it_does() {
    let place = Place::new();
    let store = &place.store;
    said(store, &["tenant", "add", "Acme"]);
    let file = place.folder.path().join("p.csv");
    std::fs::write(&file, "E-Mail,Shoe size\na@x.y,red\nnobody,blue\n").expect("written");
    let path = file.display().to_string();
    let (code, text) = words(store, &["import", &path, "--dry-run"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("Shoe size: no column is called so, it is passed over"), "{text}");
    assert!(
        text.contains("WOULD BE CREATED") && text.contains("row 3: E-Mail is not of the right form"),
        "{text}"
    );
    assert!(!file.with_file_name("p.refused.csv").exists(), "nothing is done");
    let (code, text) = words(store, &["import", &path]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("The refused rows are in"), "{text}");
    let refused = file.with_file_name("p.refused.csv");
    let mended = std::fs::read_to_string(&refused).expect("there").replace("nobody", "b@x.y");
    std::fs::write(&refused, mended).expect("written");
    let (code, text) = words(store, &["import", &refused.display().to_string()]);
    assert_eq!(code, Some(0), "{text}");
    for (arguments, wanted) in [
        (vec!["import", &path, "--create-only", "--update"], "cannot be used with"),
        (vec!["import", &path, "--map", "Shoe size=nothing"], "there is no column nothing"),
        (vec!["import", "people.pdf"], "does not say by its name what it is"),
        (vec!["import", "/nowhere/p.csv"], "No such file"),
        (vec!["export", &path], "is there already"),
        (vec!["restore", &path], "it is not a backup of Muster's"),
    ] {
        let (code, text) = words(store, &arguments);
        assert!(code != Some(0) && text.contains(wanted), "{arguments:?}: {text}");
    }
    let listed = said(store, &["import", "--list-columns"]);
    assert!(listed.as_array().is_some_and(|columns| columns.len() > 60));
}

/// Backups that are locked open with their keys alone, and one that was changed not at all.
#[test]
fn backups_are_locked_and_sound() {
    let place = peopled(50);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    std::fs::write(at("passphrase"), "correct horse battery staple\n").expect("written");
    std::fs::write(at("wrong"), "incorrect horse\n").expect("written");
    // Made with the `age-keygen` of Debian (age 1.1.1).
    let identity = "AGE-SECRET-KEY-16DDTJQLXDM202VYGGUA56S4SNEDV8V2KAAA2NDHLH8SMMPT47VNSLL4UJ5";
    std::fs::write(at("identity"), format!("# a key\n{identity}\n")).expect("written");
    let recipient = "age17axkhpwyhv39f8v4g20qcnlc6uugkvgyaym7uptfj2cm6x20hgusf9t68t";
    let wanted = digests(&said(&place.store, &["backup", &at("plain")]));
    said(&place.store, &["backup", &at("phrase"), "--passphrase-file", &at("passphrase")]);
    said(&place.store, &["backup", &at("keyed"), "--recipient", recipient]);
    assert!(!run(&place.store, &["backup", &at("plain")]).status.success(), "nothing is written over");
    for (file, with) in [
        ("phrase", vec!["--passphrase-file", "passphrase"]),
        ("keyed", vec!["--identity", "identity"]),
        ("plain", vec![]),
    ] {
        let with: Vec<String> =
            with.iter().map(|word| if word.starts_with('-') { (*word).into() } else { at(word) }).collect();
        let mut arguments = vec!["restore".to_owned(), at(file)];
        arguments.extend(with.clone());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let target = Place::new();
        assert_eq!(digests(&said(&target.store, &arguments)), wanted, "{file}");
        if file != "plain" {
            let (code, text) = words(&Place::new().store, &["restore", &at(file)]);
            assert!(code == Some(1) && text.contains("it is encrypted"), "{text}");
        }
        // Every bit counts, wherever it is.
        let whole = std::fs::read(at(file)).expect("read");
        let mut place_of = 7;
        while place_of < whole.len() {
            let mut bent = whole.clone();
            bent[place_of] ^= 1;
            std::fs::write(at("bent"), bent).expect("written");
            let mut arguments = vec!["restore".to_owned(), at("bent")];
            arguments.extend(with.clone());
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let target = Place::new();
            assert!(!run(&target.store, &arguments).status.success(), "{file}, byte {place_of}");
            assert!(!run(&target.store, &["user", "list"]).status.success(), "nothing was touched");
            place_of += whole.len() / 9;
        }
        std::fs::write(at("cut"), &whole[..whole.len() - 3]).expect("written");
        assert!(!run(&Place::new().store, &["restore", &at("cut")]).status.success());
    }
    let (code, text) =
        words(&Place::new().store, &["restore", &at("phrase"), "--passphrase-file", &at("wrong")]);
    assert!(code == Some(1) && text.contains("does not open it"), "{text}");
    // A store in use is not restored over.
    let before = said(&place.store, &["user", "list", "--limit", "1"]);
    assert!(!run(&place.store, &["restore", &at("plain")]).status.success());
    assert_eq!(said(&place.store, &["user", "list", "--limit", "1"]), before);
}
