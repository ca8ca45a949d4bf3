//! Every engine passes the same suite.

use directory::Store;
use std::sync::Arc;
use store::{Memory, Options, Sqlite};
use testkit::conformance::ALL;

fn run(make: impl Fn(&str) -> Arc<dyn Store>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for (name, check) in ALL {
        runtime.block_on(check(make(name)));
    }
}

#[test]
fn memory_passes_the_suite() {
    run(|_| Arc::new(Memory::new()));
}

#[test]
fn sqlite_passes_the_suite() {
    let folder = tempfile::tempdir().expect("a folder");
    run(|name| {
        let path = folder.path().join(name.replace(' ', "-"));
        Arc::new(Sqlite::open(&path, &Options::default()).expect("a store"))
    });
}
