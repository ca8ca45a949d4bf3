//! Every statement of both engines, side by side: one text where they say the same, two where they do not.
//!
//! Parameters are `$1`, `$2`, … in the order in which they first appear, which both engines understand; statements of
//! the embedded engine alone may say `?1`. What engines behind PostgreSQL's protocol may be asked is a small subset
//! that they all understand (`docs/scaling.md`); a test here reads every statement for it.

mod admin;
mod archive;
mod events;
mod identifier_migration;
mod items;
#[cfg(test)]
mod sql_portability;
mod users;
mod writes;

use sha2::{Digest, Sha256};

pub(crate) use admin::*;
pub(crate) use archive::*;
pub(crate) use events::*;
pub(crate) use identifier_migration::*;
pub(crate) use items::*;
pub(crate) use users::*;
pub(crate) use writes::*;

/// One statement as each engine takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sql {
    /// For SQLite; empty where that engine has no use for it.
    pub(crate) sqlite: &'static str,
    /// For everything that speaks PostgreSQL's protocol; empty likewise.
    pub(crate) postgres: &'static str,
}

/// Both engines take the same text.
const fn portable(text: &'static str) -> Sql {
    Sql { sqlite: text, postgres: text }
}

const fn per_engine(sqlite: &'static str, postgres: &'static str) -> Sql {
    Sql { sqlite, postgres }
}

/// What a step of the schema's history is known by.
pub(crate) fn checksum(sql: &str) -> String {
    crate::hex(&Sha256::digest(sql.as_bytes()))
}

/// Names statements, and keeps the list of them all for the tests that read them.
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

    /// Every statement.
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

    /// SQLite numbers `$1` and `$2` by where they first appear; PostgreSQL by what they say.
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
