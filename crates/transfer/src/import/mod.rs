//! Files into a directory. A file is read to its end before anything is done, so that one that is broken changes nothing;
//! then each row becomes a command like any other. What was brought in is found again, so an import that was cut off is
//! simply run again.

mod begun;
mod file;
mod missing;
mod person;
mod refused;
mod report;
mod rows;
mod thing;

pub use file::{Scan, scan};
pub use report::{Line, Lines, Report, Tally};

use crate::column::Columns;
use crate::formats::{FileError, Format, Reading};
use directory::{Caller, Directory, Field, Refusal};
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
        Some(match crate::column::squeezed(name).as_str() {
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
    /// However many they are.
    pub yes_really: bool,
    /// New people are asked in by mail.
    pub invites: bool,
    /// Nothing is done.
    pub is_preview: bool,
    /// Where rows go that were refused; nowhere, when nothing is said.
    pub refused: Option<PathBuf>,
    /// The name under which it is told, in the history and the log.
    pub request: String,
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
            yes_really: false,
            invites: false,
            is_preview: false,
            refused: None,
            request: "import".into(),
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
        "{missing} of {total} people are not in the file and would be switched off, which is more than 10 %; nothing was \
        done (--yes-really does it)"
    )]
    Brake {
        /// How many.
        missing: u64,
        /// Of how many who are switched on.
        total: u64,
    },
    /// The directory does not go on; what was done is done, and the rest is when it is run again.
    #[error("it stopped at row {row}: {}; run it again to go on", crate::refusal_in_words(.refusal))]
    Stopped {
        /// Where.
        row: u64,
        /// Why.
        refusal: Refusal,
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
    let caller = Caller { request: options.request.clone(), ..caller.clone() };
    if !options.deactivates_missing {
        return Ok(Box::pin(rows::all(directory, &caller, options, scan, seen)).await?.0);
    }
    // Whether too many are missing is known before anything is done.
    let looking = Options { is_preview: true, refused: None, ..options.clone() };
    let (preview, there) = Box::pin(rows::all(directory, &caller, &looking, scan, &mut |_| seen(0))).await?;
    let missing = missing::count(directory, &caller, &there).await?;
    if missing.is_too_many() && !options.yes_really {
        return Err(ImportError::Brake { missing: missing.people, total: missing.total });
    }
    if options.is_preview {
        return Ok(Report { deactivated: missing.people, ..preview });
    }
    let (mut report, there) = Box::pin(rows::all(directory, &caller, options, scan, seen)).await?;
    // Once more, since the file may be another one by now.
    let now = missing::count(directory, &caller, &there).await?;
    let is_whole = report.rows() == scan.rows;
    if !is_whole || now.is_too_many() && !options.yes_really {
        report.note("Nobody was switched off: the file has changed while it was brought in.");
    } else if report.refused() > 0 && !options.yes_really {
        report.note(
            "Nobody was switched off: rows were refused, and those whom they are about would look missing.",
        );
    } else {
        missing::switch_off(directory, &caller, &there, missing.highest, &mut report, seen).await?;
    }
    Ok(report)
}
