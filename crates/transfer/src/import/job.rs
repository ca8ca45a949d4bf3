//! What the rows of an import share, and the outcome of one row.

use super::report::Outcome;
use super::resumed::Resumed;
use super::{Options, Scan, unknown_roles};
use crate::column::Kind;
use crate::formats::Row;
use crate::refer::Names;
use backon::{ConstantBuilder, Retryable};
use directory::{Caller, Command, Directory, DirectoryError, Field, Item, Receipt, User, UserId, UserKey};
use std::sync::Arc;
use std::time::Duration;

/// How often a row is tried again that others were in the way of, and how long somebody who is busy is left alone.
const TRIES: u32 = 20;

const PAUSE: Duration = Duration::from_millis(50);

/// People by number.
#[derive(Default)]
pub(super) struct People(Vec<u64>);

impl People {
    pub(super) fn add(&mut self, number: u32) {
        let word = number as usize / 64;
        if word >= self.0.len() {
            self.0.resize((word + 1).next_power_of_two(), 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    pub(super) fn holds(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

/// What all rows share.
pub(super) struct Job<'a> {
    pub(super) directory: &'a Arc<Directory>,
    pub(super) caller: &'a Caller,
    pub(super) options: &'a Options,
    pub(super) scan: &'a Scan,
    /// What things are called, to say in what somebody would change; previews only.
    pub(super) names: Names,
    /// What happened after the import started, if it was interrupted.
    pub(super) resumed: Option<Resumed>,
    /// Whether the file's roles are those of another system.
    pub(super) ignores_roles: bool,
}

impl<'a> Job<'a> {
    pub(super) async fn new(
        directory: &'a Arc<Directory>,
        caller: &'a Caller,
        options: &'a Options,
        scan: &'a Scan,
    ) -> Result<Self, DirectoryError> {
        let names = if options.is_preview { Names::load(directory, caller).await? } else { Names::default() };
        let resumed = match options.begun {
            Some(begun) => Some(Resumed::load(directory, caller, begun).await?),
            None => None,
        };
        let ignores_roles = unknown_roles::are_unknown(directory, caller, scan).await?;
        Ok(Self { directory, caller, options, scan, names, resumed, ignores_roles })
    }

    /// The outcome of a row of an existing user who is left as is: an interrupted import finds what it created itself.
    pub(super) fn user_left(&self, user: &User) -> Outcome {
        left(self.resumed.as_ref().is_some_and(|resumed| resumed.has_created_user(user)))
    }

    /// The manager of a user whose row an interrupted import has executed: managers are set when all rows are done.
    pub(super) fn manager_to_set(&self, said: &crate::person::Said, user: &User) -> Option<String> {
        let is_executed = self.resumed.as_ref().is_some_and(|resumed| resumed.has_executed(user));
        said.manager.clone().filter(|_| is_executed && user.text(Field::Manager).is_none())
    }

    /// The same for an item.
    pub(super) fn item_left(&self, item: &Item) -> Outcome {
        left(self.resumed.as_ref().is_some_and(|resumed| resumed.has_created_item(item)))
    }
}

fn left(is_own: bool) -> Outcome {
    if is_own { Outcome::Created } else { Outcome::Left }
}

/// What came of a row, or why nothing more can.
pub(super) struct Done {
    pub(super) kind: Kind,
    pub(super) row: Row,
    pub(super) outcome: Result<Outcome, DirectoryError>,
    /// The user it is about.
    pub(super) user: Option<(u32, UserId)>,
    /// They came without the password they had.
    pub(super) lost_password: bool,
    /// The file says that they are deleted.
    pub(super) is_deleted: bool,
    /// The manager whom the row names and who does not exist yet.
    pub(super) manager: Option<String>,
}

impl Done {
    pub(super) fn new(kind: Kind, row: Row, outcome: Result<Outcome, DirectoryError>) -> Self {
        Self { kind, row, outcome, user: None, lost_password: false, is_deleted: false, manager: None }
    }
}

/// Runs a command, again and again where others are in the way or too much is waiting.
pub(super) async fn patiently(
    directory: &Directory,
    caller: &Caller,
    command: Command,
) -> Result<Receipt, DirectoryError> {
    let mut conflicts = 0;
    let may_pass = |refusal: &DirectoryError| match refusal {
        // Hashing is slow, so a full queue is expected here and is no reason to give up.
        DirectoryError::Busy { .. } => true,
        DirectoryError::Conflict => {
            conflicts += 1;
            conflicts <= TRIES
        }
        _ => false,
    };
    let delays = ConstantBuilder::new().with_delay(PAUSE).without_max_times();
    (|| directory.run(caller, command.clone())).retry(delays).when(may_pass).await
}

/// Somebody by what they are known by, if they are there.
pub(super) async fn somebody(job: &Job<'_>, key: UserKey) -> Result<Option<directory::User>, DirectoryError> {
    match job.directory.user(job.caller, key).await {
        Ok(user) => Ok(Some(user)),
        Err(DirectoryError::NoSuchUser) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}
