//! Walks by index: where the pages of a list ended, so that the next one begins right there.
//!
//! A client that counts (`startIndex`) loses people when somebody it has passed is deleted: everybody behind moves up
//! by one. So each page's end is remembered as a *place*, and the page that is asked for next begins behind that. Of
//! several walks that stand at the same index, the one that is furthest behind counts: a walk that is disturbed by
//! another of the same client and question may see somebody twice, and never misses anybody.
//!
//! What is remembered is bounded in time and number, to 16 MiB. It helps and is not needed: without it, pages are counted off.
//! A second process knows nothing of it; clients that move between processes use cursors.

use directory::{ConnectionId, Sort, SortPosition, Time};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// How long a walk may rest between two pages.
const REST_SECONDS: i64 = 15 * 60;
/// How many questions are walked at a time, over all clients.
const QUESTIONS: usize = 1_024;
/// How many questions of one client, so that none can drive out the others'.
const QUESTIONS_OF_ONE: usize = 64;
/// Longer texts are not kept; whoever sorts by such uses cursors.
const LONGEST_TEXT: usize = 128;
/// How many walks of one question by one client.
const WALKS: usize = 16;
/// How many page ends of one walk are kept, for clients that ask for a page again.
const ENDS: usize = 4;

/// Whose walk over what.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    connection: ConnectionId,
    hash: u64,
}

impl Question {
    pub(crate) fn new(connection: ConnectionId, text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { connection, hash: hasher.finish() }
    }
}

/// All walks under way.
#[derive(Default)]
pub struct Walks {
    open: Mutex<HashMap<Question, Vec<Walk>>>,
}

struct Walk {
    used: Time,
    /// The index that the next page begins with, and the place it begins behind; newest last.
    ends: Vec<(u64, SortPosition)>,
}

impl Walks {
    /// Where the page that begins with `index` begins, if a page before it ended there.
    pub(crate) fn place(
        &self,
        question: Question,
        index: u64,
        sort: &Sort,
        now: Time,
    ) -> Option<SortPosition> {
        let open = self.open.lock();
        let walks = open.get(&question)?.iter().filter(|walk| is_fresh(walk, now));
        let ends = walks.flat_map(|walk| &walk.ends).filter(|(end, _)| *end == index);
        ends.map(|(_, place)| place).min_by(|a, b| sort.compare(a, b)).cloned()
    }

    /// Notes that a page that began with `index`, behind `from`, ended at `place`, so that the next one begins with
    /// `next`; `None` when there is no next.
    pub(crate) fn note(
        &self,
        question: Question,
        index: u64,
        from: Option<&SortPosition>,
        next: Option<(u64, SortPosition)>,
        now: Time,
    ) {
        let mut open = self.open.lock();
        let next =
            next.filter(|(_, place)| place.text.as_ref().is_none_or(|text| text.len() <= LONGEST_TEXT));
        if !open.contains_key(&question) {
            if next.is_none() {
                return;
            }
            make_room(&mut open, question, now);
        }
        let walks = open.entry(question).or_default();
        walks.retain(|walk| is_fresh(walk, now));
        let stood = |walk: &Walk| {
            from.is_some_and(|from| walk.ends.iter().any(|(end, p)| *end == index && p == from))
        };
        let place = walks.iter().position(stood);
        match (place, next) {
            (Some(place), Some(end)) => {
                let walk = &mut walks[place];
                walk.used = now;
                if walk.ends.last() != Some(&end) {
                    walk.ends.push(end);
                }
                let surplus = walk.ends.len().saturating_sub(ENDS);
                walk.ends.drain(..surplus);
            }
            // It has come to its end, and holds no other back any more.
            (Some(place), None) => drop(walks.swap_remove(place)),
            (None, Some(end)) => {
                if walks.len() >= WALKS {
                    let oldest = walks.iter().enumerate().min_by_key(|(_, walk)| walk.used).map(|(n, _)| n);
                    oldest.map(|oldest| walks.swap_remove(oldest));
                }
                walks.push(Walk { used: now, ends: vec![end] });
            }
            (None, None) => {}
        }
    }
}

/// Lets the walk go that rested longest, where there are too many: of all, or of this client's own.
fn make_room(open: &mut HashMap<Question, Vec<Walk>>, question: Question, now: Time) {
    if open.len() >= QUESTIONS {
        open.retain(|_, walks| walks.iter().any(|walk| is_fresh(walk, now)));
    }
    let own = |other: &Question| other.connection == question.connection;
    let is_full = open.len() >= QUESTIONS;
    if is_full || open.keys().filter(|other| own(other)).count() >= QUESTIONS_OF_ONE {
        let rested = open.iter().filter(|(other, _)| is_full || own(other));
        let oldest = rested.min_by_key(|(_, walks)| walks.iter().map(|walk| walk.used).max());
        let oldest = oldest.map(|(question, _)| *question);
        oldest.and_then(|oldest| open.remove(&oldest));
    }
}

fn is_fresh(walk: &Walk, now: Time) -> bool {
    now < walk.used.plus_seconds(REST_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_furthest_behind_counts_and_ends_are_forgotten() {
        let walks = Walks::default();
        let question = Question::new(ConnectionId(uuid::Uuid::nil()), "all");
        let at = |number: u32| SortPosition { number, ..SortPosition::default() };
        let (sort, now) = (Sort::default(), Time(0));
        walks.note(question, 1, None, Some((101, at(100))), now);
        walks.note(question, 1, None, Some((101, at(107))), now);
        assert_eq!(walks.place(question, 101, &sort, now), Some(at(100)));
        assert_eq!(
            walks.place(Question::new(ConnectionId(uuid::Uuid::nil()), "some"), 101, &sort, now),
            None
        );
        let backward = Sort { descending: true, ..Sort::default() };
        assert_eq!(
            walks.place(question, 101, &backward, now),
            Some(at(107)),
            "furthest behind, in that order"
        );
        walks.note(question, 101, Some(&at(100)), Some((201, at(210))), now);
        assert_eq!(walks.place(question, 101, &sort, now), Some(at(100)), "a page may be asked for again");
        walks.note(question, 201, Some(&at(210)), None, now);
        assert_eq!(
            walks.place(question, 101, &sort, now),
            Some(at(107)),
            "a walk that has ended holds nobody back"
        );
        assert_eq!(walks.place(question, 101, &sort, now.plus_seconds(REST_SECONDS)), None);
        for n in 0..10_000 {
            walks.note(
                Question::new(ConnectionId(uuid::Uuid::nil()), &n.to_string()),
                1,
                None,
                Some((2, at(1))),
                now,
            );
        }
        assert!(walks.open.lock().len() <= QUESTIONS_OF_ONE);
        for n in 0..6_000 {
            let client = ConnectionId(uuid::Uuid::from_u128(n));
            walks.note(Question::new(client, "all"), 1, None, Some((2, at(1))), now);
        }
        assert!(walks.open.lock().len() <= QUESTIONS);
    }
}
