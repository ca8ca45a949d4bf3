//! Every engine passes the same suite.

use crate::engines::{self, Fresh};
use directory::Store;
use std::sync::Arc;
use store::Memory;
use testkit::conformance::ALL;

fn run(make: impl Fn() -> Arc<dyn Store>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for (_, check) in ALL
        .iter()
        .chain(testkit::lives::ALL)
        .chain(testkit::arrivals::ALL)
        .chain(testkit::conflicts::ALL)
        .chain(testkit::memberships::ALL)
    {
        runtime.block_on(check(make()));
    }
}

#[test]
fn memory_passes_the_suite() {
    run(|| Arc::new(Memory::new()));
}

#[test]
fn sqlite_passes_the_suite() {
    let fresh = Fresh::default();
    run(|| fresh.sqlite());
}

#[test]
fn postgres_passes_the_suite() {
    run(|| Arc::new(engines::postgres(&testkit::postgres::migrated())));
}

#[test]
fn postgres_passes_the_suite_where_transactions_are_serializable() {
    let cluster = testkit::postgres::Cluster::start(&[("default_transaction_isolation", "'serializable'")]);
    run(|| Arc::new(engines::postgres(&cluster.database())));
}

/// Prepared statements mean nothing behind a pooler that gives another server with each transaction.
#[test]
fn postgres_passes_the_suite_behind_a_pooler() {
    let cluster = testkit::postgres::Cluster::start(&[]);
    // Each bouncer holds connections to the server as long as it is there.
    let current = std::cell::RefCell::new(None);
    run(|| {
        let bouncer = testkit::postgres::Bouncer::start(&cluster, &cluster.database());
        let store = engines::postgres(&bouncer.url());
        current.replace(Some(bouncer));
        Arc::new(store)
    });
}
