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
const IDLE_TIMEOUT_SECONDS: i64 = 15 * 60;
/// How many questions are walked at a time, over all clients.
const MAX_LISTS: usize = 1_024;
/// How many questions of one client, so that none can drive out the others'.
const MAX_LISTS_PER_CONNECTION: usize = 64;
/// Longer texts are not kept; whoever sorts by such uses cursors.
const MAX_SORT_TEXT_BYTES: usize = 128;
/// How many walks of one question by one client.
const MAX_ITERATIONS_PER_LIST: usize = 16;
/// How many page ends of one walk are kept, for clients that ask for a page again.
const MAX_PAGE_ENDS: usize = 4;

/// Whose walk over what.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ListKey {
    connection: ConnectionId,
    hash: u64,
}

impl ListKey {
    pub(crate) fn new(connection: ConnectionId, text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { connection, hash: hasher.finish() }
    }
}

/// All walks under way.
#[derive(Default)]
pub struct PagePositions {
    iterations: Mutex<HashMap<ListKey, Vec<Iteration>>>,
}

struct Iteration {
    last_used: Time,
    /// The index that the next page begins with, and the place it begins behind; newest last.
    page_ends: Vec<(u64, SortPosition)>,
}

impl PagePositions {
    /// Where the page that begins with `index` begins, if a page before it ended there.
    pub(crate) fn position(&self, list: ListKey, index: u64, sort: &Sort, now: Time) -> Option<SortPosition> {
        let open = self.iterations.lock();
        let walks = open.get(&list)?.iter().filter(|walk| is_active(walk, now));
        let ends = walks.flat_map(|walk| &walk.page_ends).filter(|(end, _)| *end == index);
        ends.map(|(_, place)| place).min_by(|a, b| sort.compare(a, b)).cloned()
    }

    /// Notes that a page that began with `index`, behind `from`, ended at `place`, so that the next one begins with
    /// `next`; `None` when there is no next.
    pub(crate) fn record_page(
        &self,
        list: ListKey,
        index: u64,
        from: Option<&SortPosition>,
        next: Option<(u64, SortPosition)>,
        now: Time,
    ) {
        let mut open = self.iterations.lock();
        let next = next.filter(|(_, place)| place.text.as_ref().is_none_or(|text| text.len() <= MAX_SORT_TEXT_BYTES));
        if !open.contains_key(&list) {
            if next.is_none() {
                return;
            }
            evict(&mut open, list, now);
        }
        let walks = open.entry(list).or_default();
        walks.retain(|walk| is_active(walk, now));
        let is_continued = |walk: &Iteration| {
            from.is_some_and(|from| walk.page_ends.iter().any(|(end, p)| *end == index && p == from))
        };
        let position = walks.iter().position(is_continued);
        match (position, next) {
            (Some(position), Some(end)) => {
                let walk = &mut walks[position];
                walk.last_used = now;
                if walk.page_ends.last() != Some(&end) {
                    walk.page_ends.push(end);
                }
                let surplus = walk.page_ends.len().saturating_sub(MAX_PAGE_ENDS);
                walk.page_ends.drain(..surplus);
            }
            // It has come to its end, and holds no other back any more.
            (Some(position), None) => drop(walks.swap_remove(position)),
            (None, Some(end)) => {
                if walks.len() >= MAX_ITERATIONS_PER_LIST {
                    let oldest = walks.iter().enumerate().min_by_key(|(_, walk)| walk.last_used).map(|(n, _)| n);
                    oldest.map(|oldest| walks.swap_remove(oldest));
                }
                walks.push(Iteration { last_used: now, page_ends: vec![end] });
            }
            (None, None) => {}
        }
    }
}

/// Lets the walk go that rested longest, where there are too many: of all, or of this client's own.
fn evict(open: &mut HashMap<ListKey, Vec<Iteration>>, list: ListKey, now: Time) {
    if open.len() >= MAX_LISTS {
        open.retain(|_, walks| walks.iter().any(|walk| is_active(walk, now)));
    }
    let own = |other: &ListKey| other.connection == list.connection;
    let is_full = open.len() >= MAX_LISTS;
    if is_full || open.keys().filter(|other| own(other)).count() >= MAX_LISTS_PER_CONNECTION {
        let candidates = open.iter().filter(|(other, _)| is_full || own(other));
        let oldest = candidates.min_by_key(|(_, walks)| walks.iter().map(|walk| walk.last_used).max());
        let oldest = oldest.map(|(question, _)| *question);
        oldest.and_then(|oldest| open.remove(&oldest));
    }
}

fn is_active(walk: &Iteration, now: Time) -> bool {
    now < walk.last_used.plus_seconds(IDLE_TIMEOUT_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_the_least_advanced_position_and_forgets_old_ones() {
        let walks = PagePositions::default();
        let list = ListKey::new(ConnectionId(uuid::Uuid::nil()), "all");
        let at = |number: u32| SortPosition { number, ..SortPosition::default() };
        let (sort, now) = (Sort::default(), Time(0));
        walks.record_page(list, 1, None, Some((101, at(100))), now);
        walks.record_page(list, 1, None, Some((101, at(107))), now);
        assert_eq!(walks.position(list, 101, &sort, now), Some(at(100)));
        assert_eq!(walks.position(ListKey::new(ConnectionId(uuid::Uuid::nil()), "some"), 101, &sort, now), None);
        let backward = Sort { descending: true, ..Sort::default() };
        assert_eq!(walks.position(list, 101, &backward, now), Some(at(107)), "furthest behind, in that order");
        walks.record_page(list, 101, Some(&at(100)), Some((201, at(210))), now);
        assert_eq!(walks.position(list, 101, &sort, now), Some(at(100)), "a page may be asked for again");
        walks.record_page(list, 201, Some(&at(210)), None, now);
        assert_eq!(walks.position(list, 101, &sort, now), Some(at(107)), "a walk that has ended holds nobody back");
        assert_eq!(walks.position(list, 101, &sort, now.plus_seconds(IDLE_TIMEOUT_SECONDS)), None);
        for n in 0..10_000 {
            walks.record_page(
                ListKey::new(ConnectionId(uuid::Uuid::nil()), &n.to_string()),
                1,
                None,
                Some((2, at(1))),
                now,
            );
        }
        assert!(walks.iterations.lock().len() <= MAX_LISTS_PER_CONNECTION);
        for n in 0..6_000 {
            let client = ConnectionId(uuid::Uuid::from_u128(n));
            walks.record_page(ListKey::new(client, "all"), 1, None, Some((2, at(1))), now);
        }
        assert!(walks.iterations.lock().len() <= MAX_LISTS);
    }
}
