//! Finds members above the caller that a command removes from a group without naming them.

use super::{Directory, read_error};
use crate::authorization::Authority;
use crate::decide::{DecisionInput, is_above};
use crate::{DirectoryError, ItemId, PageBoundary, SortPosition, TenantNumber, User, UserId, UserPredicate, UserQuery};
use std::collections::HashSet;

/// Users read at once.
const PAGE: u32 = 10_000;

impl Directory {
    /// Checks whether a member who is not named by the command has a role above the caller's ceiling.
    pub(super) async fn check_removed_member_ranks(
        &self,
        authority: &Authority<'_>,
        tenant: TenantNumber,
        group: ItemId,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        if !authority.is_limited() {
            return Ok(());
        }
        self.load_custom_roles(tenant, input).await?;
        let remaining: HashSet<UserId> = input.users.iter().flatten().map(|user| user.id).collect();
        let mut bound = None;
        loop {
            let tests = vec![UserPredicate::Group(vec![group])];
            let query = UserQuery { predicates: tests, boundary: bound.take(), limit: PAGE, ..UserQuery::default() };
            let page = self.store.find_users(tenant, query).await.map_err(read_error)?.rows;
            let Some(last) = page.last() else { return Ok(()) };
            bound = Some(PageBoundary::After(SortPosition { number: last.number, ..SortPosition::default() }));
            let is_above = |user: &User| is_above(user, &input.custom_roles, authority);
            if page.iter().any(|user| !remaining.contains(&user.id) && is_above(user)) {
                input.removes_member_above_ceiling = true;
                return Ok(());
            }
            yield_now().await;
        }
    }
}

/// Lets other tasks run, and a timeout end this one: reads of the embedded engine complete at once.
async fn yield_now() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
