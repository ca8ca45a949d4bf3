//! `kill -9` in the middle, ten times each: what was cut off goes on or is refused, and nothing is there by half or twice.

use super::{cut_off, digests, is_sound, people, peopled, run, said};
use crate::support::{Place, is_on_postgres};
use adapters::{Engine, StoreSettings};
use std::time::Duration;

const TIMES: u32 = 10;
const PEOPLE: u32 = 2_500;

#[test]
fn an_import_that_is_killed_goes_on() {
    let place = Place::new();
    let store = &place.store;
    said(store, &["tenant", "add", "Acme"]);
    let file = place.folder.path().join("people.csv");
    std::fs::write(&file, people(PEOPLE)).expect("written");
    let file = file.display().to_string();
    let mut cut = 0;
    for round in 0..TIMES {
        // Each time it comes a little further.
        let after = Duration::from_millis(150 + u64::from(round) * 60);
        cut += u32::from(!cut_off(store, &["import", &file], after));
        let there = said(store, &["user", "list", "--limit", "1"])["total"].as_u64().expect("a number");
        assert!(there <= u64::from(PEOPLE), "nobody is there twice");
        assert_eq!(said(store, &["check"])["sound"], true);
    }
    assert!(cut > 0, "it was never cut off");
    let last = said(store, &["import", &file]);
    let tally = |what: &str| last["people"][what].as_u64().expect("a number");
    assert_eq!((tally("created") + tally("left"), tally("refused")), (PEOPLE.into(), 0));
    assert_eq!(said(store, &["user", "list", "--limit", "1"])["total"], PEOPLE);
    let groups = place.folder.path().join("groups.ndjson").display().to_string();
    assert_eq!(said(store, &["export", &groups, "--kind", "group"])["group"], 8, "no group is there twice");
    is_sound(store);
}

#[test]
fn a_backup_that_is_killed_is_none() {
    let place = peopled(PEOPLE);
    let file = place.folder.path().join("backup");
    let path = file.display().to_string();
    let mut cut = 0;
    for round in 0..TIMES {
        let had_ended =
            cut_off(&place.store, &["backup", &path], Duration::from_millis(20 + u64::from(round) * 25));
        cut += u32::from(!had_ended);
        // Under its name it is whole, or not there at all.
        if file.exists() {
            assert_eq!(
                said(&place.store, &["restore", &path, "--check-only"])["tenants"][0]["people"],
                PEOPLE
            );
            std::fs::remove_file(&file).expect("removed");
        }
    }
    assert!(cut > 0, "it was never cut off");
    said(&place.store, &["backup", &path]);
    is_sound(&place.store);
}

#[test]
fn a_restore_that_is_killed_goes_on() {
    let place = peopled(PEOPLE);
    let path = place.folder.path().join("backup").display().to_string();
    let wanted = digests(&said(&place.store, &["backup", &path]));
    let target = Place::new();
    let mut cut = 0;
    for round in 0..TIMES {
        let after = Duration::from_millis(100 + u64::from(round) * 60);
        cut += u32::from(!cut_off(&target.store, &["restore", &path], after));
        // What is there by half is not used.
        let looked = run(&target.store, &["user", "list", "--limit", "1"]);
        if looked.status.success() {
            break;
        }
    }
    assert!(cut > 0, "it was never cut off");
    let last = run(&target.store, &["restore", &path]);
    let text = String::from_utf8_lossy(&last.stdout).into_owned();
    assert!(last.status.success() || text.contains("holds something already"), "{text}");
    assert_eq!(said(&target.store, &["user", "list", "--limit", "1"])["total"], PEOPLE);
    is_sound(&target.store);
    let again = target.folder.path().join("again").display().to_string();
    assert_eq!(digests(&said(&target.store, &["backup", &again])), wanted);
}

#[test]
fn a_move_that_is_killed_goes_on() {
    let place = peopled(PEOPLE);
    let other = tempfile::tempdir().expect("a folder");
    let to = if is_on_postgres() {
        other.path().join("moved.db").display().to_string()
    } else {
        // Migrated beforehand: a process that is killed during a migration keeps the migration lease for a minute.
        let to = testkit::postgres::migrated();
        Engine::open(&StoreSettings::new(&to)).expect("migrated").close();
        to
    };
    let mut cut = 0;
    for round in 0..TIMES {
        let after = Duration::from_millis(100 + u64::from(round) * 80);
        cut += u32::from(!cut_off(&to, &["move", "--from", &place.store, "--to", &to], after));
        if run(&to, &["user", "list", "--limit", "1"]).status.success() {
            break;
        }
    }
    assert!(cut > 0, "it was never cut off");
    let last = run(&to, &["move", "--from", &place.store, "--to", &to]);
    let text = String::from_utf8_lossy(&last.stdout).into_owned();
    assert!(last.status.success() || text.contains("holds something already"), "{text}");
    is_sound(&to);
    // And back again, into a new place.
    let back = Place::new();
    let moved = said(&back.store, &["move", "--from", &to, "--to", &back.store]);
    let path = other.path().join("first").display().to_string();
    assert_eq!(digests(&moved), digests(&said(&place.store, &["backup", &path])));
    is_sound(&back.store);
}
