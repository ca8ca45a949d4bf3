//! Import and export of users and items as files: CSV, NDJSON, Excel workbooks and LDIF.
//!
//! [`formats`] reads a file as rows with named cells, [`mod@column`] maps the headers of other programs and dialects
//! to columns, [`import`] runs one directory command per row, and [`export`] writes rows. No SQL, no HTTP.
//!
//! ```
//! use transfer::{Format, column::ColumnMapping, import};
//! let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
//! std::fs::write(file.path(), "email,Prenom\nann@example.com,Ann\n").unwrap();
//! let columns = ColumnMapping::new([("prenom", directory::Field::GivenName)]);
//! let options = import::ImportOptions::new(file.path(), Format::Csv, columns);
//! assert_eq!(import::scan(&options).unwrap().users, 1);
//! ```

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
mod invalid_option;
mod item_row;
mod ldap_attributes;
mod messages;
mod reference_resolver;
mod user_row;

pub use column::{Column, ColumnMapping, RecordKind};
pub use formats::{FileError, Format};
pub use invalid_option::InvalidOption;
pub use messages::error_message;
