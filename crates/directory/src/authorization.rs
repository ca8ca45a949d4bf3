//! Which permissions each command and query requires. Both lists are complete: a new variant does not compile without
//! an entry.

use crate::model::roles::HIGHEST_RANK;
use crate::{
    AccountAction, Actor, Administrator, Command, DirectoryError, Field, FieldUpdate, Grants, PasswordProof,
    Permission, Purpose, TenantNumber, UserEdit, UserId,
};

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumDiscriminants)]
#[strum_discriminants(name(QueryKind), derive(strum::EnumIter, Hash))]
pub enum Query {
    Users,
    PasswordHashes,
    /// Groups, folders, organizations, roles and departments, and their members.
    Items,
    DeletedUsers,
    /// The name and settings of the caller's tenant.
    Tenant,
    Tenants,
    /// The connections of the caller's tenant.
    Connections,
    AllConnections,
    /// The connection of an id or key.
    ConnectionOfKey,
    Mails,
    /// The mails of all tenants that are to be sent.
    MailsDue,
    /// The history of the caller's tenant.
    Events,
    /// The history of all tenants.
    AllEvents,
    /// What an interrupted import has done, and what others did meanwhile.
    ImportEvents,
    ServerSecret,
    /// Security records of the caller's tenant.
    SecurityRecords,
    /// Security records of requests without a tenant.
    SecurityRecordsOfNoTenant,
    /// Requests with an `Idempotency-Key` that the caller has sent.
    OwnRequests,
    /// The targets of the caller's tenant, and what the gateway stores for them.
    Targets,
    /// The targets of all tenants.
    AllTargets,
    /// Leases and positions of the server's tasks.
    Tasks,
    /// The user of a link or session. Its key is the proof.
    UserOfProof,
    SessionCount(UserId),
}

/// What an actor must have: one of the alternatives is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// All of these permissions. Never empty.
    permissions: Vec<Permission>,
    /// One of these tasks.
    tasks: &'static [Purpose],
    /// This is the user's own account.
    account: Option<UserId>,
    /// Every actor except tasks. The request itself limits what happens: it carries a verified password or link, or only
    /// sends a mail, or reads what pages show to visitors.
    is_public: bool,
}

impl Requirement {
    fn all(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self { permissions: permissions.into_iter().collect(), ..Self::default() }
    }

    fn permission(permission: Permission) -> Self {
        Self::all([permission])
    }

    fn or_task(self, tasks: &'static [Purpose]) -> Self {
        Self { tasks, ..self }
    }

    fn or_account_of(self, user: UserId) -> Self {
        Self { account: Some(user), ..self }
    }

    fn or_public(self) -> Self {
        Self { is_public: true, ..self }
    }
}

/// What a command requires in the tenant of its caller.
pub(crate) fn required_for_command(command: &Command) -> Requirement {
    use Permission::{Connections, Credentials, Groups, Installation, Settings, Targets, WriteUsers};
    match command {
        Command::CreateUser(edit) | Command::UpdateUser { edit, .. } => Requirement::all(required_for_edit(edit)),
        Command::DeleteUser(_) | Command::RestoreUser(_) | Command::ChangeStatus(_) => {
            Requirement::permission(WriteUsers)
        }
        Command::PurgeUser(_) => Requirement::permission(Installation).or_task(&[Purpose::Retention]),
        Command::Invite(_) => Requirement::permission(Credentials),
        Command::Account { user, action } => match action {
            AccountAction::SignIn { .. }
            | AccountAction::RequestPasswordReset
            | AccountAction::SetPassword { proof: PasswordProof::Link(_), .. } => {
                Requirement::permission(Credentials).or_public()
            }
            AccountAction::SetPassword { proof: PasswordProof::CurrentPassword(_), .. }
            | AccountAction::SignOut(_)
            | AccountAction::SignOutEverywhere => Requirement::permission(Credentials).or_account_of(*user),
        },
        Command::UpdateMail { .. } => Requirement::permission(Settings).or_task(&[Purpose::Mails, Purpose::Retention]),
        Command::CreateGroup(_)
        | Command::UpdateGroup { .. }
        | Command::CreateFolder(_)
        | Command::UpdateFolder { .. }
        | Command::CreateOrganization(_)
        | Command::UpdateOrganizations { .. }
        | Command::DeleteItem { .. }
        | Command::AddDepartment { .. }
        | Command::AddRole { .. } => Requirement::permission(Groups),
        Command::AddTenant { .. } => Requirement::permission(Installation),
        Command::UpdateTenant(edit) if edit.remove => Requirement::permission(Installation),
        // Mails with links to choose a password.
        Command::UpdateTenant(edit) if edit.redirect_mails_to.is_change() => Requirement::all([Settings, Installation]),
        Command::UpdateTenant(_) => Requirement::permission(Settings),
        Command::AddConnection(_)
        | Command::AddKey { .. }
        | Command::UpdateConnection { .. }
        | Command::RevokeConnection(_) => Requirement::permission(Connections),
        Command::PutTarget(change) if change.extends_allowed_addresses() => Requirement::all([Targets, Installation]),
        Command::PutTarget(change) if change.is_pause() => {
            Requirement::permission(Targets).or_task(&[Purpose::Gateway])
        }
        Command::PutTarget(_) => Requirement::permission(Targets),
        Command::IfVersion(_, command) => required_for_command(command),
    }
}

fn required_for_edit(edit: &UserEdit) -> Vec<Permission> {
    let mut required = vec![Permission::WriteUsers];
    let is_invitation = edit.invite && edit.boolean_update(Field::DoNotEmail) != Some(&FieldUpdate::Set(true));
    if edit.password.is_some() || edit.password_hash.is_some() || edit.clear_password || is_invitation {
        required.push(Permission::Credentials);
    }
    if edit.groups.is_change() || edit.folders.is_change() {
        required.push(Permission::Groups);
    }
    required
}

pub(crate) fn required_for_query(query: Query) -> Requirement {
    use Permission::{Audit, Connections, Credentials, Installation, ReadUsers, Settings, WriteUsers};
    match query {
        Query::Users => Requirement::permission(ReadUsers).or_task(&[Purpose::Mails, Purpose::Gateway]),
        Query::Items | Query::DeletedUsers => Requirement::permission(ReadUsers).or_task(&[Purpose::Gateway]),
        Query::PasswordHashes => Requirement::permission(Credentials),
        Query::Tenant => Requirement::permission(ReadUsers).or_task(&Purpose::ALL).or_public(),
        Query::Tenants => {
            Requirement::permission(Installation).or_task(&[Purpose::Retention, Purpose::Pages, Purpose::Startup])
        }
        Query::Connections => Requirement::permission(Connections),
        Query::AllConnections => Requirement::all([Connections, Installation]),
        Query::ConnectionOfKey => Requirement::all([Connections, Installation]).or_task(&[Purpose::Authentication]),
        Query::Mails => Requirement::permission(Settings).or_task(&[Purpose::Retention]),
        Query::MailsDue => Requirement::permission(Installation).or_task(&[Purpose::Mails]),
        Query::Events => Requirement::permission(Audit).or_task(&[Purpose::Gateway]),
        Query::SecurityRecords => Requirement::permission(Audit),
        Query::AllEvents | Query::SecurityRecordsOfNoTenant => Requirement::all([Audit, Installation]),
        Query::ImportEvents => Requirement::permission(WriteUsers),
        Query::ServerSecret => {
            Requirement::permission(Installation).or_task(&[Purpose::Authentication, Purpose::Mails, Purpose::Pages])
        }
        Query::OwnRequests => Requirement::permission(ReadUsers).or_public(),
        Query::Targets => Requirement::permission(Permission::Targets).or_task(&[Purpose::Gateway]),
        Query::AllTargets => Requirement::all([Permission::Targets, Installation]).or_task(&[Purpose::Gateway]),
        Query::Tasks => Requirement::permission(Installation).or_task(&Purpose::ALL),
        Query::UserOfProof => {
            Requirement::permission(Credentials).or_task(&[Purpose::Mails, Purpose::Retention]).or_public()
        }
        Query::SessionCount(user) => Requirement::permission(Credentials).or_account_of(user),
    }
}

/// What a caller may do in its tenant at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Authority<'a> {
    actor: &'a Actor,
    permissions: Vec<Permission>,
    /// The highest built-in role that it may grant.
    highest_role: u32,
}

impl<'a> Authority<'a> {
    /// The authority of an actor that is not a connection.
    pub(crate) fn of(actor: &'a Actor, tenant: TenantNumber) -> Self {
        let permissions = match actor {
            Actor::Operator { .. } => Permission::ALL.to_vec(),
            Actor::Administrator(Administrator { grants, home, .. }) => grants.permissions_in(tenant, *home),
            Actor::Connection(_) | Actor::User { .. } | Actor::Anonymous { .. } | Actor::System(_) => Vec::new(),
        };
        Self { actor, permissions, highest_role: HIGHEST_RANK }
    }

    pub(crate) fn of_connection(actor: &'a Actor, permissions: Vec<Permission>, highest_role: u32) -> Self {
        Self { actor, permissions, highest_role }
    }

    /// # Errors
    /// [`DirectoryError::Forbidden`]
    pub(crate) fn check(&self, required: &Requirement) -> Result<(), DirectoryError> {
        let is_permitted = self.has_all(&required.permissions)
            || match self.actor {
                Actor::System(purpose) => required.tasks.contains(purpose),
                Actor::User { id, .. } => required.is_public || required.account == Some(*id),
                Actor::Administrator(administrator) => {
                    required.is_public || required.account == Some(administrator.user)
                }
                Actor::Connection(_) | Actor::Anonymous { .. } | Actor::Operator { .. } => required.is_public,
            };
        if is_permitted { Ok(()) } else { Err(DirectoryError::Forbidden) }
    }

    /// # Errors
    /// [`DirectoryError::Forbidden`]
    pub(crate) fn require(&self, permission: Permission) -> Result<(), DirectoryError> {
        if self.permissions.contains(&permission) { Ok(()) } else { Err(DirectoryError::Forbidden) }
    }

    pub(crate) fn has_all(&self, permissions: &[Permission]) -> bool {
        permissions.iter().all(|permission| self.permissions.contains(permission))
    }

    pub(crate) fn highest_role(&self) -> u32 {
        self.highest_role
    }

    /// Whether it ranks above users with these grants. A user with a grant ranks above every connection.
    pub(crate) fn outranks(&self, grants: &Grants) -> bool {
        match self.actor {
            Actor::Operator { .. } | Actor::System(_) => true,
            Actor::Administrator(administrator) => administrator.grants.include(grants),
            Actor::Connection(_) | Actor::User { .. } | Actor::Anonymous { .. } => false,
        }
    }

    /// Whether it can rank below a user at all.
    pub(crate) fn is_limited(&self) -> bool {
        !matches!(self.actor, Actor::Operator { .. })
    }
}
