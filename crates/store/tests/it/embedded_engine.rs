//! What only the embedded engine must withstand: full disks, damaged, read-only and foreign files, old schemas.

use directory::{
    AccountEdit, AttributeValue, Caller, Change, Command, CommitError, CompareOp, Comparison, DirectoryError, Field,
    FieldUpdate, Filter, Labels, Mutation, Store, TenantEdit, Time, User, UserId, UserKey, UserPredicate, UserQuery,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use store::OpenStore;
use store_sqlite::{Sqlite, SqliteOpenError, SqliteOptions};
use testkit::conformance::{create_tenant, new_user};
use testkit::fakes;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn open(path: &Path) -> Arc<Sqlite> {
    Arc::new(Sqlite::open(path, &SqliteOptions::default()).expect("a store"))
}

#[test]
fn a_full_disk_is_reported_and_damages_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let options = SqliteOptions { max_pages: Some(120), ..SqliteOptions::default() };
    let store = Arc::new(Sqlite::open(&path, &options).expect("a store"));
    let directory = fakes::directory(Arc::clone(&store) as _);
    let mut acknowledged = Vec::new();
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        let mut refusals = 0;
        for n in 0..3000 {
            let email = format!("{n}@x.y");
            match directory.run(&caller, Command::CreateUser(new_user(&email))).await {
                Ok(_) => acknowledged.push(email),
                Err(DirectoryError::Unavailable(text)) => {
                    assert!(text.contains("full"), "{text}");
                    refusals += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
            if refusals > 5 {
                break;
            }
        }
        assert!(refusals > 5, "the disk did not become full");
        assert!(directory.user(&caller, UserKey::Number(1)).await.is_ok(), "reads continue");
    });
    drop(directory);
    store.close();
    assert_eq!(Sqlite::check(&path).expect("checked").errors, Vec::<String>::new());
    // With free space again, all acknowledged changes are stored and writes continue.
    let directory = fakes::directory_with_ids_from(open(&path) as _, 1_000_000);
    runtime().block_on(async {
        let caller = Caller::operator(directory::TenantNumber(1));
        let page = directory.find_users(&caller, UserQuery { limit: 1, ..UserQuery::default() }).await.expect("read");
        assert_eq!(page.total, acknowledged.len() as u64);
        directory.run(&caller, Command::CreateUser(new_user("again@x.y"))).await.expect("written");
    });
}

#[test]
fn foreign_files_are_rejected_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "these are somebody's notes, and they are longer than a hundred bytes so that SQLite looks at them. Well.",
    )
    .expect("written");
    let other = folder.path().join("other.db");
    let db = rusqlite::Connection::open(&other).expect("made");
    db.execute_batch("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup');").expect("filled");
    drop(db);
    for path in [&text, &other] {
        let before = fs::read(path).expect("read");
        let error = Sqlite::open(path, &SqliteOptions::default()).err().expect("rejected");
        assert!(matches!(error, SqliteOpenError::Foreign(_)), "{error}");
        assert!(error.to_string().contains("is not a Muster store"), "{error}");
        assert_eq!(fs::read(path).expect("read"), before);
    }
    assert!(fs::read_dir(folder.path()).expect("listed").count() <= 2, "no other files were created");
}

#[test]
fn read_only_and_newer_files_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    open(&path).close();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("set");
    let error = Sqlite::open(&path, &SqliteOptions::default()).err().expect("rejected");
    assert!(matches!(error, SqliteOpenError::ReadOnly(..)), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    let db = rusqlite::Connection::open(&path).expect("opened");
    db.execute("INSERT INTO migrations VALUES (99, 'later', 'x')", []).expect("written");
    drop(db);
    let error = Sqlite::open(&path, &SqliteOptions::default()).err().expect("rejected");
    assert!(error.to_string().contains("newer version of Muster"), "{error}");
}

/// A process can be killed before a new store is in WAL mode, or while an upgrade has turned it off.
#[test]
fn a_hot_journal_is_rolled_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let [path, killed] = ["s.db", "killed.db"].map(|name| folder.path().join(name));
    open(&path).close();
    let db = rusqlite::Connection::open(&path).expect("opened");
    db.pragma_update(None, "journal_mode", "DELETE").expect("set");
    // Small enough that the transaction reaches the file before its commit.
    db.pragma_update(None, "cache_size", 1).expect("set");
    db.execute_batch("BEGIN; CREATE TABLE half (done TEXT)").expect("begun");
    for _ in 0..200 {
        db.execute("INSERT INTO half VALUES (?1)", ["x".repeat(1_000)]).expect("written");
    }
    // What a killed process would leave.
    for extension in ["", "-journal"] {
        let name = |path: &Path| format!("{}{extension}", path.display());
        fs::copy(name(&path), name(&killed)).expect("copied");
    }
    let store = Sqlite::open_read_only(&killed, &SqliteOptions::default()).expect("rolled back");
    store.close();
    assert_eq!(Sqlite::check(&killed).expect("checked").errors, Vec::<String>::new());
}

#[test]
fn a_damaged_file_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let store = open(&path);
    let directory = fakes::directory(Arc::clone(&store) as _);
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        for n in 0..200 {
            directory.run(&caller, Command::CreateUser(new_user(&format!("{n}@x.y")))).await.expect("written");
        }
    });
    store.close();
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xA5);
    fs::write(&path, bytes).expect("written");
    let found = Sqlite::check(&path).map(|found| !found.errors.is_empty());
    assert!(found.unwrap_or(true), "the damage is found");
}

#[test]
fn a_new_store_is_private_to_its_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let store = open(&path);
    for file in fs::read_dir(folder.path()).expect("listed") {
        let mode = file.expect("a file").metadata().expect("known").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
    store.close();
}

#[test]
fn a_store_of_the_first_schema_is_migrated() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    // A document of the first schema: plain emails, phones by kind, one address.
    let first = include_str!("../../../store-sqlite/migrations/0001_first.sql");
    let checksum = include_str!("../../../store-sqlite/migrations/checksums.txt").lines().next().expect("a checksum");
    let db = rusqlite::Connection::open(&path).expect("made");
    db.execute_batch(first).expect("the first schema");
    let id = uuid::Uuid::from_u128(7);
    let doc = format!(
        r#"{{"id":"{id}","number":1,"version":3,"user_name":"a@x.y","email":"a@x.y","phones":{{"work":"1","mobile":"2"}},
        "address":{{"city":"Rome"}},"photo":"https://x.y/p","status":"suspended","created":1,"updated":5,
        "do_not_email":true}}"#
    );
    db.execute_batch(
        "PRAGMA application_id = 0x4D555354;
        CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT;
        INSERT INTO tenants VALUES (1, '{\"number\":1,\"name\":\"Old\",\"created\":0}');
        INSERT INTO blocks VALUES (1, 0, 1); INSERT INTO counters VALUES (1, 0, 1);
        INSERT INTO claims VALUES (1, 0, 'a@x.y', 1);",
    )
    .expect("filled");
    db.execute("INSERT INTO migrations VALUES (1, 'first', ?1)", [checksum]).expect("noted");
    let insert = "INSERT INTO users (pk, tenant, number, id, version, doc) VALUES (1, 1, 1, ?1, 3, ?2)";
    db.execute(insert, (id.as_bytes(), doc)).expect("a user");
    drop(db);
    let directory = fakes::directory_with_ids_from(open(&path) as _, 100);
    runtime().block_on(async {
        let caller = Caller::operator(directory::TenantNumber(1));
        let user = directory.user(&caller, UserKey::Email("A@x.y".into())).await.expect("found");
        assert_eq!(
            (user.email(), user.phone("mobile"), user.preferred_photo()),
            (Some("a@x.y"), Some("2"), Some("https://x.y/p"))
        );
        assert_eq!(user.text(Field::City), Some("Rome"));
        let off = Comparison::new(Field::Active, None, CompareOp::Equal, AttributeValue::Bool(false), true);
        let off = UserPredicate::Filter(Arc::new(Filter::Comparison(off)), Arc::new(Labels::default()));
        let since = Comparison::new(
            Field::Updated,
            None,
            CompareOp::GreaterOrEqual,
            AttributeValue::Time(directory::Time(5)),
            true,
        );
        let since = UserPredicate::Filter(Arc::new(Filter::Comparison(since)), Arc::new(Labels::default()));
        for test in [off, since] {
            let query = UserQuery { predicates: vec![test.clone()], limit: 9, ..UserQuery::default() };
            assert_eq!(directory.find_users(&caller, query).await.expect("read").total, 1, "{test:?}");
        }
        let edit = new_user("b@x.y");
        directory.run(&caller, Command::UpdateUser { user: UserKey::Number(1), edit }).await.expect("changed");
        directory.run(&caller, Command::CreateUser(new_user("a@x.y"))).await.expect("the email is free");
    });
}

/// Only the change of an unreadable row is rejected; the others of its transaction are committed.
#[test]
fn a_failing_change_does_not_affect_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let directory = Arc::new(fakes::directory(open(&path) as _));
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        let bad = directory.run(&caller, Command::CreateUser(new_user("bad@x.y"))).await.expect("created");
        // The change was decided from this state, before the row was damaged.
        let before = bad.users[0].clone();
        rusqlite::Connection::open(&path)
            .expect("opened")
            .execute("UPDATE users SET doc = '{' WHERE number = 1", [])
            .expect("damaged");
        let store = open(&path);
        let change = |edits| Change::new(caller.tenant, Time(1_700_000_000_000_000), "test", edits);
        let good = |n: u128| {
            let id = UserId(uuid::Uuid::from_u128(1_000 + n));
            let user = Box::new(User { user_name: format!("good{n}"), ..User::new(id, Time(1)) });
            change(vec![Mutation::AddUser { user, account: AccountEdit::default() }])
        };
        // Queue all changes before the first is committed.
        let mut waiting: Vec<_> = (0..50).map(|n| store.commit(good(n))).collect();
        waiting.insert(25, store.commit(change(vec![Mutation::RemoveUser(Box::new(before))])));
        let mut outcomes = Vec::new();
        for answer in waiting {
            outcomes.push(answer.await);
        }
        let bad = outcomes.remove(25);
        assert!(matches!(bad, Err(CommitError::Internal(_))), "{bad:?}");
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        store.close();
    });
}

/// Members that a later version has added do not count as a concurrent change.
#[test]
fn a_tenant_document_with_unknown_members_can_be_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let directory = fakes::directory(open(&path) as _);
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        rusqlite::Connection::open(&path)
            .expect("opened")
            .execute("UPDATE tenants SET doc = replace(doc, '{\"number\"', '{\"later\":1, \"number\"')", [])
            .expect("written otherwise");
        let edit = TenantEdit { sender_name: FieldUpdate::Set("Acme".into()), ..TenantEdit::default() };
        let receipt = directory.update_tenant(&caller, edit.clone()).await.expect("changed");
        assert_eq!(receipt.tenant.expect("a tenant").version, 1);
        let edit = TenantEdit { sender_name: FieldUpdate::Clear, ..edit };
        assert_eq!(directory.update_tenant(&caller, edit).await.expect("changed").tenant.expect("one").version, 2);
    });
}
