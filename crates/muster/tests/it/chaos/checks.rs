//! The comparison of everything that is known with everything that is there, while no client writes.

use super::client::read;
use super::dialect::{Answer, Dialect, Failure, Seen};
use super::embedded::run;
use super::model::{Fit, Known};
use super::say;
use super::world::{Endpoint, SETTLED, World};
use crate::support::json;
use parking_lot::MutexGuard;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::waiting::{PATIENCE, wait_until};

/// Pauses all clients, waits until nothing is under way, and compares. `is_last`: also those are read one by one who
/// have not changed since the last time.
pub(super) fn compare_all(world: &World, store: &str, is_last: bool) {
    let begun = Instant::now();
    world.pauses.lock().push((begun, None));
    let mut models: Vec<MutexGuard<'_, Vec<Known>>> = world.models.iter().map(|model| model.lock()).collect();
    wait_until("the steady writes to end", || world.steady_under_way.load(Ordering::SeqCst) == 0);
    let quiet = Instant::now();
    wait_until("what is in doubt to be settled", || quiet.elapsed() > SETTLED && world.is_settled(quiet));
    for (number, users) in models.iter_mut().enumerate() {
        settle(world, number, users);
    }
    let quiet = Instant::now();
    wait_until("a poll for changes", || world.followed.is_after(quiet));
    for (number, dialect) in [Dialect::Scim, Dialect::Publisher].into_iter().enumerate() {
        let listed = answered(world, number as u64, 0, |endpoint| endpoint.list(dialect)).unwrap_or_default();
        if dialect == Dialect::Scim {
            listed
                .iter()
                .filter_map(|seen| world.followed.differs(seen))
                .for_each(|text| world.violation(&text));
        }
        compare_list(world, dialect, &mut models, listed);
    }
    compare_members(world, &models);
    read_again(world, &mut models, is_last);
    sound(world, store);
    let counts = models.iter().map(|users| users.iter().filter(|known| known.now.is_some()).count());
    say(&format!(
        "[{:.2}s] compared {} users of the clients and {} others in {:.1?}",
        world.begun.elapsed().as_secs_f32(),
        counts.sum::<usize>(),
        world.constants.lock().len(),
        begun.elapsed(),
    ));
    if let Some(pause) = world.pauses.lock().last_mut() {
        pause.1 = Some(Instant::now());
    }
}

/// Asks one server after the other until one answers; `None` if it rejects, which is reported.
fn answered<T>(
    world: &World,
    number: u64,
    client: usize,
    ask: impl Fn(&Endpoint<'_>) -> Answer<T>,
) -> Option<T> {
    let begun = Instant::now();
    for turn in number.. {
        if let Some(endpoint) = world.endpoint(turn, client) {
            match ask(&endpoint) {
                Ok(answer) => return Some(answer),
                Err(Failure::InDoubt) => {}
                Err(Failure::Rejected(0, _)) => return None,
                Err(Failure::Rejected(status, body)) => {
                    world.violation(&format!("a read is rejected: {status} {body}"));
                    return None;
                }
            }
        }
        assert!(begun.elapsed() < PATIENCE, "no server answers");
        std::thread::sleep(Duration::from_millis(100));
    }
    None
}

/// Finds out what became of each change in doubt.
fn settle(world: &World, client: usize, users: &mut [Known]) {
    let doubted = users.iter_mut().filter(|known| known.in_doubt.is_some() && !known.is_wrong);
    for (number, known) in doubted.enumerate() {
        let dialect = Dialect::COMPLETE[number % Dialect::COMPLETE.len()];
        let Some(seen) = answered(world, number as u64, client, |endpoint| read(endpoint, dialect, known))
        else {
            known.is_wrong = true;
            continue;
        };
        let fit = known.fit(seen.as_ref());
        world.count(match fit {
            Fit::After => "in doubt, and was done",
            _ => "in doubt, and was not done",
        });
        if !known.learn(seen.as_ref(), true) {
            known.is_wrong = true;
            world.violation(&format!("{dialect:?} shows {seen:?} of {known:?}"));
        }
    }
}

/// Everybody who is listed was sent, is as acknowledged, and is there once; everybody acknowledged is listed.
fn compare_list(
    world: &World,
    dialect: Dialect,
    models: &mut [MutexGuard<'_, Vec<Known>>],
    listed: Vec<Seen>,
) {
    let mut of_email: BTreeMap<String, Seen> = BTreeMap::new();
    let mut externals = BTreeSet::new();
    for seen in listed {
        if let Some(external) = &seen.external
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
            let seen: Vec<Seen> = seen.map(|seen| seen.for_group(&group)).collect();
            // What is wrong was reported already.
            if !known.is_wrong && (seen.len() > 1 || known.fit(seen.first()) == Fit::Neither) {
                world.violation(&format!("{dialect:?} lists {seen:?} for {known:?}"));
                known.is_wrong = true;
            }
        }
    }
    for (email, constant) in world.constants.lock().iter_mut() {
        let seen = of_email.remove(email);
        let is_right = match (&seen, constant.is_there) {
            (Some(seen), Some(true) | None) => seen.first == constant.first,
            (None, Some(false) | None) => true,
            _ => false,
        };
        if !is_right {
            world.violation(&format!("{dialect:?} lists {seen:?} for {email}, who should be {constant:?}"));
        }
        constant.is_there = Some(seen.is_some());
    }
    for seen in of_email.into_values() {
        world.violation(&format!("{dialect:?} lists a user who was never sent: {seen:?}"));
    }
}

/// The members of each group, as `publisher` lists them.
fn compare_members(world: &World, models: &[MutexGuard<'_, Vec<Known>>]) {
    for (number, group) in world.groups.get().into_iter().flatten().enumerate() {
        let listed = answered(world, 0, 0, |endpoint| endpoint.members(group)).unwrap_or_default();
        let count = world.groups.get().map_or(1, Vec::len);
        let clients = models.iter().enumerate().filter(|(client, _)| client % count == number);
        let users = || clients.clone().flat_map(|(_, users)| users.iter());
        let wrong: BTreeSet<&String> =
            users().filter(|known| known.is_wrong).flat_map(|known| &known.emails).collect();
        let wanted: BTreeSet<&String> = users()
            .filter(|known| !known.is_wrong)
            .filter_map(|known| known.now.as_ref())
            .filter(|state| state.is_member)
            .map(|state| &state.email)
            .collect();
        let found: BTreeSet<&String> = listed.iter().filter(|email| !wrong.contains(email)).collect();
        if found != wanted {
            let missing: Vec<_> = wanted.difference(&found).collect();
            let surplus: Vec<_> = found.difference(&wanted).collect();
            world.violation(&format!("group {number} lacks {missing:?}, and has {surplus:?} without need"));
        }
    }
}

/// Reads each user that was changed since the last time, over another dialect than the one that wrote.
fn read_again(world: &World, models: &mut [MutexGuard<'_, Vec<Known>>], is_last: bool) {
    for (client, users) in models.iter_mut().enumerate() {
        for (number, known) in users.iter_mut().enumerate() {
            // Users who are gone become many; the lists have shown that they are.
            let is_due = known.is_fresh || (is_last && (known.now.is_some() || number % 10 == 0));
            if known.is_wrong || !is_due {
                continue;
            }
            known.is_fresh = false;
            let others: Vec<Dialect> =
                Dialect::ALL.into_iter().filter(|dialect| *dialect != known.writer).collect();
            let dialect = others[number % others.len()];
            let Some(seen) =
                answered(world, number as u64, client, |endpoint| read(endpoint, dialect, known))
            else {
                known.is_wrong = true;
                continue;
            };
            if known.fit(seen.as_ref()) == Fit::Neither {
                known.is_wrong = true;
                world.violation(&format!("at rest, {dialect:?} shows {seen:?} of {known:?}"));
            }
        }
    }
}

/// `check` and `audit verify` find nothing.
fn sound(world: &World, store: &str) {
    let found = json(store, &["check"]);
    if found["sound"] != true {
        world.violation(&format!("check: {found}"));
    }
    let found = json(store, &["audit", "verify"]);
    if found["whole"] != true {
        world.violation(&format!("audit verify: {found}"));
    }
}

/// A backup under load is complete, can be restored elsewhere, and has everything that was acknowledged before it began.
pub(super) fn back_up(world: &World, store: &str, folder: &Path, number: u64) {
    world.count("backups");
    let before: Vec<String> = {
        let constants = world.constants.lock();
        let there = constants.iter().filter(|(_, constant)| constant.is_there == Some(true));
        there.map(|(email, _)| email.clone()).collect()
    };
    let backup = folder.join(format!("load{number}.bak"));
    let restored = folder.join(format!("load{number}.db"));
    let name = backup.to_str().expect("text");
    run(world, store, &["backup", name]);
    run(world, store, &["restore", "--check-only", name]);
    run(world, &restored, &["restore", name]);
    let said = json(store, &["restore", name]);
    if said.get("error").is_none() {
        world.violation(&format!("a store that is in use is restored into: {said}"));
    }
    sound(world, restored.to_str().expect("text"));
    let listed = json(&restored, &["user", "list", "--limit", "10000000", "--tenant", "1"]);
    let emails: BTreeSet<&str> = listed["users"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|user: &Value| user["email"].as_str())
        .collect();
    let missing: Vec<&String> = before.iter().filter(|email| !emails.contains(email.as_str())).collect();
    if !missing.is_empty() {
        world.violation(&format!("a backup lacks {missing:?}, who were acknowledged before it began"));
    }
    for end in ["", "-wal", "-shm", "-lock"] {
        drop(std::fs::remove_file(format!("{}{end}", restored.display())));
    }
    drop(std::fs::remove_file(backup));
}
