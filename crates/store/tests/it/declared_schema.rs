//! The migrations of both engines give every declared table the declared columns and primary key, and there are no other
//! tables than these and those of users, items and events.

use directory::{Column, ColumnKind, TABLES, Table};
use std::collections::BTreeSet;

/// Tables of users, items, events, restores and migrations, which engines read and write with statements of their own.
const UNDECLARED: [&str; 13] = [
    "blocks",
    "chains",
    "claims",
    "counters",
    "event_subjects",
    "events",
    "filling",
    "items",
    "memberships",
    "mentions",
    "migrations",
    "tombstones",
    "users",
];
/// Further tables of PostgreSQL.
const OF_POSTGRES: [&str; 5] = ["batches", "counted", "holds", "leases", "links"];

/// The row id of connections on SQLite.
const ROW_ID: &str = "seq";

/// A column of an engine: name, type, whether it is nullable, and its place in the primary key, from 1 (0: not in it).
type EngineColumn = (String, String, bool, u32);

fn declared(table: &'static Table, type_name: fn(ColumnKind) -> &'static str) -> BTreeSet<EngineColumn> {
    let column = |(index, column): (usize, &Column)| {
        let place = if index < table.key_columns { u32::try_from(index).expect("few columns") + 1 } else { 0 };
        (column.name.to_owned(), type_name(column.kind).to_owned(), column.is_optional, place)
    };
    table.columns.iter().enumerate().map(column).collect()
}

fn check(found: impl Fn(&str) -> BTreeSet<EngineColumn>, type_name: fn(ColumnKind) -> &'static str) {
    for table in TABLES.iter().map(|table| table()) {
        let (declared, found) = (declared(table, type_name), found(table.name));
        let missing: Vec<_> = declared.difference(&found).collect();
        let others: Vec<_> = found.difference(&declared).collect();
        assert!(
            missing.is_empty() && others.is_empty(),
            "{}: the declaration has {missing:?}, the migrations {others:?} (name, type, is nullable, place in the key)",
            table.name
        );
    }
}

fn check_tables(found: &BTreeSet<String>, own: &[&str]) {
    let declared = TABLES.iter().map(|table| table().name);
    let known: BTreeSet<String> = declared.chain(UNDECLARED).chain(own.iter().copied()).map(str::to_owned).collect();
    let unknown: Vec<_> = found.difference(&known).collect();
    assert!(unknown.is_empty(), "neither in `directory::TABLES` nor listed in this test: {unknown:?}");
    let missing: Vec<_> = known.difference(found).collect();
    assert!(missing.is_empty(), "no migration creates {missing:?}");
}

#[test]
fn sqlite_has_the_declared_tables() {
    let (_folder, db) = crate::sql_portability::new_sqlite_store();
    let texts = |sql: &str| -> BTreeSet<String> {
        let mut statement = db.prepare(sql).expect("prepared");
        statement.query_map([], |row| row.get(0)).expect("listed").collect::<Result<_, _>>().expect("texts")
    };
    check_tables(&texts("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"), &[]);
    let found = |table: &str| -> BTreeSet<EngineColumn> {
        let mut statement = db
            .prepare("SELECT name, type, \"notnull\" = 0 AND pk = 0, pk FROM pragma_table_info(?1)")
            .expect("prepared");
        let column = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let columns = statement.query_map([table], column).expect("listed").collect::<Result<Vec<_>, _>>();
        let columns = columns.expect("columns").into_iter().filter(|(name, ..): &EngineColumn| name != ROW_ID);
        // Beside a row id, the key is a unique index.
        let place = |(name, kind, is_nullable, place): EngineColumn| {
            let is_key = table == "connections" && name == "id";
            (name, kind, is_nullable, if is_key { 1 } else { place })
        };
        columns.map(place).collect()
    };
    check(found, |kind| match kind {
        ColumnKind::Int | ColumnKind::BigInt => "INTEGER",
        ColumnKind::Uuid | ColumnKind::Bytes => "BLOB",
        ColumnKind::Text | ColumnKind::Key => "TEXT",
    });
    let mut with_row_id = texts(
        "SELECT name FROM pragma_table_list l WHERE wr = 0 AND NOT EXISTS
        (SELECT 1 FROM pragma_table_info(l.name) WHERE pk = 1 AND type = 'INTEGER')",
    );
    with_row_id.retain(|name| TABLES.iter().any(|table| table().name == *name));
    assert!(with_row_id.is_empty(), "add `WITHOUT ROWID`, which keeps rows in the order of the key: {with_row_id:?}");
}

#[test]
fn postgres_has_the_declared_tables() {
    let url = testkit::postgres::create_database();
    drop(crate::test_stores::postgres(&url));
    let lines = |sql: &str| -> Vec<String> {
        testkit::postgres::query(&url, sql).lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
    };
    let tables = lines("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    check_tables(&tables.into_iter().collect(), &OF_POSTGRES);
    let found = |table: &str| -> BTreeSet<EngineColumn> {
        let columns = lines(&format!(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
            coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0)
            FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
            WHERE a.attrelid = '{table}'::regclass AND a.attnum > 0 AND NOT a.attisdropped"
        ));
        let column = |line: &String| {
            let parts: Vec<&str> = line.split('|').collect();
            let [name, kind, is_nullable, place] = parts[..] else { panic!("{line}") };
            // Nullable in 0.1.0; a later migration has set all values.
            let is_nullable = is_nullable == "t" && (table, name) != ("tenants", "version");
            (name.to_owned(), kind.to_owned(), is_nullable, place.parse().expect("a number"))
        };
        columns.iter().map(column).collect()
    };
    check(found, |kind| match kind {
        ColumnKind::Int => "integer",
        ColumnKind::BigInt => "bigint",
        ColumnKind::Uuid => "uuid",
        ColumnKind::Text => "text",
        ColumnKind::Key | ColumnKind::Bytes => "bytea",
    });
}
