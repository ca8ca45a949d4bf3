//! Items: the groups, folders, organizations, roles and departments that users belong to.
//!
//! An item is a named entity of a tenant with an id and a number. One shape for all five kinds keeps every engine
//! small.

use crate::{ItemId, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    Group,
    Folder,
    #[serde(rename = "organisation")]
    Organization,
    Role,
    Department,
}

impl ItemKind {
    /// Engines store the index in this list.
    pub const ALL: [Self; 5] = [Self::Group, Self::Folder, Self::Organization, Self::Role, Self::Department];

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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Item {
    Group(Group),
    Folder(Folder),
    #[serde(rename = "organisation")]
    Organization(Organization),
    Role(Role),
    Department(Department),
}

/// Members are separate rows and not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The users who may see it are separate rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// Whether only some users may see it.
    #[serde(default)]
    pub is_restricted: bool,
    /// The only group that may see it, if it is restricted to one.
    #[serde(default)]
    pub restricted_to: Option<ItemId>,
    /// Stored, but not interpreted.
    #[serde(default)]
    pub entries: Vec<FolderEntry>,
    pub created: Time,
    pub updated: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderEntry {
    /// The client's own key.
    pub key: String,
    /// `Screen`, `Doc`, `DataSource`, `Folder` or `TaskTemplate`.
    pub kind: String,
}

/// Found by number, by name or by the domain of an email.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    pub status: OrganizationStatus,
    /// Email domains in lowercase, unique within the tenant.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Numbers of its office addresses, the default first; unique within the tenant.
    #[serde(default)]
    #[serde(rename = "addresses")]
    pub office_numbers: Vec<u32>,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub photo: Option<String>,
    #[serde(default)]
    pub auto_login: bool,
    /// Like the next three, a number from the client's own system: stored, but not interpreted.
    #[serde(default)]
    pub homepage: Option<u32>,
    #[serde(default)]
    pub guid: Option<u32>,
    #[serde(default)]
    pub industry: Option<u32>,
    #[serde(default)]
    pub category: Option<u32>,
    /// Numbers of users.
    #[serde(default)]
    pub key_contacts: Vec<u32>,
    pub created: Time,
    pub updated: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrganizationStatus {
    Active,
    Disabled,
    Suspended,
    Archived,
}

/// A custom role of the tenant, numbered from 7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    /// The built-in role that it counts as when a connection grants it.
    pub rank: u32,
    pub created: Time,
    pub updated: Time,
}

/// Numbered 0 to 255.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Department {
    pub id: ItemId,
    pub number: u32,
    pub version: u32,
    pub name: String,
    pub created: Time,
    pub updated: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ItemKey {
    Id(ItemId),
    Number(u32),
    /// Compared by [`Item::name_key`]; the oldest if several items share the name.
    Name(String),
    ExternalId(String),
    /// An organization by one of its email domains.
    Domain(String),
    /// An organization by the number of one of its addresses.
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
    pub fn kind(&self) -> ItemKind {
        match self {
            Self::Group(_) => ItemKind::Group,
            Self::Folder(_) => ItemKind::Folder,
            Self::Organization(_) => ItemKind::Organization,
            Self::Role(_) => ItemKind::Role,
            Self::Department(_) => ItemKind::Department,
        }
    }

    pub fn id(&self) -> ItemId {
        each!(self, it => it.id)
    }

    /// Unique within tenant and kind; 0 in a new item requests the next one from the store.
    pub fn number(&self) -> u32 {
        each!(self, it => it.number)
    }

    /// For the store, which assigns numbers.
    pub fn set_number(&mut self, number: u32) {
        each!(self, it => it.number = number);
    }

    /// Incremented by each change.
    pub fn version(&self) -> u32 {
        each!(self, it => it.version)
    }

    /// Increments the version.
    pub fn mark_updated(&mut self, now: Time) {
        each!(self, it => {
            it.version += 1;
            it.updated = now;
        });
    }

    /// For a change that is carried out at another time than it was decided.
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

    /// For a store that keeps both outside the document.
    pub fn set_version(&mut self, version: u32, updated: Time) {
        each!(self, it => {
            it.version = version;
            it.updated = updated;
        });
    }

    pub fn name(&self) -> &str {
        each!(self, it => &it.name)
    }

    pub fn created(&self) -> Time {
        each!(self, it => it.created)
    }

    pub fn updated(&self) -> Time {
        each!(self, it => it.updated)
    }

    /// Only groups and folders have one.
    pub fn external_id(&self) -> Option<&str> {
        match self {
            Self::Group(group) => group.external_id.as_deref(),
            Self::Folder(folder) => folder.external_id.as_deref(),
            Self::Organization(_) | Self::Role(_) | Self::Department(_) => None,
        }
    }

    /// The form in which names are compared: exact for departments, case-folded for all others.
    pub fn name_key(kind: ItemKind, name: &str) -> String {
        if kind == ItemKind::Department { name.to_owned() } else { crate::identifier_key(name) }
    }

    /// The keys that no two items of this kind in one tenant may share. Groups and folders may share a name (RFC
    /// 7643 section 4.2 does not make `displayName` unique).
    pub fn unique_keys(&self) -> Vec<ItemKey> {
        let mut keys = Vec::new();
        if let Some(external_id) = self.external_id() {
            keys.push(ItemKey::ExternalId(external_id.to_owned()));
        }
        match self {
            Self::Organization(organization) => {
                keys.push(ItemKey::Name(organization.name.clone()));
                keys.extend(organization.domains.iter().cloned().map(ItemKey::Domain));
                keys.extend(organization.office_numbers.iter().copied().map(ItemKey::OfficeNumber));
            }
            Self::Role(role) => keys.push(ItemKey::Name(role.name.clone())),
            Self::Department(department) => keys.push(ItemKey::Name(department.name.clone())),
            Self::Group(_) | Self::Folder(_) => {}
        }
        keys
    }
}
