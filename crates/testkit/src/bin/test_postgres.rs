//! Runs one PostgreSQL server for a complete test run: prints its URL and stops it when standard input closes.

use std::io::Read;
use testkit::postgres::Cluster;

#[expect(clippy::print_stdout, reason = "the caller reads the URL there")]
fn main() {
    // Tests create hundreds of short-lived databases. Autovacuum would start a process for each, and checkpoints and
    // full page images are not needed.
    let cluster = Cluster::start(&[
        ("autovacuum", "off"),
        ("jit", "off"),
        ("full_page_writes", "off"),
        ("max_wal_size", "'8GB'"),
        ("checkpoint_timeout", "'1h'"),
    ]);
    println!("{}", cluster.url("postgres"));
    let mut rest = Vec::new();
    drop(std::io::stdin().read_to_end(&mut rest));
}
