//! Random choices for a generator, drawn beforehand as numbers: the generated value may then depend on the current
//! state of the model, and failing cases still shrink. Zero is always the simplest choice.

use proptest::prelude::*;

/// Numbers that are used in order; zeros after the last one.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    numbers: Vec<u16>,
    next: usize,
}

impl Choices {
    pub(crate) fn strategy(most: usize) -> impl Strategy<Value = Self> {
        proptest::collection::vec(any::<u16>(), most / 2..=most).prop_map(|numbers| Self { numbers, next: 0 })
    }

    /// A number less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let number = self.numbers.get(self.next).copied().unwrap_or_default();
        self.next += 1;
        usize::from(number) % limit
    }

    /// True with a probability of 1 in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(crate) fn choose<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// A word with random case.
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
