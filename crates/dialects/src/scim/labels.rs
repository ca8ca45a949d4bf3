//! What references are called: groups, folders, organisations and a tenant's own roles are shown by name.

use super::select::Selection;
use super::wire;
use crate::kit::{AppState, DialectRequest, RequestError};
use directory::{DirectoryError, ItemKey, ItemKind, ItemQuery, Labels, User, UserId, UserKey};
use uuid::Uuid;

/// What references are called, for the people who are to be written; nothing is looked up that was not asked for.
pub(super) async fn of(
    desk: &AppState,
    call: &DialectRequest,
    users: &[User],
    selection: &Selection,
) -> Result<Labels, RequestError> {
    let mut labels = Labels::default();
    let caller = call.caller()?;
    let is_own = |user: &User| user.role.is_some_and(|role| directory::builtin_role_name(role).is_none());
    if selection.shows("roles") && users.iter().any(is_own) {
        let own = desk.directory.items(caller, ItemQuery::all(ItemKind::Role)).await?.rows;
        labels.roles = own.iter().map(|role| (role.number(), role.name().to_owned())).collect();
    }
    let groups = users.iter().flat_map(|user| &user.groups).map(|id| (ItemKind::Group, *id));
    let folders = users.iter().flat_map(|user| &user.folders).map(|id| (ItemKind::Folder, *id));
    let organisations =
        users.iter().filter_map(|user| user.organization).map(|id| (ItemKind::Organization, id));
    let more = selection.shows_part(wire::MORE_SCHEMA.urn, "folders");
    let wanted = groups
        .filter(|_| selection.shows("groups"))
        .chain(folders.filter(|_| more))
        .chain(organisations.filter(|_| selection.shows(wire::ENTERPRISE_SCHEMA.urn)));
    for (kind, id) in wanted {
        // Names of groups and folders are a courtesy, and have an end; an organisation's is the value itself.
        if labels.items.contains_key(&id) || (kind != ItemKind::Organization && labels.items.len() >= LABELS)
        {
            continue;
        }
        match desk.directory.item(caller, kind, ItemKey::Id(id)).await {
            Ok(item) => drop(labels.items.insert(id, item.name().to_owned())),
            Err(DirectoryError::NoSuchItem(_)) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    if selection.shows_path(&[wire::ENTERPRISE_SCHEMA.urn, "manager", "$ref"]) {
        for user in users {
            let manager = user.employment.manager.as_deref().and_then(|id| Uuid::try_parse(id).ok());
            let Some(id) = manager.map(UserId).filter(|id| !labels.managers.contains(id)) else { continue };
            match desk.directory.user(caller, UserKey::Id(id)).await {
                Ok(_) => drop(labels.managers.insert(id)),
                Err(DirectoryError::NoSuchUser) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }
    Ok(labels)
}

/// How many groups and folders are named at the most in one answer.
const LABELS: usize = 1_000;
