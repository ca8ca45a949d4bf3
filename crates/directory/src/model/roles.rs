//! The built-in and custom roles of a user and how they rank.

use crate::{Role, User, builtin_role_name, builtin_role_number};

/// Ignores case.
pub(crate) fn role_number(name: &str, custom_roles: &[Role]) -> Option<u32> {
    builtin_role_number(name).or_else(|| {
        let key = crate::identifier_key(name);
        custom_roles.iter().find(|role| crate::identifier_key(&role.name) == key).map(|role| role.number)
    })
}

/// Built-in roles rank by their number, custom roles as configured, unknown roles highest.
pub(crate) fn role_rank(number: u32, custom_roles: &[Role]) -> u32 {
    if builtin_role_name(number).is_some() {
        return number;
    }
    custom_roles.iter().find(|role| role.number == number).map_or(u32::MAX, |role| role.rank)
}

/// Every role of a user that the tenant knows: the effective one, then those of the list. A listed role counts
/// because it becomes effective as soon as those before it are removed.
pub(crate) fn role_numbers<'a>(user: &'a User, custom_roles: &'a [Role]) -> impl Iterator<Item = u32> + 'a {
    let listed = |entry: &'a crate::TypedValue| role_number(&entry.value, custom_roles);
    user.role.into_iter().chain(user.other_roles.iter().filter_map(listed))
}

/// The highest rank of a built-in role, and the highest ceiling of a connection.
pub(crate) const HIGHEST_RANK: u32 = 6;

pub(crate) fn has_role_above(user: &User, custom_roles: &[Role], ceiling: u32) -> bool {
    role_numbers(user, custom_roles).any(|role| role_rank(role, custom_roles) > ceiling)
}

/// Names of the listed roles that rank above the effective role.
pub fn roles_above_effective<'a>(user: &'a User, custom_roles: &[Role]) -> Vec<&'a str> {
    let effective = user.role.map_or(0, |role| role_rank(role, custom_roles));
    let is_above =
        |name: &str| role_number(name, custom_roles).is_some_and(|role| role_rank(role, custom_roles) > effective);
    user.other_roles.iter().map(|entry| entry.value.as_str()).filter(|name| is_above(name)).collect()
}
