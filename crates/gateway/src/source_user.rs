//! Loads users as they are now, with what their documents show of others.

use directory::{
    Caller, Directory, DirectoryError, ItemKey, ItemKind, ItemQuery, Labels, RemoteState, User, UserId, UserKey,
    builtin_role_name,
};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// The user of a push, as it is now.
#[derive(Clone, Debug)]
pub struct SourceUser {
    pub user: Option<User>,
    /// The user was deleted and can be restored.
    pub is_deleted: bool,
    pub labels: Arc<Labels>,
    /// The id of the manager's account in the target.
    pub manager: Option<String>,
    /// The manager, if it has no account in the target yet.
    pub awaited_manager: Option<UserId>,
}

/// The users with these ids, with the names of their groups if the target's rules depend on them. Deleted users who can be
/// restored are found, too.
pub async fn load_source_users(
    directory: &Directory,
    caller: &Caller,
    (target, with_groups): (u32, bool),
    ids: &[UserId],
) -> Result<HashMap<UserId, SourceUser>, DirectoryError> {
    let keys = ids.iter().map(|id| UserKey::Id(*id)).collect();
    let found = directory.users(caller, keys).await?;
    let mut users: Vec<(UserId, Option<User>, bool)> = Vec::with_capacity(ids.len());
    for (id, user) in ids.iter().zip(found) {
        let deleted = match &user {
            Some(_) => None,
            None => match directory.deleted_user(caller, &[UserKey::Id(*id)]).await {
                Ok(tombstone) => Some(tombstone.user),
                Err(DirectoryError::NoSuchUser) => None,
                Err(error) => return Err(error),
            },
        };
        let is_deleted = deleted.is_some();
        users.push((*id, user.or(deleted), is_deleted));
    }
    let existing = users.iter().filter_map(|(_, user, _)| user.as_ref());
    let labels = Arc::new(load_labels(directory, caller, existing, with_groups).await?);
    let managers: Vec<UserId> = users.iter().filter_map(|(_, user, _)| manager_of(user.as_ref()?)).collect();
    let accounts = match managers.as_slice() {
        [] => HashMap::new(),
        managers => directory.remote_users(caller, target, managers).await?,
    };
    let source = |(id, user, is_deleted): (UserId, Option<User>, bool)| {
        let manager = user.as_ref().and_then(manager_of);
        let account = manager.and_then(|manager| accounts.get(&manager));
        let account = account.filter(|row| matches!(row.state, RemoteState::Linked | RemoteState::Unverified));
        let manager_id = account.and_then(|row| row.remote_id.clone());
        let awaited_manager = manager.filter(|_| manager_id.is_none());
        (id, SourceUser { user, is_deleted, labels: Arc::clone(&labels), manager: manager_id, awaited_manager })
    };
    Ok(users.into_iter().map(source).collect())
}

/// The manager, if it is named by the id of a user.
fn manager_of(user: &User) -> Option<UserId> {
    Uuid::try_parse(user.employment.manager.as_deref()?).ok().map(UserId)
}

/// Names of organizations, groups and custom roles.
async fn load_labels(
    directory: &Directory,
    caller: &Caller,
    users: impl Iterator<Item = &User> + Clone,
    with_groups: bool,
) -> Result<Labels, DirectoryError> {
    let mut labels = Labels::default();
    let mut organizations: Vec<_> = users.clone().filter_map(|user| user.organization).collect();
    organizations.sort_unstable();
    organizations.dedup();
    let mut keys: Vec<_> = organizations.into_iter().map(|id| (ItemKind::Organization, ItemKey::Id(id))).collect();
    if with_groups {
        let mut groups: Vec<_> = users.clone().flat_map(|user| user.groups.iter().copied()).collect();
        groups.sort_unstable();
        groups.dedup();
        keys.extend(groups.into_iter().map(|id| (ItemKind::Group, ItemKey::Id(id))));
    }
    let found = directory.map_items(caller, &keys, |item| (item.id(), item.name().to_owned())).await?;
    labels.items.extend(found.into_iter().flatten());
    if users.clone().any(|user| user.role.is_some_and(|role| builtin_role_name(role).is_none())) {
        let roles = directory.find_items(caller, ItemQuery::all(ItemKind::Role)).await?.rows;
        labels.roles = roles.iter().map(|role| (role.number(), role.name().to_owned())).collect();
    }
    Ok(labels)
}
