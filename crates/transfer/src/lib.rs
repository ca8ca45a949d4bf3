//! People in and out in files: CSV, NDJSON, Excel workbooks and LDIF.
//!
//! A file is a stream of rows with named cells ([`formats`]); names are found in one table ([`column`]), whatever dialect or
//! program they come from; a row says what a person or item shall be ([`person`], [`thing`]); and what is to be done about
//! it is a command like any other ([`import`]). This crate knows no SQL, no HTTP and no engine.

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
pub use messages::refusal_message;
