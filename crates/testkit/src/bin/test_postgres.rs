//! One PostgreSQL server for a whole run of tests: prints its URL, and ends it when standard input closes.

use std::io::Read;
use testkit::postgres::Cluster;

#[expect(clippy::print_stdout, reason = "the caller reads the URL there")]
fn main() {
    // Hundreds of short-lived databases: autovacuum would start a process for each in turn, and nothing needs checkpoints
    // and page images in the log.
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
