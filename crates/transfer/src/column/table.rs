//! The columns of files: those of the attributes of users, and those that only files have.

use super::RecordKind::{self, Item, User};
use super::{ClientNumber, Column, ColumnKind, RecordKinds};
use crate::account_state::{ExpiryUnit, StateRule};
use directory::ItemKind::{Department, Folder, Group, Organization, Role};
use directory::{ATTRIBUTES, Field};
use std::sync::LazyLock;

type Kinds = &'static [RecordKind];

const ALL: Kinds = &RecordKind::ALL;
const WITH_ID: Kinds = &[User, Item(Group), Item(Folder), Item(Organization)];
const ITEMS: Kinds = &[Item(Group), Item(Folder), Item(Organization), Item(Role), Item(Department)];
const NUMBERED: Kinds = &[Item(Organization), Item(Department)];
const GROUPS: Kinds = &[Item(Group)];
const FOLDERS: Kinds = &[Item(Folder)];
const ORGANIZATIONS: Kinds = &[Item(Organization)];
const ROLES: Kinds = &[Item(Role)];

type Aliases = &'static [&'static str];

const fn column_of(
    record_kinds: Kinds,
    name: &'static str,
    kind: ColumnKind,
    aliases: Aliases,
    description: &'static str,
) -> Column {
    Column { name, kind, aliases, record_kinds: RecordKinds::Listed(record_kinds), description, ldap_name: None }
}

const fn column(name: &'static str, kind: ColumnKind, aliases: Aliases, description: &'static str) -> Column {
    column_of(&[User], name, kind, aliases, description)
}

const fn state(name: &'static str, rule: StateRule, aliases: Aliases, description: &'static str) -> Column {
    column(name, ColumnKind::AccountState(rule), aliases, description)
}

/// In export order.
pub static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let attributes = ATTRIBUTES.iter().filter_map(Column::of_attribute);
    KEY_COLUMNS.iter().copied().chain(attributes).chain(OTHER_COLUMNS.iter().copied()).collect()
});

const KEY_COLUMNS: &[Column] = &[
    column_of(
        ALL,
        "kind",
        ColumnKind::RecordKind,
        &["objecttype", "recordtype"],
        "`user`, `group`, `folder`, `organisation`, `department` or `role`; `user` if empty",
    )
    .ldap_name("muster-kind"),
    column_of(WITH_ID, "id", ColumnKind::Id, &["userid", "guid", "uuid"], "UUID; kept when a user or item is created"),
    column_of(NUMBERED, "number", ColumnKind::Number, &["orgid"], "Number of an organization or department"),
    column_of(ITEMS, "name", ColumnKind::Name, &["groupname", "orgname", "foldername"], "Name"),
];

const OTHER_COLUMNS: &[Column] = &[
    state(
        "active",
        StateRule::Enabled,
        &["enabled", "orclisenabled", "aktiv", "aktiviert", "actif", "activo", "attivo"],
        "Whether the user is active",
    ),
    state(
        "disabled",
        StateRule::Disabled,
        &[
            "blocked",
            "blocksignin",
            "blockcredential",
            "locked",
            "deactivated",
            "inactive",
            "nsaccountlock",
            "logindisabled",
            "msdsuseraccountdisabled",
            "dspwpaccountdisabled",
            "disabledat",
            "deactivatedat",
            "blockedat",
            "gesperrt",
            "anmeldunggesperrt",
            "deaktiviert",
            "deaktiviertam",
            "inaktiv",
            "désactivé",
            "bloqueado",
        ],
        "Whether the user is inactive",
    ),
    state("suspended", StateRule::Suspended, &["suspendedat"], "Whether the user is suspended"),
    state("archived", StateRule::Archived, &["archivedat"], "Whether the user is archived"),
    state(
        "deleted",
        StateRule::Deleted,
        &["deletedat", "gelöscht"],
        "Whether the user is deleted; such users are not created, and are deactivated by `--update`",
    ),
    state("userAccountControl", StateRule::AccountControl, &[], "Active Directory: bit 2 means inactive"),
    state(
        "pwdAccountLockedTime",
        StateRule::LockedTime,
        &[],
        "OpenLDAP: `000001010000Z` means inactive; other values are temporary locks",
    ),
    state("auth", StateRule::AuthMethod, &[], "Moodle: `nologin` means inactive"),
    state("sambaAcctFlags", StateRule::SambaFlags, &[], "Samba: `D` means inactive"),
    state(
        "accountExpires",
        StateRule::Expires(ExpiryUnit::FileTime),
        &[],
        "Active Directory: expiry time in 100 ns since 1601; inactive if past, 0 means never",
    ),
    state(
        "shadowExpire",
        StateRule::Expires(ExpiryUnit::Days),
        &[],
        "Expiry time in days since 1970; inactive if past, -1 means never",
    ),
    state(
        "krbPrincipalExpiration",
        StateRule::Expires(ExpiryUnit::GeneralizedTime),
        &[],
        "Kerberos: expiry time as a generalized time (RFC 4517); inactive if past",
    ),
    column_of(FOLDERS, "description", ColumnKind::Text(Field::Description), &[], "Description")
        .ldap_name("description"),
    column_of(
        FOLDERS,
        "isRestricted",
        ColumnKind::IsRestricted,
        &["restricted"],
        "Whether access to the folder is restricted",
    ),
    column_of(FOLDERS, "restrictedTo", ColumnKind::RestrictedTo, &[], "Group with access to a restricted folder"),
    column_of(FOLDERS, "entries", ColumnKind::FolderEntries, &[], "Contents of the folder: key and kind"),
    column_of(ORGANIZATIONS, "domains", ColumnKind::Domains, &["domain"], "Email domains"),
    column_of(
        ORGANIZATIONS,
        "offices",
        ColumnKind::Offices,
        &["addressids"],
        "Numbers of the organization's addresses, the default one first",
    ),
    column_of(ORGANIZATIONS, "url", ColumnKind::Text(Field::Url), &[], "URL of the organization's page"),
    column_of(ORGANIZATIONS, "autoLogin", ColumnKind::AutoLogin, &[], "Auto-login flag of the client system"),
    column_of(
        ORGANIZATIONS,
        "homepage",
        ColumnKind::ClientNumber(ClientNumber::Homepage),
        &[],
        "A number of the client system",
    ),
    column_of(
        ORGANIZATIONS,
        "guidNumber",
        ColumnKind::ClientNumber(ClientNumber::Guid),
        &[],
        "A number of the client system",
    ),
    column_of(
        ORGANIZATIONS,
        "industry",
        ColumnKind::ClientNumber(ClientNumber::Industry),
        &[],
        "A number of the client system",
    ),
    column_of(
        ORGANIZATIONS,
        "category",
        ColumnKind::ClientNumber(ClientNumber::Category),
        &[],
        "A number of the client system",
    ),
    column_of(ORGANIZATIONS, "keyContacts", ColumnKind::KeyContacts, &[], "User numbers of the key contacts"),
    column_of(ROLES, "rank", ColumnKind::Rank, &["worth"], "Built-in role that a custom role corresponds to"),
    column_of(
        GROUPS,
        "members",
        ColumnKind::Members,
        &["member", "uniquemember", "memberuid", "users"],
        "Members of a group: ids, emails, user names, external ids or distinguished names",
    ),
    column(
        "password",
        ColumnKind::Password,
        &["pwd", "initialpassword", "passwordprofile", "passwort", "kennwort"],
        "Password in clear text; hashed on import, never exported",
    ),
    column(
        "passwordHash",
        ColumnKind::PasswordHash,
        &["hash", "passworddigest", "userpass"],
        "Password hash: Argon2, bcrypt, PBKDF2 or scrypt",
    )
    .ldap_name("userPassword"),
    column("passwordHashFunction", ColumnKind::PasswordHashFunction, &[], "Google: the value of `password` is a hash"),
    column(
        "userPassword",
        ColumnKind::LdapPassword,
        &[],
        "LDAP: a hash with its scheme, as in `passwordHash`, or clear text, which is hashed",
    ),
    column("userNumber", ColumnKind::Number, &[], "Number within the tenant; export only"),
    column_of(ALL, "dn", ColumnKind::Dn, &["distinguishedname"], "Distinguished name of a directory entry"),
    column_of(ALL, "objectClass", ColumnKind::ObjectClass, &[], "Object classes of a directory entry"),
    column_of(ALL, "importRow", ColumnKind::Ignored, &[], "Number of a rejected row; ignored"),
    column_of(ALL, "importReason", ColumnKind::Ignored, &[], "Reason for a rejection; ignored"),
];
