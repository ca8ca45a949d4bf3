//! Roles of another system: a file whose roles are all unknown here is imported without them.

use crate::import::Scan;
use directory::{Caller, Directory, DirectoryError, Item, ItemKind, ItemQuery, identifier_key};

/// Whether each row names a role, and none of them is one here. A role that is misspelled in a few rows is rejected with them.
pub(crate) async fn all_roles_unknown(
    directory: &Directory,
    caller: &Caller,
    scan: &Scan,
) -> Result<bool, DirectoryError> {
    // A file that brings roles knows what it says.
    let has_items = scan.rows != scan.users;
    if scan.roles.is_empty() || scan.role_count < scan.users || has_items {
        return Ok(false);
    }
    let is_built_in = |role: &String| directory::builtin_role_number(role).is_some() || role.parse::<u32>().is_ok();
    if scan.roles.iter().any(is_built_in) {
        return Ok(false);
    }
    let roles = directory.items(caller, ItemQuery::all(ItemKind::Role)).await?.rows;
    let is_known = |role: &Item| scan.roles.iter().any(|name| identifier_key(name) == identifier_key(role.name()));
    Ok(!roles.iter().any(is_known))
}
