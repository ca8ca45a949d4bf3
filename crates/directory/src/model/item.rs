//! What people belong to: groups, folders, organisations, roles and departments.
//!
//! They are all *items*: a tenant's named things with an id and a number. One shape for all five keeps every
//! engine small.

use crate::{ItemId, Time};
use serde::{Deserialize, Serialize};

/// Which sort of item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    /// [`Group`].
    Group,
    /// [`TempDir`].
    Folder,
    /// [`Organization`].
    #[serde(rename = "organisation")]
    Organization,
    /// [`AttributeMeaning`].
    Role,
    /// [`Department`].
    Department,
}

impl ItemKind {
    /// Every kind; the place in this list is what engines store.
    pub const ALL: [Self; 5] = [Self::Group, Self::Folder, Self::Organization, Self::Role, Self::Department];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Folder => "folder",
            Self::Organization => "organisation",
            Self::Role => "role",
            Self::Department => "department",
        }
    }
}

/// One item with what all kinds share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Item {
    /// A group of people.
    Group(Group),
    /// A folder people may see.
    Folder(Folder),
    /// An organisation people belong to.
    #[serde(rename = "organisation")]
    Organization(Organization),
    /// A tenant's own role.
    Role(Role),
    /// A department of the catalogue.
    Department(Department),
}

/// A group. Its members are rows of their own and not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in User")]
pub struct Group {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    #[serde(default)]
    pub external_id: Option<String>,
    pub created: Time,
    pub updated: Time,
}

/// A folder. Who may see it are rows of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in User")]
pub struct Folder {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// Whether only some people may see it.
    #[serde(default)]
    pub is_restricted: bool,
    /// The group that may, when restricted to one.
    #[serde(default)]
    pub restricted_to: Option<ItemId>,
    /// What lies in it; kept, not interpreted.
    #[serde(default)]
    pub entries: Vec<FolderEntry>,
    pub created: Time,
    pub updated: Time,
}

/// Something that lies in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderEntry {
    /// The client's key of it.
    pub key: String,
    /// What it is: `Screen`, `Doc`, `DataSource`, `TempDir` or `TaskTemplate`.
    pub kind: String,
}

/// An organisation, found by number, by name or by the domain of an e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in User")]
pub struct Organization {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    pub status: OrganizationStatus,
    /// E-mail domains, lower-case; no two organisations of a tenant share one.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Numbers of its office addresses, the default one first; no two organisations of a tenant share one.
    #[serde(default)]
    #[serde(rename = "addresses")]
    pub office_numbers: Vec<u32>,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub photo: Option<String>,
    #[serde(default)]
    pub auto_login: bool,
    /// Numbers of things that live in the client's own system; kept, not interpreted.
    #[serde(default)]
    pub homepage: Option<u32>,
    #[serde(default)]
    pub guid: Option<u32>,
    #[serde(default)]
    pub industry: Option<u32>,
    #[serde(default)]
    pub category: Option<u32>,
    /// Numbers of the users to speak to.
    #[serde(default)]
    pub key_contacts: Vec<u32>,
    pub created: Time,
    pub updated: Time,
}

/// Where an organisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum OrganizationStatus {
    Active,
    Disabled,
    Suspended,
    Archived,
}

/// A role of the tenant's own, numbered from 7 on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in User")]
pub struct Role {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    /// The built-in role it is worth when it is asked whether a connection may give it.
    pub rank: u32,
    pub created: Time,
    pub updated: Time,
}

/// A department of the tenant, numbered 0 to 255.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in User")]
pub struct Department {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    pub created: Time,
    pub updated: Time,
}

/// How an item is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ItemKey {
    /// By identity.
    Id(ItemId),
    /// By number.
    Number(u32),
    /// By name, compared as [`Item::name_key`] says; the oldest, when several share it.
    Name(String),
    /// By the client's own key.
    ExternalId(String),
    /// An organisation by one of its e-mail domains.
    Domain(String),
    /// An organisation by the number of one of its addresses.
    OfficeNumber(u32),
}

macro_rules! each {
    ($item:expr, $it:ident => $body:expr) => {
        match $item {
            Item::Group($it) => $body,
            Item::Folder($it) => $body,
            Item::Organization($it) => $body,
            Item::Role($it) => $body,
            Item::Department($it) => $body,
        }
    };
}

impl Item {
    /// Which sort it is.
    pub fn kind(&self) -> ItemKind {
        match self {
            Self::Group(_) => ItemKind::Group,
            Self::Folder(_) => ItemKind::Folder,
            Self::Organization(_) => ItemKind::Organization,
            Self::Role(_) => ItemKind::Role,
            Self::Department(_) => ItemKind::Department,
        }
    }

    /// Identity.
    pub fn id(&self) -> ItemId {
        each!(self, it => it.id)
    }

    /// Number within tenant and kind; 0 in a new item asks the store for the next one.
    pub fn number(&self) -> u32 {
        each!(self, it => it.number)
    }

    /// For the store, when it gives a number.
    pub fn set_number(&mut self, number: u32) {
        each!(self, it => it.number = number);
    }

    /// Grows by one with each change.
    pub fn version(&self) -> u32 {
        each!(self, it => it.version)
    }

    /// Notes that it changed.
    pub fn mark_updated(&mut self, now: Time) {
        each!(self, it => {
            it.version += 1;
            it.updated = now;
        });
    }

    /// Moves the times of a change that is carried out at another time than it was decided.
    pub(crate) fn replace_time(&mut self, old: Time, new: Time) {
        each!(self, it => {
            if it.created == old {
                it.created = new;
            }
            if it.updated == old {
                it.updated = new;
            }
        });
    }

    /// For a store that keeps both beside the document.
    pub fn set_version(&mut self, version: u32, updated: Time) {
        each!(self, it => {
            it.version = version;
            it.updated = updated;
        });
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        each!(self, it => &it.name)
    }

    /// When it was created.
    pub fn created(&self) -> Time {
        each!(self, it => it.created)
    }

    /// When it last changed.
    pub fn updated(&self) -> Time {
        each!(self, it => it.updated)
    }

    /// The client's own key, where the kind has one.
    pub fn external_id(&self) -> Option<&str> {
        match self {
            Self::Group(group) => group.external_id.as_deref(),
            Self::Folder(folder) => folder.external_id.as_deref(),
            Self::Organization(_) | Self::Role(_) | Self::Department(_) => None,
        }
    }

    /// The form in which names are compared: departments to the letter, all else case-folded.
    pub fn name_key(kind: ItemKind, name: &str) -> String {
        if kind == ItemKind::Department { name.to_owned() } else { crate::identifier_key(name) }
    }

    /// Everything no two items of this kind in one tenant may share.
    /// Groups and folders may share a name (RFC 7643 section 4.2 does not make `displayName` unique).
    pub fn unique_keys(&self) -> Vec<ItemKey> {
        let mut keys = Vec::new();
        if let Some(external_id) = self.external_id() {
            keys.push(ItemKey::ExternalId(external_id.to_owned()));
        }
        match self {
            Self::Organization(organisation) => {
                keys.push(ItemKey::Name(organisation.name.clone()));
                keys.extend(organisation.domains.iter().cloned().map(ItemKey::Domain));
                keys.extend(organisation.office_numbers.iter().copied().map(ItemKey::OfficeNumber));
            }
            Self::Role(role) => keys.push(ItemKey::Name(role.name.clone())),
            Self::Department(department) => keys.push(ItemKey::Name(department.name.clone())),
            Self::Group(_) | Self::Folder(_) => {}
        }
        keys
    }
}
