//! A bounded queue with one subqueue per key. Keys are served round-robin; when the queue is full, the last item of the
//! longest subqueue is dropped.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

pub(crate) struct FairQueue<K, T> {
    subqueues: HashMap<K, VecDeque<T>>,
    /// Keys with waiting items, each once; the first is served next.
    rotation: VecDeque<K>,
    len: usize,
    limit: usize,
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    /// A queue of at most `limit` items.
    pub(crate) fn new(limit: usize) -> Self {
        Self { subqueues: HashMap::new(), rotation: VecDeque::new(), len: 0, limit }
    }

    /// Queues an item. Returns the item that is dropped because the queue is full: this one, or another key's last.
    #[must_use]
    pub(crate) fn push(&mut self, key: K, item: T) -> Option<T> {
        let mut displaced = None;
        if self.len >= self.limit {
            let own = self.subqueues.get(&key).map_or(0, VecDeque::len);
            let longest = self.subqueues.values_mut().max_by_key(|items| items.len());
            // A key with nearly as many items as the longest one displaces nothing.
            let Some(longest) = longest.filter(|items| items.len() > own + 1) else { return Some(item) };
            displaced = longest.pop_back();
            self.len -= 1;
        }
        let items = self.subqueues.entry(key).or_default();
        if items.is_empty() {
            self.rotation.push_back(key);
        }
        items.push_back(item);
        self.len += 1;
        displaced
    }

    /// The first item of the next key.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let key = self.rotation.pop_front()?;
        let items = self.subqueues.get_mut(&key)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.subqueues.remove(&key);
        } else {
            self.rotation.push_back(key);
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

    /// Keeps only the items for which `is_wanted` returns true.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&T) -> bool) {
        self.subqueues.retain(|_, items| {
            items.retain(&is_wanted);
            !items.is_empty()
        });
        self.rotation.retain(|key| self.subqueues.contains_key(key));
        self.len = self.subqueues.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_served_round_robin_in_order() {
        let mut queue = FairQueue::new(100);
        for item in ["a1", "a2", "a3", "b1", "c1", "b2"] {
            assert_eq!(queue.push(item.as_bytes()[0], item), None);
        }
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(all, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!((queue.len(), queue.subqueues.len(), queue.rotation.len()), (0, 0, 0));
    }

    #[test]
    fn full_queue_drops_from_longest_subqueue() {
        let mut queue = FairQueue::new(4);
        for number in 0..4 {
            assert_eq!(queue.push('a', number), None);
        }
        assert_eq!(queue.push('a', 4), Some(4), "a single key displaces nothing");
        assert_eq!(queue.push('b', 10), Some(3));
        assert_eq!(queue.push('b', 11), Some(2));
        assert_eq!(queue.push('b', 12), Some(12), "no key gets more than its share");
        let displaced = queue.push('c', 20);
        assert!(displaced == Some(1) || displaced == Some(11), "{displaced:?}");
        assert!(queue.push('d', 30).is_some_and(|displaced| displaced < 20));
        assert_eq!(queue.push('e', 40), Some(40), "a key's only item is not displaced");
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(all, [0, 10, 20, 30]);
    }

    #[test]
    fn retain_frees_capacity() {
        let mut queue = FairQueue::new(3);
        for (key, number) in [('a', 1), ('b', 2), ('a', 3)] {
            assert_eq!(queue.push(key, number), None);
        }
        queue.retain(|number| *number == 3);
        assert_eq!((queue.len(), queue.is_full()), (1, false));
        assert_eq!(queue.push('c', 4), None);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(3), Some(4), None));
    }
}
