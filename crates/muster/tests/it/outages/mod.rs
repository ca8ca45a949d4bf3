//! Several processes on one PostgreSQL, and what goes wrong there: commits that fail, hang or lose their answer,
//! servers that are killed, stopped or replaced. Whatever was acknowledged must be there once, in every dialect.

mod client;
mod commit_faults;
mod database_outage;
mod failover;
mod load_balancer;
mod nodes;
mod three_processes;

/// A number by chance that is the same in every run: the `n`-th of a seed (`SplitMix64`).
pub(crate) fn random_at(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One of several, by such a number.
fn choose<T: Copy>(all: &[T], number: u64) -> T {
    all[usize::try_from(number % all.len() as u64).expect("an index")]
}

/// Figures for whoever watches.
#[expect(clippy::print_stdout, reason = "said by tests only, which hold it back unless asked")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}
