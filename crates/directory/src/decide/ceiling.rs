//! The role ceiling: no caller grants a role above its own, or changes a user who has one.

use super::{Known, Stamp};
use crate::{Refusal, User, roles};

/// Rejects what is about a user who has a role above the caller's ceiling.
pub(super) fn check_user(user: &User, known: &Known, stamp: &Stamp<'_>) -> Result<(), Refusal> {
    check(roles::all(user, &known.roles), known, stamp)
}

/// The same for several users.
pub(super) fn check_users<'a>(
    users: impl IntoIterator<Item = &'a User>,
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<(), Refusal> {
    users.into_iter().try_for_each(|user| check_user(user, known, stamp))
}

/// Rejects roles above the caller's ceiling that a user did not have before.
pub(super) fn check_granted(
    before: Option<&User>,
    after: &User,
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<(), Refusal> {
    let had: Vec<u32> = before.into_iter().flat_map(|user| roles::all(user, &known.roles)).collect();
    check(roles::all(after, &known.roles).filter(|role| !had.contains(role)), known, stamp)
}

/// Whether a change needs a caller above every role of the user: whoever can change how users sign in, whether they may, what
/// they may do or who they are can become them.
pub(super) fn is_guarded(before: &User, after: &User) -> bool {
    (before.email(), &before.user_name, &before.external_id) != (after.email(), &after.user_name, &after.external_id)
        || (before.role, &before.other_roles, before.status) != (after.role, &after.other_roles, after.status)
        || before.groups != after.groups
}

fn check(mut roles: impl Iterator<Item = u32>, known: &Known, stamp: &Stamp<'_>) -> Result<(), Refusal> {
    let is_above = roles.any(|role| roles::rank(role, &known.roles) > stamp.highest_role);
    if is_above { Err(Refusal::RoleTooHigh) } else { Ok(()) }
}
