//! Deactivation of users who are not in the file.

use crate::import::execution::context::UserNumbers;
use crate::import::options::ImportError;
use crate::import::report::ImportReport;
use directory::{
    Caller, Command, Directory, DirectoryError, FieldUpdate, PageBoundary, RequestedStatus, SortPosition, Time, User,
    UserEdit, UserKey, UserQuery,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

const PAGE_SIZE: u32 = 1_000;
const MAX_CONCURRENT: usize = 64;

/// The active users who are not in the file.
pub(crate) struct MissingUsers {
    pub(crate) count: u64,
    pub(crate) active_users: u64,
    /// The highest user number at the time of the count. Later users are not missing.
    pub(crate) max_number: u32,
}

impl MissingUsers {
    /// Whether they exceed a percentage of the active users.
    pub(crate) fn exceeds(&self, limit: u8) -> bool {
        self.count * 100 > self.active_users * u64::from(limit)
    }
}

async fn read_page(directory: &Directory, caller: &Caller, after: u32) -> Result<Vec<User>, ImportError> {
    let bound = Some(PageBoundary::After(SortPosition { number: after, ..SortPosition::default() }));
    let query = UserQuery { boundary: bound, limit: PAGE_SIZE, ..UserQuery::default() };
    let page = directory.find_users(caller, query).await;
    Ok(page.map_err(|error| ImportError::Stopped { row: 0, error })?.rows)
}

/// Whether a user is not in the file. Users changed since an interrupted import started are not missing.
fn is_missing(user: &User, present: &UserNumbers, first_started: Option<Time>) -> bool {
    !present.contains(user.number) && first_started.is_none_or(|first_started| user.updated < first_started)
}

pub(crate) async fn count_missing(
    directory: &Directory,
    caller: &Caller,
    present: &UserNumbers,
    first_started: Option<Time>,
) -> Result<MissingUsers, ImportError> {
    let mut missing = MissingUsers { count: 0, active_users: 0, max_number: 0 };
    loop {
        let page = read_page(directory, caller, missing.max_number).await?;
        let Some(last) = page.last() else { return Ok(missing) };
        missing.max_number = last.number;
        for user in page.iter().filter(|user| !user.status.blocks_sign_in()) {
            missing.active_users += 1;
            missing.count += u64::from(is_missing(user, present, first_started));
        }
    }
}

pub(crate) async fn deactivate(
    directory: &Directory,
    caller: &Caller,
    (there, begun): (&UserNumbers, Option<Time>),
    max_number: u32,
    report: &mut ImportReport,
    on_progress: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(), ImportError> {
    let mut after = 0;
    loop {
        if !on_progress(0) {
            return Err(ImportError::Canceled);
        }
        let page = read_page(directory, caller, after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.number;
        let missing = page.iter().filter(|user| {
            !user.status.blocks_sign_in() && is_missing(user, there, begun) && user.number <= max_number
        });
        let mut in_flight = FuturesUnordered::new();
        let mut result = Ok(());
        for user in missing {
            in_flight.push(deactivate_user(directory, caller, user));
            if in_flight.len() >= MAX_CONCURRENT
                && let Some(outcome) = in_flight.next().await
            {
                result = report_result(outcome, report);
            }
            if result.is_err() {
                break;
            }
        }
        // Finish what was started: nothing may run after an import has ended.
        while let Some(outcome) = in_flight.next().await {
            result = result.and(report_result(outcome, report));
        }
        result?;
    }
}

async fn deactivate_user(directory: &Directory, caller: &Caller, user: &User) -> (String, Result<(), DirectoryError>) {
    let edit = UserEdit { status: FieldUpdate::Set(RequestedStatus::Inactive), ..UserEdit::default() };
    let command = Command::UpdateUser { user: UserKey::Id(user.id), edit: Box::new(edit) };
    let outcome = crate::import::execution::context::run_with_retry(directory, caller, command).await;
    (user.user_name.clone(), outcome.map(|_| ()))
}

fn report_result(
    (name, done): (String, Result<(), DirectoryError>),
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    match done {
        Ok(()) => report.deactivated += 1,
        // The user was deleted in the meantime.
        Err(DirectoryError::NoSuchUser) => {}
        Err(
            refusal @ (DirectoryError::Unavailable(_)
            | DirectoryError::Internal(_)
            | DirectoryError::Busy { .. }
            | DirectoryError::ConnectionEnded
            | DirectoryError::Forbidden),
        ) => {
            return Err(ImportError::Stopped { row: 0, error: refusal });
        }
        Err(error) => {
            report.add_note(format!("{name} was not deactivated: {}", crate::error_message(&error)));
        }
    }
    Ok(())
}
