//! Every SQL statement of both engines, side by side: one text if it is the same, two if not.
//!
//! Parameters are `$1`, `$2`, … in the order of first appearance, which both engines understand; statements for
//! SQLite alone may use `?1`. Statements for PostgreSQL use a small subset that all databases with its protocol
//! understand (`docs/scaling.md`); `tests/it/sql_portability.rs` checks them.

mod admin;
mod archive;
mod event_subjects_migration;
mod events;
mod identifier_migration;
mod items;
mod tables;
mod users;
mod writes;

use sha2::{Digest, Sha256};

pub use admin::*;
pub use archive::*;
pub use event_subjects_migration::*;
pub use events::*;
pub use identifier_migration::*;
pub use items::*;
pub use tables::{TableOperation, count_sql, select_by_keys_sql, select_sql};
pub use users::*;
pub use writes::*;

#[derive(Clone, Copy, Debug)]
pub struct Sql {
    /// Empty if SQLite does not use it.
    pub sqlite: &'static str,
    /// For every database with PostgreSQL's protocol; empty if they do not use it.
    pub postgres: &'static str,
}

const fn portable(text: &'static str) -> Sql {
    Sql { sqlite: text, postgres: text }
}

const fn per_engine(sqlite: &'static str, postgres: &'static str) -> Sql {
    Sql { sqlite, postgres }
}

/// Identifies the text of a migration.
pub fn checksum(sql: &str) -> String {
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
pub fn exactly_sql(change: &str, place: usize) -> String {
    format!(
        "WITH done AS ({change} RETURNING 1) SELECT 1 / (CASE WHEN count(*) = ${place} THEN 1 ELSE 0 END) FROM done"
    )
}

/// Defines statements, and a list of them for tests.
macro_rules! statements {
    ($($(#[$about:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$about])* pub const $name: Sql = $sql;)*
        pub(super) const STATEMENTS: &[(&str, Sql)] = &[$((stringify!($name), $name)),*];
    };
}
use statements;

/// Name and text of every statement, for tests.
pub fn all_statements() -> impl Iterator<Item = (&'static str, Sql)> {
    let lists = [
        admin::STATEMENTS,
        archive::STATEMENTS,
        event_subjects_migration::STATEMENTS,
        events::STATEMENTS,
        identifier_migration::STATEMENTS,
        items::STATEMENTS,
        users::STATEMENTS,
        writes::STATEMENTS,
    ];
    lists.into_iter().flatten().copied()
}
