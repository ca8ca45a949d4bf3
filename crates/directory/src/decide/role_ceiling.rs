//! The role ceiling: no caller grants a role above its own, or changes a user who has one. A user with a grant ranks above
//! every connection.

use super::{DecisionContext, DecisionInput};
use crate::authorization::Authority;
use crate::model::roles;
use crate::{ATTRIBUTES, AttributeAccess, DirectoryError, Role, User};

/// Whether a user ranks above a caller: by a role, or as an administrator.
pub(crate) fn is_above(user: &User, custom_roles: &[Role], authority: &Authority<'_>) -> bool {
    roles::has_role_above(user, custom_roles, authority.highest_role())
        || user.grants.as_ref().is_some_and(|grants| !authority.outranks(grants))
}

/// Rejects a change of a user who has a role above the caller's ceiling.
pub(super) fn check_user(
    user: &User,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<(), DirectoryError> {
    if is_above(user, &input.custom_roles, context.authority) { Err(DirectoryError::RoleTooHigh) } else { Ok(()) }
}

/// Rejects a change that removes a member above the caller's ceiling from a group.
pub(super) fn check_removed_members(input: &DecisionInput) -> Result<(), DirectoryError> {
    if input.removes_member_above_ceiling { Err(DirectoryError::RoleTooHigh) } else { Ok(()) }
}

pub(super) fn check_users<'a>(
    users: impl IntoIterator<Item = &'a User>,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<(), DirectoryError> {
    users.into_iter().try_for_each(|user| check_user(user, input, context))
}

/// Rejects roles above the caller's ceiling that a user did not have before.
pub(super) fn check_granted_roles(
    before: Option<&User>,
    after: &User,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<(), DirectoryError> {
    let had: Vec<u32> = before.into_iter().flat_map(|user| roles::role_numbers(user, &input.custom_roles)).collect();
    let is_above = |role: u32| roles::role_rank(role, &input.custom_roles) > context.authority.highest_role();
    let grants = roles::role_numbers(after, &input.custom_roles).any(|role| !had.contains(&role) && is_above(role));
    if grants { Err(DirectoryError::RoleTooHigh) } else { Ok(()) }
}

/// Whether a change requires a ceiling that no role of the user is above. Anyone who can change how a user signs in,
/// whether the user may sign in, what the user may do or who the user is can act as that user. Every email counts,
/// since any of them can become the preferred one.
pub(super) fn is_privileged_change(before: &User, after: &User) -> bool {
    let mut privileged = ATTRIBUTES.iter().filter(|attribute| attribute.access == AttributeAccess::Privileged);
    before.grants != after.grants || privileged.any(|attribute| !attribute.has_same_value(before, after))
}
