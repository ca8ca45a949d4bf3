//! Data shared by all rows of an import, and the outcome of a row.

use crate::column::RecordKind;
use crate::formats::Row;
use crate::import::Scan;
use crate::import::execution::resume_state::ResumeState;
use crate::import::execution::unknown_roles;
use crate::import::options::ImportOptions;
use crate::import::report::RowOutcome;
use crate::reference_resolver::ItemNames;
use backon::{ConstantBuilder, Retryable};
use directory::{Caller, Command, Directory, DirectoryError, Field, Item, Receipt, User, UserId, UserKey};
use std::sync::Arc;
use std::time::Duration;

/// Retries of a row after conflicting changes, and the delay before each retry.
const MAX_CONFLICT_RETRIES: u32 = 20;

const RETRY_DELAY: Duration = Duration::from_millis(50);

/// A set of user numbers, as a bitmap.
#[derive(Default)]
pub(crate) struct UserNumbers(Vec<u64>);

impl UserNumbers {
    pub(crate) fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if word >= self.0.len() {
            self.0.resize((word + 1).next_power_of_two(), 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

pub(crate) struct ImportContext<'a> {
    pub(crate) directory: &'a Arc<Directory>,
    pub(crate) caller: &'a Caller,
    pub(crate) options: &'a ImportOptions,
    pub(crate) scan: &'a Scan,
    /// Names for changed columns (dry runs only).
    pub(crate) names: ItemNames,
    /// Changes since an interrupted import started.
    pub(crate) resume_state: Option<ResumeState>,
    /// Whether the roles of the file are those of another system.
    pub(crate) ignore_roles: bool,
}

impl<'a> ImportContext<'a> {
    pub(crate) async fn new(
        directory: &'a Arc<Directory>,
        caller: &'a Caller,
        options: &'a ImportOptions,
        scan: &'a Scan,
    ) -> Result<Self, DirectoryError> {
        let names = if options.dry_run { ItemNames::load(directory, caller).await? } else { ItemNames::default() };
        let resumed = match options.first_started {
            Some(first_started) => Some(ResumeState::load(directory, caller, first_started).await?),
            None => None,
        };
        let ignores_roles = unknown_roles::all_roles_unknown(directory, caller, scan).await?;
        Ok(Self { directory, caller, options, scan, names, resume_state: resumed, ignore_roles: ignores_roles })
    }

    /// The outcome of an unchanged user: `Created` if an interrupted import created the user.
    pub(crate) fn outcome_of_unchanged_user(&self, user: &User) -> RowOutcome {
        unchanged(self.resume_state.as_ref().is_some_and(|resumed| resumed.has_created_user(user)))
    }

    /// The manager of a user whose row was executed before the interruption: managers are set after all rows.
    pub(crate) fn pending_manager(&self, user_row: &crate::user_row::UserRow, user: &User) -> Option<String> {
        let is_executed = self.resume_state.as_ref().is_some_and(|resumed| resumed.has_executed(user));
        user_row.manager.clone().filter(|_| is_executed && user.text(Field::Manager).is_none())
    }

    pub(crate) fn outcome_of_unchanged_item(&self, item: &Item) -> RowOutcome {
        unchanged(self.resume_state.as_ref().is_some_and(|resumed| resumed.has_created_item(item)))
    }
}

fn unchanged(created_by_import: bool) -> RowOutcome {
    if created_by_import { RowOutcome::Created } else { RowOutcome::Unchanged }
}

pub(crate) struct RowResult {
    pub(crate) kind: RecordKind,
    pub(crate) row: Row,
    pub(crate) outcome: Result<RowOutcome, DirectoryError>,
    pub(crate) user: Option<(u32, UserId)>,
    /// Whether the user was created without the password in the row.
    pub(crate) password_dropped: bool,
    /// Whether the user is deleted in the file.
    pub(crate) is_deleted: bool,
    /// The manager in the row, if it does not exist yet.
    pub(crate) deferred_manager: Option<String>,
}

impl RowResult {
    pub(crate) fn new(kind: RecordKind, row: Row, outcome: Result<RowOutcome, DirectoryError>) -> Self {
        Self { kind, row, outcome, user: None, password_dropped: false, is_deleted: false, deferred_manager: None }
    }
}

/// Runs a command, with retries while the queue is full or other changes conflict.
pub(crate) async fn run_with_retry(
    directory: &Directory,
    caller: &Caller,
    command: Command,
) -> Result<Receipt, DirectoryError> {
    let mut conflicts = 0;
    let is_retryable = |error: &DirectoryError| {
        conflicts += u32::from(*error == DirectoryError::Conflict);
        may_pass(error) && conflicts <= MAX_CONFLICT_RETRIES
    };
    let delays = ConstantBuilder::new().with_delay(RETRY_DELAY).without_max_times();
    (|| directory.run(caller, command.clone())).retry(delays).when(is_retryable).await
}

/// Whether a command can succeed later. Hashing passwords is slow, so a full queue is normal during an import.
fn may_pass(error: &DirectoryError) -> bool {
    matches!(error, DirectoryError::Busy { .. } | DirectoryError::Conflict)
}

/// Runs commands together, and those that may succeed later again.
pub(crate) async fn run_all_with_retry(
    directory: &Directory,
    caller: &Caller,
    commands: Vec<Command>,
) -> Vec<Result<Receipt, DirectoryError>> {
    let mut results = directory.run_all(commands.iter().map(|command| (caller, command.clone())).collect()).await;
    for (command, result) in commands.into_iter().zip(&mut results) {
        if result.as_ref().is_err_and(may_pass) {
            tokio::time::sleep(RETRY_DELAY).await;
            *result = run_with_retry(directory, caller, command).await;
        }
    }
    results
}

pub(crate) async fn find_user(
    ctx: &ImportContext<'_>,
    key: UserKey,
) -> Result<Option<directory::User>, DirectoryError> {
    match ctx.directory.user(ctx.caller, key).await {
        Ok(user) => Ok(Some(user)),
        Err(DirectoryError::NoSuchUser) => Ok(None),
        Err(error) => Err(error),
    }
}
