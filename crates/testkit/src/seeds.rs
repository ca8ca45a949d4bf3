//! Where randomness in tests comes from: fixed seeds, so that a run does what the run before it did, or fresh ones in long
//! runs (`cargo xtask test --long`, or `MUSTER_TEST_LONG=1`).

use proptest::test_runner::{Config, RngSeed};
use std::hash::{BuildHasher, RandomState};

/// How many times as much is tried in a long run.
const LONG_RUN_FACTOR: u32 = 5;

/// What proptest generates its cases from in a usual run.
const SEED: u64 = 20_261_127;

/// Whether this is a long run.
pub fn is_long_run() -> bool {
    std::env::var_os("MUSTER_TEST_LONG").is_some_and(|value| !value.is_empty() && value != "0")
}

/// How often to do something that is done so often in a usual run.
pub fn repetitions(usual: u32) -> u32 {
    if is_long_run() { usual.saturating_mul(LONG_RUN_FACTOR) } else { usual }
}

/// A seed for [`crate::generators::Dice`]: this one in a usual run. A fresh one is printed, so that a failure shows it.
#[expect(clippy::print_stdout, reason = "tests print it only when they fail")]
pub fn seed(fixed: u64) -> u64 {
    if !is_long_run() {
        return fixed;
    }
    let seed = RandomState::new().hash_one(fixed);
    println!("the seed is {seed} instead of {fixed}");
    seed
}

/// How proptest runs: so many cases of a fixed seed, or more of fresh ones. Stored regressions come first in either run;
/// `source` is `file!()`, beside which they are looked for.
pub fn proptest_config(cases: u32, source: &'static str) -> Config {
    let rng_seed = if is_long_run() { RngSeed::Random } else { RngSeed::Fixed(SEED) };
    Config { cases: repetitions(cases), rng_seed, source_file: Some(source), ..Config::default() }
}
