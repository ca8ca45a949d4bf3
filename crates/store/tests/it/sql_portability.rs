//! Every word of a PostgreSQL statement must be on a short list of what PostgreSQL, CockroachDB and YugabyteDB
//! understand. A new construct fails here until it was verified for all three.

use crate::test_stores;
use directory::{Expected, RowWrite, Table, Value};
use rusqlite::params_from_iter;
use std::collections::BTreeSet;
use store::sql::{self, all_statements};

/// The statements of all migrations.
fn schema() -> String {
    test_stores::migrations().join("\n")
}

const KEYWORDS: &str =
    "select from where and or not like is null in any as join on order by asc desc limit offset group union
    all insert into values conflict do nothing update set delete returning excluded cast interval millisecond
    begin commit rollback local isolation level serializable repeatable read only
    create table alter add column index if exists primary key unique foreign references drop
    left lateral true like case when then else end with";
/// Only in migrations.
const DDL_KEYWORDS: &str = "constraint";
const TYPES: &str = "int smallint bigint text bytea uuid boolean timestamptz";
const FUNCTIONS: &str =
    "count sum max min coalesce nullif replace unnest string_agg clock_timestamp pg_backend_pid pg_is_in_recovery";
/// Aliases of the statements, and names of settings.
const ALIASES: &str =
    "n b c e i k l m t u times done keeps_password lock_timeout idle_in_transaction_session_timeout enable_seqscan jit off show transaction_read_only migrations
    checksum";

/// Names of the schema: tables, columns and indexes.
fn schema_identifiers() -> BTreeSet<String> {
    let language: BTreeSet<String> =
        [KEYWORDS, DDL_KEYWORDS, TYPES].iter().flat_map(|list| list.split_whitespace()).map(str::to_owned).collect();
    let ddl = tokens(&schema());
    // `text` is a column and a type.
    ddl.into_iter().filter(|word| !language.contains(word)).collect()
}

/// The words of a statement in lower case, without quoted texts and comments.
fn tokens(sql: &str) -> Vec<String> {
    let uncommented: String =
        sql.lines().map(|line| line.split("--").next().unwrap_or_default()).fold(String::new(), |mut text, line| {
            text.push_str(line);
            text.push(' ');
            text
        });
    let unquoted: String = uncommented.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
    unquoted
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'))
        .filter(|word| !word.is_empty() && !word.starts_with('$') && !word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_ascii_lowercase)
        .collect()
}

/// The words and operators that are not allowed.
fn unsupported_tokens(sql: &str) -> Vec<String> {
    let mut allowed = schema_identifiers();
    let lists = [KEYWORDS, TYPES, FUNCTIONS, ALIASES];
    allowed.extend(lists.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned));
    let mut found: Vec<String> = tokens(sql).into_iter().filter(|word| !allowed.contains(word)).collect();
    // Operators that are no words: casts with colons, JSON and patterns, named parameters.
    let operators = ["::", "->", "~", "@", "#", "?", "%", "&", "!"];
    let unquoted: String = sql.split('\'').step_by(2).collect();
    found.extend(operators.iter().filter(|sign| unquoted.contains(*sign)).map(|sign| (*sign).to_owned()));
    let flat = tokens(sql).join(" ");
    let phrases = ["for update", "on constraint", "in any"];
    found.extend(phrases.iter().filter(|phrase| flat.contains(*phrase)).map(|phrase| (*phrase).to_owned()));
    found
}

#[test]
fn statements_are_portable() {
    let mut checked = 0;
    for (name, sql) in all_statements().filter(|(_, sql)| !sql.postgres.is_empty()) {
        assert_eq!(unsupported_tokens(sql.postgres), Vec::<String>::new(), "{name}: {}", sql.postgres);
        checked += 1;
    }
    assert!(checked > 60, "only {checked} statements were checked");
    for sql in table_statements() {
        let unsupported: Vec<String> =
            unsupported_tokens(&sql).into_iter().filter(|word| !is_bound_name(word)).collect();
        assert_eq!(unsupported, Vec::<String>::new(), "{sql}");
    }
    for numbers in [sql::USER_NUMBERS_BY_ACTIVE, sql::USER_NUMBERS_BY_MEMBERSHIP] {
        for sql in [
            sql::count_below_sql(numbers.postgres, 3),
            sql::number_page_sql(numbers.postgres, 3, true),
            sql::number_page_sql(numbers.postgres, 3, false),
        ] {
            assert_eq!(unsupported_tokens(&sql), Vec::<String>::new(), "{sql}");
        }
    }
}

/// The name of a bound value in the statements of declared tables.
fn is_bound_name(word: &str) -> bool {
    word.strip_prefix('c').is_some_and(|number| number.parse::<usize>().is_ok())
}

/// A connection to a new store, and its folder.
pub(crate) fn new_sqlite_store() -> (tempfile::TempDir, rusqlite::Connection) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    drop(store_sqlite::Sqlite::open(&path, &store_sqlite::SqliteOptions::default()).expect("a store"));
    let db = rusqlite::Connection::open(&path).expect("opened");
    (folder, db)
}

/// Every kind of write to a declared table.
fn table_writes(table: &'static Table) -> [RowWrite; 4] {
    let row = vec![Value::Null; table.columns.len()];
    let key = row[..table.key_columns].to_vec();
    let values: Vec<_> = row.iter().cloned().enumerate().skip(table.key_columns).collect();
    let old = || Expected::Row(values.clone());
    [
        RowWrite::Insert(table, row.clone()),
        RowWrite::Put(table, row.clone()),
        RowWrite::Update { table, key: key.clone(), values: values.clone(), expected: old() },
        RowWrite::Delete { table, key: key.clone(), expected: old() },
    ]
}

#[test]
fn writes_to_declared_tables_use_their_keys() {
    let (_folder, db) = new_sqlite_store();
    for table in directory::TABLES.iter().map(|table| table()) {
        for write in table_writes(table) {
            if matches!(&write, RowWrite::Update { values, .. } if values.is_empty()) {
                continue;
            }
            let (operation, table, row) = sql::TableOperation::of(write);
            let sql = operation.single_row_sql(table);
            let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("prepared");
            let plan = statement.query_map(params_from_iter(row.iter().map(|_| 1)), |row| row.get::<_, String>(3));
            let plan: Vec<String> = plan.expect("a plan").map(|line| line.expect("a line")).collect();
            let scans = [format!("SCAN {}", table.name), "SCAN t".to_owned()];
            assert!(!plan.iter().any(|line| scans.iter().any(|scan| line.starts_with(scan))), "{sql}: {plan:?}");
        }
    }
}

/// Every kind of statement for every declared table.
fn table_statements() -> Vec<String> {
    let mut all = Vec::new();
    for table in directory::TABLES.iter().map(|table| table()) {
        let row = vec![Value::Null; table.columns.len()];
        let key = row[..table.key_columns].to_vec();
        for write in table_writes(table) {
            let (operation, table, _) = sql::TableOperation::of(write);
            let names = operation.names().collect::<Vec<_>>().join(", ");
            all.push(sql::exactly_sql(
                &operation.sql(table, &format!("(SELECT {names} FROM unnest($1) AS u ({names}))")),
                9,
            ));
        }
        all.push(sql::select_by_keys_sql(table, "(SELECT c0 FROM unnest($1) AS u (c0))"));
        all.push(sql::count_sql(&table.row(key.clone()), &[0]).0);
        all.push(sql::select_sql(&table.row(key).limit(1)).0);
        all.push(sql::select_sql(&table.all().after(vec![Value::Null]).up_to(Value::Null)).0);
    }
    all
}

/// As the engine splits a migration.
fn statements_of(migrations: &str) -> Vec<String> {
    let plain: Vec<&str> = migrations.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let plain = plain.join("\n");
    plain.split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// SQLite numbers `$1` and `$2` by first appearance, PostgreSQL by the digits.
#[test]
fn parameters_are_numbered_in_order_of_appearance() {
    let (_folder, db) = new_sqlite_store();
    for (name, sql) in all_statements().filter(|(_, sql)| !sql.sqlite.is_empty()) {
        let statement = db.prepare(sql.sqlite).unwrap_or_else(|error| panic!("{name}: {error}"));
        for index in 1..=statement.parameter_count() {
            let actual = statement.parameter_name(index).map(|name| &name[1..]);
            assert_eq!(actual, Some(index.to_string().as_str()), "{name}");
        }
    }
}

/// The schema consists of single statements that can run twice, in the same words. The schema's own names are checked
/// by a pattern, so that a SQL word that is not on the list cannot pass as a name.
#[test]
fn schema_is_portable() {
    for statement in statements_of(&schema()) {
        let head = tokens(&statement).into_iter().take(5).collect::<Vec<_>>().join(" ");
        assert!(
            head.starts_with("create table if not exists")
                || head.starts_with("create index if not exists")
                || head.starts_with("create unique index if not")
                || tokens(&statement).join(" ").contains(" add column if not exists")
                || (head.starts_with("insert into") && statement.ends_with("DO NOTHING"))
                || head == "drop table if exists mails"
                // Runs again with an error that the engine ignores.
                || head == "alter table events drop constraint"
                || head == "alter table links drop constraint"
                || head.starts_with("update tenants set version coalesce")
                // Idempotent: replaced text is not found again.
                || head.starts_with("update connections set doc replace"),
            "a migration can run twice, so it must be one of these, such as CREATE TABLE IF NOT EXISTS: {statement}"
        );
        for word in [
            "serial",
            "identity",
            "generated",
            "deferrable",
            "jsonb",
            "citext",
            "default",
            "check",
            "trigger",
            "inherits",
            "partition",
            "exclude",
            "using",
            "where",
            "cascade",
        ] {
            assert!(!tokens(without_condition(&statement)).iter().any(|other| other == word), "{word}: {statement}");
        }
    }
}

/// An index without its condition, which can only be that one column is not null.
fn without_condition(statement: &str) -> &str {
    let condition = statement.strip_suffix(" IS NOT NULL").and_then(|text| text.rsplit_once(" WHERE "));
    let is_column = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    match condition {
        Some((index, column)) if index.contains("INDEX IF NOT EXISTS ") && is_column(column) => index,
        _ => statement,
    }
}

/// In other tables, SQLite stores values of any type.
#[test]
fn sqlite_tables_are_strict() {
    let (_folder, db) = new_sqlite_store();
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0 AND name NOT LIKE 'sqlite_%'";
    let mut statement = db.prepare(sql).expect("prepared");
    let names = statement.query_map([], |row| row.get::<_, String>(0)).expect("listed");
    let names: Vec<String> = names.map(|name| name.expect("a name")).collect();
    assert!(names.is_empty(), "add `STRICT` to {names:?}");
}

#[test]
fn unportable_sql_is_detected() {
    for (sql, what) in [
        ("SELECT pg_advisory_lock(1)", "pg_advisory_lock"),
        ("LISTEN events", "listen"),
        ("SELECT doc FROM users FOR UPDATE", "for"),
        ("SELECT doc::jsonb FROM users", "::"),
        ("INSERT INTO users VALUES ($1) ON CONFLICT ON CONSTRAINT users_pkey DO NOTHING", "constraint"),
        ("SELECT xmin FROM users", "xmin"),
        ("SELECT doc FROM users WHERE doc ILIKE 'a%'", "ilike"),
        ("SAVEPOINT change", "savepoint"),
        ("SELECT nextval('s')", "nextval"),
        ("SELECT doc->>'a' FROM users", "->"),
    ] {
        assert!(unsupported_tokens(sql).contains(&what.to_owned()), "{sql}: {:?}", unsupported_tokens(sql));
    }
}
