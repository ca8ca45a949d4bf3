//! Detects roles of another system: if no role in a file exists, the file is imported without roles.

use crate::import::Scan;
use directory::{Caller, Directory, DirectoryError, Item, ItemKind, ItemQuery, identifier_key};

/// Whether every row of a user has a role, and none of the roles exists. If not, rows with unknown roles are rejected.
pub(crate) async fn all_roles_unknown(
    directory: &Directory,
    caller: &Caller,
    scan: &Scan,
) -> Result<bool, DirectoryError> {
    // A file with items may create its roles itself.
    let has_items = scan.rows != scan.users;
    if scan.roles.is_empty() || scan.role_count < scan.users || has_items {
        return Ok(false);
    }
    let is_built_in = |role: &String| directory::builtin_role_number(role).is_some() || role.parse::<u32>().is_ok();
    if scan.roles.iter().any(is_built_in) {
        return Ok(false);
    }
    let roles = directory.find_items(caller, ItemQuery::all(ItemKind::Role)).await?.rows;
    let is_known = |role: &Item| scan.roles.iter().any(|name| identifier_key(name) == identifier_key(role.name()));
    Ok(!roles.iter().any(is_known))
}
