//! The role ceiling: no caller grants a role above its own, or changes a user who has one.

use super::{Known, Stamp};
use crate::{Refusal, User, roles};

/// Rejects what is about a user who has a role above the caller's ceiling.
pub(super) fn check_user(user: &User, known: &Known, stamp: &Stamp<'_>) -> Result<(), Refusal> {
    if roles::is_above(user, &known.roles, stamp.highest_role) { Err(Refusal::RoleTooHigh) } else { Ok(()) }
}

/// Rejects that a member above the caller's ceiling leaves the group that is changed.
pub(super) fn check_leaving(known: &Known) -> Result<(), Refusal> {
    if known.leaving_above_ceiling { Err(Refusal::RoleTooHigh) } else { Ok(()) }
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
    let is_above = |role: u32| roles::rank(role, &known.roles) > stamp.highest_role;
    let grants = roles::all(after, &known.roles).any(|role| !had.contains(&role) && is_above(role));
    if grants { Err(Refusal::RoleTooHigh) } else { Ok(()) }
}

/// Whether a change needs a caller above every role of the user: whoever can change how users sign in, whether they may, what
/// they may do or who they are can become them. Every email counts, since any of them can become the preferred one.
pub(super) fn is_guarded(before: &User, after: &User) -> bool {
    let is_same = before.user_name == after.user_name
        && before.external_id == after.external_id
        && before.emails == after.emails
        && before.certificates == after.certificates
        && before.role == after.role
        && before.other_roles == after.other_roles
        && before.entitlements == after.entitlements
        && before.groups == after.groups
        && before.status == after.status
        && before.force_password_change == after.force_password_change;
    !is_same
}
