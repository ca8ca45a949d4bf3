//! What a command needs to know before it can be decided. A plain create needs nothing at all.

use super::{Caller, Directory, unread};
use crate::decide::Known;
use crate::plural::preferred;
use crate::rules::{MAX_BULK, MAX_REFERENCES};
use crate::{
    AccountStep, Bound, Command, DepartmentRef, Field, Given, GroupEdit, Item, ItemId, ItemKey, ItemKind,
    ItemQuery, MemberEdit, Organisation, Place, Refusal, RoleRef, Rule, TenantNumber, User, UserEdit, UserId,
    UserKey, UserQuery, UserTest, domain_key, role_named, role_numbered, roles,
};
use std::collections::HashSet;

/// Users that are read at once.
const PAGE: u32 = 10_000;

impl Directory {
    /// Looks up what the command names.
    #[expect(clippy::too_many_lines, reason = "one arm a command, to be compared side by side")]
    pub(super) async fn look_up(
        &self,
        caller: &Caller,
        command: &Command,
        is_again: bool,
    ) -> Result<Known, Refusal> {
        let tenant = caller.tenant;
        let mut known = Known::default();
        match command.bare().0 {
            Command::CreateUser(edit) => {
                self.for_edit(tenant, edit, true, &mut known).await?;
                self.among_the_deleted(tenant, edit, is_again, &mut known).await?;
            }
            Command::RestoreUser(user) => self.what_is_left(tenant, user, &mut known).await?,
            Command::PurgeUser(user) => {
                known.tenant = self.store.tenant(tenant).await.map_err(unread)?;
                self.what_is_left(tenant, user, &mut known).await?;
            }
            Command::Invite(users) => {
                at_most(users.len(), MAX_BULK)?;
                self.people(tenant, users, &mut known).await?;
                self.accounts_of(tenant, &mut known).await?;
                for user in known.users.iter().flatten().map(|user| user.id).collect::<Vec<_>>() {
                    self.mails_to(tenant, user, &mut known).await?;
                }
            }
            Command::Account { user, step } => self.for_step(tenant, *user, step, &mut known).await?,
            Command::UpdateTenant(_) => {
                known.tenant = self.store.tenant(tenant).await.map_err(unread)?;
            }
            Command::UpdateUser { user, edit } => {
                self.people(tenant, std::slice::from_ref(user), &mut known).await?;
                self.for_edit(tenant, edit, false, &mut known).await?;
                self.former_owner(tenant, edit, &mut known).await?;
            }
            Command::DeleteUser(user) => self.people(tenant, std::slice::from_ref(user), &mut known).await?,
            Command::MoveUsers(step) => {
                at_most(step.users.len(), MAX_BULK)?;
                self.people(tenant, &step.users, &mut known).await?;
            }
            Command::CreateGroup(edit) => self.members_named(tenant, edit, &mut known).await?,
            Command::UpdateGroup { group, edit } => {
                self.addressed(tenant, ItemKind::Group, std::slice::from_ref(group), &mut known).await?;
                self.members_named(tenant, edit, &mut known).await?;
                // A change of members looks at those alone, from their side.
                let needs_all = matches!(edit.members, Some(MemberEdit::Replace(_) | MemberEdit::Add(..)));
                if let (Some(Some(group)), true) = (known.items.first(), needs_all) {
                    let members = self.store.members(tenant, group.id()).await.map_err(unread)?;
                    known.members = members.into_iter().map(|(id, _)| id).collect();
                    known.members.sort_unstable();
                    let named: HashSet<UserId> = known.users.iter().flatten().map(|user| user.id).collect();
                    let leave = known.members.iter().any(|id| !named.contains(id));
                    if leave && matches!(edit.members, Some(MemberEdit::Replace(_))) {
                        let group = group.id();
                        self.leaving(caller, group, &mut known).await?;
                    }
                }
            }
            Command::CreateFolder(edit) => self.refer_group(tenant, &edit.restricted_to, &mut known).await?,
            Command::UpdateFolder { folder, edit } => {
                self.addressed(tenant, ItemKind::Folder, std::slice::from_ref(folder), &mut known).await?;
                self.refer_group(tenant, &edit.restricted_to, &mut known).await?;
            }
            Command::UpdateOrganisations { organisations, .. } => {
                at_most(organisations.len(), MAX_BULK)?;
                self.addressed(tenant, ItemKind::Organisation, organisations, &mut known).await?;
            }
            Command::DeleteItem { kind, item } => {
                self.addressed(tenant, *kind, std::slice::from_ref(item), &mut known).await?;
                if let (ItemKind::Group, Some(Some(group))) = (kind, known.items.first()) {
                    let group = group.id();
                    self.leaving(caller, group, &mut known).await?;
                }
            }
            Command::AddConnection(new) => {
                known.tenant = self.store.tenant(tenant).await.map_err(unread)?;
                self.people(tenant, new.user.as_slice(), &mut known).await?;
            }
            Command::AddKey { connection, .. }
            | Command::UpdateConnection { connection, .. }
            | Command::RevokeConnection(connection) => {
                let found = self.store.connection(*connection).await.map_err(unread)?;
                known.connection = found.filter(|c| c.tenant == tenant);
            }
            Command::AddDepartment { .. } => self.departments(tenant, &mut known).await?,
            Command::CreateOrganisation(_)
            | Command::AddRole { .. }
            | Command::AddTenant { .. }
            | Command::MoveMail { .. }
            | Command::IfVersion(..) => {}
        }
        Ok(known)
    }

    /// How the people it names sign in. Their versions, read before, guard what is decided from it.
    async fn accounts_of(&self, tenant: TenantNumber, known: &mut Known) -> Result<(), Refusal> {
        for user in known.users.iter().flatten() {
            if let Some(account) = self.store.account(tenant, user.id).await.map_err(unread)? {
                known.accounts.insert(user.id, account);
            }
        }
        Ok(())
    }

    /// Whether a new person is somebody who was deleted. That is rare, so the first time it is taken as not so, and the
    /// store says when it is.
    async fn among_the_deleted(
        &self,
        tenant: TenantNumber,
        edit: &UserEdit,
        is_again: bool,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        // Somebody who brings an identity along may have been here; that is always looked up.
        if let Some(id) = edit.id {
            known.tombstone = self.store.tombstone(tenant, UserKey::Id(id)).await.map_err(unread)?;
        }
        let Some(Given::Value(id)) = edit.said(Field::ExternalId) else {
            return self.role_of_the_deleted(tenant, known).await;
        };
        if is_again && known.tombstone.is_none() {
            let by = UserKey::ExternalId(id.clone());
            known.tombstone = self.store.tombstone(tenant, by).await.map_err(unread)?;
        }
        if known.tombstone.is_none() {
            known.not_deleted = Some(id.clone());
        }
        self.role_of_the_deleted(tenant, known).await
    }

    /// The deleted user who had the external id that an edit gives to another.
    async fn former_owner(
        &self,
        tenant: TenantNumber,
        edit: &UserEdit,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        let Some(Given::Value(id)) = edit.said(Field::ExternalId) else { return Ok(()) };
        if known.users.iter().flatten().any(|user| user.external_id.as_ref() == Some(id)) {
            return Ok(());
        }
        let by = UserKey::ExternalId(id.clone());
        known.tombstone = self.store.tombstone(tenant, by).await.map_err(unread)?;
        self.role_of_the_deleted(tenant, known).await
    }

    /// The tenant's own roles, where a deleted user had one.
    async fn role_of_the_deleted(&self, tenant: TenantNumber, known: &mut Known) -> Result<(), Refusal> {
        if known.tombstone.as_ref().is_some_and(|stone| has_own_role(&stone.user)) {
            self.own_roles(tenant, known).await?;
        }
        Ok(())
    }

    async fn for_step(
        &self,
        tenant: TenantNumber,
        user: UserId,
        step: &AccountStep,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        self.people(tenant, &[UserKey::Id(user)], known).await?;
        self.accounts_of(tenant, known).await?;
        match step {
            AccountStep::ChoosePassword { .. } => {
                known.tenant = self.store.tenant(tenant).await.map_err(unread)?;
            }
            AccountStep::Forgot => self.mails_to(tenant, user, known).await?,
            _ => {}
        }
        Ok(())
    }

    /// The mails to a person that wait or have failed.
    async fn mails_to(&self, tenant: TenantNumber, user: UserId, known: &mut Known) -> Result<(), Refusal> {
        known.mails.extend(
            self.store.mails(tenant, Some(user), super::keeping::FIRST_MAIL, 100).await.map_err(unread)?,
        );
        Ok(())
    }

    /// What is left of somebody who was deleted, and of what they belonged to.
    async fn what_is_left(
        &self,
        tenant: TenantNumber,
        user: &UserKey,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        known.tombstone = self.store.tombstone(tenant, user.clone()).await.map_err(unread)?;
        let Some(user) = known.tombstone.as_ref().map(|stone| stone.user.clone()) else { return Ok(()) };
        let keys = |ids: &[ItemId]| ids.iter().map(|id| ItemKey::Id(*id)).collect::<Vec<_>>();
        self.mails_to(tenant, user.id, known).await?;
        self.refer(tenant, ItemKind::Group, &keys(&user.groups), known).await?;
        self.refer(tenant, ItemKind::Folder, &keys(&user.folders), known).await?;
        self.refer(tenant, ItemKind::Organisation, &keys(user.organisation.as_slice()), known).await?;
        if has_own_role(&user) {
            self.own_roles(tenant, known).await?;
        }
        Ok(())
    }

    async fn people(&self, tenant: TenantNumber, keys: &[UserKey], known: &mut Known) -> Result<(), Refusal> {
        for (index, key) in keys.iter().enumerate() {
            breathe(index).await;
            known.users.push(self.store.user(tenant, key.clone()).await.map_err(unread)?);
        }
        // The ceiling of a caller is compared with the rank of every role.
        if known.users.iter().flatten().any(has_own_role) {
            self.own_roles(tenant, known).await?;
        }
        Ok(())
    }

    async fn addressed(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        keys: &[ItemKey],
        known: &mut Known,
    ) -> Result<(), Refusal> {
        for key in keys {
            known.items.push(self.store.item(tenant, kind, key.clone()).await.map_err(unread)?);
        }
        Ok(())
    }

    async fn members_named(
        &self,
        tenant: TenantNumber,
        edit: &GroupEdit,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        match &edit.members {
            Some(MemberEdit::Replace(keys) | MemberEdit::Add(keys, _)) => {
                at_most(keys.len(), MAX_REFERENCES)?;
                self.people(tenant, keys, known).await
            }
            Some(MemberEdit::Change { join, leave }) => {
                at_most(join.len() + leave.len(), MAX_REFERENCES)?;
                self.people(tenant, join, known).await?;
                self.people(tenant, leave, known).await
            }
            None => Ok(()),
        }
    }

    /// Whether a member of a group whom the command does not name has a role above the caller's ceiling.
    async fn leaving(&self, caller: &Caller, group: ItemId, known: &mut Known) -> Result<(), Refusal> {
        if caller.highest_role >= roles::HIGHEST {
            return Ok(());
        }
        self.own_roles(caller.tenant, known).await?;
        let staying: HashSet<UserId> = known.users.iter().flatten().map(|user| user.id).collect();
        let mut bound = None;
        loop {
            let tests = vec![UserTest::Group(vec![group])];
            let query = UserQuery { tests, bound: bound.take(), limit: PAGE, ..UserQuery::default() };
            let page = self.store.users(caller.tenant, query).await.map_err(unread)?.rows;
            let Some(last) = page.last() else { return Ok(()) };
            bound = Some(Bound::After(Place { number: last.number, ..Place::default() }));
            let is_above = |user: &User| roles::is_above(user, &known.roles, caller.highest_role);
            if page.iter().any(|user| !staying.contains(&user.id) && is_above(user)) {
                known.leaving_above_ceiling = true;
                return Ok(());
            }
            give_way().await;
        }
    }

    async fn refer_group(
        &self,
        tenant: TenantNumber,
        group: &Given<crate::ItemId>,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        let keys: Vec<ItemKey> = group.value().into_iter().map(|id| ItemKey::Id(*id)).collect();
        self.refer(tenant, ItemKind::Group, &keys, known).await
    }

    async fn refer(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        keys: &[ItemKey],
        known: &mut Known,
    ) -> Result<(), Refusal> {
        for (index, key) in keys.iter().enumerate() {
            breathe(index).await;
            if let Some(item) = self.store.item(tenant, kind, key.clone()).await.map_err(unread)? {
                known.referred.insert((kind, key.clone()), item.id());
            }
        }
        Ok(())
    }

    async fn for_edit(
        &self,
        tenant: TenantNumber,
        edit: &UserEdit,
        is_new: bool,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        for (kind, given) in [(ItemKind::Group, &edit.groups), (ItemKind::Folder, &edit.folders)] {
            let keys = given.value().map_or(&[][..], Vec::as_slice);
            // More than may be named are refused unread.
            if keys.len() <= MAX_REFERENCES {
                self.refer(tenant, kind, keys, known).await?;
            }
        }
        if names_own_role(edit) {
            self.own_roles(tenant, known).await?;
        }
        if let Given::Value(wanted) = &edit.department {
            self.department(tenant, wanted, known).await?;
        }
        let email = edit.said(Field::Email).and_then(Given::value);
        let listed = edit.plurals.iter().find(|(field, _)| *field == Field::Emails);
        let listed = listed.and_then(|(_, given)| given.value()).map(Vec::as_slice).unwrap_or_default();
        let email = email.or_else(|| preferred(listed, "work").map(|place| &listed[place].value));
        match (&edit.organisation, email) {
            (Given::Value(wanted), _) => {
                known.by_number = self.organisation(tenant, wanted.number.map(ItemKey::Number)).await?;
                known.by_name = self.organisation(tenant, wanted.name.clone().map(ItemKey::Name)).await?;
                known.by_address = self.organisation(tenant, wanted.address.map(ItemKey::Address)).await?;
            }
            (Given::Absent, Some(email)) if is_new => {
                let Some((_, domain)) = email.rsplit_once('@') else { return Ok(()) };
                let (kind, domain) = (ItemKind::Organisation, ItemKey::Domain(domain_key(domain)));
                if self.absences.holds(tenant, kind, &domain) {
                    known.absent.push((kind, domain));
                    return Ok(());
                }
                known.by_domain = self.organisation(tenant, Some(domain.clone())).await?;
                if known.by_domain.is_none() && self.store.is_far() {
                    self.absences.note(tenant, kind, domain);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The department that is meant; all of them, where it is not there and a free number is needed.
    async fn department(
        &self,
        tenant: TenantNumber,
        wanted: &DepartmentRef,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        let key = match wanted {
            DepartmentRef::Name(name) => ItemKey::Name(name.clone()),
            DepartmentRef::Number(number) => ItemKey::Number((*number).into()),
            DepartmentRef::NoNumber => return self.departments(tenant, known).await,
        };
        match self.store.item(tenant, ItemKind::Department, key).await.map_err(unread)? {
            Some(found) => {
                known.departments = vec![(found.number(), found.name().to_owned())];
                Ok(())
            }
            None => self.departments(tenant, known).await,
        }
    }

    async fn departments(&self, tenant: TenantNumber, known: &mut Known) -> Result<(), Refusal> {
        let all = self.all(tenant, ItemKind::Department).await?;
        known.departments = all.into_iter().map(|d| (d.number(), d.name().to_owned())).collect();
        Ok(())
    }

    async fn own_roles(&self, tenant: TenantNumber, known: &mut Known) -> Result<(), Refusal> {
        known.roles.clear();
        for item in self.all(tenant, ItemKind::Role).await? {
            if let Item::Role(role) = item {
                known.roles.push(role);
            }
        }
        Ok(())
    }

    async fn all(&self, tenant: TenantNumber, kind: ItemKind) -> Result<Vec<Item>, Refusal> {
        Ok(self.store.items(tenant, ItemQuery::all(kind)).await.map_err(unread)?.rows)
    }

    async fn organisation(
        &self,
        tenant: TenantNumber,
        key: Option<ItemKey>,
    ) -> Result<Option<Organisation>, Refusal> {
        let Some(key) = key else { return Ok(None) };
        let found = self.store.item(tenant, ItemKind::Organisation, key).await.map_err(unread)?;
        Ok(found.and_then(|item| match item {
            Item::Organisation(organisation) => Some(organisation),
            _ => None,
        }))
    }
}

/// Whether a user has a role that is not built in.
fn has_own_role(user: &User) -> bool {
    user.role.is_some_and(|role| role_numbered(role).is_none())
        || user.other_roles.iter().any(|entry| role_named(&entry.value).is_none())
}

/// Whether an edit names a role that is not built in; those need no look at the tenant's own, which cannot have their
/// names. What somebody has already was looked up with them.
fn names_own_role(edit: &UserEdit) -> bool {
    let given = match &edit.role {
        Given::Value(RoleRef::Name(name)) => role_named(name).is_none(),
        Given::Value(RoleRef::Number(number)) => role_numbered(*number).is_none(),
        Given::Absent | Given::Cleared => false,
    };
    let mut listed = edit.plurals.iter().filter(|(field, _)| *field == Field::Roles);
    given
        || listed.any(|(_, given)| {
            given.value().is_some_and(|list| list.iter().any(|entry| role_named(&entry.value).is_none()))
        })
}

/// Refuses lists that are too long before anything is read for them.
fn at_most(count: usize, max: usize) -> Result<(), Refusal> {
    if count > max { Err(Refusal::field(Field::Members, Rule::TooLong(max))) } else { Ok(()) }
}

/// Every few hundred reads, lets others have the thread: reads of the embedded engine are done at once and would
/// otherwise never give way, not even to a time limit.
async fn breathe(index: usize) {
    if index % 256 == 255 {
        give_way().await;
    }
}

async fn give_way() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
