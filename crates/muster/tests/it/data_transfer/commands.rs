//! Text output of the commands `import`, `export`, `backup` and `restore`.

use super::{run, run_json, store_with_users, tenant_digests};
use crate::support::{MUSTER, TestStore};
use std::process::Command;

fn run_text(store: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(MUSTER).args(["--store", store]).args(arguments).output().expect("ran");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn an_import_reports_what_it_does() {
    let place = TestStore::new();
    let store = &place.store;
    run_json(store, &["tenant", "add", "Acme"]);
    let file = place.folder.path().join("p.csv");
    std::fs::write(&file, "E-Mail,Shoe size\na@x.y,red\nnobody,blue\n").expect("written");
    let path = file.display().to_string();
    let (code, text) = run_text(store, &["import", &path, "--dry-run"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("column 'Shoe size': 2 values, unknown column"), "{text}");
    assert!(text.contains("WOULD BE CREATED"), "{text}");
    assert!(text.contains("row 3: 'E-Mail' is not a valid email address"), "{text}");
    assert!(!file.with_file_name("p.rejected.csv").exists(), "a dry run writes no file");
    let (code, text) = run_text(store, &["import", &path]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("The rejected rows are in"), "{text}");
    let refused = file.with_file_name("p.rejected.csv");
    let fixed = std::fs::read_to_string(&refused).expect("found").replace("nobody", "b@x.y");
    std::fs::write(&refused, fixed).expect("written");
    let (code, text) = run_text(store, &["import", &refused.display().to_string()]);
    assert_eq!(code, Some(0), "{text}");
    for (arguments, wanted) in [
        (vec!["import", &path, "--create-only", "--update"], "cannot be used with"),
        (vec!["import", &path, "--map", "Shoe size=nothing"], "unknown column 'nothing'"),
        (vec!["import", "people.pdf"], "cannot detect the format of people.pdf"),
        (vec!["import", "/nowhere/p.csv"], "No such file"),
        (vec!["export", &path], "already exists"),
        (vec!["restore", &path], "it is not a Muster backup"),
    ] {
        let (code, text) = run_text(store, &arguments);
        assert!(code != Some(0) && text.contains(wanted), "{arguments:?}: {text}");
    }
    let listed = run_json(store, &["import", "--list-columns"]);
    assert!(listed.as_array().is_some_and(|columns| columns.len() > 60));
}

/// A changed backup is rejected, and neither backup nor restore overwrites data.
#[test]
fn corrupted_backups_are_rejected() {
    let place = store_with_users(50);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    let wanted = tenant_digests(&run_json(&place.store, &["backup", &at("plain")]));
    assert!(!run(&place.store, &["backup", &at("plain")]).status.success(), "existing files are not overwritten");
    let target = TestStore::new();
    assert_eq!(tenant_digests(&run_json(&target.store, &["restore", &at("plain")])), wanted);
    // A change of any bit is detected.
    let whole = std::fs::read(at("plain")).expect("read");
    for place_of in (7..whole.len()).step_by(whole.len() / 9) {
        let mut bent = whole.clone();
        bent[place_of] ^= 1;
        std::fs::write(at("bent"), bent).expect("written");
        let target = TestStore::new();
        assert!(!run(&target.store, &["restore", &at("bent")]).status.success(), "byte {place_of}");
        assert!(!run(&target.store, &["user", "list"]).status.success(), "the target is unchanged");
    }
    std::fs::write(at("cut"), &whole[..whole.len() - 3]).expect("written");
    assert!(!run(&TestStore::new().store, &["restore", &at("cut")]).status.success());
    // A restore does not overwrite a store in use.
    let before = run_json(&place.store, &["user", "list", "--limit", "1"]);
    assert!(!run(&place.store, &["restore", &at("plain")]).status.success());
    assert_eq!(run_json(&place.store, &["user", "list", "--limit", "1"]), before);
}
