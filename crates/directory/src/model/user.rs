//! The canonical user: the union of what all dialects can express. Field names follow RFC 7643 where it has one.
//! Values that a dialect cannot show are kept.

use crate::model::multi_valued::{self, Address, TypedValue};
use crate::{Grants, ItemId, Status, Time, UserId};
use serde::{Deserialize, Serialize};

/// The password is not part of it: it is stored in the [`crate::Account`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Assigned by the server.
    pub id: UserId,
    /// Unique within the tenant, ascending from 1 and never reused; assigned by the store on insert.
    pub number: u32,
    /// Incremented by each change.
    pub version: u32,
    /// The name for signing in; the email unless another was given.
    pub user_name: String,
    /// Emails as sent. Single-valued dialects show the preferred one ([`User::email`]).
    #[serde(default, rename = "email", with = "multi_valued::work", skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<TypedValue>,
    /// The client's own key; its case is preserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: Name,
    /// Free text.
    #[serde(default, with = "multi_valued::work", skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<TypedValue>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// An entry of the tenant's department catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "organisation")]
    pub organization: Option<ItemId>,
    /// Number of the organization's office where the user works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub employment: Employment,
    /// Single-valued dialects show the work address ([`User::work_address`]).
    #[serde(default, rename = "address", with = "multi_valued::addresses", skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// URLs.
    #[serde(default, rename = "photo", with = "multi_valued::photo", skip_serializing_if = "Vec::is_empty")]
    pub photos: Vec<TypedValue>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub profile: Profile,
    /// As client systems name them.
    #[serde(default, with = "multi_valued::work", skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<TypedValue>,
    /// X.509 certificates in Base64.
    #[serde(default, with = "multi_valued::work", skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<TypedValue>,
    /// In the order sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<ProfileLink>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub secretary: Secretary,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// The system that the user came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// One comma-separated text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "specialities")]
    pub specialties: Option<String>,
    /// Number of a built-in or custom role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<u32>,
    /// Roles as client systems name them, in addition to [`User::role`] or with details of it. They grant nothing.
    #[serde(default, with = "multi_valued::work", skip_serializing_if = "Vec::is_empty")]
    pub other_roles: Vec<TypedValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "licence")]
    pub license: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Color of the user in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// In the order sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<MetadataEntry>,
    /// Whether to send no invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub do_not_email: Option<bool>,
    /// Ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ItemId>,
    /// The folders that the user may see, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<ItemId>,
    pub status: Status,
    /// Whether a client has removed the `active` attribute: the user is inactive, and the attribute stays unset.
    #[serde(default, skip_serializing_if = "is_false")]
    #[serde(rename = "status_unsaid")]
    pub active_cleared: bool,
    /// At the next sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_password_change: Option<bool>,
    /// What the user may do as an administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants>,
    pub created: Time,
    pub updated: Time,
    /// When the user was last invited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited: Option<Time>,
    /// When the user last signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Time>,
}

/// RFC 7643 section 4.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// `Dr`, `Ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honorific_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub middle: Option<String>,
    /// `Jr`, `III`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honorific_suffix: Option<String>,
    /// The full name, if the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
}

/// RFC 7643 section 4.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nick_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// The enterprise extension (RFC 7643 section 4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Employment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<String>,
    /// The manager's id as the client knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secretary {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileLink {
    pub kind: ProfileLinkKind,
    /// Such as `LinkedIn`.
    pub name: String,
    /// A URL or a handle.
    pub value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Whether it is the preferred link of its list, if the client specified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

impl ProfileLink {
    pub fn new(kind: ProfileLinkKind, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { kind, name: name.into(), value: value.into(), display: None, primary: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileLinkKind {
    Social,
    Custom,
    Messaging,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataEntry {
    pub key: String,
    pub value: String,
}

impl User {
    pub fn new(id: UserId, now: Time) -> Self {
        Self {
            id,
            number: 0,
            version: 1,
            user_name: String::new(),
            emails: Vec::new(),
            external_id: None,
            name: Name::default(),
            phones: Vec::new(),
            title: None,
            department: None,
            organization: None,
            office: None,
            employment: Employment::default(),
            addresses: Vec::new(),
            photos: Vec::new(),
            profile: Profile::default(),
            entitlements: Vec::new(),
            certificates: Vec::new(),
            links: Vec::new(),
            secretary: Secretary::default(),
            bio: None,
            source: None,
            specialties: None,
            role: None,
            other_roles: Vec::new(),
            license: None,
            time_zone: None,
            color: None,
            metadata: Vec::new(),
            do_not_email: None,
            grants: None,
            groups: Vec::new(),
            folders: Vec::new(),
            status: Status::Invited,
            active_cleared: false,
            force_password_change: None,
            created: now,
            updated: now,
            invited: None,
            last_activity: None,
        }
    }

    /// The preferred email: the primary one, else the first work email, else the first.
    pub fn email(&self) -> Option<&str> {
        multi_valued::preferred_index(&self.emails, "work").map(|index| self.emails[index].value.as_str())
    }

    /// Total size of the values of multi-valued attributes.
    pub fn multi_valued_bytes(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let plurals =
            [&self.emails, &self.phones, &self.photos, &self.other_roles, &self.entitlements, &self.certificates];
        let entries = plurals.into_iter().flatten();
        let entries = entries.map(|entry| entry.value.len() + of(&entry.kind) + of(&entry.display));
        let addresses = self.addresses.iter().map(|address| {
            let Address { line1, line2, city, region, postal_code, country, formatted, kind, primary: _ } = address;
            [line1, line2, city, region, postal_code, country, formatted, kind].map(of).iter().sum::<usize>()
        });
        entries.chain(addresses).sum()
    }

    pub fn phone(&self, kind: &str) -> Option<&str> {
        self.phones.iter().find(|entry| entry.has_kind(kind)).map(|entry| entry.value.as_str())
    }

    pub fn work_address(&self) -> Option<&Address> {
        self.addresses.iter().find(|address| address.is_work())
    }

    pub fn preferred_photo(&self) -> Option<&str> {
        multi_valued::preferred_index(&self.photos, "photo").map(|index| self.photos[index].value.as_str())
    }

    /// First and last name, separated by a space, as far as known.
    pub fn full_name(&self) -> String {
        let parts = [self.name.given.as_deref(), self.name.family.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    pub fn links_of(&self, kind: ProfileLinkKind) -> impl Iterator<Item = &ProfileLink> {
        self.links.iter().filter(move |link| link.kind == kind)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
