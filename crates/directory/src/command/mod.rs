//! Commands: every change that can be requested, as values.

mod field_update;

pub use field_update::FieldUpdate;

use crate::{
    Access, Address, ClientProfile, Connection, ConnectionId, DeliveryOutcome, Field, FolderEntry, ItemKey, ItemKind,
    KeyHash, Mail, MetadataEntry, OrganizationStatus, PasswordHash, PasswordLink, Permission, ProfileLink,
    ProfileLinkKind, RequestedStatus, SealedSecret, Status, Target, TenantNumber, Time, TypedValue, UserId, UserKey,
};
use secrecy::SecretString;
use std::net::IpAddr;

/// One requested change, which is carried out atomically.
#[derive(Clone, Debug, strum::EnumDiscriminants)]
#[strum_discriminants(name(CommandKind), derive(strum::EnumIter, Hash))]
pub enum Command {
    CreateUser(Box<UserEdit>),
    UpdateUser {
        user: UserKey,
        edit: Box<UserEdit>,
    },
    DeleteUser(UserKey),
    /// By id, number or external id.
    RestoreUser(UserKey),
    /// Permanently deletes a deleted user who can no longer be restored.
    PurgeUser(UserKey),
    /// Sends a link to choose a password to users who have none yet; to all of them or to none.
    Invite(Vec<UserKey>),
    /// Changes all users or none.
    ChangeStatus(StatusChange),
    /// A user's action on their own account.
    Account {
        user: UserId,
        action: AccountAction,
    },
    /// Records the progress of a mail. It is rejected as a conflict if another process was first.
    UpdateMail {
        /// The mail as it was read.
        mail: Box<Mail>,
        /// Time of the next attempt, if there is one.
        due: Option<Time>,
        outcome: Option<DeliveryOutcome>,
        starts_attempt: bool,
    },
    CreateGroup(GroupEdit),
    UpdateGroup {
        group: ItemKey,
        edit: GroupEdit,
    },
    CreateFolder(FolderEdit),
    UpdateFolder {
        folder: ItemKey,
        edit: FolderEdit,
    },
    CreateOrganization(OrganizationEdit),
    /// Changes all of the organizations in the same way, or none.
    UpdateOrganizations {
        organizations: Vec<ItemKey>,
        edit: OrganizationEdit,
    },
    /// Groups and folders only.
    DeleteItem {
        kind: ItemKind,
        item: ItemKey,
    },
    /// Adds a department to the catalog.
    AddDepartment {
        name: String,
        /// The next free number if not set.
        number: Option<u8>,
    },
    AddRole {
        name: String,
        /// The built-in role that it counts as.
        rank: u32,
    },
    AddTenant {
        name: String,
        /// The next free number if not set.
        number: Option<TenantNumber>,
    },
    UpdateTenant(TenantEdit),
    AddConnection(NewConnection),
    /// Adds a key. If there are already two, the oldest is removed.
    AddKey {
        connection: ConnectionId,
        key_hash: KeyHash,
        revoke_others: bool,
    },
    UpdateConnection {
        connection: ConnectionId,
        edit: ConnectionEdit,
    },
    /// Revokes a connection permanently.
    RevokeConnection(ConnectionId),
    /// Adds, changes or removes a target.
    PutTarget(Box<TargetChange>),
    /// Carries out a command only if the addressed user or item has this version.
    IfVersion(u32, Box<Command>),
}

impl Command {
    /// The command itself and the version that it requires.
    pub(crate) fn split_version(&self) -> (&Self, Option<u32>) {
        match self {
            Self::IfVersion(version, command) => (command.split_version().0, Some(*version)),
            command => (command, None),
        }
    }
}

/// Existing keys stay as they are.
#[derive(Clone, Debug, Default)]
pub struct ConnectionEdit {
    pub dialects: FieldUpdate<Vec<String>>,
    /// Replaces the permissions.
    pub access: FieldUpdate<Access>,
    pub permissions: FieldUpdate<Vec<Permission>>,
    pub highest_role: FieldUpdate<u32>,
    pub profile: FieldUpdate<ClientProfile>,
    pub public_keys: FieldUpdate<Vec<String>>,
    pub expires: FieldUpdate<Time>,
}

/// The requested changes of a user. A new user has no value where the request has none.
#[derive(Clone, Debug, Default)]
pub struct UserEdit {
    /// On create only: the id from another directory. A deleted user with this id is restored.
    pub id: Option<UserId>,
    /// Text values by field; see [`crate::User::text`] for the fields.
    pub texts: Vec<(Field, FieldUpdate<String>)>,
    pub department: FieldUpdate<DepartmentRef>,
    pub organization: FieldUpdate<OrganizationRef>,
    /// One entry per list of links in the request.
    pub links: Vec<(ProfileLinkKind, FieldUpdate<Vec<ProfileLink>>)>,
    /// One entry per multi-valued field in the request: emails, phones, photos, entitlements, certificates, roles.
    pub multi_valued: Vec<(Field, FieldUpdate<Vec<TypedValue>>)>,
    pub addresses: FieldUpdate<Vec<Address>>,
    /// Number of one of the organization's addresses, for requests that set it separately.
    pub office: FieldUpdate<u32>,
    pub metadata: FieldUpdate<Vec<MetadataEntry>>,
    pub role: FieldUpdate<RoleRef>,
    pub groups: FieldUpdate<Vec<ItemRef>>,
    pub folders: FieldUpdate<Vec<ItemRef>>,
    pub status: FieldUpdate<RequestedStatus>,
    pub password: Option<SecretString>,
    /// A password hash from another system; [`crate::PasswordHasher::can_verify`] decides which are accepted.
    pub password_hash: Option<PasswordHash>,
    /// On update: remove the stored password unless there is a new one.
    pub clear_password: bool,
    /// On create: send an invitation unless [`Field::DoNotEmail`] is set.
    pub invite: bool,
    /// Updates of the attributes that are booleans ([`crate::Slot::Boolean`]).
    pub booleans: Vec<(Field, FieldUpdate<bool>)>,
}

impl UserEdit {
    pub fn set_text(&mut self, field: Field, update: FieldUpdate<String>) {
        if update.is_change() {
            self.texts.push((field, update));
        }
    }

    pub fn set_boolean(&mut self, field: Field, update: FieldUpdate<bool>) {
        if update.is_change() {
            // The last value counts, for the required permissions as for the user.
            self.booleans.retain(|(known, _)| *known != field);
            self.booleans.push((field, update));
        }
    }

    pub fn boolean_update(&self, field: Field) -> Option<&FieldUpdate<bool>> {
        self.booleans.iter().find(|(f, _)| *f == field).map(|(_, given)| given)
    }

    pub fn text_update(&self, field: Field) -> Option<&FieldUpdate<String>> {
        self.texts.iter().find(|(f, _)| *f == field).map(|(_, given)| given)
    }
}

pub type ItemRef = ItemKey;

/// Added to the catalog on first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DepartmentRef {
    Number(u8),
    Name(String),
    /// No department, from a client that knows only numbers. A department without a number stays, since the client
    /// cannot see it.
    NoNumber,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleRef {
    Number(u32),
    /// Ignores case.
    Name(String),
}

/// An organization, which is created if it has a name and nothing matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationRef {
    /// A new organization gets this number if it is free.
    pub number: Option<u32>,
    pub name: Option<String>,
    /// Number of one of its addresses.
    pub office_number: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct StatusChange {
    /// All of them change, or none.
    pub users: Vec<UserKey>,
    pub to: Status,
    /// The current status that every user must have, if set.
    pub required_status: Option<Status>,
}

#[derive(Clone, Debug, Default)]
pub struct GroupEdit {
    /// On create only.
    pub id: Option<crate::ItemId>,
    pub name: FieldUpdate<String>,
    pub external_id: FieldUpdate<String>,
    pub members: Option<MemberEdit>,
}

#[derive(Clone, Debug)]
pub enum MemberEdit {
    Replace(Vec<UserKey>),
    /// Adds members; with `true`, only active users can become members.
    Add(Vec<UserKey>, bool),
    /// Adds and removes members and keeps all others. Users who already are members, or are not, are ignored. The
    /// cost does not depend on the number of other members.
    Change {
        /// All of them must exist.
        add: Vec<UserKey>,
        remove: Vec<UserKey>,
    },
}

#[derive(Clone, Debug, Default)]
pub struct FolderEdit {
    /// On create only.
    pub id: Option<crate::ItemId>,
    pub name: FieldUpdate<String>,
    pub external_id: FieldUpdate<String>,
    pub description: FieldUpdate<String>,
    pub is_restricted: FieldUpdate<bool>,
    pub restricted_to: FieldUpdate<crate::ItemId>,
    pub entries: FieldUpdate<Vec<FolderEntry>>,
}

#[derive(Clone, Debug, Default)]
pub struct OrganizationEdit {
    /// Like `number`, on create only. The number is the next free one if not set.
    pub id: Option<crate::ItemId>,
    pub number: Option<u32>,
    pub name: FieldUpdate<String>,
    pub status: Option<OrganizationStatus>,
    pub domains: FieldUpdate<Vec<String>>,
    /// Added to the existing domains.
    pub add_domains: Vec<String>,
    pub office_numbers: FieldUpdate<Vec<u32>>,
    pub url: FieldUpdate<String>,
    pub photo: FieldUpdate<String>,
    pub auto_login: FieldUpdate<bool>,
    pub homepage: FieldUpdate<u32>,
    pub guid: FieldUpdate<u32>,
    pub industry: FieldUpdate<u32>,
    pub category: FieldUpdate<u32>,
    pub key_contacts: FieldUpdate<Vec<u32>>,
}

#[derive(Clone, Debug)]
pub enum AccountAction {
    SignIn {
        /// The hash that the password was verified against.
        verified_hash: PasswordHash,
        /// Hash of the browser's session key; `None` for clients that are not browsers.
        session_key: Option<KeyHash>,
        /// A better hash of the same password.
        rehashed: Option<PasswordHash>,
        client_ip: Option<IpAddr>,
    },
    /// Ends the session with this key.
    SignOut(KeyHash),
    SignOutEverywhere,
    SetPassword {
        password: SecretString,
        proof: PasswordProof,
        /// The session that does not end.
        keep_session: Option<KeyHash>,
        address: Option<IpAddr>,
    },
    RequestPasswordReset,
}

/// What entitles a user to set a password.
#[derive(Clone, Debug)]
pub enum PasswordProof {
    Link(PasswordLink),
    /// The current password was verified against this hash.
    CurrentPassword(PasswordHash),
}

#[derive(Clone, Debug, Default)]
pub struct TenantEdit {
    pub name: FieldUpdate<String>,
    pub invitation_hours: FieldUpdate<u32>,
    pub min_password_chars: FieldUpdate<u32>,
    pub sender_name: FieldUpdate<String>,
    pub redirect_mails_to: FieldUpdate<String>,
    pub show_name_before_sign_in: FieldUpdate<bool>,
    /// Templates by name; `Clear` removes one.
    pub templates: Vec<(String, FieldUpdate<String>)>,
    /// Remove the tenant. It is not found afterwards, and only its remaining data can be deleted.
    pub remove: bool,
}

/// A target before and after a change.
#[derive(Clone, Debug)]
pub struct TargetChange {
    /// As it was read; `None` for a new target, which gets the next number.
    pub before: Option<Target>,
    pub after: Target,
    /// Its new credentials.
    pub secrets: Vec<SealedSecret>,
}

#[derive(Clone, Debug)]
pub struct NewConnection {
    /// Unique within the tenant.
    pub name: String,
    /// Names of the APIs it may use.
    pub dialects: Vec<String>,
    pub access: Access,
    /// Explicit permissions; `None`: those of `access`.
    pub permissions: Option<Vec<Permission>>,
    /// The highest built-in role that it may grant.
    pub highest_role: u32,
    pub expires: Option<Time>,
    pub profile: ClientProfile,
    /// The user whose own client it is.
    pub user: Option<UserKey>,
    /// Public keys in PEM with which the client may authenticate instead of with its key.
    pub public_keys: Vec<String>,
    pub key_hash: KeyHash,
}

impl NewConnection {
    /// A connection that may change users up to the role `User`.
    pub fn new(name: impl Into<String>, dialects: Vec<String>, key: KeyHash) -> Self {
        Self {
            name: name.into(),
            dialects,
            access: Access::ReadWrite,
            permissions: None,
            highest_role: Connection::DEFAULT_HIGHEST_ROLE,
            expires: None,
            profile: ClientProfile::default(),
            user: None,
            public_keys: Vec::new(),
            key_hash: key,
        }
    }
}
