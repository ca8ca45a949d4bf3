//! Display names of referenced groups, folders, organizations and custom roles.

use super::projection::Projection;
use super::wire;
use crate::kit::{AppState, DialectRequest, RequestError};
use directory::{ItemKey, ItemKind, ItemQuery, Labels, User, UserId, UserKey};
use std::collections::HashSet;
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
        let custom_roles = state.directory.find_items(caller, ItemQuery::all(ItemKind::Role)).await?.rows;
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
    // Labels of groups and folders are optional, so limited; an organization's name is the value itself.
    let (mut seen, mut keys) = (HashSet::new(), Vec::new());
    for (kind, id) in references {
        if (kind == ItemKind::Organization || keys.len() < MAX_LABELS) && seen.insert(id) {
            keys.push((kind, ItemKey::Id(id)));
        }
    }
    let found = state.directory.map_items(caller, &keys, |item| (item.id(), item.name().to_owned())).await?;
    labels.items.extend(found.into_iter().flatten());
    if projection.includes_path(&[wire::ENTERPRISE_SCHEMA.urn, "manager", "$ref"]) {
        let managers = users.iter().filter_map(|user| Uuid::try_parse(user.employment.manager.as_deref()?).ok());
        let managers: HashSet<Uuid> = managers.collect();
        let keys = managers.into_iter().map(|id| UserKey::Id(UserId(id))).collect();
        let found = state.directory.users(caller, keys).await?;
        labels.managers.extend(found.into_iter().flatten().map(|user| user.id));
    }
    Ok(labels)
}

const MAX_LABELS: usize = 1_000;
