//! What both persistent engines must withstand: callers that disconnect, concurrent creates of the same item,
//! requested numbers.

use crate::test_stores::{self, FreshStores};
use directory::{
    Command, DepartmentRef, DirectoryError, FieldUpdate, ItemKey, ItemKind, ItemQuery, OrganizationRef, Status,
    StatusChange, Store, UserKey, UserQuery,
};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use testkit::conformance::{create_tenant, new_user};
use testkit::fakes;
use testkit::waiting::TIMEOUT;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs each check on each engine.
macro_rules! on_each_engine {
    ($($name:ident: $check:ident;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn on_sqlite() {
                $check(FreshStores::default().sqlite());
            }

            #[test]
            fn on_postgres() {
                $check(Arc::new(test_stores::postgres(&testkit::postgres::create_migrated_database())));
            }
        }
    )*};
}
on_each_engine! {
    a_queued_write_finishes_when_its_caller_hangs_up_and_nothing_leaks: check_hang_up;
    parallel_creates_of_users_with_the_same_organization_all_succeed: check_parallel_creates;
    requested_numbers_use_up_no_others_and_are_limited: check_requested_numbers;
}

fn check_hang_up(store: Arc<dyn Store>) {
    let directory = Arc::new(fakes::directory(store));
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        // Fills the caches.
        directory.run(&caller, Command::CreateUser(new_user("first@x.y"))).await.expect("written");
        for n in 0..300_u64 {
            let command = Command::CreateUser(new_user(&format!("{n}@x.y")));
            let mut task = Box::pin(directory.run(&caller, command));
            // One poll queues the change; then the caller disconnects.
            std::future::poll_fn(|context| Poll::Ready(task.as_mut().poll(context).is_ready())).await;
            tokio::time::sleep(Duration::from_micros((n % 7) * 50)).await;
            drop(task);
        }
        tokio::time::timeout(TIMEOUT, async {
            // Reads and writes continue, and queued changes are written.
            directory.run(&caller, Command::CreateUser(new_user("last@x.y"))).await.expect("written");
            for _ in 0..100 {
                directory.user(&caller, UserKey::Email("last@x.y".into())).await.expect("read");
            }
        })
        .await
        .expect("reads and writes continue");
        let total =
            directory.find_users(&caller, UserQuery { limit: 1, ..UserQuery::default() }).await.expect("read").total;
        assert!(total > 250, "only {total} of 302 users were created");
        let begun = std::time::Instant::now();
        while directory.health().await.expect("healthy").queued_changes > 0 {
            assert!(begun.elapsed() < TIMEOUT, "changes are still queued");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

fn check_parallel_creates(store: Arc<dyn Store>) {
    let directory = Arc::new(fakes::directory(store));
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        let tasks: Vec<_> = (0..60)
            .map(|n| {
                let (directory, caller) = (Arc::clone(&directory), caller.clone());
                tokio::spawn(async move {
                    let mut edit = new_user(&format!("{n}@x.y"));
                    edit.department = FieldUpdate::Set(DepartmentRef::Name(format!("New {}", n % 20)));
                    let name = Some(format!("Organization {}", n % 20));
                    let wanted = OrganizationRef { name, ..OrganizationRef::default() };
                    edit.organization = FieldUpdate::Set(wanted);
                    directory.run(&caller, Command::CreateUser(edit)).await
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("ran").expect("made");
        }
        for kind in [ItemKind::Department, ItemKind::Organization] {
            let made = directory.find_items(&caller, ItemQuery::all(kind)).await.expect("read");
            assert_eq!(made.total, 20, "each item is created once");
        }
        let first = directory.item(&caller, ItemKind::Organization, ItemKey::Name("organization 3".into())).await;
        let members = directory.members(&caller, first.expect("there").id()).await.expect("read");
        assert_eq!(members.len(), 3, "the organization has its members");
    });
}

fn check_requested_numbers(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        let make = async |number: Option<u32>, name: &str, email: &str| {
            let mut edit = new_user(email);
            let wanted = OrganizationRef { number, name: Some(name.into()), office_number: None };
            edit.organization = FieldUpdate::Set(wanted);
            directory.run(&caller, Command::CreateUser(edit)).await.expect("made");
            let made = directory.item(&caller, ItemKind::Organization, ItemKey::Name(name.into())).await;
            made.expect("there").number()
        };
        assert_eq!(make(Some(i32::MAX.unsigned_abs()), "Last", "a@x.y").await, i32::MAX.unsigned_abs());
        assert_eq!(make(Some(2), "Two", "b@x.y").await, 2);
        assert_eq!(make(None, "One", "c@x.y").await, 1);
        assert_eq!(make(None, "Three", "d@x.y").await, 3, "requested numbers are skipped");
        let users = vec![UserKey::Number(1); 1_001];
        let many = Command::ChangeStatus(StatusChange { users, to: Status::Active, required_status: None });
        assert!(matches!(directory.run(&caller, many).await, Err(DirectoryError::Invalid(_))));
    });
}
