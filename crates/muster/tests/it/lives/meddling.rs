//! Whoever changes the history in the store behind the program's back is found out, and where.

use super::ledger::Ledger;
use super::run;
use crate::support::is_on_postgres;
use testkit::chance::Dice;

/// Everything of an event that can be changed.
fn columns() -> [&'static str; 13] {
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

/// The row of a position.
fn at(position: u64) -> String {
    if is_on_postgres() {
        return format!(
            "(batch, place) IN (SELECT id, ({position} - (position - events) - 1)::int FROM batches \
             WHERE position >= {position} AND position - events < {position})"
        );
    }
    format!("position = {position}")
}

/// What a column holds, with one byte of it changed; where it holds nothing, something.
fn changed(column: &str, other: u32, dice: &mut Dice) -> String {
    let (c, at) = (format!("\"{column}\""), dice.roll(100_000));
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
fn one_changed_byte_is_found_where_it_is() {
    let ledger = Ledger::new();
    ledger.is_whole();
    let mut dice = Dice::new(testkit::seeds::seed(20_261_126));
    assert!(ledger.positions.len() > 30, "{}", ledger.positions.len());
    let mut wrong = Vec::new();
    let mut left = ledger.positions.clone();
    for _ in 0..30 {
        let pick = usize::try_from(dice.roll(left.len() as u64)).expect("small");
        let position = left.swap_remove(pick);
        let told = usize::try_from(dice.roll(13)).expect("small");
        for (n, column) in columns().into_iter().enumerate() {
            let new = changed(column, ledger.other, &mut dice);
            ledger.does(&format!("UPDATE events SET \"{column}\" = {new} WHERE {}", at(position)));
            // One that was given to somebody else is one too many there, and missing here.
            let tenant = if column == "tenant" { ledger.other } else { ledger.tenant };
            let broken = ledger.broken(tenant);
            // On a server, what is put in front of all that is chained looks as if it were older than the chain.
            let is_older = is_on_postgres() && tenant == ledger.other && position < ledger.others_first;
            if (broken != Some(position) && !is_older) || !ledger.misses(position, column == "tenant") {
                let own = ledger.broken(ledger.tenant);
                wrong.push(format!("{column} of {position}: {broken:?} in {tenant}, {own:?} in its own"));
            }
            if n == told {
                let (is_well, said) = run(ledger.store(), &["audit", "verify"]);
                let is_named =
                    said.contains(&format!("BROKEN at position {position}.")) || column == "tenant";
                assert!(!is_well && said.contains("BROKEN") && is_named, "{column} of {position}: {said}");
            }
        }
        ledger.does("SELECT 1");
        assert_eq!(ledger.broken(ledger.tenant), None, "undone at {position}");
    }
    assert!(wrong.is_empty(), "{} are not found: {wrong:#?}", wrong.len());
    ledger.is_whole();
}

#[test]
fn what_is_missing_forged_or_swapped_is_found() {
    let ledger = Ledger::new();
    let all = &ledger.positions;
    let (first, middle, last) = (all[0], all[all.len() / 2], all[all.len() - 1]);
    for position in [first, middle, all[all.len() - 2], last] {
        ledger.does(&format!("DELETE FROM events WHERE {}", at(position)));
        assert!(ledger.misses(position, true), "{position}: {:?}", ledger.broken(ledger.tenant));
        assert!(!ledger.said().0);
    }
    // The last ones of all.
    ledger.does(&format!("DELETE FROM events WHERE {} OR {}", at(last), at(all[all.len() - 2])));
    assert!(ledger.broken(ledger.tenant).is_some() && !ledger.said().0);
    for (one, two) in [(first, middle), (middle, last), (all[3], all[4])] {
        ledger.does(&swapped(one, two));
        assert_eq!(ledger.broken(ledger.tenant), Some(one), "{one} and {two}");
        assert!(!ledger.said().0);
    }
    for position in [middle, last] {
        ledger.does(&forged(position));
        let broken = ledger.broken(ledger.tenant);
        println!("a forged event after {position}: {broken:?}");
        assert!(
            broken.is_some_and(|broken| broken > position - u64::from(is_on_postgres())),
            "after {position}: {broken:?}"
        );
        assert!(!ledger.said().0);
    }
    ledger.is_whole();
}

#[test]
fn what_is_taken_out_of_the_chain_is_found() {
    let ledger = Ledger::new();
    let (tenant, all) = (ledger.tenant, &ledger.positions);
    for last in [all[0], all[3], all[all.len() - 2]] {
        // As if it had been written before there was a chain, and then somebody else has done it.
        ledger.does(&if is_on_postgres() {
            let batches = format!("SELECT id FROM batches WHERE position <= {last}");
            format!(
                "UPDATE events SET who = 'eve', digest = NULL WHERE tenant = {tenant} AND batch IN ({batches}); \
                 DELETE FROM links WHERE tenant = {tenant} AND batch IN ({batches})"
            )
        } else {
            format!("UPDATE events SET who = 'eve', link = NULL WHERE tenant = {tenant} AND position <= {last}")
        });
        let broken = ledger.broken(tenant);
        println!("no link up to {last}: {broken:?}");
        assert!(broken.is_some() && !ledger.said().0, "up to {last}");
    }
}

#[test]
fn nobody_gets_a_history_from_before_there_was_one() {
    let ledger = Ledger::new();
    let tenant = ledger.tenant;
    let (digest, links) = if is_on_postgres() { ("digest", "DELETE FROM links; ") } else { ("link", "") };
    let undone = format!("{links}DELETE FROM chains; UPDATE events SET who = 'eve', {digest} = NULL");
    let in_front = if is_on_postgres() {
        // Events of the other tenant that stand before its first one.
        let (other, first) = (ledger.other, at(1));
        format!("UPDATE events SET tenant = {other}, digest = NULL WHERE {first}")
    } else {
        let kept = columns().map(|column| format!("\"{column}\"")).join(", ").replace("\"link\"", "NULL");
        let into = kept.replace("NULL", "link");
        format!("INSERT INTO events (position, {into}) SELECT 0, {kept} FROM events WHERE position = 1")
    };
    let found = [undone, in_front].map(|what| {
        ledger.does(&what);
        let found = [tenant, ledger.other].map(|tenant| ledger.broken(tenant));
        println!("{found:?}");
        found
    });
    assert!(found[0].iter().all(Option::is_some), "the whole chain was taken away: {found:?}");
    let forged = found[1][usize::from(is_on_postgres())];
    assert!(forged.is_some(), "an event was put in front: {found:?}");
}

/// Two events in one another's place.
fn swapped(one: u64, two: u64) -> String {
    if is_on_postgres() {
        let place = |position: u64| format!("FROM kept_events WHERE {}", at(position));
        let moved = |from: u64, to: u64| {
            format!(
                "UPDATE events SET batch = (SELECT batch {0}), place = (SELECT place + 1000000 {0}) WHERE {1}",
                place(to),
                at(from)
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

/// One more event after a position, which is like the one there. Everything after it moves on by one.
fn forged(position: u64) -> String {
    if is_on_postgres() {
        let columns = "tenant, at, connection, who, request, action, before, after, joined, departed, password_set, notes, digest";
        return format!(
            "UPDATE events SET place = place + 1000001 WHERE batch = (SELECT batch FROM kept_events WHERE {0}) \
             AND place > (SELECT place FROM kept_events WHERE {0}); \
             UPDATE events SET place = place - 1000000 WHERE place > 1000000; \
             INSERT INTO events (batch, place, {columns}) SELECT batch, place + 1, {columns} FROM kept_events WHERE {0}; \
             UPDATE batches SET events = events + 1 WHERE id = (SELECT batch FROM kept_events WHERE {0}); \
             UPDATE batches SET position = position + 1 WHERE position >= {position}",
            at(position).replace("FROM batches", "FROM kept_batches")
        );
    }
    let columns = "tenant, at, connection, who, request, action, before, after, joined, \"left\", password_set, notes, link";
    format!(
        "UPDATE events SET position = -position WHERE position > {position}; \
         UPDATE events SET position = 1 - position WHERE position < 0; \
         INSERT INTO events (position, {columns}) SELECT position + 1, {columns} FROM events WHERE position = {position}; \
         UPDATE chains SET position = position + 1 WHERE position > {position}"
    )
}
