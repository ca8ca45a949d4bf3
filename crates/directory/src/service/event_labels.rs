//! Finds the names of what a decided change refers to, which its events keep.

use super::{Directory, read_error};
use crate::decide::DecisionInput;
use crate::{
    DirectoryError, EventLabels, Item, ItemId, ItemKey, ItemKind, Mutation, TenantNumber, User, UserId, UserKey,
    builtin_role_name,
};
use std::collections::HashSet;
use uuid::Uuid;

/// Names kept with a change. Of a change of 10,000 members, only the first are kept, so that its event stays small.
const MAX_LABELS: usize = 100;

impl Directory {
    /// The names of references that were not loaded to decide a change, with one look-up of items and one of users. What
    /// no longer exists has none.
    pub(super) async fn names_of(
        &self,
        tenant: TenantNumber,
        references: References,
    ) -> Result<impl Iterator<Item = (Uuid, String)>, DirectoryError> {
        let keys: Vec<_> = references.items.into_iter().map(|(kind, id)| (kind, ItemKey::Id(id))).collect();
        let items = self.map_stored_items(tenant, &keys, |item| (item.id().0, item.name().to_owned())).await?;
        let keys: Vec<_> = references.users.into_iter().map(UserKey::Id).collect();
        let mut users = Vec::new();
        if !keys.is_empty() {
            users = self.store.users(tenant, keys).await.map_err(read_error)?;
        }
        let users = users.into_iter().flatten().map(|user| (user.id.0, user.user_name));
        Ok(items.into_iter().flatten().chain(users))
    }
}

/// Items and users that a change adds or removes as references.
#[derive(Default)]
pub(super) struct References {
    items: Vec<(ItemKind, ItemId)>,
    users: Vec<UserId>,
    /// Numbers of custom roles.
    roles: Vec<u32>,
}

impl References {
    pub(super) fn of(mutations: &[Mutation]) -> Self {
        let mut references = Self::default();
        for mutation in mutations {
            references.add(mutation);
        }
        references.items.truncate(MAX_LABELS);
        references.users.truncate(MAX_LABELS - references.items.len());
        references
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.users.is_empty() && self.roles.is_empty()
    }

    /// Takes those that were loaded to decide the change, with their names.
    pub(super) fn take_loaded(&mut self, input: &DecisionInput, mutations: &[Mutation]) -> EventLabels {
        let ids = self.items.iter().map(|(_, id)| id.0).chain(self.users.iter().map(|id| id.0));
        let mut unnamed: HashSet<Uuid> = ids.collect();
        let loaded = loaded_names(input, mutations).filter(|(id, _)| unnamed.remove(id));
        let names = loaded.map(|(id, name)| (id, name.to_owned())).collect();
        self.items.retain(|(_, id)| unnamed.contains(&id.0));
        self.users.retain(|id| unnamed.contains(&id.0));
        let roles = std::mem::take(&mut self.roles);
        let roles = input.custom_roles.iter().filter(|role| roles.contains(&role.number));
        EventLabels { names, roles: roles.map(|role| (role.number, role.name.clone())).collect() }
    }

    fn add(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::AddUser { user, .. } | Mutation::RestoreUser { user, .. } => self.of_user(None, Some(user)),
            Mutation::ChangeUser { before, after, .. } => self.of_user(Some(before), Some(after)),
            Mutation::RemoveUser(user) => self.of_user(Some(user), None),
            Mutation::AddItem { item, members } => {
                self.of_item(None, Some(item));
                self.users.extend(members);
            }
            Mutation::ChangeItem { before, after, members_added, members_removed } => {
                self.of_item(Some(before), Some(after));
                self.users.extend(members_added.iter().chain(members_removed));
            }
            Mutation::ChangeMembers { members_added, members_removed, .. } => {
                self.users.extend(members_added.iter().chain(members_removed));
            }
            Mutation::RemoveItem(item) => self.of_item(Some(item), None),
            Mutation::AddConnection(connection) => self.users.extend(connection.user),
            // The event of the deletion has the labels.
            Mutation::PurgeUser(_)
            // A connection keeps its user.
            | Mutation::ChangeConnection { .. }
            // Mails contain the address.
            | Mutation::AddMail(_)
            | Mutation::ChangeMail { .. }
            | Mutation::RemoveMail(_)
            | Mutation::AddTenant(_)
            | Mutation::ChangeTenant { .. }
            | Mutation::PutTarget { .. }
            | Mutation::RecordConnectionUse(..)
            | Mutation::AddSecret(_)
            | Mutation::Rows(_) => {}
        }
    }

    fn of_user(&mut self, before: Option<&User>, after: Option<&User>) {
        for (user, other) in [(before, after), (after, before)] {
            let Some(user) = user else { continue };
            let is_new = |list: fn(&User) -> &[ItemId], id: &ItemId| {
                other.is_none_or(|other| list(other).binary_search(id).is_err())
            };
            let mut add = |kind: ItemKind, list: fn(&User) -> &[ItemId]| {
                let differing = list(user).iter().filter(|id| is_new(list, id));
                self.items.extend(differing.map(|id| (kind, *id)));
            };
            add(ItemKind::Group, |user| &user.groups);
            add(ItemKind::Folder, |user| &user.folders);
            add(ItemKind::Organization, |user| user.organization.as_slice());
            let manager = |user: &User| Uuid::try_parse(user.employment.manager.as_deref()?).ok().map(UserId);
            self.users.extend(manager(user).filter(|id| other.and_then(manager) != Some(*id)));
            let role = user.role.filter(|role| other.and_then(|other| other.role) != Some(*role));
            self.roles.extend(role.filter(|role| builtin_role_name(*role).is_none()));
        }
    }

    fn of_item(&mut self, before: Option<&Item>, after: Option<&Item>) {
        let group = |item: Option<&Item>| match item {
            Some(Item::Folder(folder)) => folder.restricted_to,
            _ => None,
        };
        let (before, after) = (group(before), group(after));
        if before != after {
            self.items.extend(before.into_iter().chain(after).map(|id| (ItemKind::Group, id)));
        }
    }
}

fn loaded_names<'a>(input: &'a DecisionInput, mutations: &'a [Mutation]) -> impl Iterator<Item = (Uuid, &'a str)> {
    let organizations = [
        &input.organization_by_number,
        &input.organization_by_name,
        &input.organization_by_office,
        &input.organization_by_domain,
    ];
    let added = mutations.iter().filter_map(|mutation| match mutation {
        Mutation::AddItem { item, .. } => Some((item.id().0, item.name())),
        _ => None,
    });
    let users = input.users.iter().flatten().map(|user| (user.id.0, user.user_name.as_str()));
    let items = input.items.iter().flatten().map(|item| (item.id().0, item.name()));
    let references = input.resolved_references.values().map(|item| (item.id.0, item.name.as_str()));
    let organizations = organizations.into_iter().flatten().map(|found| (found.id.0, found.name.as_str()));
    references.chain(organizations).chain(users).chain(items).chain(added)
}
