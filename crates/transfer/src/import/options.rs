//! What is imported and how, and why an import ends early.

use crate::column::ColumnMapping;
use crate::formats::{FileError, Format, ReadOptions};
use directory::{DirectoryError, Field, Time};
use std::path::PathBuf;

/// What somebody is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchKey {
    /// Identity.
    Id,
    /// The client's own key.
    ExternalId,
    /// The preferred e-mail.
    Email,
    /// User name or e-mail, whichever somebody signs in with.
    UserName,
}

impl MatchKey {
    /// In the order in which they are tried when nothing else is said.
    pub const DEFAULT: [Self; 3] = [Self::Id, Self::ExternalId, Self::Email];

    /// What it is called among a person's fields.
    pub(crate) fn field(self) -> Field {
        match self {
            Self::Id => Field::Id,
            Self::ExternalId => Field::ExternalId,
            Self::Email => Field::Email,
            Self::UserName => Field::UserName,
        }
    }

    /// The key of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match crate::cell_value::normalize_header(name).as_str() {
            "id" => Self::Id,
            "externalid" => Self::ExternalId,
            "email" | "mail" => Self::Email,
            "username" => Self::UserName,
            _ => return None,
        })
    }
}

/// What is to be brought in, and how.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// What is not seen from the file.
    pub read_options: ReadOptions,
    /// How its headers are told.
    pub column_mapping: ColumnMapping,
    /// What people are known by, the surest first.
    pub match_by: Vec<MatchKey>,
    /// Those who are there are changed, too, and not left as they are.
    pub update: bool,
    /// Those who are there and not in the file are switched off.
    pub deactivate_missing: bool,
    /// The most of them, in percent of the active users; more are not deactivated.
    pub deactivation_limit: u8,
    /// Also if rows were rejected whose users are not known.
    pub yes_really: bool,
    /// New people are asked in by mail.
    pub invite: bool,
    /// Nothing is done.
    pub dry_run: bool,
    /// Where rows go that were refused; nowhere, when nothing is said.
    pub rejected_file: Option<PathBuf>,
    /// The name under which it is told, in the history and the log.
    pub request: String,
    /// When it first started, if it was interrupted. What it created then counts as created, and changes that others made after
    /// that time are kept.
    pub first_started: Option<Time>,
}

impl ImportOptions {
    /// The usual ones for a file.
    pub fn new(path: impl Into<PathBuf>, format: Format, columns: ColumnMapping) -> Self {
        Self {
            path: path.into(),
            format,
            read_options: ReadOptions::default(),
            column_mapping: columns,
            match_by: MatchKey::DEFAULT.to_vec(),
            update: false,
            deactivate_missing: false,
            deactivation_limit: 10,
            yes_really: false,
            invite: false,
            dry_run: false,
            rejected_file: None,
            request: "import".into(),
            first_started: None,
        }
    }
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not what it should be; nothing was done.
    #[error(transparent)]
    File(#[from] FileError),
    /// More would be switched off than seems meant; nothing was done.
    #[error(
        "{missing} of {total} active users are not in the file and would be deactivated, which is more than {limit} %; \
        nothing was done (allow more with --deactivation-limit PERCENT)"
    )]
    TooManyMissing {
        /// How many.
        missing: u64,
        /// Of how many who are active.
        total: u64,
        /// What is allowed, in percent.
        limit: u8,
    },
    /// The file was changed between the two times it was read; what was done is done.
    #[error("the file was changed while it was imported, after {rows} of {expected} rows: import the new one again")]
    FileChanged {
        /// Rows that were done.
        rows: u64,
        /// Rows that it had.
        expected: u64,
    },
    /// The directory does not go on; what was done is done, and the rest is when it is run again.
    #[error("it stopped at row {row}: {}; run it again to go on", crate::refusal_message(.refusal))]
    Stopped {
        /// Where.
        row: u64,
        /// Why.
        refusal: DirectoryError,
    },
    /// Nobody wants it any more.
    #[error("it was called off")]
    Canceled,
}
