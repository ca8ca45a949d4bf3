//! `check` finds each invariant that a test violates, on both engines.

use crate::test_stores::{options, postgres};
use directory::{Caller, Command, Field, FieldUpdate, OrganizationRef, Store, TenantNumber, TypedValue, UserKey};
use std::path::Path;
use std::sync::Arc;
use store::OpenStore;
use store_postgres::{DatabaseUrl, Postgres};
use store_sqlite::{Sqlite, SqliteOptions};
use testkit::conformance::{create_tenant, new_user};
use testkit::fakes;
use testkit::postgres::{create_database, query};

/// SQL for SQLite, SQL for PostgreSQL, and a part of the reported error. The SQL is empty where constraints of
/// the engine prevent the violation.
const VIOLATIONS: [(&str, &str, &str); 20] = [
    (
        "UPDATE users SET version = version + 1 WHERE number = 1",
        "UPDATE users SET version = version + 1 WHERE number = 1",
        "columns of user 1",
    ),
    (
        "UPDATE users SET id = randomblob(16) WHERE number = 2",
        "UPDATE users SET id = gen_random_uuid() WHERE number = 2",
        "columns of user 2",
    ),
    (
        "UPDATE users SET updated = 5 WHERE number = 3",
        "UPDATE users SET updated = 5 WHERE number = 3",
        "columns of user 3",
    ),
    (
        "UPDATE users SET active = 1 - active WHERE number = 3",
        "UPDATE users SET active = 1 - active WHERE number = 3",
        "columns of user 3",
    ),
    // SQLite reads pages in the order of `pk`.
    ("UPDATE users SET pk = pk + 1000 WHERE number = 1", "", "not in the order of numbers"),
    (
        "DELETE FROM claims WHERE owner = (SELECT pk FROM users WHERE number = 1) AND space = 0",
        "DELETE FROM claims WHERE owner = 1 AND space = 0",
        "does not hold its",
    ),
    (
        "INSERT INTO claims (tenant, space, text, owner) VALUES (1, 0, 'leaked@x.y', 1)",
        "INSERT INTO claims (tenant, space, text, owner) VALUES (1, 0, 'leaked@x.y', 1)",
        "unique keys are stored",
    ),
    ("DELETE FROM mentions", "DELETE FROM mentions", "secondary emails of user 2"),
    (
        "INSERT INTO mentions (tenant, text, owner) SELECT 1, 'a@x.y', pk FROM users WHERE number = 3",
        "INSERT INTO mentions (tenant, text, owner) VALUES (1, 'a@x.y', 3)",
        "secondary emails of user 3",
    ),
    (
        "DELETE FROM memberships WHERE item IN (SELECT pk FROM items WHERE kind = 3)",
        "DELETE FROM memberships WHERE kind = 3",
        "organization of user 2",
    ),
    (
        "UPDATE tombstones SET external_key = 'other'",
        "UPDATE tombstones SET external_key = 'other'",
        "columns of deleted user 4",
    ),
    (
        "UPDATE tombstones SET number = 1",
        "UPDATE tombstones SET number = 1",
        "number 1 belongs to a user and to a deleted user",
    ),
    (
        "UPDATE items SET number = 77 WHERE kind = 3",
        "UPDATE items SET number = 77 WHERE kind = 3",
        "columns of organization 77",
    ),
    ("UPDATE counters SET last = 1 WHERE sort = 0", "UPDATE counters SET last = 1 WHERE sort = 0", "above the last"),
    (
        "UPDATE blocks SET live = live + 1",
        "UPDATE counted SET live = live + 1; UPDATE blocks SET live = live + 1",
        "user counts are wrong",
    ),
    ("DELETE FROM event_subjects", "DELETE FROM event_subjects", "has 0 rows instead of"),
    (
        "UPDATE events SET after = '{' WHERE position = 2",
        "UPDATE events SET after = '{' WHERE tenant = 1 AND place = 0",
        "cannot be decoded",
    ),
    (
        "INSERT INTO security_records VALUES (99, 1, randomblob(16), 1, 'x', 'x', NULL, 1)",
        "INSERT INTO security_records VALUES (99, 1, gen_random_uuid(), 1, 'x', 'x', NULL, 1)",
        "table security_records: a row belongs to tenant 99",
    ),
    (
        "INSERT INTO security_records VALUES (1, 1, randomblob(15), 1, 'x', 'x', NULL, 1)",
        "",
        "table security_records: ",
    ),
    ("UPDATE tenants SET version = 9", "UPDATE tenants SET version = 9", "tenant 1: the columns"),
];

/// Four users, one of them deleted, one with a second email and an organization.
async fn create_users(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    for n in 1..=4 {
        let mut edit = new_user(&format!("{n}@x.y"));
        edit.set_text(Field::ExternalId, FieldUpdate::Set(format!("ext {n}")));
        if n == 2 {
            let emails = vec![TypedValue::new("work", "2@x.y"), TypedValue::new("home", "second@x.y")];
            edit.multi_valued.push((Field::Emails, FieldUpdate::Set(emails)));
            edit.organization =
                FieldUpdate::Set(OrganizationRef { name: Some("Acme".into()), ..OrganizationRef::default() });
        }
        directory.run(&caller, Command::CreateUser(edit)).await.expect("added");
    }
    let remove = Command::DeleteUser(UserKey::Number(4));
    directory.run(&Caller::operator(TenantNumber(1)), remove).await.expect("removed");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn a_check_finds_each_violation_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let sound = folder.path().join("sound.db");
    let store = Arc::new(Sqlite::open(&sound, &SqliteOptions::default()).expect("a store"));
    runtime().block_on(create_users(Arc::clone(&store) as _));
    store.close();
    let check = |path: &Path| Sqlite::check(path).expect("checked").errors.join("\n");
    assert_eq!(check(&sound), "");
    for (number, (statement, _, found)) in VIOLATIONS.iter().enumerate() {
        let path = folder.path().join(format!("{number}.db"));
        std::fs::copy(&sound, &path).expect("copied");
        let db = rusqlite::Connection::open(&path).expect("opened");
        db.execute_batch(&format!("PRAGMA foreign_keys = OFF; {statement}")).expect("violated");
        drop(db);
        let damage = check(&path);
        assert!(damage.contains(found), "{statement}: {damage}");
        assert!(!damage.contains("x.y"), "errors must not contain user data: {damage}");
    }
}

#[test]
fn a_check_finds_each_violation_on_postgres() {
    let url = create_database();
    let store = Arc::new(postgres(&url));
    runtime().block_on(create_users(Arc::clone(&store) as _));
    store.close();
    let address = DatabaseUrl::parse(&url, None).expect("an address");
    let check = || Postgres::check(&address, &options()).expect("checked").errors.join("\n");
    assert_eq!(check(), "");
    // The tables are restored after each violation.
    let tables = [
        "users",
        "claims",
        "mentions",
        "memberships",
        "tombstones",
        "items",
        "counters",
        "blocks",
        "counted",
        "tenants",
        "events",
        "event_subjects",
        "security_records",
    ];
    for table in tables {
        query(&url, &format!("CREATE TABLE kept_{table} AS TABLE {table}"));
    }
    for (_, statement, found) in VIOLATIONS.iter().filter(|(_, statement, _)| !statement.is_empty()) {
        query(&url, &format!("SET session_replication_role = replica; {statement}"));
        let damage = check();
        assert!(damage.contains(found), "{statement}: {damage}");
        for table in tables {
            let put_back = format!("TRUNCATE {table} CASCADE; INSERT INTO {table} SELECT * FROM kept_{table}");
            query(&url, &format!("SET session_replication_role = replica; {put_back}"));
        }
        // TRUNCATE CASCADE also empties tables that were restored before.
        for table in tables {
            let put_back = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}");
            query(&url, &format!("SET session_replication_role = replica; {put_back}"));
        }
        assert_eq!(check(), "", "{statement}");
    }
}
