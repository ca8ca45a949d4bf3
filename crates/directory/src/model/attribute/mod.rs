//! The attributes of users. `table.rs` declares each of them once.

mod slot;
mod table;

pub use slot::{BooleanSlot, MultiValuedSlot, Slot, TextSlot};
pub use table::{ATTRIBUTES, Field};

use crate::{ItemKind, Time, User};

/// An attribute of users. Imports, exports, JSON output, SCIM and the checks follow from it.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    pub field: Field,
    /// The name of its column in files, and in JSON output.
    pub name: &'static str,
    pub description: &'static str,
    pub slot: Slot,
    /// Maximum length of each text, in characters; of passwords in bytes.
    pub max_chars: usize,
    pub access: AttributeAccess,
    /// Whether SCIM clients distinguish case (RFC 7643 section 2.2).
    pub case_exact: bool,
    /// Whether a search over all attributes finds it.
    pub searchable: bool,
    /// The multi-valued attribute of which it is the value that single-valued APIs show.
    pub part_of: Option<Field>,
    /// Items that have an attribute of this name, too.
    pub shared_with: &'static [ItemKind],
    /// Other headers of its column, in lower case and without separators.
    pub aliases: &'static [&'static str],
    /// RFC 4519 and RFC 2798.
    pub ldap_name: Option<&'static str>,
    /// The name in JSON output, if it differs.
    pub json_name: Option<&'static str>,
}

/// Who may read and write an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeAccess {
    /// Each actor that may read or write users.
    ReadWrite,
    /// Like `ReadWrite`, but writing requires a ceiling above every role of the user: who can change it can act as the
    /// user.
    Privileged,
    /// Assigned by the server. A request can identify the user by it.
    Assigned,
    ReadOnly,
    WriteOnly,
}

impl Attribute {
    /// An attribute that can be read and written.
    pub(crate) const fn new(name: &'static str, slot: Slot, description: &'static str) -> Self {
        Self {
            // Replaced by the table.
            field: Field::Id,
            name,
            description,
            slot,
            max_chars: DEFAULT_MAX_CHARS,
            access: AttributeAccess::ReadWrite,
            case_exact: false,
            searchable: false,
            part_of: None,
            shared_with: &[],
            aliases: &[],
            ldap_name: None,
            json_name: None,
        }
    }

    pub(crate) const fn max_chars(self, max_chars: usize) -> Self {
        Self { max_chars, ..self }
    }

    pub(crate) const fn access(self, access: AttributeAccess) -> Self {
        Self { access, ..self }
    }

    pub(crate) const fn case_exact(self) -> Self {
        Self { case_exact: true, ..self }
    }

    pub(crate) const fn searchable(self) -> Self {
        Self { searchable: true, ..self }
    }

    pub(crate) const fn part_of(self, list: Field) -> Self {
        Self { part_of: Some(list), ..self }
    }

    pub(crate) const fn shared_with(self, shared_with: &'static [ItemKind]) -> Self {
        Self { shared_with, ..self }
    }

    pub(crate) const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    pub(crate) const fn ldap_name(self, name: &'static str) -> Self {
        Self { ldap_name: Some(name), ..self }
    }

    pub(crate) const fn json_name(self, name: &'static str) -> Self {
        Self { json_name: Some(name), ..self }
    }

    /// Whether two states of a user have the same value.
    pub(crate) fn is_equal(&self, one: &User, other: &User) -> bool {
        match self.slot {
            Slot::Text(slot) => (slot.read)(one) == (slot.read)(other),
            Slot::Boolean(slot) => (slot.read)(one) == (slot.read)(other),
            Slot::Timestamp(read) => read(one) == read(other),
            Slot::MultiValued(slot) => (slot.read)(one) == (slot.read)(other),
            Slot::PostalAddresses => one.addresses == other.addresses,
            Slot::Links(kind) => one.links_of(kind).eq(other.links_of(kind)),
            Slot::Metadata => one.metadata == other.metadata,
            Slot::Items(kind) => one.items(kind) == other.items(kind),
            Slot::Id => one.id == other.id,
            Slot::Number => one.number == other.number,
            Slot::Department => one.department == other.department,
            Slot::Organization => one.organization == other.organization,
            Slot::Office => one.office == other.office,
            Slot::Role => one.role == other.role,
            Slot::Roles => one.role == other.role && one.other_roles == other.other_roles,
            Slot::Status | Slot::Active => one.status == other.status && one.active_cleared == other.active_cleared,
            // Part of the account.
            Slot::Password => true,
        }
    }
}

/// Maximum length of texts without another limit, in characters.
pub(crate) const DEFAULT_MAX_CHARS: usize = 1024;

impl Field {
    /// Its entry in the table, if it is an attribute of users.
    pub const fn attribute(self) -> Option<&'static Attribute> {
        let index = self as usize;
        if index < ATTRIBUTES.len() { Some(&ATTRIBUTES[index]) } else { None }
    }

    /// The attributes that show one value of this multi-valued attribute. The first one has the rules for all values.
    pub fn parts(self) -> impl Iterator<Item = Self> {
        ATTRIBUTES.iter().filter(move |attribute| attribute.part_of == Some(self)).map(|attribute| attribute.field)
    }
}

impl User {
    /// The value of a text attribute. Of a multi-valued attribute, the value that single-valued dialects show.
    pub fn text(&self, field: Field) -> Option<&str> {
        match field.attribute()?.slot {
            Slot::Text(slot) => (slot.read)(self),
            Slot::Department => self.department.as_deref(),
            _ => None,
        }
    }

    pub fn boolean(&self, field: Field) -> Option<bool> {
        match field.attribute()?.slot {
            Slot::Boolean(slot) => (slot.read)(self),
            _ => None,
        }
    }

    pub fn timestamp(&self, field: Field) -> Option<Time> {
        match field.attribute()?.slot {
            Slot::Timestamp(read) => read(self),
            _ => None,
        }
    }

    /// Its groups or folders, ascending.
    pub(crate) fn items(&self, kind: ItemKind) -> &[crate::ItemId] {
        match kind {
            ItemKind::Group => &self.groups,
            ItemKind::Folder => &self.folders,
            ItemKind::Organization | ItemKind::Role | ItemKind::Department => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TypedValue, UserId};

    fn user() -> User {
        User::new(UserId(uuid::Uuid::nil()), Time(0))
    }

    #[test]
    fn every_attribute_has_its_own_entry_and_slot() {
        for (index, attribute) in ATTRIBUTES.iter().enumerate() {
            assert_eq!(attribute.field as usize, index);
            let (before, mut after) = (user(), user());
            match attribute.slot {
                Slot::Text(slot) => (slot.write)(&mut after, Some("x@y.z".into())),
                Slot::Boolean(slot) => (slot.write)(&mut after, Some(true)),
                Slot::MultiValued(slot) => (slot.write)(&mut after, vec![TypedValue::new("home", "x@y.z")]),
                _ => continue,
            }
            let changed: Vec<Field> =
                ATTRIBUTES.iter().filter(|other| !other.is_equal(&before, &after)).map(|other| other.field).collect();
            assert!(changed.contains(&attribute.field), "{attribute:?}");
            let is_related = |field: &Field| {
                let is_part = field.attribute().is_some_and(|other| other.part_of == Some(attribute.field));
                *field == attribute.field || attribute.part_of == Some(*field) || is_part
            };
            assert!(changed.iter().all(is_related), "{:?}: {changed:?}", attribute.field);
            if let Slot::Text(slot) = attribute.slot {
                assert_eq!(after.text(attribute.field), Some("x@y.z"));
                (slot.write)(&mut after, None);
                assert_eq!(after, before, "{:?}", attribute.field);
            }
        }
    }
}
