//! Paging by index: remembers where pages of a list ended, so that the next page starts exactly there.
//!
//! A client that pages by `startIndex` would miss users when one on an earlier page is deleted, since all later
//! users move up by one. So the end of each page is stored as a [`SortPosition`], and the next page starts behind
//! it. If several iterations of the same client and query are at the same index, the least advanced position is
//! used: such a client may see a user twice, but never misses one.
//!
//! The positions are bounded in age and number, to 16 MiB. They are optional: without one, the page is found by
//! counting. Processes do not share them; clients that switch between processes use cursors.

use directory::{ConnectionId, Sort, SortPosition, Time};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Maximum time between two pages of an iteration.
const IDLE_TIMEOUT_SECONDS: i64 = 15 * 60;
/// Maximum number of lists being iterated, over all clients.
const MAX_LISTS: usize = 1_024;
/// Maximum number of lists of one client, so that it cannot evict those of others.
const MAX_LISTS_PER_CONNECTION: usize = 64;
/// Positions with longer sort keys are not stored; clients that sort by such keys use cursors.
const MAX_SORT_TEXT_BYTES: usize = 128;
/// Maximum number of iterations of one list by one client.
const MAX_ITERATIONS_PER_LIST: usize = 16;
/// Number of page ends kept per iteration, for clients that request a page again.
const MAX_PAGE_ENDS: usize = 4;

/// A client and its query.
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

#[derive(Default)]
pub struct PagePositions {
    iterations: Mutex<HashMap<ListKey, Vec<Iteration>>>,
}

struct Iteration {
    last_used: Time,
    /// Index of the next page, and the position behind which it starts; newest last.
    page_ends: Vec<(u64, SortPosition)>,
}

impl PagePositions {
    /// The position behind which the page at `index` starts, if the page before it was recorded.
    pub(crate) fn position(&self, list: ListKey, index: u64, sort: &Sort, now: Time) -> Option<SortPosition> {
        let open = self.iterations.lock();
        let iterations = open.get(&list)?.iter().filter(|iteration| is_active(iteration, now));
        let ends = iterations.flat_map(|iteration| &iteration.page_ends).filter(|(end, _)| *end == index);
        ends.map(|(_, place)| place).min_by(|a, b| sort.compare(a, b)).cloned()
    }

    /// Records the end of the page at `index`, which started behind `from`. `next` is the index of the next page and
    /// the position behind which it starts; `None` after the last page.
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
        let iterations = open.entry(list).or_default();
        iterations.retain(|iteration| is_active(iteration, now));
        let is_continued = |iteration: &Iteration| {
            from.is_some_and(|from| iteration.page_ends.iter().any(|(end, p)| *end == index && p == from))
        };
        let position = iterations.iter().position(is_continued);
        match (position, next) {
            (Some(position), Some(end)) => {
                let iteration = &mut iterations[position];
                iteration.last_used = now;
                if iteration.page_ends.last() != Some(&end) {
                    iteration.page_ends.push(end);
                }
                let surplus = iteration.page_ends.len().saturating_sub(MAX_PAGE_ENDS);
                iteration.page_ends.drain(..surplus);
            }
            // A finished iteration must not hold others back.
            (Some(position), None) => drop(iterations.swap_remove(position)),
            (None, Some(end)) => {
                if iterations.len() >= MAX_ITERATIONS_PER_LIST {
                    let oldest = iterations.iter().enumerate().min_by_key(|(_, walk)| walk.last_used).map(|(n, _)| n);
                    oldest.map(|oldest| iterations.swap_remove(oldest));
                }
                iterations.push(Iteration { last_used: now, page_ends: vec![end] });
            }
            (None, None) => {}
        }
    }
}

/// Removes the list that has been idle longest if there are too many: of all clients, or of this client.
fn evict(open: &mut HashMap<ListKey, Vec<Iteration>>, list: ListKey, now: Time) {
    if open.len() >= MAX_LISTS {
        open.retain(|_, iterations| iterations.iter().any(|iteration| is_active(iteration, now)));
    }
    let own = |other: &ListKey| other.connection == list.connection;
    let is_full = open.len() >= MAX_LISTS;
    if is_full || open.keys().filter(|other| own(other)).count() >= MAX_LISTS_PER_CONNECTION {
        let candidates = open.iter().filter(|(other, _)| is_full || own(other));
        let oldest = candidates.min_by_key(|(_, walks)| walks.iter().map(|iteration| iteration.last_used).max());
        let oldest = oldest.map(|(question, _)| *question);
        oldest.and_then(|oldest| open.remove(&oldest));
    }
}

fn is_active(iteration: &Iteration, now: Time) -> bool {
    now < iteration.last_used.plus_seconds(IDLE_TIMEOUT_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_the_least_advanced_position_and_forgets_old_ones() {
        let positions = PagePositions::default();
        let list = ListKey::new(ConnectionId(uuid::Uuid::nil()), "all");
        let at = |number: u32| SortPosition { number, ..SortPosition::default() };
        let (sort, now) = (Sort::default(), Time(0));
        positions.record_page(list, 1, None, Some((101, at(100))), now);
        positions.record_page(list, 1, None, Some((101, at(107))), now);
        assert_eq!(positions.position(list, 101, &sort, now), Some(at(100)));
        assert_eq!(positions.position(ListKey::new(ConnectionId(uuid::Uuid::nil()), "some"), 101, &sort, now), None);
        let backward = Sort { descending: true, ..Sort::default() };
        assert_eq!(positions.position(list, 101, &backward, now), Some(at(107)), "the least advanced in that order");
        positions.record_page(list, 101, Some(&at(100)), Some((201, at(210))), now);
        assert_eq!(positions.position(list, 101, &sort, now), Some(at(100)), "a page may be requested again");
        positions.record_page(list, 201, Some(&at(210)), None, now);
        assert_eq!(positions.position(list, 101, &sort, now), Some(at(107)), "finished iterations have no effect");
        assert_eq!(positions.position(list, 101, &sort, now.plus_seconds(IDLE_TIMEOUT_SECONDS)), None);
        for n in 0..10_000 {
            positions.record_page(
                ListKey::new(ConnectionId(uuid::Uuid::nil()), &n.to_string()),
                1,
                None,
                Some((2, at(1))),
                now,
            );
        }
        assert!(positions.iterations.lock().len() <= MAX_LISTS_PER_CONNECTION);
        for n in 0..6_000 {
            let client = ConnectionId(uuid::Uuid::from_u128(n));
            positions.record_page(ListKey::new(client, "all"), 1, None, Some((2, at(1))), now);
        }
        assert!(positions.iterations.lock().len() <= MAX_LISTS);
    }
}
