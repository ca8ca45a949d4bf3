//! Import and export of users and items as files: CSV, NDJSON, Excel workbooks and LDIF.
//!
//! [`formats`] reads a file as rows with named cells, [`column`] maps the headers of other programs and dialects
//! to columns, [`import`] runs one directory command per row, and [`export`] writes rows. No SQL, no HTTP.

mod account_state;
mod cell_value;
pub mod column;
mod dn;
pub mod export;
mod foreign_hashes;
pub mod formats;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod ignored;
pub mod import;
mod item_row;
mod ldap_attributes;
mod messages;
mod reference_resolver;
mod user_row;

pub use column::{Column, ColumnMapping, RecordKind};
pub use formats::{FileError, Format};
pub use messages::error_message;
