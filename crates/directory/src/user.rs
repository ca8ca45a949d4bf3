//! The canonical person: the union of what every dialect can say.
//!
//! Field names follow RFC 7643 where it has one. What a dialect cannot show is kept all the same.

use crate::{Field, ItemId, Status, Time, UserId};
use serde::{Deserialize, Serialize};

/// One person in one tenant. The password is not here: it never leaves the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Identity, given by the server.
    pub id: UserId,
    /// Number within the tenant, ascending from 1 and never used again; given by the store on insert.
    pub number: u32,
    /// Grows by one with each change.
    pub version: u32,
    /// What the person signs in with; the e-mail unless something else was given.
    pub user_name: String,
    /// Primary e-mail, in the spelling that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The client's own key for the person; case is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Parts of the name.
    #[serde(default, skip_serializing_if = "unset")]
    pub name: Name,
    /// Phone numbers, as free text.
    #[serde(default, skip_serializing_if = "unset")]
    pub phones: Phones,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Name of the department, an entry of the tenant's catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// The organisation the person belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<ItemId>,
    /// The organisation's address where the person works, by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<u32>,
    /// Work address.
    #[serde(default, skip_serializing_if = "unset")]
    pub address: Address,
    /// URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<String>,
    /// Social, custom and messaging links, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The person's secretary.
    #[serde(default, skip_serializing_if = "unset")]
    pub secretary: Secretary,
    /// A few words about the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// Which system the person came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What the person is good at, as one comma-separated text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specialities: Option<String>,
    /// Number of a role in the tenant's catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<u32>,
    /// Kind of licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Time zone, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// A colour for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Free pairs, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<Pair>,
    /// No invitation mail is wanted.
    #[serde(default, skip_serializing_if = "no")]
    pub do_not_email: bool,
    /// Groups the person is a member of, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ItemId>,
    /// Folders the person may see, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<ItemId>,
    /// Where the person stands.
    pub status: Status,
    /// The password must be changed at next sign-in.
    #[serde(default, skip_serializing_if = "no")]
    pub force_password_change: bool,
    /// When the person was created.
    pub created: Time,
    /// When anything last changed.
    pub updated: Time,
    /// When the person was last invited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited: Option<Time>,
    /// When the person was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Time>,
}

/// Parts of a name (RFC 7643 section 4.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// `Dr`, `Ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honorific_prefix: Option<String>,
}

/// Phone numbers, as free text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phones {
    /// At the desk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    /// In the pocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobile: Option<String>,
}

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// First line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line1: Option<String>,
    /// Second line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// City.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Country, as a name or a code, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// Who answers for the person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secretary {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A named link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which list it belongs to.
    pub kind: LinkKind,
    /// What it is called, such as `LinkedIn`.
    pub name: String,
    /// Where it leads: a URL, or a handle.
    pub value: String,
}

/// The three lists of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// Social networks.
    Social,
    /// Anything else.
    Custom,
    /// Messaging handles.
    Messaging,
}

/// A free key and value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

impl User {
    /// A person of whom nothing is known yet.
    pub fn blank(id: UserId, now: Time) -> Self {
        Self {
            id,
            number: 0,
            version: 1,
            user_name: String::new(),
            email: None,
            external_id: None,
            name: Name::default(),
            phones: Phones::default(),
            title: None,
            department: None,
            organisation: None,
            office: None,
            address: Address::default(),
            photo: None,
            links: Vec::new(),
            secretary: Secretary::default(),
            bio: None,
            source: None,
            specialities: None,
            role: None,
            licence: None,
            time_zone: None,
            color: None,
            metadata: Vec::new(),
            do_not_email: false,
            groups: Vec::new(),
            folders: Vec::new(),
            status: Status::Invited,
            force_password_change: false,
            created: now,
            updated: now,
            invited: None,
            last_activity: None,
        }
    }

    /// The plain text kept under `field`, if that is a plain text and set.
    pub fn text(&self, field: Field) -> Option<&str> {
        Some(match field {
            Field::UserName => self.user_name.as_str(),
            Field::Email => self.email.as_deref()?,
            Field::ExternalId => self.external_id.as_deref()?,
            Field::GivenName => self.name.given.as_deref()?,
            Field::FamilyName => self.name.family.as_deref()?,
            Field::HonorificPrefix => self.name.honorific_prefix.as_deref()?,
            Field::WorkPhone => self.phones.work.as_deref()?,
            Field::MobilePhone => self.phones.mobile.as_deref()?,
            Field::Title => self.title.as_deref()?,
            Field::Department => self.department.as_deref()?,
            Field::AddressLine1 => self.address.line1.as_deref()?,
            Field::AddressLine2 => self.address.line2.as_deref()?,
            Field::City => self.address.city.as_deref()?,
            Field::PostalCode => self.address.postal_code.as_deref()?,
            Field::Country => self.address.country.as_deref()?,
            Field::Photo => self.photo.as_deref()?,
            Field::SecretaryName => self.secretary.name.as_deref()?,
            Field::SecretaryEmail => self.secretary.email.as_deref()?,
            Field::Bio => self.bio.as_deref()?,
            Field::Source => self.source.as_deref()?,
            Field::Specialities => self.specialities.as_deref()?,
            Field::Licence => self.licence.as_deref()?,
            Field::TimeZone => self.time_zone.as_deref()?,
            Field::Color => self.color.as_deref()?,
            _ => return None,
        })
    }

    /// Where the optional plain text `field` is kept; `None` for every other kind of field.
    pub(crate) fn text_slot(&mut self, field: Field) -> Option<&mut Option<String>> {
        Some(match field {
            Field::Email => &mut self.email,
            Field::ExternalId => &mut self.external_id,
            Field::GivenName => &mut self.name.given,
            Field::FamilyName => &mut self.name.family,
            Field::HonorificPrefix => &mut self.name.honorific_prefix,
            Field::WorkPhone => &mut self.phones.work,
            Field::MobilePhone => &mut self.phones.mobile,
            Field::Title => &mut self.title,
            Field::AddressLine1 => &mut self.address.line1,
            Field::AddressLine2 => &mut self.address.line2,
            Field::City => &mut self.address.city,
            Field::PostalCode => &mut self.address.postal_code,
            Field::Country => &mut self.address.country,
            Field::Photo => &mut self.photo,
            Field::SecretaryName => &mut self.secretary.name,
            Field::SecretaryEmail => &mut self.secretary.email,
            Field::Bio => &mut self.bio,
            Field::Source => &mut self.source,
            Field::Specialities => &mut self.specialities,
            Field::Licence => &mut self.licence,
            Field::TimeZone => &mut self.time_zone,
            Field::Color => &mut self.color,
            _ => return None,
        })
    }

    /// First and last name with a blank between, as far as they are known.
    pub fn full_name(&self) -> String {
        let parts = [self.name.given.as_deref(), self.name.family.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The links of one kind, in order.
    pub fn links_of(&self, kind: LinkKind) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.kind == kind)
    }
}

fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn no(value: &bool) -> bool {
    !value
}
