//! The attributes of users. `table.rs` declares each of them once.

mod slot;
mod table;

pub use slot::{BooleanSlot, MultiValuedSlot, Slot, TextSlot};
pub use table::{ATTRIBUTES, Field};

use crate::{ItemKind, Time, User};

/// An attribute of users. Validation, filters, imports, exports, JSON output and the role ceiling follow from it.
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
    /// Whether its values are case-sensitive in SCIM (`caseExact`, RFC 7643 section 2.2).
    pub case_exact: bool,
    /// Whether a search over all attributes finds it.
    pub searchable: bool,
    /// The multi-valued attribute that contains its value.
    pub part_of: Option<Field>,
    /// Items that have an attribute of this name, too.
    pub shared_with: &'static [ItemKind],
    /// Other headers of its column, in lower case and without separators.
    pub aliases: &'static [&'static str],
    /// The LDAP attribute (RFC 4519, RFC 2798); `muster-NAME` if there is none.
    pub ldap_name: Option<&'static str>,
    /// The name in JSON output, if it differs.
    pub json_name: Option<&'static str>,
}

/// Who may read and write an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeAccess {
    /// Each actor that may read or write users.
    ReadWrite,
    /// Like `ReadWrite`, but writing requires a role ceiling that no role of the user is above: an actor that changes the
    /// attribute could act as the user.
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
    pub(crate) fn has_same_value(&self, before: &User, after: &User) -> bool {
        match self.slot {
            Slot::Text(slot) => (slot.read)(before) == (slot.read)(after),
            Slot::Boolean(slot) => (slot.read)(before) == (slot.read)(after),
            Slot::Timestamp(read) => read(before) == read(after),
            Slot::MultiValued(slot) => (slot.read)(before) == (slot.read)(after),
            Slot::PostalAddresses => before.addresses == after.addresses,
            Slot::Links(kind) => before.links_of(kind).eq(after.links_of(kind)),
            Slot::Metadata => before.metadata == after.metadata,
            Slot::Items(kind) => before.items(kind) == after.items(kind),
            Slot::Id => before.id == after.id,
            Slot::Number => before.number == after.number,
            Slot::Department => before.department == after.department,
            Slot::Organization => before.organization == after.organization,
            Slot::Office => before.office == after.office,
            Slot::Role => before.role == after.role,
            Slot::Roles => before.role == after.role && before.other_roles == after.other_roles,
            Slot::Status | Slot::Active => {
                before.status == after.status && before.active_cleared == after.active_cleared
            }
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
            let changed: Vec<Field> = ATTRIBUTES
                .iter()
                .filter(|other| !other.has_same_value(&before, &after))
                .map(|other| other.field)
                .collect();
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
