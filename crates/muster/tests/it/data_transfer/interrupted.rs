//! `kill -9` during each command, ten times: interrupted work resumes or is rejected, without partial or duplicate
//! data.

use super::{assert_sound, kill_after, run, run_json, store_with_users, tenant_digests, user_rows};
use crate::support::{TestStore, is_on_postgres};
use adapters::{OpenMode, StoreSettings};
use std::time::Duration;

const ROUNDS: u32 = 10;
const USERS: u32 = 2_500;

#[test]
fn a_killed_import_resumes() {
    let place = TestStore::new();
    let store = &place.store;
    run_json(store, &["tenant", "add", "Acme"]);
    let file = place.folder.path().join("people.csv");
    std::fs::write(&file, user_rows(USERS)).expect("written");
    let file = file.display().to_string();
    let mut cut = 0;
    for round in 0..ROUNDS {
        // Each run gets a little further.
        let after = Duration::from_millis(150 + u64::from(round) * 60);
        cut += u32::from(!kill_after(store, &["import", &file], after));
        let there = run_json(store, &["user", "list", "--limit", "1"])["total"].as_u64().expect("a number");
        assert!(there <= u64::from(USERS), "no duplicate users");
        assert_eq!(run_json(store, &["check"])["sound"], true);
    }
    assert!(cut > 0, "no run was interrupted");
    let last = run_json(store, &["import", &file]);
    let tally = |what: &str| last["people"][what].as_u64().expect("a number");
    assert_eq!((tally("created") + tally("left"), tally("refused")), (USERS.into(), 0));
    assert_eq!(run_json(store, &["user", "list", "--limit", "1"])["total"], USERS);
    let groups = place.folder.path().join("groups.ndjson").display().to_string();
    assert_eq!(run_json(store, &["export", &groups, "--kind", "group"])["group"], 8, "no duplicate groups");
    assert_sound(store);
}

#[test]
fn a_killed_backup_leaves_no_file() {
    let place = store_with_users(USERS);
    let file = place.folder.path().join("backup");
    let path = file.display().to_string();
    let mut cut = 0;
    for round in 0..ROUNDS {
        let had_ended = kill_after(&place.store, &["backup", &path], Duration::from_millis(20 + u64::from(round) * 25));
        cut += u32::from(!had_ended);
        // A file with the final name is complete.
        if file.exists() {
            assert_eq!(run_json(&place.store, &["restore", &path, "--check-only"])["tenants"][0]["people"], USERS);
            std::fs::remove_file(&file).expect("removed");
        }
    }
    assert!(cut > 0, "no run was interrupted");
    run_json(&place.store, &["backup", &path]);
    assert_sound(&place.store);
}

#[test]
fn a_killed_restore_resumes() {
    let place = store_with_users(USERS);
    let path = place.folder.path().join("backup").display().to_string();
    let wanted = tenant_digests(&run_json(&place.store, &["backup", &path]));
    let target = TestStore::new();
    let mut cut = 0;
    for round in 0..ROUNDS {
        let after = Duration::from_millis(100 + u64::from(round) * 60);
        cut += u32::from(!kill_after(&target.store, &["restore", &path], after));
        // A partly restored store cannot be used.
        let looked = run(&target.store, &["user", "list", "--limit", "1"]);
        if looked.status.success() {
            break;
        }
    }
    assert!(cut > 0, "no run was interrupted");
    let last = run(&target.store, &["restore", &path]);
    let text = String::from_utf8_lossy(&last.stdout).into_owned();
    assert!(last.status.success() || text.contains("is not empty"), "{text}");
    assert_eq!(run_json(&target.store, &["user", "list", "--limit", "1"])["total"], USERS);
    assert_sound(&target.store);
    let again = target.folder.path().join("again").display().to_string();
    assert_eq!(tenant_digests(&run_json(&target.store, &["backup", &again])), wanted);
}

#[test]
fn a_killed_move_resumes() {
    let place = store_with_users(USERS);
    let other = tempfile::tempdir().expect("a folder");
    let to = if is_on_postgres() {
        other.path().join("moved.db").display().to_string()
    } else {
        // Migrated beforehand: a process that is killed during a migration keeps the migration lease for a minute.
        let to = testkit::postgres::create_migrated_database();
        StoreSettings::new(&to).engine().expect("an engine").open(OpenMode::Create).expect("migrated").close();
        to
    };
    let mut cut = 0;
    for round in 0..ROUNDS {
        let after = Duration::from_millis(100 + u64::from(round) * 80);
        cut += u32::from(!kill_after(&to, &["move", "--from", &place.store, "--to", &to], after));
        if run(&to, &["user", "list", "--limit", "1"]).status.success() {
            break;
        }
    }
    assert!(cut > 0, "no run was interrupted");
    let last = run(&to, &["move", "--from", &place.store, "--to", &to]);
    let text = String::from_utf8_lossy(&last.stdout).into_owned();
    assert!(last.status.success() || text.contains("is not empty"), "{text}");
    assert_sound(&to);
    // Then move it back into a new store.
    let back = TestStore::new();
    let moved = run_json(&back.store, &["move", "--from", &to, "--to", &back.store]);
    let path = other.path().join("first").display().to_string();
    assert_eq!(tenant_digests(&moved), tenant_digests(&run_json(&place.store, &["backup", &path])));
    assert_sound(&back.store);
}
