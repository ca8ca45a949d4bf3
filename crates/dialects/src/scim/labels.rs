//! Display names of referenced groups, folders, organizations and custom roles.

use super::projection::Projection;
use super::wire;
use crate::kit::{AppState, DialectRequest, RequestError};
use directory::{DirectoryError, ItemKey, ItemKind, ItemQuery, Labels, User, UserId, UserKey};
use uuid::Uuid;

/// Loads only labels that the projection includes.
pub(super) async fn load(
    state: &AppState,
    request: &DialectRequest,
    users: &[User],
    projection: &Projection,
) -> Result<Labels, RequestError> {
    let mut labels = Labels::default();
    let caller = request.caller()?;
    let has_custom_role = |user: &User| user.role.is_some_and(|role| directory::builtin_role_name(role).is_none());
    if projection.includes("roles") && users.iter().any(has_custom_role) {
        let custom_roles = state.directory.items(caller, ItemQuery::all(ItemKind::Role)).await?.rows;
        labels.roles = custom_roles.iter().map(|role| (role.number(), role.name().to_owned())).collect();
    }
    let groups = users.iter().flat_map(|user| &user.groups).map(|id| (ItemKind::Group, *id));
    let folders = users.iter().flat_map(|user| &user.folders).map(|id| (ItemKind::Folder, *id));
    let organizations = users.iter().filter_map(|user| user.organization).map(|id| (ItemKind::Organization, id));
    let shows_folders = projection.includes_sub_attribute(wire::MUSTER_SCHEMA.urn, "folders");
    let references = groups
        .filter(|_| projection.includes("groups"))
        .chain(folders.filter(|_| shows_folders))
        .chain(organizations.filter(|_| projection.includes(wire::ENTERPRISE_SCHEMA.urn)));
    for (kind, id) in references {
        // Labels of groups and folders are optional, so limited; an organization's name is the value itself.
        if labels.items.contains_key(&id) || (kind != ItemKind::Organization && labels.items.len() >= MAX_LABELS) {
            continue;
        }
        match state.directory.item(caller, kind, ItemKey::Id(id)).await {
            Ok(item) => drop(labels.items.insert(id, item.name().to_owned())),
            Err(DirectoryError::NoSuchItem(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if projection.includes_path(&[wire::ENTERPRISE_SCHEMA.urn, "manager", "$ref"]) {
        for user in users {
            let manager = user.employment.manager.as_deref().and_then(|id| Uuid::try_parse(id).ok());
            let Some(id) = manager.map(UserId).filter(|id| !labels.managers.contains(id)) else { continue };
            match state.directory.user(caller, UserKey::Id(id)).await {
                Ok(_) => drop(labels.managers.insert(id)),
                Err(DirectoryError::NoSuchUser) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(labels)
}

const MAX_LABELS: usize = 1_000;
