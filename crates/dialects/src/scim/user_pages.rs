//! Pages of users. A page ends early when it becomes large (RFC 7644 section 3.4.2.4 lets a server return fewer resources
//! than asked for); clients go on behind its last user.
//!
//! Only forward pages in the order of arrival are read in parts, so that their memory is bounded; sorted and backward pages are
//! read as a whole and then cut.

use crate::kit::{AppState, DialectRequest, RequestError};
use directory::{Page, PageBoundary, User, UserQuery};

/// A page ends with the user that makes it larger than this, in bytes.
const MAX_PAGE_BYTES: usize = 8 << 20;
/// Users of the first read. Their size tells how many the next one may take.
const FIRST_READ_USERS: u32 = 100;
/// What the representation of a user without lists takes, and of a membership, in bytes.
const USER_BYTES: usize = 1_000;
const MEMBERSHIP_BYTES: usize = 160;

/// The page that a query asks for, or a shorter one.
pub(super) async fn load(
    state: &AppState,
    request: &DialectRequest,
    query: UserQuery,
) -> Result<Page<User>, RequestError> {
    let caller = request.caller()?;
    let is_backward = matches!(query.boundary, Some(PageBoundary::Before(_)));
    if !query.sort.is_by_number() || is_backward || query.limit <= FIRST_READ_USERS {
        let mut page = state.directory.users(caller, query).await?;
        truncate_page(&mut page, is_backward);
        return Ok(page);
    }
    let wanted = query.limit;
    let mut page = state.directory.users(caller, UserQuery { limit: FIRST_READ_USERS, ..query.clone() }).await?;
    let mut read = FIRST_READ_USERS;
    while page.rows.len() == read as usize && read < wanted {
        let size: usize = page.rows.iter().map(estimated_size).sum();
        let fits = MAX_PAGE_BYTES.saturating_sub(size) / (size / page.rows.len().max(1)).max(1);
        let limit = u32::try_from(fits).unwrap_or(u32::MAX).min(wanted - read);
        let Some(last) = page.rows.last().filter(|_| limit > 0) else { break };
        let bound = Some(PageBoundary::After(query.sort.position_of(last)));
        let next = UserQuery { limit, offset: 0, boundary: bound, ..query.clone() };
        page.rows.extend(state.directory.users(caller, next).await?.rows);
        read += limit;
    }
    truncate_page(&mut page, false);
    Ok(page)
}

/// Drops the users behind the one that makes the page too large; of a page that is read backwards, those before it.
fn truncate_page(page: &mut Page<User>, is_backward: bool) {
    let mut size = 0;
    let mut has_room = |user: &User| {
        let is_first = size < MAX_PAGE_BYTES;
        size += estimated_size(user);
        is_first
    };
    if is_backward {
        let kept = page.rows.iter().rev().take_while(|user| has_room(user)).count();
        let removed = page.rows.len() - kept;
        page.rows.drain(..removed);
        page.offset += removed as u64;
    } else {
        let kept = page.rows.iter().take_while(|user| has_room(user)).count();
        page.rows.truncate(kept);
    }
}

/// About how many bytes the representation takes.
fn estimated_size(user: &User) -> usize {
    USER_BYTES + user.multi_valued_bytes() + MEMBERSHIP_BYTES * (user.groups.len() + user.folders.len())
}
