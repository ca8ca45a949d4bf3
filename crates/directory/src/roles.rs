//! The roles of a user and how they rank, built in or a tenant's own.

use crate::{Role, User, role_named, role_numbered};

/// The number of a role by its name, in any case.
pub(crate) fn number(name: &str, own: &[Role]) -> Option<u32> {
    role_named(name).or_else(|| {
        let key = crate::identifier_key(name);
        own.iter().find(|role| crate::identifier_key(&role.name) == key).map(|role| role.number)
    })
}

/// Built-in roles rank by their number, a tenant's own as it was created, an unknown one highest.
pub(crate) fn rank(number: u32, own: &[Role]) -> u32 {
    if role_numbered(number).is_some() {
        return number;
    }
    own.iter().find(|role| role.number == number).map_or(u32::MAX, |role| role.rank)
}

/// Every role of a user that the tenant knows: the effective one, then those of the list. A listed role counts because it
/// becomes the effective one as soon as those before it are removed.
pub(crate) fn all<'a>(user: &'a User, own: &'a [Role]) -> impl Iterator<Item = u32> + 'a {
    let listed = |entry: &'a crate::Entry| number(&entry.value, own);
    user.role.into_iter().chain(user.other_roles.iter().filter_map(listed))
}

/// The highest rank of a built-in role, and of a connection.
pub(crate) const HIGHEST: u32 = 6;

/// Whether a user has a role that ranks above a ceiling.
pub(crate) fn is_above(user: &User, own: &[Role], ceiling: u32) -> bool {
    all(user, own).any(|role| rank(role, own) > ceiling)
}

/// Names in a user's list of roles that rank above the effective role.
pub fn above_effective<'a>(user: &'a User, own: &[Role]) -> Vec<&'a str> {
    let effective = user.role.map_or(0, |role| rank(role, own));
    let is_above = |name: &str| number(name, own).is_some_and(|role| rank(role, own) > effective);
    user.other_roles.iter().map(|entry| entry.value.as_str()).filter(|name| is_above(name)).collect()
}
