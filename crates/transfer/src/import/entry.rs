//! Entries of a directory (RFC 4519, RFC 2798, Active Directory): what they are, and what their attributes mean.

use crate::column::Kind;
use directory::ItemKind;

/// Attributes whose meaning depends on the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Plain,
    CommonName,
    Description,
}

impl Attribute {
    /// The attribute of that name, whatever options are behind it.
    pub(super) fn of(name: &str) -> Self {
        let bare = name.split(';').next().unwrap_or(name);
        match bare.to_ascii_lowercase().as_str() {
            "cn" => Self::CommonName,
            "description" => Self::Description,
            _ => Self::Plain,
        }
    }

    /// What it says of an entry of a kind. One that has other names has no use for its common name.
    pub(super) fn role(self, kind: Kind, has_names: bool, has_name: bool) -> Role {
        match (self, kind) {
            (Self::CommonName, Kind::User) if has_names => Role::Nothing,
            (Self::CommonName, Kind::User) => Role::Column("formattedName"),
            (Self::CommonName, Kind::Item(_)) if has_name => Role::Nothing,
            (Self::CommonName, Kind::Item(_)) => Role::Column("name"),
            (Self::Description, Kind::User) => Role::Column("bio"),
            _ => Role::Header,
        }
    }
}

/// What an attribute says of its entry.
pub(super) enum Role {
    /// What its header means.
    Header,
    /// The column of this name.
    Column(&'static str),
    Nothing,
}

/// The kind of an entry of these object classes; `None` is none of ours.
pub(super) fn kind_of<'a>(classes: impl Iterator<Item = &'a str> + Clone) -> Option<Kind> {
    // A machine's entry is of the classes of users, too.
    if classes.clone().any(|class| class.eq_ignore_ascii_case("computer")) {
        return None;
    }
    let mut classes = classes;
    classes.find_map(|class| match class.to_ascii_lowercase().as_str() {
        "person" | "organizationalperson" | "inetorgperson" | "user" | "posixaccount" | "account" => {
            Some(Kind::User)
        }
        "groupofnames" | "groupofuniquenames" | "posixgroup" | "group" => Some(Kind::Item(ItemKind::Group)),
        _ => None,
    })
}
