//! Seeds for randomized tests: fixed, so that runs are repeatable, or fresh in long runs (`cargo xtask test --long`, or
//! `MUSTER_TEST_LONG=1`).

use proptest::test_runner::{Config, RngSeed};
use std::hash::{BuildHasher, RandomState};

const LONG_RUN_FACTOR: u32 = 5;

/// The proptest seed of normal runs.
const SEED: u64 = 20_261_127;

pub fn is_long_run() -> bool {
    std::env::var_os("MUSTER_TEST_LONG").is_some_and(|value| !value.is_empty() && value != "0")
}

/// The number of repetitions for this run, given the number for a normal run.
pub fn repetitions(usual: u32) -> u32 {
    if is_long_run() { usual.saturating_mul(LONG_RUN_FACTOR) } else { usual }
}

/// A seed for [`crate::generators::Rng`]: `fixed` in a normal run. A fresh seed is printed, so that a failure shows it.
#[expect(clippy::print_stdout, reason = "tests print it only when they fail")]
pub fn seed(fixed: u64) -> u64 {
    if !is_long_run() {
        return fixed;
    }
    let seed = RandomState::new().hash_one(fixed);
    println!("using seed {seed} instead of {fixed}");
    seed
}

/// The proptest configuration: `cases` from a fixed seed, or more from a fresh seed in a long run. Stored regressions
/// run first in both; they are next to `source`, which is `file!()`.
pub fn proptest_config(cases: u32, source: &'static str) -> Config {
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let rng_seed = if is_long_run() { RngSeed::Random } else { RngSeed::Fixed(SEED) };
    Config {
        cases: given.unwrap_or_else(|| repetitions(cases)),
        rng_seed,
        source_file: Some(source),
        ..Config::default()
    }
}
