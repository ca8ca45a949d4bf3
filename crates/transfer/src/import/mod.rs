//! Files into a directory. A file is read to its end before anything is done, so that one that is broken changes nothing;
//! then each row becomes a command like any other. What was brought in is found again, so an import that was cut off is
//! simply run again.

mod begun;
mod entry;
mod file;
mod job;
mod keys;
mod missing;
mod named_entries;
mod person;
mod reading;
mod references;
mod refused;
mod report;
mod resumed;
mod rows;
mod scanning;
mod thing;
mod under_way;
mod unknown_roles;

pub(crate) use crate::column::Cell;
pub use file::Scan;
pub use reading::is_small;
pub use report::{Line, Lines, Report, Tally};
pub use scanning::scan;

use crate::column::Columns;
use crate::formats::{FileError, Format, Reading};
use crate::ignored::Reason;
use directory::{Caller, Directory, DirectoryError, Field, Time};
use std::path::PathBuf;
use std::sync::Arc;

/// What somebody is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Identity.
    Id,
    /// The client's own key.
    ExternalId,
    /// The preferred e-mail.
    Email,
    /// User name or e-mail, whichever somebody signs in with.
    UserName,
}

impl Key {
    /// In the order in which they are tried when nothing else is said.
    pub const USUAL: [Self; 3] = [Self::Id, Self::ExternalId, Self::Email];

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
    pub fn named(name: &str) -> Option<Self> {
        Some(match crate::value::squeezed(name).as_str() {
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
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// What is not seen from the file.
    pub reading: Reading,
    /// How its headers are told.
    pub columns: Columns,
    /// What people are known by, the surest first.
    pub match_by: Vec<Key>,
    /// Those who are there are changed, too, and not left as they are.
    pub updates: bool,
    /// Those who are there and not in the file are switched off.
    pub deactivates_missing: bool,
    /// The most of them, in percent of the active users; more are not deactivated.
    pub deactivation_limit: u8,
    /// Also if rows were rejected whose users are not known.
    pub yes_really: bool,
    /// New people are asked in by mail.
    pub invites: bool,
    /// Nothing is done.
    pub is_preview: bool,
    /// Where rows go that were refused; nowhere, when nothing is said.
    pub refused: Option<PathBuf>,
    /// The name under which it is told, in the history and the log.
    pub request: String,
    /// When it first started, if it was interrupted. What it created then counts as created, and changes that others made after
    /// that time are kept.
    pub begun: Option<Time>,
}

impl Options {
    /// The usual ones for a file.
    pub fn new(path: impl Into<PathBuf>, format: Format, columns: Columns) -> Self {
        Self {
            path: path.into(),
            format,
            reading: Reading::default(),
            columns,
            match_by: Key::USUAL.to_vec(),
            updates: false,
            deactivates_missing: false,
            deactivation_limit: 10,
            yes_really: false,
            invites: false,
            is_preview: false,
            refused: None,
            request: "import".into(),
            begun: None,
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
    Brake {
        /// How many.
        missing: u64,
        /// Of how many who are active.
        total: u64,
        /// What is allowed, in percent.
        limit: u8,
    },
    /// The file was changed between the two times it was read; what was done is done.
    #[error(
        "the file was changed while it was imported, after {rows} of {expected} rows: import the new one again"
    )]
    Changed {
        /// Rows that were done.
        rows: u64,
        /// Rows that it had.
        expected: u64,
    },
    /// The directory does not go on; what was done is done, and the rest is when it is run again.
    #[error("it stopped at row {row}: {}; run it again to go on", crate::refusal_in_words(.refusal))]
    Stopped {
        /// Where.
        row: u64,
        /// Why.
        refusal: DirectoryError,
    },
    /// Nobody wants it any more.
    #[error("it was called off")]
    CalledOff,
}

/// Brings in a file that was read to its end. `seen` hears how many rows more are done, and says whether to go on.
pub async fn run(
    directory: &Arc<Directory>,
    caller: &Caller,
    options: &Options,
    scan: &Scan,
    seen: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<Report, ImportError> {
    let caller = Caller { request_id: options.request.clone(), ..caller.clone() };
    let no_user = || {
        FileError::new("it contains no user, so --deactivate-missing would deactivate all; nothing was done")
    };
    if options.deactivates_missing && scan.users == 0 {
        return Err(no_user().into());
    }
    if !options.deactivates_missing {
        return Ok(Box::pin(rows::all(directory, &caller, options, scan, seen)).await?.0);
    }
    // Whether too many are missing is known before anything is done.
    let looking = Options { is_preview: true, refused: None, ..options.clone() };
    let (preview, there) = Box::pin(rows::all(directory, &caller, &looking, scan, &mut |_| seen(0))).await?;
    let deleted = preview.ignored.iter().filter(|ignored| ignored.reason == Reason::Deleted);
    if deleted.map(|ignored| ignored.count).sum::<u64>() == scan.users {
        return Err(no_user().into());
    }
    let limit = options.deactivation_limit;
    let missing = missing::count(directory, &caller, &there.users, options.begun).await?;
    if missing.is_more_than(limit) {
        return Err(ImportError::Brake { missing: missing.people, total: missing.total, limit });
    }
    if options.is_preview {
        let mut preview = preview;
        if !unmatched(&there, options, &mut preview) {
            preview.deactivated = missing.people;
        }
        return Ok(preview);
    }
    let (mut report, there) = Box::pin(rows::all(directory, &caller, options, scan, seen)).await?;
    // Once more, since others may have been deactivated or removed meanwhile.
    let now = missing::count(directory, &caller, &there.users, options.begun).await?;
    if now.is_more_than(limit) {
        report.note(format!("Nobody was deactivated: it would be more than {limit} % by now."));
    } else if !unmatched(&there, options, &mut report) {
        let highest = missing.highest;
        missing::switch_off(directory, &caller, (&there.users, options.begun), highest, &mut report, seen)
            .await?;
    }
    Ok(report)
}

/// Whether rejected rows that name no user keep missing users from being deactivated; the report says so.
fn unmatched(there: &rows::Present, options: &Options, report: &mut Report) -> bool {
    let is_kept = there.unmatched > 0 && !options.yes_really;
    if is_kept {
        report.note(format!(
            "Nobody is deactivated: {} rejected rows name no user who exists, so users who are in the file could look \
             missing (--yes-really deactivates all the same).",
            there.unmatched
        ));
    }
    is_kept
}
