//! People and groups as flat values by canonical field: what can be compared, sorted by and shown without knowing
//! where it is kept. References are seen by their labels, which come along.

use crate::{Field, Item, ItemId, LinkKind, Status, Time, User, UserId, role_numbered};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A moment.
    Time(Time),
}

impl<'a> Scalar<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }
}

/// What references are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Groups, folders and organisations by id.
    pub items: HashMap<ItemId, String>,
    /// The tenant's own roles by number.
    pub roles: HashMap<u32, String>,
    /// Managers who are users of the tenant.
    pub managers: HashSet<UserId>,
}

impl Labels {
    /// What a role is called: built in, or the tenant's own.
    pub fn role(&self, number: u32) -> Option<&str> {
        role_numbered(number).or_else(|| self.roles.get(&number).map(String::as_str))
    }
}

/// The parts of one value of a plural.
pub type Parts<'a> = Vec<(Field, Scalar<'a>)>;

/// Something with values by field.
pub trait Subject {
    /// The single value of a field.
    fn scalar(&self, field: Field) -> Option<Scalar<'_>>;
    /// The values of a plural, in order.
    fn entries(&self, field: Field) -> Vec<Parts<'_>>;
}

/// A person together with what their references are called.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The person.
    pub user: &'a User,
    /// What their references are called.
    pub labels: &'a Labels,
}

impl Subject for Seen<'_> {
    fn scalar(&self, field: Field) -> Option<Scalar<'_>> {
        let user = self.user;
        Some(match field {
            Field::Id => Scalar::text(user.id.to_string()),
            Field::Number => Scalar::Integer(user.number.into()),
            Field::Active if user.status_unsaid => return None,
            Field::Active => Scalar::Bool(matches!(user.status, Status::Active | Status::Invited)),
            Field::Status => Scalar::text(user.status.word()),
            Field::Created => Scalar::Time(user.created),
            Field::Updated => Scalar::Time(user.updated),
            Field::Invited => Scalar::Time(user.invited?),
            Field::LastActivity => Scalar::Time(user.last_activity?),
            Field::DoNotEmail => Scalar::Bool(user.do_not_email?),
            Field::ForcePasswordChange => Scalar::Bool(user.force_password_change?),
            Field::Office => Scalar::Integer(user.office?.into()),
            Field::Organisation => Scalar::text(self.labels.items.get(&user.organisation?)?.as_str()),
            field => Scalar::text(user.text(field)?),
        })
    }

    fn entries(&self, field: Field) -> Vec<Parts<'_>> {
        let user = self.user;
        match field {
            Field::Emails => user.emails.iter().map(parts).collect(),
            Field::Phones => user.phones.iter().map(parts).collect(),
            Field::Photos => user.photos.iter().map(parts).collect(),
            Field::Entitlements => user.entitlements.iter().map(parts).collect(),
            Field::Certificates => user.certificates.iter().map(parts).collect(),
            Field::Roles => self.roles(),
            Field::PostalAddresses => user.addresses.iter().map(address).collect(),
            Field::SocialLinks => links(user, LinkKind::Social),
            Field::CustomLinks => links(user, LinkKind::Custom),
            Field::MessagingLinks => links(user, LinkKind::Messaging),
            Field::Groups => self.references(&user.groups),
            Field::Folders => self.references(&user.folders),
            Field::Metadata => {
                let pair = |pair: &'_ crate::Pair| (pair.key.clone(), pair.value.clone());
                let parts = |(key, value)| {
                    vec![(Field::Name, Scalar::text(key)), (Field::Value, Scalar::text(value))]
                };
                user.metadata.iter().map(pair).map(parts).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Seen<'_> {
    /// The role of the catalogue first, unless one of the others says more of it.
    fn roles(&self) -> Vec<Parts<'_>> {
        let others = &self.user.other_roles;
        let name = self.user.role.and_then(|number| self.labels.role(number));
        let mut entries = Vec::with_capacity(others.len() + 1);
        if let Some(name) = name
            && !others.iter().any(|other| crate::identifier_key(&other.value) == crate::identifier_key(name))
        {
            let primary = !others.iter().any(crate::Entry::is_preferred);
            let mut parts = vec![(Field::Value, Scalar::text(name))];
            if primary {
                parts.push((Field::Primary, Scalar::Bool(true)));
            }
            entries.push(parts);
        }
        entries.extend(others.iter().map(parts));
        entries
    }

    fn references(&self, ids: &[ItemId]) -> Vec<Parts<'_>> {
        let parts = |id: &ItemId| {
            let label = self.labels.items.get(id).map(|label| (Field::Display, Scalar::text(label.as_str())));
            std::iter::once((Field::Value, Scalar::text(id.to_string()))).chain(label).collect()
        };
        ids.iter().map(parts).collect()
    }
}

fn parts(entry: &crate::Entry) -> Parts<'_> {
    let mut parts = vec![(Field::Value, Scalar::text(entry.value.as_str()))];
    parts.extend(entry.kind.as_deref().map(|kind| (Field::Kind, Scalar::text(kind))));
    parts.extend(entry.display.as_deref().map(|display| (Field::Display, Scalar::text(display))));
    parts.extend(entry.primary.map(|primary| (Field::Primary, Scalar::Bool(primary))));
    parts
}

fn address(address: &crate::Address) -> Parts<'_> {
    // The two lines of a street are one text with a line break (RFC 7643 section 4.1.2, `streetAddress`).
    let street = match (&address.line1, &address.line2) {
        (Some(line1), None) => Some(line1.clone()),
        (line1, Some(line2)) => Some(format!("{}\n{line2}", line1.as_deref().unwrap_or_default())),
        (None, None) => None,
    };
    let lines = [
        (Field::Formatted, &address.formatted),
        (Field::AddressLine1, &street),
        (Field::City, &address.city),
        (Field::Region, &address.region),
        (Field::PostalCode, &address.postal_code),
        (Field::Country, &address.country),
        (Field::Kind, &address.kind),
    ];
    let said =
        |(field, text): (Field, &'_ Option<String>)| text.clone().map(|text| (field, Scalar::text(text)));
    let mut parts: Parts<'_> = lines.into_iter().filter_map(said).collect();
    parts.extend(address.primary.map(|primary| (Field::Primary, Scalar::Bool(primary))));
    parts
}

fn links(user: &User, kind: LinkKind) -> Vec<Parts<'_>> {
    let parts = |link: &'_ crate::Link| {
        let mut parts = vec![(Field::Value, Scalar::text(link.value.clone()))];
        if !link.name.is_empty() {
            parts.push((Field::Name, Scalar::text(link.name.clone())));
        }
        parts.extend(link.display.clone().map(|display| (Field::Display, Scalar::text(display))));
        parts.extend(link.primary.map(|primary| (Field::Primary, Scalar::Bool(primary))));
        parts
    };
    user.links_of(kind).map(parts).collect()
}

impl Subject for Item {
    fn scalar(&self, field: Field) -> Option<Scalar<'_>> {
        Some(match field {
            Field::Id => Scalar::text(self.id().to_string()),
            Field::Number => Scalar::Integer(self.number().into()),
            Field::Name => Scalar::text(self.name()),
            Field::ExternalId => Scalar::text(self.external_id()?),
            Field::Created => Scalar::Time(self.created()),
            Field::Updated => Scalar::Time(self.updated()),
            _ => return None,
        })
    }

    /// Members are rows of their own and not part of an item.
    fn entries(&self, _: Field) -> Vec<Parts<'_>> {
        Vec::new()
    }
}
