//! Every SQL statement of both engines, side by side: one text if it is the same, two if not.
//!
//! Parameters are `$1`, `$2`, … in the order of first appearance, which both engines understand; statements for
//! SQLite alone may use `?1`. Statements for PostgreSQL use a small subset that all databases with its protocol
//! understand (`docs/scaling.md`); a test here checks them.

mod admin;
mod archive;
mod events;
mod identifier_migration;
mod items;
#[cfg(test)]
mod sql_portability;
mod tables;
mod users;
mod writes;

use sha2::{Digest, Sha256};

pub(crate) use admin::*;
pub(crate) use archive::*;
pub(crate) use events::*;
pub(crate) use identifier_migration::*;
pub(crate) use items::*;
pub(crate) use tables::{TableOperation, select_sql};
pub(crate) use users::*;
pub(crate) use writes::*;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sql {
    /// Empty if SQLite does not use it.
    pub(crate) sqlite: &'static str,
    /// For every database with PostgreSQL's protocol; empty if they do not use it.
    pub(crate) postgres: &'static str,
}

const fn portable(text: &'static str) -> Sql {
    Sql { sqlite: text, postgres: text }
}

const fn per_engine(sqlite: &'static str, postgres: &'static str) -> Sql {
    Sql { sqlite, postgres }
}

/// Identifies the text of a migration.
pub(crate) fn checksum(sql: &str) -> String {
    crate::hex(&Sha256::digest(sql.as_bytes()))
}

/// A statement that fails unless it changes exactly as many rows as its last parameter says. Dividing by zero ends the
/// transaction, so that a commit that was sent with it does nothing: no answer has to be awaited before the commit.
macro_rules! exactly {
    ($change:expr, $count:literal) => {
        concat!(
            "WITH done AS (",
            $change,
            " RETURNING 1) SELECT 1 / (CASE WHEN count(*) = ",
            $count,
            " THEN 1 ELSE 0 END) FROM done"
        )
    };
}
use exactly;

/// As `exactly!`; `place` is the number of the last parameter.
pub(crate) fn exactly_sql(change: &str, place: usize) -> String {
    format!(
        "WITH done AS ({change} RETURNING 1) SELECT 1 / (CASE WHEN count(*) = ${place} THEN 1 ELSE 0 END) FROM done"
    )
}

/// Defines statements, and a list of them for tests.
macro_rules! statements {
    ($($(#[$about:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$about])* pub(crate) const $name: Sql = $sql;)*
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[(&str, Sql)] = &[$((stringify!($name), $name)),*];
    };
}
use statements;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn all_statements() -> impl Iterator<Item = (&'static str, Sql)> {
        let lists = [
            admin::STATEMENTS,
            archive::STATEMENTS,
            events::STATEMENTS,
            identifier_migration::STATEMENTS,
            items::STATEMENTS,
            users::STATEMENTS,
            writes::STATEMENTS,
        ];
        lists.into_iter().flatten().copied()
    }

    /// SQLite numbers `$1` and `$2` by first appearance, PostgreSQL by the digits.
    #[test]
    fn parameters_are_numbered_in_order_of_appearance() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.db");
        let store = crate::Sqlite::open(&path, &crate::SqliteOptions::default()).expect("a store");
        let db = rusqlite::Connection::open(&path).expect("opened");
        for (name, sql) in all_statements().filter(|(_, sql)| !sql.sqlite.is_empty()) {
            let statement = db.prepare(sql.sqlite).unwrap_or_else(|error| panic!("{name}: {error}"));
            for index in 1..=statement.parameter_count() {
                let actual = statement.parameter_name(index).map(|name| &name[1..]);
                assert_eq!(actual, Some(index.to_string().as_str()), "{name}");
            }
        }
        drop(store);
    }
}
