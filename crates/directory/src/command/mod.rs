//! Everything that can be asked of the directory, as values.

mod field_update;

pub use field_update::FieldUpdate;

use crate::{
    Access, Address, ClientProfile, Connection, ConnectionId, DeliveryOutcome, Field, FolderEntry, ItemKey, ItemKind,
    KeyHash, Mail, MetadataEntry, OrganizationStatus, PasswordHash, ProfileLink, ProfileLinkKind, RequestedStatus,
    SignInLinkRef, Status, TenantNumber, Time, TypedValue, UserId, UserKey,
};
use secrecy::SecretString;
use std::net::IpAddr;

/// One thing asked of the directory. All of it is done, or nothing.
#[derive(Clone, Debug)]
pub enum Command {
    /// Add a person.
    CreateUser(Box<UserEdit>),
    /// Change a person.
    UpdateUser {
        /// Whom.
        user: UserKey,
        /// What.
        edit: Box<UserEdit>,
    },
    /// Remove a person.
    DeleteUser(UserKey),
    /// Bring back somebody who was deleted, by id, number or external id.
    RestoreUser(UserKey),
    /// Let what is left of somebody go who can no longer be restored.
    PurgeUser(UserKey),
    /// Send one or many people who have no password yet a link with which they choose one; all of them, or none.
    Invite(Vec<UserKey>),
    /// Move one or many people to a status, all or none.
    ChangeStatus(StatusChange),
    /// What somebody does with their own account.
    Account {
        /// Who.
        user: UserId,
        /// What.
        action: AccountAction,
    },
    /// What has become of a mail. It is refused as a conflict if somebody else was first.
    UpdateMail {
        /// As it was read.
        mail: Box<Mail>,
        /// When it is tried next, if it is.
        due: Option<Time>,
        /// What came of it.
        outcome: Option<DeliveryOutcome>,
        /// Whether this begins an attempt.
        starts_attempt: bool,
    },
    /// Add a group.
    CreateGroup(GroupEdit),
    /// Change a group.
    UpdateGroup {
        /// Which.
        group: ItemKey,
        /// What.
        edit: GroupEdit,
    },
    /// Add a folder.
    CreateFolder(FolderEdit),
    /// Change a folder.
    UpdateFolder {
        /// Which.
        folder: ItemKey,
        /// What.
        edit: FolderEdit,
    },
    /// Add an organisation.
    CreateOrganization(OrganizationEdit),
    /// Change one or many organisations alike, all or none.
    UpdateOrganizations {
        /// Which.
        organizations: Vec<ItemKey>,
        /// What.
        edit: OrganizationEdit,
    },
    /// Remove a group or folder.
    DeleteItem {
        /// Which kind.
        kind: ItemKind,
        /// Which one.
        item: ItemKey,
    },
    /// Add a department to the catalogue under a number that is free, or the next one.
    AddDepartment {
        /// Its name.
        name: String,
        /// Its number.
        number: Option<u8>,
    },
    /// Add a role of the tenant's own.
    AddRole {
        /// Its name.
        name: String,
        /// The built-in role it is worth.
        rank: u32,
    },
    /// Add a tenant.
    AddTenant {
        /// Its name.
        name: String,
        /// The number it shall have; the next one, when not given.
        number: Option<TenantNumber>,
    },
    /// Settle something of the tenant.
    UpdateTenant(TenantEdit),
    /// Let an inbound client in.
    AddConnection(NewConnection),
    /// Give a connection a new key; the oldest goes when there are two already.
    AddKey {
        /// Which connection.
        connection: ConnectionId,
        /// What is kept of the new key.
        key_hash: KeyHash,
        /// Whether all other keys are revoked.
        revoke_others: bool,
    },
    /// Change what a connection may do.
    UpdateConnection {
        /// Which connection.
        connection: ConnectionId,
        /// What changes.
        edit: ConnectionEdit,
    },
    /// Take a connection back for good.
    RevokeConnection(ConnectionId),
    /// A command that is only done while the person or item it addresses is still of this version.
    IfVersion(u32, Box<Command>),
}

impl Command {
    /// The command itself, and the version it is bound to.
    pub(crate) fn split_version(&self) -> (&Self, Option<u32>) {
        match self {
            Self::IfVersion(version, command) => (command.split_version().0, Some(*version)),
            command => (command, None),
        }
    }
}

/// What changes of a connection. Keys that were given out stay as they are.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in Connection")]
pub struct ConnectionEdit {
    pub dialects: FieldUpdate<Vec<String>>,
    pub access: FieldUpdate<Access>,
    pub highest_role: FieldUpdate<u32>,
    pub profile: FieldUpdate<ClientProfile>,
    pub public_keys: FieldUpdate<Vec<String>>,
    pub expires: FieldUpdate<Time>,
}

/// What a request says of a person. On create, what is absent stays empty.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in User")]
pub struct UserEdit {
    /// The identity they shall have, on create only: of somebody who comes from a directory that gave it. Whoever was
    /// deleted and had it comes back.
    pub id: Option<UserId>,
    /// Plain texts by field; see [`crate::User::text`] for which these are.
    pub texts: Vec<(Field, FieldUpdate<String>)>,
    pub department: FieldUpdate<DepartmentRef>,
    pub organization: FieldUpdate<OrganizationRef>,
    /// One entry per list of links that is mentioned.
    pub links: Vec<(ProfileLinkKind, FieldUpdate<Vec<ProfileLink>>)>,
    /// One entry per plural that is mentioned: e-mails, phones, photos, entitlements, certificates, roles.
    pub multi_valued: Vec<(Field, FieldUpdate<Vec<TypedValue>>)>,
    pub addresses: FieldUpdate<Vec<Address>>,
    /// The number of one of the organisation's addresses, apart from the organisation.
    pub office: FieldUpdate<u32>,
    pub metadata: FieldUpdate<Vec<MetadataEntry>>,
    pub role: FieldUpdate<RoleRef>,
    pub groups: FieldUpdate<Vec<ItemRef>>,
    pub folders: FieldUpdate<Vec<ItemRef>>,
    pub status: FieldUpdate<RequestedStatus>,
    pub password: Option<SecretString>,
    /// A password as another system had stored it; [`crate::PasswordHasher::can_verify`] says which are taken.
    pub password_hash: Option<PasswordHash>,
    /// On update: the password that is stored goes, unless there is a new one.
    pub clear_password: bool,
    /// On create: a mail shall invite the person, unless they want none.
    pub invite: bool,
    pub do_not_email: FieldUpdate<bool>,
    pub force_password_change: FieldUpdate<bool>,
}

impl UserEdit {
    /// Notes what was said of the plain text `field`.
    pub fn set_text(&mut self, field: Field, given: FieldUpdate<String>) {
        if given.is_change() {
            self.texts.push((field, given));
        }
    }

    /// What was said of the plain text `field`.
    pub fn text_update(&self, field: Field) -> Option<&FieldUpdate<String>> {
        self.texts.iter().find(|(f, _)| *f == field).map(|(_, given)| given)
    }
}

/// A group or folder, by whatever the client knows of it.
pub type ItemRef = ItemKey;

/// A department, by number or by name; entered in the catalogue on first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DepartmentRef {
    /// By number.
    Number(u8),
    /// By name.
    Name(String),
    /// None, said by a client that knows numbers only: a department without a number, which it cannot see, stays.
    NoNumber,
}

/// A role of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleRef {
    /// By number.
    Number(u32),
    /// By name, in any case.
    Name(String),
}

/// An organisation as a client names it: created when a name comes with it and nothing matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationRef {
    /// Its number, wished for when it is new.
    pub number: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// The number of one of its addresses.
    pub office_number: Option<u32>,
}

/// A status for one or many people.
#[derive(Clone, Debug)]
pub struct StatusChange {
    /// Who; all of them, or none.
    pub users: Vec<UserKey>,
    /// Where to.
    pub to: Status,
    /// The status everybody must be in before, if any.
    pub required_status: Option<Status>,
}

/// What a request says of a group.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in Group")]
pub struct GroupEdit {
    /// The identity it shall have, on create only.
    pub id: Option<crate::ItemId>,
    pub name: FieldUpdate<String>,
    pub external_id: FieldUpdate<String>,
    pub members: Option<MemberEdit>,
}

/// What a request says of a group's members.
#[derive(Clone, Debug)]
pub enum MemberEdit {
    /// Exactly these.
    Replace(Vec<UserKey>),
    /// These too; with `true`, only active people may join.
    Add(Vec<UserKey>, bool),
    /// These join and those leave, whoever else is in it; neither those who are in it already nor those who are not
    /// are a fault, and what it costs does not depend on how many the others are.
    Change {
        /// Who joins; each must exist.
        add: Vec<UserKey>,
        /// Who leaves.
        remove: Vec<UserKey>,
    },
}

/// What a request says of a folder.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in Folder")]
pub struct FolderEdit {
    /// The identity it shall have, on create only.
    pub id: Option<crate::ItemId>,
    pub name: FieldUpdate<String>,
    pub external_id: FieldUpdate<String>,
    pub description: FieldUpdate<String>,
    pub is_restricted: FieldUpdate<bool>,
    pub restricted_to: FieldUpdate<crate::ItemId>,
    pub entries: FieldUpdate<Vec<FolderEntry>>,
}

/// What a request says of an organisation.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in Organisation")]
pub struct OrganizationEdit {
    /// The identity and number it shall have, on create only; the next number, when none is given.
    pub id: Option<crate::ItemId>,
    pub number: Option<u32>,
    pub name: FieldUpdate<String>,
    pub status: Option<OrganizationStatus>,
    pub domains: FieldUpdate<Vec<String>>,
    /// Domains to have besides those it has.
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

/// What somebody does with their own account.
#[derive(Clone, Debug)]
pub enum AccountAction {
    /// They have shown the password that is stored as this.
    SignIn {
        /// What was compared.
        verified_hash: PasswordHash,
        /// What is kept of the key of their browser, if it is one.
        session_key: Option<KeyHash>,
        /// The same password, stored better.
        rehashed: Option<PasswordHash>,
        /// Where they come from, if that is known.
        client_ip: Option<IpAddr>,
    },
    /// They leave one browser.
    SignOut(KeyHash),
    /// They leave all browsers.
    SignOutEverywhere,
    /// They choose a password.
    SetPassword {
        /// The new one.
        password: SecretString,
        /// What lets them.
        proof: PasswordProof,
        /// The browser in which they stay signed in.
        keep_session: Option<KeyHash>,
        /// Where they come from, if that is known.
        address: Option<IpAddr>,
    },
    /// They ask for a link because they have forgotten their password.
    RequestPasswordReset,
}

/// What lets somebody choose a password.
#[derive(Clone, Debug)]
pub enum PasswordProof {
    /// A link that was sent to them.
    Link(SignInLinkRef),
    /// They have shown the password that is stored as this.
    CurrentPassword(PasswordHash),
}

/// What is to be settled of a tenant.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in TenantSettings")]
pub struct TenantEdit {
    pub name: FieldUpdate<String>,
    pub invitation_hours: FieldUpdate<u32>,
    pub min_password_chars: FieldUpdate<u32>,
    pub sender_name: FieldUpdate<String>,
    pub redirect_mails_to: FieldUpdate<String>,
    pub show_name_before_sign_in: FieldUpdate<bool>,
    /// A template by name, or its removal.
    pub templates: Vec<(String, FieldUpdate<String>)>,
    /// Whether the tenant is removed. From then on it is not found, and only its remaining data can be deleted.
    pub remove: bool,
}

/// A connection to be added.
#[derive(Clone, Debug)]
pub struct NewConnection {
    /// Its name, unique within the tenant.
    pub name: String,
    /// Names of the APIs it may use.
    pub dialects: Vec<String>,
    /// What it may do.
    pub access: Access,
    /// The highest built-in role it may give.
    pub highest_role: u32,
    /// When it ends, if it does.
    pub expires: Option<Time>,
    /// Whose client it is.
    pub profile: ClientProfile,
    /// The person whose own client it is.
    pub user: Option<UserKey>,
    /// Public keys in PEM with which the client may prove itself instead of with its key.
    pub public_keys: Vec<String>,
    /// What is kept of its first key.
    pub key_hash: KeyHash,
}

impl NewConnection {
    /// A connection that may change users up to the role `User`.
    pub fn new(name: impl Into<String>, dialects: Vec<String>, key: KeyHash) -> Self {
        Self {
            name: name.into(),
            dialects,
            access: Access::ReadWrite,
            highest_role: Connection::DEFAULT_HIGHEST_ROLE,
            expires: None,
            profile: ClientProfile::default(),
            user: None,
            public_keys: Vec::new(),
            key_hash: key,
        }
    }
}
