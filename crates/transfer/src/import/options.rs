//! Options of an import, and why an import ends early.

use crate::column::ColumnMapping;
use crate::formats::{FileError, Format, ReadOptions};
use directory::{DirectoryError, Field, Time};
use std::path::PathBuf;

/// An identifier by which rows are matched to existing users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchKey {
    Id,
    /// The identifier in the client's system.
    ExternalId,
    /// The primary email.
    Email,
    /// User name or email.
    UserName,
}

impl MatchKey {
    /// The default keys, most reliable first.
    pub const DEFAULT: [Self; 3] = [Self::Id, Self::ExternalId, Self::Email];

    pub(crate) fn field(self) -> Field {
        match self {
            Self::Id => Field::Id,
            Self::ExternalId => Field::ExternalId,
            Self::Email => Field::Email,
            Self::UserName => Field::UserName,
        }
    }

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

#[derive(Clone, Debug)]
pub struct ImportOptions {
    pub path: PathBuf,
    pub format: Format,
    /// Options that the file does not determine.
    pub read_options: ReadOptions,
    /// How headers map to columns.
    pub column_mapping: ColumnMapping,
    /// Keys to match users by, most reliable first.
    pub match_by: Vec<MatchKey>,
    pub update: bool,
    /// Whether to deactivate active users who are not in the file.
    pub deactivate_missing: bool,
    /// The most users to deactivate, in percent of the active users. If more are missing, nothing is imported.
    pub deactivation_limit: u8,
    /// Whether to deactivate even if rejected rows match no existing user.
    pub deactivate_despite_rejected_rows: bool,
    /// Whether to send invitation emails to new users.
    pub invite: bool,
    pub dry_run: bool,
    /// The file for rejected rows, if any.
    pub rejected_file: Option<PathBuf>,
    /// The request id in the history and the log.
    pub request: String,
    /// When an interrupted import first started. Users and items that it created then are reported as created, and
    /// later changes by others are kept.
    pub first_started: Option<Time>,
}

impl ImportOptions {
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
            deactivate_despite_rejected_rows: false,
            invite: false,
            dry_run: false,
            rejected_file: None,
            request: "import".into(),
            first_started: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is invalid; nothing was imported.
    #[error(transparent)]
    File(#[from] FileError),
    /// More users would be deactivated than the limit allows; nothing was imported.
    #[error(
        "{missing} of {total} active users are not in the file and would be deactivated, more than the limit of \
        {limit}%; nothing was changed (raise the limit with --deactivation-limit PERCENT)"
    )]
    TooManyMissing {
        missing: u64,
        /// Active users.
        total: u64,
        /// The limit, in percent of the active users.
        limit: u8,
    },
    /// The file changed between the scan and the import. Rows imported so far are kept.
    #[error("the file was changed during the import, after {rows} of {expected} rows; import the new version again")]
    FileChanged {
        /// Imported rows.
        rows: u64,
        /// Rows in the scan.
        expected: u64,
    },
    /// The directory failed. Rows imported so far are kept; running the import again continues it.
    #[error("the import stopped at row {row}: {}; run it again to continue", crate::error_message(.error))]
    Stopped {
        /// 0 for errors outside of rows.
        row: u64,
        error: DirectoryError,
    },
    #[error("the import was canceled")]
    Canceled,
}
