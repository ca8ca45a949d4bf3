//! Users and items as flat values by canonical field, to compare, sort and show them without knowing where they are
//! stored. References appear as labels, which the caller supplies.

use crate::{Field, Item, ItemId, ProfileLinkKind, Slot, Status, Time, User, UserId, builtin_role_name};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Integer(i64),
    Time(Time),
}

impl<'a> AttributeValue<'a> {
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }
}

/// Display names of references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Groups, folders and organizations.
    pub items: HashMap<ItemId, String>,
    /// Custom roles by number.
    pub roles: HashMap<u32, String>,
    /// Managers who are users of the tenant.
    pub managers: HashSet<UserId>,
}

impl Labels {
    /// The name of a built-in or custom role.
    pub fn role(&self, number: u32) -> Option<&str> {
        builtin_role_name(number).or_else(|| self.roles.get(&number).map(String::as_str))
    }
}

/// The sub-attributes of one value of a multi-valued field.
pub type SubAttributes<'a> = Vec<(Field, AttributeValue<'a>)>;

pub trait AttributeSource {
    fn value(&self, field: Field) -> Option<AttributeValue<'_>>;
    /// The values of a multi-valued field, in order.
    fn values(&self, field: Field) -> Vec<SubAttributes<'_>>;
}

/// A user with the labels of its references.
#[derive(Clone, Copy)]
pub struct UserView<'a> {
    pub user: &'a User,
    pub labels: &'a Labels,
}

impl AttributeSource for UserView<'_> {
    fn value(&self, field: Field) -> Option<AttributeValue<'_>> {
        let user = self.user;
        Some(match field.attribute()?.slot {
            Slot::Id => AttributeValue::text(user.id.to_string()),
            Slot::Number => AttributeValue::Integer(user.number.into()),
            Slot::Active if user.active_cleared => return None,
            Slot::Active => AttributeValue::Bool(matches!(user.status, Status::Active | Status::Invited)),
            Slot::Status => AttributeValue::text(user.status.as_str()),
            Slot::Timestamp(read) => AttributeValue::Time(read(user)?),
            Slot::Boolean(slot) => AttributeValue::Bool((slot.read)(user)?),
            Slot::Office => AttributeValue::Integer(user.office?.into()),
            Slot::Organization => AttributeValue::text(self.labels.items.get(&user.organization?)?.as_str()),
            Slot::Text(_) | Slot::Department => AttributeValue::text(user.text(field)?),
            Slot::MultiValued(_)
            | Slot::PostalAddresses
            | Slot::Links(_)
            | Slot::Metadata
            | Slot::Items(_)
            | Slot::Role
            | Slot::Roles
            | Slot::Password => return None,
        })
    }

    fn values(&self, field: Field) -> Vec<SubAttributes<'_>> {
        let user = self.user;
        match field.attribute().map(|attribute| attribute.slot) {
            Some(Slot::MultiValued(slot)) => (slot.read)(user).iter().map(entry_sub_attributes).collect(),
            Some(Slot::Roles) => self.role_values(),
            Some(Slot::PostalAddresses) => user.addresses.iter().map(address_sub_attributes).collect(),
            Some(Slot::Links(kind)) => link_sub_attributes(user, kind),
            Some(Slot::Items(kind)) => self.reference_values(user.items(kind)),
            Some(Slot::Metadata) => {
                let pair = |pair: &'_ crate::MetadataEntry| (pair.key.clone(), pair.value.clone());
                let parts = |(key, value)| {
                    vec![(Field::Name, AttributeValue::text(key)), (Field::Value, AttributeValue::text(value))]
                };
                user.metadata.iter().map(pair).map(parts).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl UserView<'_> {
    /// The effective role first, unless an entry of the list has details of it.
    fn role_values(&self) -> Vec<SubAttributes<'_>> {
        let others = &self.user.other_roles;
        let name = self.user.role.and_then(|number| self.labels.role(number));
        let mut entries = Vec::with_capacity(others.len() + 1);
        if let Some(name) = name
            && !others.iter().any(|other| crate::identifier_key(&other.value) == crate::identifier_key(name))
        {
            let primary = !others.iter().any(crate::TypedValue::is_primary);
            let mut parts = vec![(Field::Value, AttributeValue::text(name))];
            if primary {
                parts.push((Field::Primary, AttributeValue::Bool(true)));
            }
            entries.push(parts);
        }
        entries.extend(others.iter().map(entry_sub_attributes));
        entries
    }

    fn reference_values(&self, ids: &[ItemId]) -> Vec<SubAttributes<'_>> {
        let parts = |id: &ItemId| {
            let label = self.labels.items.get(id).map(|label| (Field::Display, AttributeValue::text(label.as_str())));
            std::iter::once((Field::Value, AttributeValue::text(id.to_string()))).chain(label).collect()
        };
        ids.iter().map(parts).collect()
    }
}

fn entry_sub_attributes(entry: &crate::TypedValue) -> SubAttributes<'_> {
    let mut parts = vec![(Field::Value, AttributeValue::text(entry.value.as_str()))];
    parts.extend(entry.kind.as_deref().map(|kind| (Field::Kind, AttributeValue::text(kind))));
    parts.extend(entry.display.as_deref().map(|display| (Field::Display, AttributeValue::text(display))));
    parts.extend(entry.primary.map(|primary| (Field::Primary, AttributeValue::Bool(primary))));
    parts
}

fn address_sub_attributes(address: &crate::Address) -> SubAttributes<'_> {
    // The two address lines are one text with a line break (RFC 7643 section 4.1.2, `streetAddress`).
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
    let text_attribute =
        |(field, text): (Field, &'_ Option<String>)| text.clone().map(|text| (field, AttributeValue::text(text)));
    let mut parts: SubAttributes<'_> = lines.into_iter().filter_map(text_attribute).collect();
    parts.extend(address.primary.map(|primary| (Field::Primary, AttributeValue::Bool(primary))));
    parts
}

fn link_sub_attributes(user: &User, kind: ProfileLinkKind) -> Vec<SubAttributes<'_>> {
    let parts = |link: &'_ crate::ProfileLink| {
        let mut parts = vec![(Field::Value, AttributeValue::text(link.value.clone()))];
        if !link.name.is_empty() {
            parts.push((Field::Name, AttributeValue::text(link.name.clone())));
        }
        parts.extend(link.display.clone().map(|display| (Field::Display, AttributeValue::text(display))));
        parts.extend(link.primary.map(|primary| (Field::Primary, AttributeValue::Bool(primary))));
        parts
    };
    user.links_of(kind).map(parts).collect()
}

impl AttributeSource for Item {
    fn value(&self, field: Field) -> Option<AttributeValue<'_>> {
        Some(match field {
            Field::Id => AttributeValue::text(self.id().to_string()),
            Field::Number => AttributeValue::Integer(self.number().into()),
            Field::Name => AttributeValue::text(self.name()),
            Field::ExternalId => AttributeValue::text(self.external_id()?),
            Field::Created => AttributeValue::Time(self.created()),
            Field::Updated => AttributeValue::Time(self.updated()),
            _ => return None,
        })
    }

    /// Members are separate rows and not part of an item.
    fn values(&self, _: Field) -> Vec<SubAttributes<'_>> {
        Vec::new()
    }
}
