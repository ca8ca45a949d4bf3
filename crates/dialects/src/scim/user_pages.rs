//! Loads pages of users. A page ends early when it becomes large (RFC 7644 section 3.4.2.4 permits that);
//! clients continue after its last user. Only forward pages by number are read in parts, with bounded memory;
//! sorted and backward pages are read completely, then truncated.

use crate::kit::{AppState, DialectRequest, RequestError};
use directory::{Page, PageBoundary, User, UserQuery};

const MAX_PAGE_BYTES: usize = 8 << 20;
/// Their average size determines the next read.
const FIRST_READ_USERS: u32 = 100;
/// Estimated size of a user without lists; `MEMBERSHIP_BYTES` of a group or folder.
const USER_BYTES: usize = 1_000;
const MEMBERSHIP_BYTES: usize = 160;

pub(super) async fn load(
    state: &AppState,
    request: &DialectRequest,
    query: UserQuery,
) -> Result<Page<User>, RequestError> {
    let caller = request.caller()?;
    let is_backward = matches!(query.boundary, Some(PageBoundary::Before(_)));
    if !query.sort.is_by_number() || is_backward || query.limit <= FIRST_READ_USERS {
        let mut page = state.directory.find_users(caller, query).await?;
        truncate_page(&mut page, is_backward);
        return Ok(page);
    }
    let wanted = query.limit;
    let mut page = state.directory.find_users(caller, UserQuery { limit: FIRST_READ_USERS, ..query.clone() }).await?;
    let mut read = FIRST_READ_USERS;
    while page.rows.len() == read as usize && read < wanted {
        let size: usize = page.rows.iter().map(estimated_size).sum();
        let fits = MAX_PAGE_BYTES.saturating_sub(size) / (size / page.rows.len().max(1)).max(1);
        let limit = u32::try_from(fits).unwrap_or(u32::MAX).min(wanted - read);
        let Some(last) = page.rows.last().filter(|_| limit > 0) else { break };
        let bound = Some(PageBoundary::After(query.sort.position_of(last)));
        let next = UserQuery { limit, offset: 0, boundary: bound, ..query.clone() };
        page.rows.extend(state.directory.find_users(caller, next).await?.rows);
        read += limit;
    }
    truncate_page(&mut page, false);
    Ok(page)
}

/// Drops users after the one that exceeds the limit; in a backward page, those before it.
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

fn estimated_size(user: &User) -> usize {
    USER_BYTES + user.multi_valued_bytes() + MEMBERSHIP_BYTES * (user.groups.len() + user.folders.len())
}
