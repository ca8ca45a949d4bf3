//! Direct changes of the history in the store are detected and located.

use super::audit_store::AuditStore;
use super::run_command;
use crate::support::is_on_postgres;
use testkit::generators::Rng;

/// The columns of an event.
fn event_columns() -> [&'static str; 13] {
    let (left, link) = if is_on_postgres() { ("departed", "digest") } else { ("left", "link") };
    [
        "before",
        "after",
        "who",
        "request",
        "at",
        "action",
        "notes",
        "joined",
        left,
        "password_set",
        "tenant",
        link,
        "connection",
    ]
}

/// An SQL condition for the event at a position.
fn row_condition(position: u64) -> String {
    if is_on_postgres() {
        return format!(
            "(batch, place) IN (SELECT id, ({position} - (position - events) - 1)::int FROM batches \
             WHERE position >= {position} AND position - events < {position})"
        );
    }
    format!("position = {position}")
}

/// An SQL expression for a column's value with one byte changed, or for a new value if it is null.
fn changed_value(column: &str, other: u32, rng: &mut Rng) -> String {
    let (c, at) = (format!("\"{column}\""), rng.below(100_000));
    let digit = |digit: &str| format!("CASE {digit} WHEN '7' THEN '8' ELSE '7' END");
    match column {
        "at" | "action" => format!("{c} + 1"),
        "tenant" => other.to_string(),
        "password_set" if is_on_postgres() => format!("NOT {c}"),
        "password_set" => format!("1 - {c}"),
        "connection" if is_on_postgres() => {
            format!(
                "coalesce(overlay({c}::text placing (CASE substr({c}::text, 3, 1) WHEN '7' THEN '8' ELSE '7' END) from 3)::uuid, gen_random_uuid())"
            )
        }
        "digest" => {
            format!("set_byte({c}, {at} % length({c}), (get_byte({c}, {at} % length({c})) + 1) % 256)")
        }
        "link" | "connection" => {
            let hit = format!("2 * ({at} % length({c})) + 2");
            format!(
                "CASE WHEN {c} IS NULL THEN x'00112233445566778899aabbccddeeff' ELSE \
                 unhex(substr(hex({c}), 1, {hit} - 1) || {} || substr(hex({c}), {hit} + 1)) END",
                digit(&format!("substr(hex({c}), {hit}, 1)"))
            )
        }
        _ => {
            let hit = format!("({at} % length({c}) + 1)");
            format!(
                "CASE WHEN coalesce(length({c}), 0) = 0 THEN 'x' ELSE \
                 substr({c}, 1, {hit} - 1) || {} || substr({c}, {hit} + 1) END",
                digit(&format!("substr({c}, {hit}, 1)"))
            )
        }
    }
}

#[test]
fn a_changed_byte_is_located() {
    let ledger = AuditStore::new();
    ledger.assert_intact();
    let mut rng = Rng::new(testkit::seeds::seed(20_261_126));
    assert!(ledger.positions.len() > 30, "{}", ledger.positions.len());
    let mut wrong = Vec::new();
    let mut left = ledger.positions.clone();
    for _ in 0..30 {
        let pick = usize::try_from(rng.below(left.len() as u64)).expect("small");
        let position = left.swap_remove(pick);
        let target = usize::try_from(rng.below(13)).expect("small");
        for (n, column) in event_columns().into_iter().enumerate() {
            let new = changed_value(column, ledger.other, &mut rng);
            ledger.tamper(&format!("UPDATE events SET \"{column}\" = {new} WHERE {}", row_condition(position)));
            // An event moved to another tenant is surplus there and missing here.
            let tenant = if column == "tenant" { ledger.other } else { ledger.tenant };
            let broken = ledger.first_broken_position(tenant);
            // On PostgreSQL, an event before all chained events looks older than the chain.
            let is_older = is_on_postgres() && tenant == ledger.other && position < ledger.other_first_position;
            if (broken != Some(position) && !is_older) || !ledger.detects_missing(position, column == "tenant") {
                let own = ledger.first_broken_position(ledger.tenant);
                wrong.push(format!("{column} of {position}: {broken:?} in tenant {tenant}, {own:?} in its own"));
            }
            if n == target {
                let (is_well, said) = run_command(ledger.store(), &["audit", "verify"]);
                let is_named = said.contains(&format!("BROKEN at position {position}.")) || column == "tenant";
                assert!(!is_well && said.contains("BROKEN") && is_named, "{column} of {position}: {said}");
            }
        }
        ledger.tamper("SELECT 1");
        assert_eq!(ledger.first_broken_position(ledger.tenant), None, "not reverted at {position}");
    }
    assert!(wrong.is_empty(), "{} changes are not located: {wrong:#?}", wrong.len());
    ledger.assert_intact();
}

#[test]
fn missing_forged_or_swapped_events_are_detected() {
    let ledger = AuditStore::new();
    let all = &ledger.positions;
    let (first, middle, last) = (all[0], all[all.len() / 2], all[all.len() - 1]);
    for position in [first, middle, all[all.len() - 2], last] {
        ledger.tamper(&format!("DELETE FROM events WHERE {}", row_condition(position)));
        assert!(
            ledger.detects_missing(position, true),
            "{position}: {:?}",
            ledger.first_broken_position(ledger.tenant)
        );
        assert!(!ledger.verify_command().0);
    }
    // The last events of all.
    ledger.tamper(&format!(
        "DELETE FROM events WHERE {} OR {}",
        row_condition(last),
        row_condition(all[all.len() - 2])
    ));
    assert!(ledger.first_broken_position(ledger.tenant).is_some() && !ledger.verify_command().0);
    for (one, two) in [(first, middle), (middle, last), (all[3], all[4])] {
        ledger.tamper(&swap_statement(one, two));
        assert_eq!(ledger.first_broken_position(ledger.tenant), Some(one), "{one} and {two}");
        assert!(!ledger.verify_command().0);
    }
    for position in [middle, last] {
        ledger.tamper(&forge_statement(position));
        let broken = ledger.first_broken_position(ledger.tenant);
        println!("a forged event after {position}: {broken:?}");
        assert!(
            broken.is_some_and(|broken| broken > position - u64::from(is_on_postgres())),
            "after {position}: {broken:?}"
        );
        assert!(!ledger.verify_command().0);
    }
    ledger.assert_intact();
}

#[test]
fn unlinked_events_are_detected() {
    let ledger = AuditStore::new();
    let (tenant, all) = (ledger.tenant, &ledger.positions);
    for last in [all[0], all[3], all[all.len() - 2]] {
        // Remove the links, as if the events were older than the chain, and change their actor.
        ledger.tamper(&if is_on_postgres() {
            let batches = format!("SELECT id FROM batches WHERE position <= {last}");
            format!(
                "UPDATE events SET who = 'eve', digest = NULL WHERE tenant = {tenant} AND batch IN ({batches}); \
                 DELETE FROM links WHERE tenant = {tenant} AND batch IN ({batches})"
            )
        } else {
            format!("UPDATE events SET who = 'eve', link = NULL WHERE tenant = {tenant} AND position <= {last}")
        });
        let broken = ledger.first_broken_position(tenant);
        println!("no link up to {last}: {broken:?}");
        assert!(broken.is_some() && !ledger.verify_command().0, "up to {last}");
    }
}

#[test]
fn a_removed_chain_is_detected() {
    let ledger = AuditStore::new();
    let tenant = ledger.tenant;
    let (digest, links) = if is_on_postgres() { ("digest", "DELETE FROM links; ") } else { ("link", "") };
    let undone = format!("{links}DELETE FROM chains; UPDATE events SET who = 'eve', {digest} = NULL");
    let in_front = if is_on_postgres() {
        // Move an event to the other tenant, before its first event.
        let (other, first) = (ledger.other, row_condition(1));
        format!("UPDATE events SET tenant = {other}, digest = NULL WHERE {first}")
    } else {
        let kept = event_columns().map(|column| format!("\"{column}\"")).join(", ").replace("\"link\"", "NULL");
        let into = kept.replace("NULL", "link");
        format!("INSERT INTO events (position, {into}) SELECT 0, {kept} FROM events WHERE position = 1")
    };
    let found = [undone, in_front].map(|what| {
        ledger.tamper(&what);
        let found = [tenant, ledger.other].map(|tenant| ledger.first_broken_position(tenant));
        println!("{found:?}");
        found
    });
    assert!(found[0].iter().all(Option::is_some), "a removed chain: {found:?}");
    let forged = found[1][usize::from(is_on_postgres())];
    assert!(forged.is_some(), "an event inserted at the start: {found:?}");
}

/// A statement that swaps two events.
fn swap_statement(one: u64, two: u64) -> String {
    if is_on_postgres() {
        let place = |position: u64| format!("FROM kept_events WHERE {}", row_condition(position));
        let moved = |from: u64, to: u64| {
            format!(
                "UPDATE events SET batch = (SELECT batch {0}), place = (SELECT place + 1000000 {0}) WHERE {1}",
                place(to),
                row_condition(from)
            )
        };
        return format!(
            "{}; {}; UPDATE events SET place = place - 1000000 WHERE place >= 1000000",
            moved(one, two),
            moved(two, one)
        );
    }
    format!(
        "UPDATE events SET position = -1 WHERE position = {one}; \
         UPDATE events SET position = {one} WHERE position = {two}; \
         UPDATE events SET position = {two} WHERE position = -1"
    )
}

/// A statement that duplicates the event at a position and shifts all later events by one.
fn forge_statement(position: u64) -> String {
    if is_on_postgres() {
        let columns = "tenant, at, connection, who, request, action, before, after, joined, departed, password_set, notes, digest";
        return format!(
            "UPDATE events SET place = place + 1000001 WHERE batch = (SELECT batch FROM kept_events WHERE {0}) \
             AND place > (SELECT place FROM kept_events WHERE {0}); \
             UPDATE events SET place = place - 1000000 WHERE place > 1000000; \
             INSERT INTO events (batch, place, {columns}) SELECT batch, place + 1, {columns} FROM kept_events WHERE {0}; \
             UPDATE batches SET events = events + 1 WHERE id = (SELECT batch FROM kept_events WHERE {0}); \
             UPDATE batches SET position = position + 1 WHERE position >= {position}",
            row_condition(position).replace("FROM batches", "FROM kept_batches")
        );
    }
    let columns =
        "tenant, at, connection, who, request, action, before, after, joined, \"left\", password_set, notes, link";
    format!(
        "UPDATE events SET position = -position WHERE position > {position}; \
         UPDATE events SET position = 1 - position WHERE position < 0; \
         INSERT INTO events (position, {columns}) SELECT position + 1, {columns} FROM events WHERE position = {position}; \
         UPDATE chains SET position = position + 1 WHERE position > {position}"
    )
}
