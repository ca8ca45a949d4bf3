//! Compares all known state with the servers' state while no client writes.

use super::client::read;
use super::dialect::{ClientResult, Dialect, Failure, UserView};
use super::embedded_engine::run_ok;
use super::model::{Match, TrackedUser};
use super::print;
use super::shared_state::{Endpoint, SETTLE_TIME, SharedState};
use crate::support::run_json;
use parking_lot::MutexGuard;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::waiting::{TIMEOUT, wait_until};

/// Pauses all clients and the steady writer ([`super::readiness`]), waits until no request is in progress, and compares.
/// With `is_last`, also reads users one by one that have not changed since the last comparison.
pub(super) fn compare_all(world: &SharedState, store: &str, is_last: bool) {
    let begun = Instant::now();
    world.pauses.lock().push((begun, None));
    let mut models: Vec<MutexGuard<'_, Vec<TrackedUser>>> = world.models.iter().map(|model| model.lock()).collect();
    wait_until("the writes of the steady writer to end", || world.pending_steady_writes.load(Ordering::SeqCst) == 0);
    let quiet = Instant::now();
    wait_until("changes in doubt to be decided", || quiet.elapsed() > SETTLE_TIME && world.has_settled(quiet));
    for (number, users) in models.iter_mut().enumerate() {
        resolve_in_doubt(world, number, users);
    }
    let quiet = Instant::now();
    wait_until("a poll for changes", || world.polled_changes.has_polled_since(quiet));
    for (number, dialect) in [Dialect::Scim, Dialect::Publisher].into_iter().enumerate() {
        let listed = first_answer(world, number as u64, 0, |endpoint| endpoint.list(dialect)).unwrap_or_default();
        if dialect == Dialect::Scim {
            listed
                .iter()
                .filter_map(|seen| world.polled_changes.difference(seen))
                .for_each(|text| world.violation(&text));
        }
        compare_list(world, dialect, &mut models, listed);
    }
    compare_members(world, &models);
    verify_changed_users(world, &mut models, is_last);
    check_store(world, store);
    let counts = models.iter().map(|users| users.iter().filter(|known| known.acknowledged.is_some()).count());
    print(&format!(
        "[{:.2}s] compared {} users of the clients and {} users that are only created; took {:.1?}",
        world.started_at.elapsed().as_secs_f32(),
        counts.sum::<usize>(),
        world.create_only_users.lock().len(),
        begun.elapsed(),
    ));
    if let Some(pause) = world.pauses.lock().last_mut() {
        pause.1 = Some(Instant::now());
    }
}

/// Asks each server until one answers; `None` if it rejects the request, which is reported, except status 0
/// (inconsistent responses), which [`read`] has reported.
fn first_answer<T>(
    world: &SharedState,
    first_turn: u64,
    client: usize,
    ask: impl Fn(&Endpoint<'_>) -> ClientResult<T>,
) -> Option<T> {
    let begun = Instant::now();
    for turn in first_turn.. {
        if let Some(endpoint) = world.endpoint(turn, client) {
            match ask(&endpoint) {
                Ok(answer) => return Some(answer),
                Err(Failure::InDoubt) => {}
                Err(Failure::Rejected(0, _)) => return None,
                Err(Failure::Rejected(status, body)) => {
                    world.violation(&format!("a read was rejected: {status} {body}"));
                    return None;
                }
            }
        }
        assert!(begun.elapsed() < TIMEOUT, "no server answers");
        std::thread::sleep(Duration::from_millis(100));
    }
    None
}

/// Determines whether each change in doubt was committed.
fn resolve_in_doubt(world: &SharedState, client: usize, users: &mut [TrackedUser]) {
    let doubted = users.iter_mut().filter(|known| known.in_doubt.is_some() && !known.violation_reported);
    for (number, known) in doubted.enumerate() {
        let dialect = Dialect::SHOWS_ALL_FIELDS[number % Dialect::SHOWS_ALL_FIELDS.len()];
        let Some(seen) = first_answer(world, number as u64, client, |endpoint| read(endpoint, dialect, known)) else {
            known.violation_reported = true;
            continue;
        };
        let fit = known.compare(seen.as_ref());
        world.count(match fit {
            Match::After => "in doubt, and was done",
            _ => "in doubt, and was not done",
        });
        if !known.observe(seen.as_ref(), true) {
            known.violation_reported = true;
            world.violation(&format!("{dialect:?} shows {seen:?} for {known:?}"));
        }
    }
}

/// Every listed user was sent, is in the acknowledged state and unique; every acknowledged user is listed.
fn compare_list(
    world: &SharedState,
    dialect: Dialect,
    models: &mut [MutexGuard<'_, Vec<TrackedUser>>],
    listed: Vec<UserView>,
) {
    let mut of_email: BTreeMap<String, UserView> = BTreeMap::new();
    let mut externals = BTreeSet::new();
    for seen in listed {
        if let Some(external) = &seen.external_id
            && !externals.insert(external.clone())
        {
            world.violation(&format!("{dialect:?} lists the external id {external} twice: {seen:?}"));
        }
        if let Some(other) = of_email.insert(seen.email.clone(), seen) {
            world.violation(&format!("{dialect:?} lists {} twice: {other:?}", other.email));
        }
    }
    for (client, users) in models.iter_mut().enumerate() {
        let group = world.group_of(client).id.replace('-', "");
        for known in users.iter_mut() {
            let seen = known.emails.iter().filter_map(|email| of_email.remove(email));
            let seen: Vec<UserView> = seen.map(|seen| seen.for_group(&group)).collect();
            // Report each user once.
            if !known.violation_reported && (seen.len() > 1 || known.compare(seen.first()) == Match::Neither) {
                world.violation(&format!("{dialect:?} lists {seen:?} for {known:?}"));
                known.violation_reported = true;
            }
        }
    }
    for (email, user) in world.create_only_users.lock().iter_mut() {
        let seen = of_email.remove(email);
        let is_right = match (&seen, user.exists) {
            (Some(seen), Some(true) | None) => seen.first_name == user.first,
            (None, Some(false) | None) => true,
            _ => false,
        };
        if !is_right {
            world.violation(&format!("{dialect:?} lists {seen:?} for {email}, expected {user:?}"));
        }
        user.exists = Some(seen.is_some());
    }
    for seen in of_email.into_values() {
        world.violation(&format!("{dialect:?} lists a user that was never sent: {seen:?}"));
    }
}

/// The members of each group, as `publisher` lists them.
fn compare_members(world: &SharedState, models: &[MutexGuard<'_, Vec<TrackedUser>>]) {
    for (number, group) in world.groups.get().into_iter().flatten().enumerate() {
        let listed = first_answer(world, 0, 0, |endpoint| endpoint.members(group)).unwrap_or_default();
        let count = world.groups.get().map_or(1, Vec::len);
        let clients = models.iter().enumerate().filter(|(client, _)| client % count == number);
        let users = || clients.clone().flat_map(|(_, users)| users.iter());
        let wrong: BTreeSet<&String> =
            users().filter(|known| known.violation_reported).flat_map(|known| &known.emails).collect();
        let wanted: BTreeSet<&String> = users()
            .filter(|known| !known.violation_reported)
            .filter_map(|known| known.acknowledged.as_ref())
            .filter(|state| state.is_member)
            .map(|state| &state.email)
            .collect();
        let found: BTreeSet<&String> = listed.iter().filter(|email| !wrong.contains(email)).collect();
        if found != wanted {
            let missing: Vec<_> = wanted.difference(&found).collect();
            let surplus: Vec<_> = found.difference(&wanted).collect();
            world.violation(&format!("group {number} lacks {missing:?} and has unexpected members {surplus:?}"));
        }
    }
}

/// Reads each user changed since the last comparison, over another dialect than the one that wrote.
fn verify_changed_users(world: &SharedState, models: &mut [MutexGuard<'_, Vec<TrackedUser>>], is_last: bool) {
    for (client, users) in models.iter_mut().enumerate() {
        for (number, known) in users.iter_mut().enumerate() {
            // Deleted users become many, and the lists have shown that they are missing; so sample them.
            let is_due = known.changed_since_check || (is_last && (known.acknowledged.is_some() || number % 10 == 0));
            if known.violation_reported || !is_due {
                continue;
            }
            known.changed_since_check = false;
            let others: Vec<Dialect> =
                Dialect::ALL.into_iter().filter(|dialect| *dialect != known.last_writer).collect();
            let dialect = others[number % others.len()];
            let Some(seen) = first_answer(world, number as u64, client, |endpoint| read(endpoint, dialect, known))
            else {
                known.violation_reported = true;
                continue;
            };
            if known.compare(seen.as_ref()) == Match::Neither {
                known.violation_reported = true;
                world.violation(&format!("without load, {dialect:?} shows {seen:?} for {known:?}"));
            }
        }
    }
}

/// `check` and `audit verify` find no problems.
fn check_store(world: &SharedState, store: &str) {
    let found = run_json(store, &["check"]);
    if found["sound"] != true {
        world.violation(&format!("check: {found}"));
    }
    let found = run_json(store, &["audit", "verify"]);
    if found["whole"] != true {
        world.violation(&format!("audit verify: {found}"));
    }
}

/// A backup under load is complete, can be restored elsewhere, and contains everything acknowledged before it began.
pub(super) fn verify_backup(world: &SharedState, store: &str, folder: &Path, number: u64) {
    world.count("backups");
    let before: Vec<String> = {
        let create_only_users = world.create_only_users.lock();
        let there = create_only_users.iter().filter(|(_, user)| user.exists == Some(true));
        there.map(|(email, _)| email.clone()).collect()
    };
    let backup = folder.join(format!("load{number}.bak"));
    let restored = folder.join(format!("load{number}.db"));
    let name = backup.to_str().expect("text");
    run_ok(world, store, &["backup", name]);
    run_ok(world, store, &["restore", "--check-only", name]);
    run_ok(world, &restored, &["restore", name]);
    let said = run_json(store, &["restore", name]);
    if said.get("error").is_none() {
        world.violation(&format!("a restore overwrote a store in use: {said}"));
    }
    check_store(world, restored.to_str().expect("text"));
    let listed = run_json(&restored, &["user", "list", "--limit", "10000000", "--tenant", "1"]);
    let emails: BTreeSet<&str> =
        listed["users"].as_array().into_iter().flatten().filter_map(|user: &Value| user["email"].as_str()).collect();
    let missing: Vec<&String> = before.iter().filter(|email| !emails.contains(email.as_str())).collect();
    if !missing.is_empty() {
        world.violation(&format!("a backup lacks {missing:?}, acknowledged before it began"));
    }
    for end in ["", "-wal", "-shm", "-lock"] {
        drop(std::fs::remove_file(format!("{}{end}", restored.display())));
    }
    drop(std::fs::remove_file(backup));
}
