//! LDAP entries (RFC 4519, RFC 2798, Active Directory): their kinds, and the meaning of their attributes.

use crate::column::RecordKind;
use directory::ItemKind;

/// Attributes whose meaning depends on the kind of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LdapAttribute {
    Plain,
    CommonName,
    Description,
}

impl LdapAttribute {
    /// The attribute of a name, with or without options.
    pub(crate) fn from_name(name: &str) -> Self {
        let name_without_options = name.split(';').next().unwrap_or(name);
        match name_without_options.to_ascii_lowercase().as_str() {
            "cn" => Self::CommonName,
            "description" => Self::Description,
            _ => Self::Plain,
        }
    }

    /// The meaning in an entry of a kind. The common name is ignored if the entry has other names.
    pub(crate) fn meaning(self, kind: RecordKind, has_names: bool, has_name: bool) -> AttributeMeaning {
        match (self, kind) {
            (Self::CommonName, RecordKind::User) if has_names => AttributeMeaning::Ignored,
            (Self::CommonName, RecordKind::User) => AttributeMeaning::Column("formattedName"),
            (Self::CommonName, RecordKind::Item(_)) if has_name => AttributeMeaning::Ignored,
            (Self::CommonName, RecordKind::Item(_)) => AttributeMeaning::Column("name"),
            (Self::Description, RecordKind::User) => AttributeMeaning::Column("bio"),
            _ => AttributeMeaning::FromHeader,
        }
    }
}

pub(crate) enum AttributeMeaning {
    /// That of its header.
    FromHeader,
    Column(&'static str),
    Ignored,
}

/// The kind of an entry by its object classes; `None` if it is not imported.
pub(crate) fn kind_of_object_classes<'a>(classes: impl Iterator<Item = &'a str> + Clone) -> Option<RecordKind> {
    // Computers also have the classes of users.
    if classes.clone().any(|class| class.eq_ignore_ascii_case("computer")) {
        return None;
    }
    let mut classes = classes;
    classes.find_map(|class| match class.to_ascii_lowercase().as_str() {
        "person" | "organizationalperson" | "inetorgperson" | "user" | "posixaccount" | "account" => {
            Some(RecordKind::User)
        }
        "groupofnames" | "groupofuniquenames" | "posixgroup" | "group" => Some(RecordKind::Item(ItemKind::Group)),
        _ => None,
    })
}
