//! Loads what a command needs to know before it can be decided. A plain create needs nothing.

use super::{Caller, Directory, read_error};
use crate::authorization::Authority;
use crate::decide::{DecisionInput, ResolvedItem, ResolvedReferences};
use crate::model::multi_valued::preferred_index;
use crate::text::validation::{MAX_BULK_ITEMS, MAX_REFERENCES};
use crate::{
    AccountAction, Command, Connection, DepartmentRef, DirectoryError, Field, FieldErrorKind, FieldUpdate, GroupEdit,
    Item, ItemKey, ItemKind, ItemQuery, Mail, MemberEdit, Organization, RoleRef, Target, TenantNumber, User, UserEdit,
    UserId, UserKey, builtin_role_name, builtin_role_number, domain_key,
};
use std::collections::HashSet;

impl Directory {
    #[expect(clippy::too_many_lines, reason = "one arm per command, to be compared side by side")]
    pub(super) async fn load_input(
        &self,
        caller: &Caller,
        authority: &Authority<'_>,
        command: &Command,
        (is_retry, shared): (bool, &ResolvedReferences),
    ) -> Result<DecisionInput, DirectoryError> {
        let tenant = caller.tenant;
        let mut input = DecisionInput::default();
        if let (Command::CreateUser(edit), false) = (command, shared.is_empty()) {
            let known = memberships_of(edit).filter_map(|key| Some((key.clone(), shared.get(&key)?.clone())));
            input.resolved_references.extend(known);
        }
        match command.split_version().0 {
            Command::CreateUser(edit) => {
                self.load_edit_references(tenant, edit, true, &mut input).await?;
                self.load_deleted_match(tenant, edit, is_retry, &mut input).await?;
            }
            Command::RestoreUser(user) => self.load_tombstone(tenant, user, &mut input).await?,
            Command::PurgeUser(user) => {
                input.tenant = self.record(vec![tenant.0.into()]).await?;
                self.load_tombstone(tenant, user, &mut input).await?;
            }
            Command::Invite(users) => {
                check_count(users.len(), MAX_BULK_ITEMS)?;
                self.load_users(tenant, users, &mut input).await?;
                self.load_accounts(tenant, &mut input).await?;
                for user in input.users.iter().flatten().map(|user| user.id).collect::<Vec<_>>() {
                    self.load_mails(tenant, user, &mut input).await?;
                }
            }
            Command::Account { user, action: step } => {
                self.load_for_account_action(tenant, *user, step, &mut input).await?;
            }
            Command::UpdateTenant(_) => {
                input.tenant = self.record(vec![tenant.0.into()]).await?;
            }
            Command::UpdateUser { user, edit } => {
                self.load_users(tenant, std::slice::from_ref(user), &mut input).await?;
                self.load_edit_references(tenant, edit, false, &mut input).await?;
                self.load_former_owner(tenant, edit, &mut input).await?;
            }
            Command::DeleteUser(user) => {
                self.load_users(tenant, std::slice::from_ref(user), &mut input).await?;
            }
            Command::ChangeStatus(step) => {
                check_count(step.users.len(), MAX_BULK_ITEMS)?;
                self.load_users(tenant, &step.users, &mut input).await?;
            }
            Command::CreateGroup(edit) => self.load_named_members(tenant, edit, &mut input).await?,
            Command::UpdateGroup { group, edit } => {
                self.load_items(tenant, ItemKind::Group, std::slice::from_ref(group), &mut input).await?;
                self.load_named_members(tenant, edit, &mut input).await?;
                // Adding and removing members needs only the users named.
                let needs_all_members = matches!(edit.members, Some(MemberEdit::Replace(_) | MemberEdit::Add(..)));
                if let (Some(Some(group)), true) = (input.items.first(), needs_all_members) {
                    let members = self.store.members_of(tenant, vec![group.id()]).await.map_err(read_error)?;
                    input.members = members.into_values().flatten().map(|(id, _)| id).collect();
                    input.members.sort_unstable();
                    let named_ids: HashSet<UserId> = input.users.iter().flatten().map(|user| user.id).collect();
                    let removes_any = input.members.iter().any(|id| !named_ids.contains(id));
                    if removes_any && matches!(edit.members, Some(MemberEdit::Replace(_))) {
                        let group = group.id();
                        self.check_removed_member_ranks(authority, tenant, group, &mut input).await?;
                    }
                }
            }
            Command::CreateFolder(edit) => {
                self.resolve_group(tenant, &edit.restricted_to, &mut input).await?;
            }
            Command::UpdateFolder { folder, edit } => {
                self.load_items(tenant, ItemKind::Folder, std::slice::from_ref(folder), &mut input).await?;
                self.resolve_group(tenant, &edit.restricted_to, &mut input).await?;
            }
            Command::UpdateOrganizations { organizations, .. } => {
                check_count(organizations.len(), MAX_BULK_ITEMS)?;
                self.load_items(tenant, ItemKind::Organization, organizations, &mut input).await?;
            }
            Command::DeleteItem { kind, item } => {
                self.load_items(tenant, *kind, std::slice::from_ref(item), &mut input).await?;
                if let (ItemKind::Group, Some(Some(group))) = (kind, input.items.first()) {
                    let group = group.id();
                    self.check_removed_member_ranks(authority, tenant, group, &mut input).await?;
                }
            }
            Command::AddConnection(new) => {
                input.tenant = self.record(vec![tenant.0.into()]).await?;
                self.load_users(tenant, new.user.as_slice(), &mut input).await?;
            }
            Command::AddKey { connection, .. }
            | Command::UpdateConnection { connection, .. }
            | Command::RevokeConnection(connection) => {
                let found: Option<Connection> = self.record(vec![connection.0.into()]).await?;
                input.connection = found.filter(|c| c.tenant == tenant);
            }
            Command::PutTarget(_) => input.targets = self.records(Target::listed(Some(tenant))).await?,
            Command::AddDepartment { .. } => self.load_departments(tenant, &mut input).await?,
            Command::CreateOrganization(_)
            | Command::AddRole { .. }
            | Command::AddTenant { .. }
            | Command::UpdateMail { .. }
            | Command::IfVersion(..) => {}
        }
        Ok(input)
    }

    /// Loads the accounts of the users named. The users were read before, so their versions guard decisions about
    /// the accounts.
    async fn load_accounts(&self, tenant: TenantNumber, input: &mut DecisionInput) -> Result<(), DirectoryError> {
        let users = input.users.iter().flatten().map(|user| user.id).collect();
        input.accounts = self.store.accounts(tenant, users).await.map_err(read_error)?;
        Ok(())
    }

    /// Finds the deleted user that a create restores. This is rare, so the first attempt assumes that there is
    /// none, and the commit fails if there is one.
    async fn load_deleted_match(
        &self,
        tenant: TenantNumber,
        edit: &UserEdit,
        is_retry: bool,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        // A user with an id from elsewhere may have been deleted here: always look it up.
        if let Some(id) = edit.id {
            input.tombstone = self.store.tombstone(tenant, UserKey::Id(id)).await.map_err(read_error)?;
        }
        let Some(FieldUpdate::Set(id)) = edit.text_update(Field::ExternalId) else {
            return self.load_roles_for_tombstone(tenant, input).await;
        };
        if is_retry && input.tombstone.is_none() {
            let by = UserKey::ExternalId(id.clone());
            input.tombstone = self.store.tombstone(tenant, by).await.map_err(read_error)?;
        }
        if input.tombstone.is_none() {
            input.assumed_not_deleted = Some(id.clone());
        }
        self.load_roles_for_tombstone(tenant, input).await
    }

    /// Loads the deleted user who had the external id that an edit gives to another.
    async fn load_former_owner(
        &self,
        tenant: TenantNumber,
        edit: &UserEdit,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        let Some(FieldUpdate::Set(id)) = edit.text_update(Field::ExternalId) else { return Ok(()) };
        if input.users.iter().flatten().any(|user| user.external_id.as_ref() == Some(id)) {
            return Ok(());
        }
        let by = UserKey::ExternalId(id.clone());
        input.tombstone = self.store.tombstone(tenant, by).await.map_err(read_error)?;
        self.load_roles_for_tombstone(tenant, input).await
    }

    /// Loads the custom roles if the deleted user had one.
    async fn load_roles_for_tombstone(
        &self,
        tenant: TenantNumber,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        if input.tombstone.as_ref().is_some_and(|tombstone| has_custom_role(&tombstone.user)) {
            self.load_custom_roles(tenant, input).await?;
        }
        Ok(())
    }

    async fn load_for_account_action(
        &self,
        tenant: TenantNumber,
        user: UserId,
        step: &AccountAction,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        self.load_users(tenant, &[UserKey::Id(user)], input).await?;
        self.load_accounts(tenant, input).await?;
        match step {
            AccountAction::SetPassword { .. } => {
                input.tenant = self.record(vec![tenant.0.into()]).await?;
            }
            AccountAction::RequestPasswordReset => self.load_mails(tenant, user, input).await?,
            _ => {}
        }
        Ok(())
    }

    async fn load_mails(
        &self,
        tenant: TenantNumber,
        user: UserId,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        input.mails.extend(self.records(Mail::of_user(tenant, user, 100)).await?);
        Ok(())
    }

    /// Loads a deleted user and which of their references still exist.
    async fn load_tombstone(
        &self,
        tenant: TenantNumber,
        user: &UserKey,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        input.tombstone = self.store.tombstone(tenant, user.clone()).await.map_err(read_error)?;
        let Some(user) = input.tombstone.as_ref().map(|tombstone| tombstone.user.clone()) else {
            return Ok(());
        };
        self.load_mails(tenant, user.id, input).await?;
        let ids = [
            (ItemKind::Group, user.groups.as_slice()),
            (ItemKind::Folder, &user.folders),
            (ItemKind::Organization, user.organization.as_slice()),
        ];
        let keys = ids.into_iter().flat_map(|(kind, ids)| ids.iter().map(move |id| (kind, ItemKey::Id(*id))));
        self.resolve_references(tenant, keys.collect(), input).await?;
        if has_custom_role(&user) {
            self.load_custom_roles(tenant, input).await?;
        }
        Ok(())
    }

    async fn load_users(
        &self,
        tenant: TenantNumber,
        keys: &[UserKey],
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        input.users.extend(self.store.users(tenant, keys.to_vec()).await.map_err(read_error)?);
        // The rank of every role is compared with the caller's ceiling.
        if input.users.iter().flatten().any(has_custom_role) {
            self.load_custom_roles(tenant, input).await?;
        }
        Ok(())
    }

    async fn load_items(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        keys: &[ItemKey],
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        let keys = keys.iter().map(|key| (kind, key.clone())).collect();
        input.items.extend(self.store.items(tenant, keys).await.map_err(read_error)?);
        Ok(())
    }

    async fn load_named_members(
        &self,
        tenant: TenantNumber,
        edit: &GroupEdit,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        match &edit.members {
            Some(MemberEdit::Replace(keys) | MemberEdit::Add(keys, _)) => {
                check_count(keys.len(), MAX_REFERENCES)?;
                self.load_users(tenant, keys, input).await
            }
            Some(MemberEdit::Change { add: join, remove: leave }) => {
                check_count(join.len() + leave.len(), MAX_REFERENCES)?;
                self.load_users(tenant, &[join.as_slice(), leave].concat(), input).await
            }
            None => Ok(()),
        }
    }

    async fn resolve_group(
        &self,
        tenant: TenantNumber,
        group: &FieldUpdate<crate::ItemId>,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        let keys = group.value().map(|id| (ItemKind::Group, ItemKey::Id(*id)));
        self.resolve_references(tenant, keys.into_iter().collect(), input).await
    }

    /// Resolves the groups and folders that commands name, all at once.
    pub(super) async fn load_shared_references(
        &self,
        tenant: TenantNumber,
        commands: impl Iterator<Item = &Command>,
    ) -> Result<ResolvedReferences, DirectoryError> {
        let named = commands.filter_map(|command| match command {
            Command::CreateUser(edit) => Some(memberships_of(edit)),
            _ => None,
        });
        let mut input = DecisionInput::default();
        self.resolve_references(tenant, named.flatten().collect(), &mut input).await?;
        Ok(input.resolved_references)
    }

    async fn resolve_references(
        &self,
        tenant: TenantNumber,
        keys: Vec<(ItemKind, ItemKey)>,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        let mut seen = HashSet::new();
        let is_new =
            |key: &(ItemKind, ItemKey)| !input.resolved_references.contains_key(key) && seen.insert(key.clone());
        let keys: Vec<_> = keys.into_iter().filter(is_new).collect();
        let resolve = |item: Item| ResolvedItem { id: item.id(), name: item.name().to_owned() };
        let found = self.map_stored_items(tenant, &keys, resolve).await?;
        let resolved = keys.into_iter().zip(found).filter_map(|(key, item)| Some((key, item?)));
        input.resolved_references.extend(resolved);
        Ok(())
    }

    async fn load_edit_references(
        &self,
        tenant: TenantNumber,
        edit: &UserEdit,
        is_new: bool,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        self.resolve_references(tenant, memberships_of(edit).collect(), input).await?;
        if names_custom_role(edit) {
            self.load_custom_roles(tenant, input).await?;
        }
        if let FieldUpdate::Set(reference) = &edit.department {
            self.load_department(tenant, reference, input).await?;
        }
        let email = edit.text_update(Field::Email).and_then(FieldUpdate::value);
        let listed = edit.multi_valued.iter().find(|(field, _)| *field == Field::Emails);
        let listed = listed.and_then(|(_, given)| given.value()).map(Vec::as_slice).unwrap_or_default();
        let email = email.or_else(|| preferred_index(listed, "work").map(|place| &listed[place].value));
        match (&edit.organization, email) {
            (FieldUpdate::Set(reference), _) => {
                let keys = [
                    reference.number.map(ItemKey::Number),
                    reference.name.clone().map(ItemKey::Name),
                    reference.office_number.map(ItemKey::OfficeNumber),
                ];
                [input.organization_by_number, input.organization_by_name, input.organization_by_office] =
                    self.find_organizations(tenant, keys).await?;
            }
            (FieldUpdate::Keep, Some(email)) if is_new => {
                let Some((_, domain)) = email.rsplit_once('@') else { return Ok(()) };
                let (kind, domain) = (ItemKind::Organization, ItemKey::Domain(domain_key(domain)));
                if self.negative_cache.contains(tenant, kind, &domain) {
                    input.assumed_absent.push((kind, domain));
                    return Ok(());
                }
                [input.organization_by_domain] = self.find_organizations(tenant, [Some(domain.clone())]).await?;
                if input.organization_by_domain.is_none() && self.store.reads_are_remote() {
                    self.negative_cache.insert(tenant, kind, domain);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Loads the department, or all of them if it does not exist and a free number is needed.
    async fn load_department(
        &self,
        tenant: TenantNumber,
        reference: &DepartmentRef,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        let key = match reference {
            DepartmentRef::Name(name) => ItemKey::Name(name.clone()),
            DepartmentRef::Number(number) => ItemKey::Number((*number).into()),
            DepartmentRef::NoNumber => return self.load_departments(tenant, input).await,
        };
        match self.store.item(tenant, ItemKind::Department, key).await.map_err(read_error)? {
            Some(found) => {
                input.departments = vec![(found.number(), found.name().to_owned())];
                Ok(())
            }
            None => self.load_departments(tenant, input).await,
        }
    }

    async fn load_departments(&self, tenant: TenantNumber, input: &mut DecisionInput) -> Result<(), DirectoryError> {
        let all = self.all_items(tenant, ItemKind::Department).await?;
        input.departments = all.into_iter().map(|d| (d.number(), d.name().to_owned())).collect();
        Ok(())
    }

    pub(super) async fn load_custom_roles(
        &self,
        tenant: TenantNumber,
        input: &mut DecisionInput,
    ) -> Result<(), DirectoryError> {
        input.custom_roles.clear();
        for item in self.all_items(tenant, ItemKind::Role).await? {
            if let Item::Role(role) = item {
                input.custom_roles.push(role);
            }
        }
        Ok(())
    }

    async fn all_items(&self, tenant: TenantNumber, kind: ItemKind) -> Result<Vec<Item>, DirectoryError> {
        Ok(self.store.find_items(tenant, ItemQuery::all(kind)).await.map_err(read_error)?.rows)
    }

    /// The organizations with these keys; `None` where there is no key or no organization.
    async fn find_organizations<const N: usize>(
        &self,
        tenant: TenantNumber,
        keys: [Option<ItemKey>; N],
    ) -> Result<[Option<Organization>; N], DirectoryError> {
        let wanted = keys.iter().flatten().map(|key| (ItemKind::Organization, key.clone())).collect();
        let mut found = self.store.items(tenant, wanted).await.map_err(read_error)?.into_iter();
        Ok(keys.map(|key| match key.and_then(|_| found.next().flatten()) {
            Some(Item::Organization(organization)) => Some(organization),
            _ => None,
        }))
    }
}

fn has_custom_role(user: &User) -> bool {
    user.role.is_some_and(|role| builtin_role_name(role).is_none())
        || user.other_roles.iter().any(|entry| builtin_role_number(&entry.value).is_none())
}

/// Whether an edit names a role that is not built in. Custom roles need not be loaded for built-in names, which
/// they cannot have. Roles that the user already has were loaded with the user.
fn names_custom_role(edit: &UserEdit) -> bool {
    let given = match &edit.role {
        FieldUpdate::Set(RoleRef::Name(name)) => builtin_role_number(name).is_none(),
        FieldUpdate::Set(RoleRef::Number(number)) => builtin_role_name(*number).is_none(),
        FieldUpdate::Keep | FieldUpdate::Clear => false,
    };
    let mut listed = edit.multi_valued.iter().filter(|(field, _)| *field == Field::Roles);
    given
        || listed.any(|(_, given)| {
            given.value().is_some_and(|list| list.iter().any(|entry| builtin_role_number(&entry.value).is_none()))
        })
}

/// Rejects lists that are too long before anything is read for them.
fn check_count(count: usize, max: usize) -> Result<(), DirectoryError> {
    if count > max { Err(DirectoryError::for_field(Field::Members, FieldErrorKind::TooLong(max))) } else { Ok(()) }
}

/// The groups and folders that an edit names. Lists that are too long are rejected without reading them.
fn memberships_of(edit: &UserEdit) -> impl Iterator<Item = (ItemKind, ItemKey)> {
    let given = [(ItemKind::Group, &edit.groups), (ItemKind::Folder, &edit.folders)];
    let given = given.into_iter().filter_map(|(kind, given)| Some((kind, given.value()?)));
    let given = given.filter(|(_, keys)| keys.len() <= MAX_REFERENCES);
    given.flat_map(|(kind, keys)| keys.iter().map(move |key| (kind, key.clone())))
}
