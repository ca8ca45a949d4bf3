//! A bounded queue that several parties share fairly: they take turns, and where it is full, whoever has most waiting
//! gives up the last of it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

pub(crate) struct FairQueue<K, T> {
    waiting: HashMap<K, VecDeque<T>>,
    /// Who has something waiting, each once; the first is next.
    turns: VecDeque<K>,
    len: usize,
    limit: usize,
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    /// A queue in which so many may wait.
    pub(crate) fn new(limit: usize) -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new(), len: 0, limit }
    }

    /// Queues an item of a party; gives back what has no room: this item, or the last one of another party.
    #[must_use]
    pub(crate) fn push(&mut self, party: K, item: T) -> Option<T> {
        let mut displaced = None;
        if self.len >= self.limit {
            let own = self.waiting.get(&party).map_or(0, VecDeque::len);
            let longest = self.waiting.values_mut().max_by_key(|items| items.len());
            // One more than the others at the most.
            let Some(longest) = longest.filter(|items| items.len() > own + 1) else { return Some(item) };
            displaced = longest.pop_back();
            self.len -= 1;
        }
        let items = self.waiting.entry(party).or_default();
        if items.is_empty() {
            self.turns.push_back(party);
        }
        items.push_back(item);
        self.len += 1;
        displaced
    }

    /// The next item: the first of the party whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let party = self.turns.pop_front()?;
        let items = self.waiting.get_mut(&party)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.waiting.remove(&party);
        } else {
            self.turns.push_back(party);
        }
        self.len -= 1;
        item
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    /// Removes what is no longer wanted.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&T) -> bool) {
        self.waiting.retain(|_, items| {
            items.retain(&is_wanted);
            !items.is_empty()
        });
        self.turns.retain(|party| self.waiting.contains_key(party));
        self.len = self.waiting.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_take_turns_and_each_keeps_its_order() {
        let mut queue = FairQueue::new(100);
        for item in ["a1", "a2", "a3", "b1", "c1", "b2"] {
            assert_eq!(queue.push(item.as_bytes()[0], item), None);
        }
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(all, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!((queue.len(), queue.waiting.len(), queue.turns.len()), (0, 0, 0));
    }

    #[test]
    fn whoever_has_most_waiting_makes_room() {
        let mut queue = FairQueue::new(4);
        for number in 0..4 {
            assert_eq!(queue.push('a', number), None);
        }
        assert_eq!(queue.push('a', 4), Some(4), "one party alone fills it and displaces nobody");
        assert_eq!(queue.push('b', 10), Some(3));
        assert_eq!(queue.push('b', 11), Some(2));
        assert_eq!(queue.push('b', 12), Some(12), "no party gets more than its share");
        let displaced = queue.push('c', 20);
        assert!(displaced == Some(1) || displaced == Some(11), "{displaced:?}");
        assert!(queue.push('d', 30).is_some_and(|displaced| displaced < 20));
        assert_eq!(queue.push('e', 40), Some(40), "nobody is displaced who has one waiting");
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(all, [0, 10, 20, 30]);
    }

    #[test]
    fn what_is_not_wanted_any_more_takes_no_room() {
        let mut queue = FairQueue::new(3);
        for (party, number) in [('a', 1), ('b', 2), ('a', 3)] {
            assert_eq!(queue.push(party, number), None);
        }
        queue.retain(|number| *number == 3);
        assert_eq!((queue.len(), queue.is_full()), (1, false));
        assert_eq!(queue.push('c', 4), None);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(3), Some(4), None));
    }
}
