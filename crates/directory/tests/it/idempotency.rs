//! Commands of a request with an `Idempotency-Key` that is sent again before its response was stored.

use crate::actors::Fixture;
use directory::{
    Actor, Caller, Client, Command, DirectoryError, GroupEdit, IdempotencyKey, IdempotencyLookup, IdempotencyScope,
    Receipt, RecordedResponse, UserQuery,
};
use std::future::Future;
use testkit::conformance::new_user;

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(task)
}

fn key(caller: &Caller, fingerprint: u8) -> IdempotencyKey {
    let Actor::Connection(Client { id, .. }) = &caller.actor else { unreachable!("a connection") };
    IdempotencyKey { tenant: caller.tenant, connection: *id, key_hash: [1; 32], fingerprint: [fingerprint; 32] }
}

/// An attempt to carry out the request.
async fn attempt(fixture: &Fixture, caller: &Caller) -> Caller {
    match fixture.directory.idempotent_request(caller, key(caller, 1)).await.expect("read") {
        IdempotencyLookup::Open(request) => {
            Caller { idempotency: Some(IdempotencyScope::new(request)), ..caller.clone() }
        }
        other => panic!("{other:?}"),
    }
}

async fn user_count(fixture: &Fixture) -> u64 {
    fixture.directory.find_users(&fixture.operator, UserQuery::default()).await.expect("read").total
}

fn create(email: &str) -> Command {
    Command::CreateUser(new_user(email))
}

#[test]
fn commands_that_were_committed_are_not_carried_out_again() {
    block_on(async {
        let fixture = Fixture::new().await;
        let client = fixture.client("client", |_| {}).await;
        let first = attempt(&fixture, &client).await;
        let before = user_count(&fixture).await;
        let eve = fixture.directory.run(&first, create("eve@example.com")).await.expect("created");
        // The process ends here: the second command and the response are missing.
        let second = attempt(&fixture, &client).await;
        let again = fixture.directory.run(&second, create("eve@example.com")).await.expect("found");
        assert_eq!(again.users, eve.users);
        let finn = fixture.directory.run(&second.at_step(1), create("finn@example.com")).await.expect("created");
        assert_eq!(user_count(&fixture).await, before + 2);
        // The first attempt was only slow: it continues.
        let late = fixture.directory.run(&first.at_step(1), create("finn@example.com")).await;
        assert_eq!(late, Err(DirectoryError::Conflict), "not 'the email is taken'");
        let third = attempt(&fixture, &client).await;
        for (step, command, expected) in [(0, create("eve@example.com"), &eve), (1, create("finn@example.com"), &finn)]
        {
            assert_eq!(
                fixture.directory.run(&third.at_step(step), command).await.expect("found").users,
                expected.users
            );
        }
        let scope = third.idempotency.as_ref().expect("a scope");
        assert!(!fixture.directory.has_other_attempt(&third, scope).await.expect("read"));
        let scope = first.idempotency.as_ref().expect("a scope");
        assert!(fixture.directory.has_other_attempt(&first, scope).await.expect("read"));
    });
}

#[test]
fn commands_that_run_together_have_their_own_records() {
    block_on(async {
        let fixture = Fixture::new().await;
        let client = fixture.client("client", |_| {}).await;
        let commands = || vec![create("eve@example.com"), create("ann@example.com"), create("finn@example.com")];
        let (first, before) = (attempt(&fixture, &client).await, user_count(&fixture).await);
        let callers = |attempt: &Caller| [8, 12, 16].map(|step| attempt.at_step(step));
        let run_all =
            async |callers: [Caller; 3]| fixture.directory.run_all(callers.iter().zip(commands()).collect()).await;
        let results = run_all(callers(&first)).await;
        let is_created: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!((is_created, user_count(&fixture).await), (vec![true, false, true], before + 2));
        let second = attempt(&fixture, &client).await;
        let again = run_all(callers(&second)).await;
        let users = |all: &[Result<Receipt, DirectoryError>]| -> Vec<_> {
            all.iter().map(|result| result.as_ref().map(|receipt| receipt.users.clone()).ok()).collect()
        };
        assert_eq!((users(&again), user_count(&fixture).await), (users(&results), before + 2));
    });
}

#[test]
fn a_response_is_stored_once_and_for_a_day() {
    block_on(async {
        let fixture = Fixture::new().await;
        let client = fixture.client("client", |_| {}).await;
        let response = |status| RecordedResponse { status, headers: Vec::new(), body: "{}".into() };
        let (first, second) = (attempt(&fixture, &client).await, attempt(&fixture, &client).await);
        let record = async |caller: &Caller, status| {
            let scope = caller.idempotency.as_ref().expect("a scope");
            fixture.directory.record_response(caller, scope.request(), response(status)).await
        };
        assert_eq!(record(&first, 201).await, Ok(()));
        assert_eq!(record(&second, 404).await, Err(DirectoryError::Conflict));
        let lookup = async |fingerprint| {
            fixture.directory.idempotent_request(&client, key(&client, fingerprint)).await.expect("read")
        };
        assert!(matches!(lookup(1).await, IdempotencyLookup::Completed(found) if found == response(201)));
        assert!(matches!(lookup(2).await, IdempotencyLookup::Reused), "another request");
        fixture.directory.delete_expired_records().await.expect("deleted");
        assert!(matches!(lookup(1).await, IdempotencyLookup::Completed(_)));
        fixture.clock.advance_seconds(24 * 3600);
        assert!(matches!(lookup(2).await, IdempotencyLookup::Open(_)), "expired");
    });
}

#[test]
fn old_records_are_deleted() {
    block_on(async {
        let fixture = Fixture::new().await;
        let client = fixture.client("client", |_| {}).await;
        for number in 0..600_u32 {
            let request = fixture.directory.idempotent_request(
                &client,
                IdempotencyKey {
                    key_hash: std::array::from_fn(|place| number.to_be_bytes()[place % 4]),
                    ..key(&client, 1)
                },
            );
            let IdempotencyLookup::Open(request) = request.await.expect("read") else { panic!("a new key") };
            let caller = Caller { idempotency: Some(IdempotencyScope::new(request)), ..client.clone() };
            let edit =
                GroupEdit { name: directory::FieldUpdate::Set(format!("Group {number}")), ..GroupEdit::default() };
            fixture.directory.run(&caller, Command::CreateGroup(edit)).await.expect("created");
        }
        assert_eq!(fixture.record_count().await, 600);
        fixture.directory.delete_expired_records().await.expect("deleted");
        assert_eq!(fixture.record_count().await, 600, "they are not old");
        fixture.clock.advance_seconds(24 * 3600);
        fixture.directory.delete_expired_records().await.expect("deleted");
        assert_eq!(fixture.record_count().await, 0);
    });
}
