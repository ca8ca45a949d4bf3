//! Every declared table on every engine: its rows are inserted, changed, deleted and listed, and its migrations give it
//! the declared columns and keys.

use crate::conflict_conformance::{change, tenant};
use crate::conformance::Check;
use crate::fakes;
use directory::{
    ArchiveForm, ColumnKind, CommitError, Expected, Mutation, Row, RowQuery, RowWrite, Store, TABLES, Table,
    TenantNumber, Value,
};
use std::sync::Arc;
use uuid::Uuid;

pub const ALL: &[Check] = &[
    ("declared tables", |store| Box::pin(declared_tables(store))),
    ("rows of a removed tenant", |store| Box::pin(rows_of_a_removed_tenant(store))),
];

/// A row whose values differ from those of all other `n`. It belongs to tenant `n`.
pub fn row(table: &Table, n: u8) -> Row {
    let value = |kind| match kind {
        ColumnKind::Int | ColumnKind::BigInt => Value::Int(n.into()),
        ColumnKind::Uuid => Value::Uuid(Uuid::from_u128(n.into())),
        ColumnKind::Text | ColumnKind::Key => Value::Text(format!("text {n}")),
        ColumnKind::Bytes => Value::Bytes(vec![n]),
    };
    table.columns.iter().map(|column| value(column.kind)).collect()
}

/// Other values for the columns that are neither in the key nor refer to another row.
fn changed_values(table: &Table, n: u8) -> Vec<(usize, Value)> {
    let is_changeable = |column: &usize| !matches!(table.columns[*column].kind, ColumnKind::Int | ColumnKind::Uuid);
    let columns = (table.key_columns..table.columns.len()).filter(is_changeable);
    columns.map(|column| (column, row(table, n).swap_remove(column))).collect()
}

#[expect(clippy::too_many_lines, reason = "one scenario for each table")]
async fn declared_tables(store: Arc<dyn Store>) {
    let commit = async |writes| store.commit(change(vec![Mutation::Rows(writes)])).await.map(drop);
    store.commit(change(vec![Mutation::AddTenant(tenant(1))])).await.expect("a tenant");
    let tables: Vec<&'static Table> = TABLES.iter().map(|table| table()).collect();
    for table in &tables {
        let (name, [one, other]) = (table.name, [2, 3].map(|n| row(table, n)));
        let listed_by = async |query: RowQuery| {
            let mut rows = store.rows(query).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            // A server may have used the database before.
            let is_own = |key: &[Value]| [&one, &other].iter().any(|own| own[..table.key_columns] == *key);
            rows.retain(|row| is_own(&row[..table.key_columns]));
            rows
        };
        let listed = async || listed_by(table.all()).await;
        let ok = |result: Result<(), CommitError>| result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        ok(commit(vec![RowWrite::Insert(table, one.clone()), RowWrite::Insert(table, other.clone())]).await);
        assert_eq!(listed().await, [one.clone(), other.clone()], "{name}");
        let key_of = |row: &Row| row[..table.key_columns].to_vec();
        assert_eq!(listed_by(table.all().after(key_of(&one))).await, std::slice::from_ref(&other), "{name}");
        assert_eq!(listed_by(table.all().equal(key_of(&one))).await, std::slice::from_ref(&one), "{name}");
        assert_eq!(listed_by(table.all().equal(vec![other[0].clone()]).limit(1)).await, std::slice::from_ref(&other));
        let keys = vec![key_of(&other), key_of(&one), key_of(&row(table, 9))];
        let mut found = store.rows_with_keys(table, keys).await.expect("read");
        found.sort();
        assert_eq!(found, [one.clone(), other.clone()], "{name}");
        let last = table.columns.len() - 1;
        let by: &'static [usize] = Box::leak(vec![0, last].into());
        let counts = store.count_rows(table.all().equal(vec![one[0].clone()]), by).await.expect("counted");
        assert!(counts.contains(&(vec![one[0].clone(), one[last].clone()], 1)), "{name}: {counts:?}");
        let up_to = || table.all().up_to(one[0].clone());
        let counts = store.count_rows(up_to().limit(1), by).await.expect("counted");
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 1, "{name}: {counts:?}");
        let counts = store.count_rows(up_to(), by).await.expect("counted");
        assert!(!counts.iter().any(|(row, _)| row[0] == other[0]), "{name}: {counts:?}");
        // The key, and other unique values.
        let taken = commit(vec![RowWrite::Insert(table, one.clone())]).await;
        assert!(
            matches!(taken, Err(CommitError::Taken(_))),
            "{name}: a second row with the same key was accepted, so a migration lacks its primary key: {taken:?}"
        );
        for (columns, field) in table.unique {
            // The same values under another key.
            let mut double = row(table, 2);
            for column in (0..table.key_columns).filter(|column| !columns.contains(column)) {
                double[column] = row(table, 4).swap_remove(column);
            }
            let taken = commit(vec![RowWrite::Insert(table, double)]).await;
            assert_eq!(taken, Err(CommitError::Taken(*field)), "{name}: {columns:?}");
        }
        // A change to the unique values of another row.
        for (columns, _) in table.unique {
            let is_changed = |column: &&usize| **column >= table.key_columns;
            let values: Vec<_> =
                columns.iter().filter(is_changed).map(|column| (*column, one[*column].clone())).collect();
            // The rows belong to different tenants.
            if values.len() == columns.len() {
                let (key, expected) = (key_of(&other), Expected::Anything);
                let taken = commit(vec![RowWrite::Update { table, key, values, expected }]).await;
                assert!(matches!(taken, Err(CommitError::Taken(_))), "{name}: {columns:?}: {taken:?}");
            }
        }
        let (key, values) = (other[..table.key_columns].to_vec(), changed_values(table, 5));
        let mut changed = other.clone();
        for (column, value) in &values {
            changed[*column] = value.clone();
        }
        if !values.is_empty() {
            let update = |expected| RowWrite::Update { table, key: key.clone(), values: values.clone(), expected };
            let outdated = commit(vec![update(Expected::Row(values.clone()))]).await;
            assert_eq!(outdated, Err(CommitError::Stale), "{name}");
            let current = values.iter().map(|(column, _)| (*column, other[*column].clone())).collect();
            ok(commit(vec![update(Expected::Row(current))]).await);
            assert_eq!(listed().await, [one.clone(), changed.clone()], "{name}");
            ok(commit(vec![RowWrite::Put(table, other.clone())]).await);
        }
        ok(commit(vec![RowWrite::Put(table, one.clone())]).await);
        assert_eq!(listed().await, [one, other], "{name}");
    }
    // Rows that refer to others are deleted first.
    for table in tables.into_iter().rev() {
        for n in [2, 3] {
            let key = row(table, n)[..table.key_columns].to_vec();
            let deletion = || RowWrite::Delete { table, key: key.clone(), expected: Expected::Row(Vec::new()) };
            commit(vec![deletion()]).await.unwrap_or_else(|error| panic!("{}: {error:?}", table.name));
            assert_eq!(commit(vec![deletion()]).await, Err(CommitError::Stale), "{}", table.name);
        }
    }
}

async fn rows_of_a_removed_tenant(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    for number in [1, 2] {
        store.commit(change(vec![Mutation::AddTenant(tenant(number))])).await.expect("a tenant");
    }
    let tables = || TABLES.iter().map(|table| table()).filter(|table| table.is_by_tenant());
    let own = || tables().filter(|table| table.archive != ArchiveForm::Entries);
    let writes = own().flat_map(|table| [1, 2].map(|n| RowWrite::Insert(table, row(table, n)))).collect();
    store.commit(change(vec![Mutation::Rows(writes)])).await.expect("inserted");
    let count = directory.delete_rows_of_tenant(TenantNumber(2)).await.expect("deleted");
    assert_eq!(count, own().count() as u64);
    for table in own() {
        let of = async |tenant: u32| store.rows(table.all().equal(vec![tenant.into()])).await.expect("read");
        assert_eq!((of(1).await, of(2).await), (vec![row(table, 1)], Vec::new()), "{}", table.name);
    }
}
