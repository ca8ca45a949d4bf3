//! What only the server engine must withstand: several processes, blocks of numbers, TLS, foreign databases.

use crate::test_stores::{options, postgres};
use directory::{
    Caller, Command, Directory, DirectoryError, EventPosition, Field, FieldUpdate, ItemKey, ItemKind, OrganizationRef,
    Store, UnwritableReason, UserKey, UserQuery,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::OpenStore;
use store::archive::ArchiveError;
use store_postgres::{DatabaseUrl, ExclusivePostgres, Postgres, PostgresOptions};
use testkit::conformance::{create_tenant, new_user};
use testkit::fakes::{self, PlainHasher, StepClock, UniqueIds};
use testkit::postgres::{create_database, query};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A directory as in a process of its own.
fn new_process_directory(store: Postgres) -> Directory {
    Directory::new(Arc::new(store), Arc::new(StepClock::default()), Arc::new(UniqueIds), Arc::new(PlainHasher))
}

async fn create_user(directory: &Directory, caller: &Caller, email: &str) -> u32 {
    let receipt = directory.run(caller, Command::CreateUser(new_user(email))).await.expect("added");
    receipt.users[0].number
}

#[test]
fn concurrent_starts_on_an_empty_database_succeed() {
    let url = create_database();
    let stores: Vec<Postgres> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..6).map(|_| scope.spawn(|| postgres(&url))).collect();
        starting.into_iter().map(|one| one.join().expect("started")).collect()
    });
    let steps = "SELECT count(*), count(DISTINCT number), max(number) FROM migrations";
    let count = crate::test_stores::migrations().len();
    assert_eq!(query(&url, steps), format!("{count}|{count}|{count}"), "each step once");
    drop(stores);
}

#[test]
fn a_migration_waits_for_an_expired_lease() {
    let url = create_database();
    query(
        &url,
        "CREATE TABLE leases (name TEXT PRIMARY KEY, holder UUID NOT NULL, until TIMESTAMPTZ NOT NULL, value BIGINT NOT NULL)",
    );
    let killed =
        "INSERT INTO leases VALUES ('migrations', gen_random_uuid(), clock_timestamp() + INTERVAL '1 second', 0)
        RETURNING until";
    let until = query(&url, killed);
    drop(postgres(&url));
    assert_eq!(query(&url, "SELECT count(*) FROM migrations"), crate::test_stores::migrations().len().to_string());
    assert_eq!(query(&url, &format!("SELECT clock_timestamp() > '{until}'")), "t", "it waited");
}

#[test]
fn foreign_databases_are_not_modified() {
    let url = create_database();
    let address = DatabaseUrl::parse(&url, None).expect("an address");
    let careful = PostgresOptions { create_schema: false, ..options() };
    let error = Postgres::open(&address, &careful).err().expect("rejected");
    assert!(error.to_string().contains("there is no Muster store at postgres://"), "{error}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(query(&url, tables), "0");
    drop(postgres(&url));
    query(&url, "INSERT INTO migrations VALUES (99, 'later', 'x')");
    let error = Postgres::open(&address, &options()).err().expect("rejected");
    assert!(error.to_string().contains("newer version of Muster"), "{error}");
    query(&url, "DELETE FROM migrations WHERE number = 99");
    query(&url, "UPDATE migrations SET checksum = 'y'");
    let error = Postgres::open(&address, &options()).err().expect("rejected");
    assert!(error.to_string().contains("unknown schema"), "{error}");
}

#[test]
fn connection_errors_hide_the_password() {
    let url = create_database().replace("muster@", "muster:s3cret@").replace("/muster_", "/nowhere_");
    let address = DatabaseUrl::parse(&url, None).expect("an address");
    let error = Postgres::open(&address, &options()).err().expect("rejected").to_string();
    assert!(error.contains("does not exist") && !error.contains("s3cret"), "{error}");
}

#[test]
fn numbers_continue_after_a_restart_without_duplicates() {
    let url = create_database();
    runtime().block_on(async {
        let first = new_process_directory(postgres(&url));
        let caller = create_tenant(&first, "One").await;
        for n in 1..=5 {
            assert_eq!(create_user(&first, &caller, &format!("a{n}@x.y")).await, n);
        }
        drop(first);
        let (second, third) = (new_process_directory(postgres(&url)), new_process_directory(postgres(&url)));
        assert_eq!(create_user(&second, &caller, "b@x.y").await, 6, "unused numbers were returned");
        let mut given = BTreeSet::new();
        for n in 0..200 {
            let by = if n % 3 == 0 { &third } else { &second };
            assert!(given.insert(create_user(by, &caller, &format!("c{n}@x.y")).await), "assigned twice");
        }
        let all = UserQuery { limit: 1, ..UserQuery::default() };
        assert_eq!(third.find_users(&caller, all).await.expect("read").total, 206);
    });
}

#[test]
fn the_negative_cache_sees_organizations_of_other_processes() {
    let url = create_database();
    runtime().block_on(async {
        let (here, there) = (new_process_directory(postgres(&url)), new_process_directory(postgres(&url)));
        let caller = create_tenant(&here, "One").await;
        for n in 0..3 {
            create_user(&here, &caller, &format!("{n}@late.example")).await;
        }
        let mut edit = new_user("owner@elsewhere.example");
        let wanted = OrganizationRef { name: Some("Late".into()), ..OrganizationRef::default() };
        edit.organization = FieldUpdate::Set(wanted);
        there.run(&caller, Command::CreateUser(edit)).await.expect("added");
        let late = there.item(&caller, ItemKind::Organization, ItemKey::Name("Late".into())).await.expect("there");
        let domains = directory::OrganizationEdit {
            domains: FieldUpdate::Set(vec!["late.example".into()]),
            ..directory::OrganizationEdit::default()
        };
        let change = Command::UpdateOrganizations { organizations: vec![ItemKey::Id(late.id())], edit: domains };
        there.run(&caller, change).await.expect("changed");
        create_user(&here, &caller, "new@late.example").await;
        let user = here.user(&caller, UserKey::Email("new@late.example".into())).await.expect("there");
        assert_eq!(user.organization, Some(late.id()));
    });
}

#[test]
fn competing_creates_of_one_login_produce_one_event() {
    let url = create_database();
    runtime().block_on(async {
        let directories = [new_process_directory(postgres(&url)), new_process_directory(postgres(&url))].map(Arc::new);
        let caller = create_tenant(&directories[0], "One").await;
        let mut won = 0;
        for n in 0..100 {
            let tasks = directories.clone().map(|directory| {
                let caller = caller.clone();
                let command = Command::CreateUser(new_user(&format!("Fight{n}@x.y")));
                tokio::spawn(async move { directory.run(&caller, command).await.is_ok() })
            });
            for task in tasks {
                won += usize::from(task.await.expect("ran"));
            }
        }
        assert_eq!(won, 100, "one create succeeds each time");
        let mut positions = Vec::new();
        let begun = std::time::Instant::now();
        while begun.elapsed() < testkit::waiting::TIMEOUT {
            let after = positions.last().copied().unwrap_or(EventPosition(0));
            let events = directories[1].events(&Caller::installation(), after, 7).await.expect("read");
            positions.extend(events.iter().map(|event| event.position));
            if positions.len() == 101 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let wanted: Vec<EventPosition> = (1..=101).map(EventPosition).collect();
        assert_eq!(positions, wanted, "the tenant and 100 users");
    });
    assert_eq!(
        Postgres::check(&DatabaseUrl::parse(&url, None).expect("an address"), &options()).expect("read").errors,
        [""; 0]
    );
}

#[test]
fn a_check_finds_inconsistencies() {
    let url = create_database();
    let store = postgres(&url);
    runtime().block_on(async {
        let directory = fakes::directory(Arc::new(store));
        let caller = create_tenant(&directory, "One").await;
        for n in 0..3 {
            create_user(&directory, &caller, &format!("{n}@x.y")).await;
        }
        // Reading the history assigns all positions first.
        assert_eq!(directory.events(&Caller::installation(), EventPosition(0), 10).await.expect("read").len(), 4);
    });
    let check =
        || Postgres::check(&DatabaseUrl::parse(&url, None).expect("an address"), &options()).expect("read").errors;
    assert_eq!(check(), [""; 0]);
    query(&url, "DELETE FROM claims WHERE owner = 2");
    query(&url, "UPDATE blocks SET live = live + 1");
    query(&url, "UPDATE counted SET live = live + 1");
    query(&url, "DELETE FROM events WHERE place = 0 AND after LIKE '%1@x.y%'");
    let found = check().join("\n");
    for part in ["number 2 does not hold", "user counts are wrong", "positions and"] {
        assert!(found.contains(part), "{part}: {found}");
    }
    assert!(!found.contains("x.y"), "errors must not contain user data: {found}");
}

/// Plans are made while the store is empty and kept as it grows; nothing analyzes the tables in between.
#[test]
fn lookups_use_indexes_as_the_store_grows() {
    let url = create_database();
    let store = postgres(&url);
    let scans = || {
        query(
            &url,
            "SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_user_tables WHERE relname IN ('users', 'claims', 'items')",
        )
    };
    runtime().block_on(async {
        let directory = new_process_directory(store);
        let caller = create_tenant(&directory, "One").await;
        let first = directory.run(&caller, Command::CreateUser(new_user("a@x.y"))).await.expect("added");
        let (id, number) = (first.users[0].id, first.users[0].number);
        let ask = async || {
            for by in [
                UserKey::Id(id),
                UserKey::Number(number),
                UserKey::Email("a@x.y".into()),
                UserKey::Login("a@x.y".into()),
            ] {
                assert!(directory.user(&caller, by).await.is_ok());
            }
            assert!(directory.user(&caller, UserKey::ExternalId("none".into())).await.is_err());
        };
        // The server switches to a generic plan after five executions.
        for _ in 0..10 {
            ask().await;
        }
        for n in 0..400 {
            create_user(&directory, &caller, &format!("b{n}@x.y")).await;
        }
        let seen = async |at_least: u64| {
            // Statistics arrive a second after the transaction.
            tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
            ask().await;
            tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
            let counted = scans().parse::<u64>().expect("a number");
            assert!(counted >= at_least);
            counted
        };
        let before = seen(0).await;
        for _ in 0..50 {
            ask().await;
        }
        assert_eq!(seen(before).await, before, "tables were scanned sequentially");
    });
}

#[test]
fn tls_works_and_verifies_certificates() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cluster, trusted) = testkit::postgres::Cluster::with_tls(&pair.cert.pem(), &pair.signing_key.serialize_pem());
    let url = cluster.create_database().replace("127.0.0.1", "localhost");
    let at = |parameters: &str| DatabaseUrl::parse(&format!("{url}?{parameters}"), None).expect("an address");
    let roots = trusted.display();
    let store = Postgres::open(&at(&format!("sslmode=verify-full&sslrootcert={roots}")), &options()).expect("a store");
    let directory = fakes::directory(Arc::new(store));
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        assert_eq!(create_user(&directory, &caller, "a@x.y").await, 1);
    });
    let seen =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'muster'";
    assert_eq!(query(&cluster.url("postgres"), seen), "t");
    drop(directory);
    // A host name that the certificate does not have, and an untrusted certificate.
    let elsewhere = url.replace("localhost", "127.0.0.1");
    let wrong =
        DatabaseUrl::parse(&format!("{elsewhere}?sslmode=require&sslrootcert={roots}"), None).expect("an address");
    assert!(Postgres::open(&wrong, &options()).is_err());
    assert!(Postgres::open(&at("sslmode=require"), &options()).is_err());
}

/// Quotes, SQL and non-ASCII characters.
#[test]
fn unusual_texts_round_trip() {
    runtime().block_on(async {
        let directory = fakes::directory(Arc::new(postgres(&create_database())));
        let caller = create_tenant(&directory, "Ünï \u{1F600} 'quoted\" \\").await;
        for (n, text) in (1..).zip(["\u{1F600} é \u{5D0}rtl", "'; DROP TABLE users; --", "a\\'b\"c"]) {
            let mut edit = new_user(&format!("{n}@x.y"));
            edit.set_text(Field::GivenName, FieldUpdate::Set(text.into()));
            edit.set_text(Field::ExternalId, FieldUpdate::Set(text.into()));
            directory.run(&caller, Command::CreateUser(edit)).await.expect("added");
            let user = directory.user(&caller, UserKey::ExternalId(text.into())).await.expect("found");
            assert_eq!((user.number, user.text(Field::GivenName)), (n, Some(text)));
        }
    });
}

/// A restore or move requires that no process has the database open, and blocks all other changes.
#[test]
fn a_database_in_use_is_not_filled_and_one_that_is_filled_is_not_used() {
    let url = create_database();
    let address = DatabaseUrl::parse(&url, None).expect("an address");
    let hold = || ExclusivePostgres::acquire(&address, &crate::test_stores::options());
    let is_in_use = |held: Result<ExclusivePostgres, ArchiveError>| {
        held.err().is_some_and(|error| error.to_string().contains("in use by another process"))
    };
    let store = Arc::new(postgres(&url));
    assert!(is_in_use(hold()), "a process has it open");
    let directory = fakes::directory(Arc::clone(&store) as _);
    runtime().block_on(async {
        // A restore by an earlier version does not check for other processes.
        query(&url, "INSERT INTO filling (origin, done, sum) VALUES ('b', 0, '') RETURNING done");
        let refused = directory.run(&Caller::installation(), add_tenant_command()).await;
        assert!(
            matches!(&refused, Err(DirectoryError::Unavailable(text)) if text.contains("held by a restore")),
            "{refused:?}"
        );
        let health = store.health().await.expect("it answers");
        assert_eq!(health.unwritable_reason, Some(UnwritableReason::Restoring));
        query(&url, "DELETE FROM filling RETURNING done");
        assert_eq!(store.health().await.expect("it answers").unwritable_reason, None);
        directory.run(&Caller::installation(), add_tenant_command()).await.expect("written");
    });
    store.close();
    let first = hold().expect("held");
    let until = "SELECT until > clock_timestamp() FROM holds";
    assert_eq!(query(&url, until), "t");
    assert!(Postgres::open(&address, &options()).is_err_and(|error| error.to_string().contains("in use")));
    assert!(is_in_use(hold()), "another process holds it");
    drop(first);
    drop(hold().expect("the lock was released"));
}

/// A process without the sequencer lease counts as well. A process whose lease has expired, for example because
/// it was stopped, commits nothing once the database is locked.
#[test]
fn a_database_is_held_only_when_no_process_writes_to_it() {
    let url = create_database();
    let address = DatabaseUrl::parse(&url, None).expect("an address");
    let hold = || ExclusivePostgres::acquire(&address, &crate::test_stores::options());
    let (first, second) = (postgres(&url), Arc::new(postgres(&url)));
    first.close();
    assert!(hold().is_err_and(|error| error.to_string().contains("in use")), "the second has it open");
    let directory = fakes::directory(Arc::clone(&second) as _);
    runtime().block_on(async {
        directory.run(&Caller::installation(), add_tenant_command()).await.expect("written");
        let held = "INSERT INTO holds (name, holder, until)
            VALUES ('store', gen_random_uuid(), clock_timestamp() + INTERVAL '1 hour')
            ON CONFLICT (name) DO UPDATE SET until = excluded.until RETURNING name";
        query(&url, held);
        let refused = directory.run(&Caller::installation(), add_tenant_command()).await;
        assert!(matches!(&refused, Err(DirectoryError::Unavailable(text)) if text.contains("move")), "{refused:?}");
        assert_eq!(second.health().await.expect("it answers").unwritable_reason, Some(UnwritableReason::Restoring));
        assert_eq!(query(&url, "SELECT count(*) FROM tenants"), "1");
        query(&url, "DELETE FROM holds RETURNING name");
        directory.run(&Caller::installation(), add_tenant_command()).await.expect("written");
    });
    second.close();
    drop(hold().expect("no process has it open"));
    assert_eq!(query(&url, "SELECT count(*) FROM leases WHERE name LIKE 'process %'"), "0");
}

fn add_tenant_command() -> Command {
    Command::AddTenant { name: "One".into(), number: None }
}

/// The clock of the tests is years behind that of the database; an engine without a server has no other clock.
#[test]
fn a_wrong_clock_is_noticed() {
    let caller = Caller::task(directory::Purpose::Gateway);
    let directory = new_process_directory(postgres(&create_database()));
    let difference = runtime().block_on(directory.clock_difference(&caller)).expect("read");
    let year = 365 * 24 * 60 * 60 * 1_000_000_i64;
    assert!(difference < -year, "{difference}");
    let directory = fakes::directory(Arc::new(store::Memory::new()));
    assert_eq!(runtime().block_on(directory.clock_difference(&caller)), Ok(0));
}

/// Without statistics, a planner that expects few rows in a tenant would read all of them for each look-up, and prepared
/// statements keep their plan.
#[test]
fn look_ups_in_a_new_database_read_only_the_rows_they_name() {
    const ROUNDS: u32 = 40;
    const CREATES: u32 = 50;
    let url = create_database();
    let store = postgres(&url);
    for table in ["users", "claims", "items", "memberships"] {
        query(&url, &format!("ALTER TABLE {table} SET (autovacuum_enabled = off)"));
    }
    let directory = new_process_directory(store);
    runtime().block_on(async {
        let caller = create_tenant(&directory, "One").await;
        for round in 0..ROUNDS {
            let emails = (0..CREATES).map(|n| format!("u{round}-{n}@x.y"));
            let commands = emails.map(|email| (&caller, Command::CreateUser(new_user(&email))));
            let done = directory.run_all(commands.collect()).await;
            assert!(done.iter().all(Result::is_ok), "{done:?}");
            for n in 1..=5 {
                let key = UserKey::Email(format!("u{round}-{n}@x.y"));
                directory.user(&caller, key.clone()).await.expect("found");
                let mut edit = directory::UserEdit::default();
                edit.set_text(Field::Title, FieldUpdate::Set(format!("{round}")));
                let update = Command::UpdateUser { user: key, edit: Box::new(edit) };
                directory.run(&caller, update).await.expect("changed");
            }
            directory.run(&caller, Command::DeleteUser(UserKey::Number(round * CREATES + 1))).await.expect("deleted");
        }
    });
    drop(directory);
    // The statistics are complete when the connections are closed.
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while query(&url, others) != "0" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let read = "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables
        WHERE relname IN ('users', 'claims', 'items', 'memberships')";
    // Each create, look-up, update and deletion reads a few rows.
    let most = u64::from(ROUNDS * (CREATES + 5 + 5 + 1)) * 10;
    let lines = query(&url, read);
    assert_eq!(lines.lines().count(), 4, "{lines}");
    for line in lines.lines() {
        let rows: u64 = line.split('|').nth(1).and_then(|count| count.parse().ok()).expect("a number");
        assert!(rows < most, "{line} rows were read, at most {most} expected");
    }
}
