//! The same changes by chance give the same results, the same directory and the same history on both engines.

use directory::{
    Caller, Command, Directory, Field, ItemKind, ItemQuery, Position, Sort, SortKey, Status, UserQuery,
    UserTest,
};
use proptest::prelude::*;
use std::sync::Arc;
use store::{Memory, Options, Sqlite};
use testkit::chance::{Dice, command};
use testkit::{conformance, fakes};

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_give_the_same_on_both(seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(compare(seed));
    }
}

async fn compare(seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = Sqlite::open(&folder.path().join("s.db"), &Options::default()).expect("a store");
    let (a, b) = (fakes::directory(Arc::new(Memory::new())), fakes::directory(Arc::new(sqlite)));
    let caller = conformance::tenant(&a, "One").await;
    assert_eq!(conformance::tenant(&b, "One").await, caller);
    let mut dice = Dice::new(seed);
    for step in 0..60 {
        let command = command(&mut dice, 30);
        let (left, right) = (a.run(&caller, command.clone()).await, b.run(&caller, command.clone()).await);
        assert_eq!(left, right, "step {step}: {command:?}");
    }
    assert_eq!(
        a.events(Position(0), 1000).await.expect("read"),
        b.events(Position(0), 1000).await.expect("read")
    );
    for query in queries() {
        let (left, right) = (a.users(&caller, query.clone()).await, b.users(&caller, query.clone()).await);
        assert_eq!(left.expect("read"), right.expect("read"), "{query:?}");
    }
    for kind in ItemKind::ALL {
        let (left, right) = (all(&a, &caller, kind).await, all(&b, &caller, kind).await);
        assert_eq!(left, right);
        for item in left {
            let (left, right) = (a.members(&caller, item.id()).await, b.members(&caller, item.id()).await);
            assert_eq!(left.expect("read"), right.expect("read"));
        }
    }
    // The same once more after everybody was taken out.
    for number in 1..40 {
        let gone = Command::DeleteUser(directory::UserKey::Number(number));
        assert_eq!(a.run(&caller, gone.clone()).await.is_ok(), b.run(&caller, gone).await.is_ok());
    }
    assert_eq!(
        b.users(&caller, UserQuery { limit: 10, ..UserQuery::default() }).await.expect("read").total,
        0
    );
}

async fn all(directory: &Directory, caller: &Caller, kind: ItemKind) -> Vec<directory::Item> {
    directory.items(caller, ItemQuery::all(kind)).await.expect("read").rows
}

fn queries() -> Vec<UserQuery> {
    let with = |tests: Vec<UserTest>| UserQuery { tests, limit: 50, ..UserQuery::default() };
    let sorted = |key: SortKey, descending: bool| UserQuery {
        sort: Sort { key, descending },
        skip: 1,
        limit: 3,
        ..UserQuery::default()
    };
    vec![
        with(vec![]),
        UserQuery { skip: 2, limit: 2, ..UserQuery::default() },
        with(vec![UserTest::Email("ann@example.com".into())]),
        with(vec![UserTest::ExternalId("ann".into())]),
        with(vec![UserTest::NameHolds("ann".into())]),
        with(vec![UserTest::AnyTextHolds { part: "e".into(), organisations: Vec::new() }]),
        with(vec![UserTest::Status(vec![Status::Active, Status::Invited]), UserTest::NameHolds("l".into())]),
        sorted(SortKey::Arrival, true),
        sorted(SortKey::Text(Field::GivenName), false),
        sorted(SortKey::Text(Field::Email), true),
        sorted(SortKey::Updated, true),
        sorted(SortKey::Status, false),
    ]
}
