//! Choices for a generator, drawn beforehand as numbers: what is generated may then depend on what the model says at
//! that moment, and a failing case still shrinks. Zero is the plainest choice everywhere.

use proptest::prelude::*;

/// Numbers to be used up one after the other; after the last one, zeros.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    numbers: Vec<u16>,
    next: usize,
}

impl Choices {
    pub(crate) fn strategy(most: usize) -> impl Strategy<Value = Self> {
        proptest::collection::vec(any::<u16>(), most / 2..=most).prop_map(|numbers| Self { numbers, next: 0 })
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let number = self.numbers.get(self.next).copied().unwrap_or_default();
        self.next += 1;
        usize::from(number) % limit
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(crate) fn choose<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// A word in its own case or another.
    pub(crate) fn random_case(&mut self, word: &str) -> String {
        match self.below(6) {
            3 => word.to_ascii_lowercase(),
            4 => word.to_ascii_uppercase(),
            5 => word.chars().enumerate().map(|(i, c)| alternating(i, c)).collect(),
            _ => word.to_owned(),
        }
    }
}

fn alternating(place: usize, c: char) -> char {
    if place.is_multiple_of(2) { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}
