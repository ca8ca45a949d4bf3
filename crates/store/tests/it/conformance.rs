//! Every engine passes the shared conformance suite.

use crate::test_stores::{self, FreshStores};
use directory::Store;
use std::sync::Arc;
use store::Memory;
use testkit::conformance::ALL;

fn run_suite(make: impl Fn() -> Arc<dyn Store>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for (_, check) in ALL
        .iter()
        .chain(testkit::account_conformance::ALL)
        .chain(testkit::import_conformance::ALL)
        .chain(testkit::conflict_conformance::ALL)
        .chain(testkit::lookup_conformance::ALL)
        .chain(testkit::membership_conformance::ALL)
        .chain(testkit::table_conformance::ALL)
        .chain(testkit::task_conformance::ALL)
    {
        runtime.block_on(check(make()));
    }
}

#[test]
fn memory_passes_the_suite() {
    run_suite(|| Arc::new(Memory::new()));
}

#[test]
fn sqlite_passes_the_suite() {
    let fresh = FreshStores::default();
    run_suite(|| fresh.sqlite());
}

#[test]
fn postgres_passes_the_suite() {
    run_suite(|| Arc::new(test_stores::postgres(&testkit::postgres::create_migrated_database())));
}

#[test]
fn postgres_passes_the_suite_where_transactions_are_serializable() {
    let cluster = testkit::postgres::Cluster::start(&[("default_transaction_isolation", "'serializable'")]);
    run_suite(|| Arc::new(test_stores::postgres(&cluster.create_database())));
}

/// A transaction pooler loses prepared statements.
#[test]
fn postgres_passes_the_suite_behind_a_pooler() {
    let cluster = testkit::postgres::Cluster::start(&[]);
    // A running bouncer holds connections to the server, so only the current one is kept.
    let current = std::cell::RefCell::new(None);
    run_suite(|| {
        let bouncer = testkit::postgres::PgBouncer::start(&cluster, &cluster.create_database());
        let store = test_stores::postgres(&bouncer.url());
        current.replace(Some(bouncer));
        Arc::new(store)
    });
}
