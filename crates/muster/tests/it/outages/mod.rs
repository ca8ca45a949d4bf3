//! Several processes on one PostgreSQL database with faults: commits that fail, hang or lose their reply, and servers
//! that are killed, suspended or replaced. Acknowledged changes must exist exactly once in every dialect.

mod client;
mod commit_faults;
mod database_outage;
mod failover;
mod gateway_pause;
mod load_balancer;
mod nodes;
mod three_processes;

/// The `n`-th pseudorandom number of a seed (`SplitMix64`), the same in every run.
pub(crate) fn random_at(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn choose<T: Copy>(all: &[T], number: u64) -> T {
    all[usize::try_from(number % all.len() as u64).expect("an index")]
}

#[expect(clippy::print_stdout, reason = "the test harness captures it")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}
