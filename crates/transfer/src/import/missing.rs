//! Those who are in the directory and not in the file.

use super::report::Report;
use super::{ImportError, job::People};
use directory::{
    Caller, Command, Directory, DirectoryError, FieldUpdate, PageBoundary, RequestedStatus, SortPosition,
    Time, User, UserEdit, UserKey, UserQuery,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

const PAGE: u32 = 1_000;
/// So many are switched off at the same time.
const WIDTH: usize = 64;

/// How many are missing.
pub(super) struct Missing {
    pub(super) people: u64,
    /// Of how many who are switched on.
    pub(super) total: u64,
    /// The highest number there was; whoever comes later is not missing.
    pub(super) highest: u32,
}

impl Missing {
    /// Whether they are more than a part of all, in percent.
    pub(super) fn is_more_than(&self, limit: u8) -> bool {
        self.people * 100 > self.total * u64::from(limit)
    }
}

async fn page(directory: &Directory, caller: &Caller, after: u32) -> Result<Vec<User>, ImportError> {
    let bound = Some(PageBoundary::After(SortPosition { number: after, ..SortPosition::default() }));
    let query = UserQuery { boundary: bound, limit: PAGE, ..UserQuery::default() };
    let page = directory.users(caller, query).await;
    Ok(page.map_err(|refusal| ImportError::Stopped { row: 0, refusal })?.rows)
}

/// Whether a user is not in the file. Users changed since an interrupted import started are not missing.
fn is_missing(user: &User, there: &People, begun: Option<Time>) -> bool {
    !there.holds(user.number) && begun.is_none_or(|begun| user.updated < begun)
}

pub(super) async fn count(
    directory: &Directory,
    caller: &Caller,
    there: &People,
    begun: Option<Time>,
) -> Result<Missing, ImportError> {
    let mut missing = Missing { people: 0, total: 0, highest: 0 };
    loop {
        let page = page(directory, caller, missing.highest).await?;
        let Some(last) = page.last() else { return Ok(missing) };
        missing.highest = last.number;
        for user in page.iter().filter(|user| !user.status.blocks_sign_in()) {
            missing.total += 1;
            missing.people += u64::from(is_missing(user, there, begun));
        }
    }
}

pub(super) async fn switch_off(
    directory: &Directory,
    caller: &Caller,
    (there, begun): (&People, Option<Time>),
    highest: u32,
    report: &mut Report,
    seen: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(), ImportError> {
    let mut after = 0;
    loop {
        if !seen(0) {
            return Err(ImportError::CalledOff);
        }
        let page = page(directory, caller, after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.number;
        let gone = page.iter().filter(|user| {
            !user.status.blocks_sign_in() && is_missing(user, there, begun) && user.number <= highest
        });
        let mut under_way = FuturesUnordered::new();
        let mut noted = Ok(());
        for user in gone {
            under_way.push(off(directory, caller, user));
            if under_way.len() >= WIDTH
                && let Some(done) = under_way.next().await
            {
                noted = note(done, report);
            }
            if noted.is_err() {
                break;
            }
        }
        // Those that have begun are finished: nothing goes on once an import has ended.
        while let Some(done) = under_way.next().await {
            noted = noted.and(note(done, report));
        }
        noted?;
    }
}

async fn off(directory: &Directory, caller: &Caller, user: &User) -> (String, Result<(), DirectoryError>) {
    let edit = UserEdit { status: FieldUpdate::Set(RequestedStatus::Inactive), ..UserEdit::default() };
    let command = Command::UpdateUser { user: UserKey::Id(user.id), edit: Box::new(edit) };
    let done = super::job::patiently(directory, caller, command).await;
    (user.user_name.clone(), done.map(|_| ()))
}

fn note((name, done): (String, Result<(), DirectoryError>), report: &mut Report) -> Result<(), ImportError> {
    match done {
        Ok(()) => report.deactivated += 1,
        // Somebody else was faster.
        Err(DirectoryError::NoSuchUser) => {}
        Err(
            refusal @ (DirectoryError::Unavailable(_)
            | DirectoryError::Internal(_)
            | DirectoryError::Busy { .. }
            | DirectoryError::ConnectionEnded),
        ) => {
            return Err(ImportError::Stopped { row: 0, refusal });
        }
        Err(refusal) => {
            report.note(format!("{name} was not switched off: {}", crate::refusal_in_words(&refusal)));
        }
    }
    Ok(())
}
