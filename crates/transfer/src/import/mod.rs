//! Files into a directory. A file is read to its end before anything is done, so that one that is broken changes nothing;
//! then each row becomes a command like any other. What was brought in is found again, so an import that was cut off is
//! simply run again.

mod context;
mod deactivate_missing;
mod deferred_references;
mod dn_index;
mod executor;
mod in_flight;
mod item_import;
mod keys;
mod ldap_entry;
mod parsed_row;
mod rejected_rows;
mod report;
mod resume_state;
mod row_stream;
mod scan;
mod scanner;
mod unknown_roles;
mod user_import;

pub(crate) use crate::column::ColumnCell;
pub use report::{ImportReport, ReportRows, RowCounts, RowMessage};
pub use row_stream::is_small_file;
pub use scan::Scan;
pub use scanner::scan;

use crate::column::ColumnMapping;
use crate::formats::{FileError, Format, ReadOptions};
use crate::ignored::IgnoredReason;
use directory::{Caller, Directory, DirectoryError, Field, Time};
use std::path::PathBuf;
use std::sync::Arc;

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
    fn field(self) -> Field {
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

/// Brings in a file that was read to its end. `seen` hears how many rows more are done, and says whether to go on.
pub async fn run(
    directory: &Arc<Directory>,
    caller: &Caller,
    options: &ImportOptions,
    scan: &Scan,
    on_progress: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<ImportReport, ImportError> {
    let caller = Caller { request_id: options.request.clone(), ..caller.clone() };
    let no_user =
        || FileError::new("it contains no user, so --deactivate-missing would deactivate all; nothing was done");
    if options.deactivate_missing && scan.users == 0 {
        return Err(no_user().into());
    }
    if !options.deactivate_missing {
        return Ok(Box::pin(executor::import_rows(directory, &caller, options, scan, on_progress)).await?.0);
    }
    // Whether too many are missing is known before anything is done.
    let dry_run_options = ImportOptions { dry_run: true, rejected_file: None, ..options.clone() };
    let (preview, present) =
        Box::pin(executor::import_rows(directory, &caller, &dry_run_options, scan, &mut |_| on_progress(0))).await?;
    let deleted = preview.ignored.iter().filter(|ignored| ignored.reason == IgnoredReason::Deleted);
    if deleted.map(|ignored| ignored.count).sum::<u64>() == scan.users {
        return Err(no_user().into());
    }
    let limit = options.deactivation_limit;
    let missing = deactivate_missing::count_missing(directory, &caller, &present.users, options.first_started).await?;
    if missing.exceeds(limit) {
        return Err(ImportError::TooManyMissing { missing: missing.count, total: missing.active_users, limit });
    }
    if options.dry_run {
        let mut preview = preview;
        if !note_if_unmatched(&present, options, &mut preview) {
            preview.deactivated = missing.count;
        }
        return Ok(preview);
    }
    let (mut report, present) = Box::pin(executor::import_rows(directory, &caller, options, scan, on_progress)).await?;
    // Once more, since others may have been deactivated or removed meanwhile.
    let missing_now =
        deactivate_missing::count_missing(directory, &caller, &present.users, options.first_started).await?;
    if missing_now.exceeds(limit) {
        report.add_note(format!("Nobody was deactivated: it would be more than {limit} % by now."));
    } else if !note_if_unmatched(&present, options, &mut report) {
        let max_number = missing.max_number;
        deactivate_missing::deactivate(
            directory,
            &caller,
            (&present.users, options.first_started),
            max_number,
            &mut report,
            on_progress,
        )
        .await?;
    }
    Ok(report)
}

/// Whether rejected rows that name no user keep missing users from being deactivated; the report says so.
fn note_if_unmatched(present: &executor::PresentUsers, options: &ImportOptions, report: &mut ImportReport) -> bool {
    let is_blocked = present.unmatched_rows > 0 && !options.yes_really;
    if is_blocked {
        report.add_note(format!(
            "Nobody is deactivated: {} rejected rows name no user who exists, so users who are in the file could look \
             missing (--force deactivates all the same).",
            present.unmatched_rows
        ));
    }
    is_blocked
}
