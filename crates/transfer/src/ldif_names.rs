//! What LDAP calls columns (RFC 4519, RFC 2798): attributes that directories and address books know, in both directions.
//! Columns that LDAP has no name for are written as `muster-` and their own.

use crate::column::{Column, Kind};
use directory::ItemKind;

/// Our name and LDAP's, where they differ or are told to the letter.
const NAMES: [(&str, &str); 22] = [
    ("userName", "uid"),
    ("email", "mail"),
    ("givenName", "givenName"),
    ("familyName", "sn"),
    ("displayName", "displayName"),
    ("title", "title"),
    ("workPhone", "telephoneNumber"),
    ("mobilePhone", "mobile"),
    ("department", "departmentNumber"),
    ("organisation", "o"),
    ("employeeNumber", "employeeNumber"),
    ("userType", "employeeType"),
    ("addressLine1", "street"),
    ("city", "l"),
    ("region", "st"),
    ("postalCode", "postalCode"),
    ("country", "c"),
    ("preferredLanguage", "preferredLanguage"),
    ("profileUrl", "labeledURI"),
    ("passwordHash", "userPassword"),
    ("description", "description"),
    ("kind", "muster-kind"),
];

/// What a column of a kind is called in LDIF.
pub(crate) fn attribute(column: &Column) -> String {
    let known = NAMES.iter().find(|(ours, _)| *ours == column.name).map(|(_, theirs)| (*theirs).to_owned());
    known.unwrap_or_else(|| format!("muster-{}", column.name))
}

/// What an attribute of distinguished names is called once they are replaced by what they stand for.
pub(crate) fn resolved(attribute: &str) -> Option<&'static str> {
    match attribute.to_ascii_lowercase().as_str() {
        "member" | "uniquemember" | "memberuid" => Some("muster-members"),
        "memberof" => Some("muster-groups"),
        _ => None,
    }
}

/// Whether an attribute is one that only Muster has. Its value may be a list in one text.
pub(crate) fn is_own(attribute: &str) -> bool {
    attribute.get(..7).is_some_and(|beginning| beginning.eq_ignore_ascii_case("muster-"))
}

/// Attributes that say what an entry is to LDAP and nothing more to us.
pub(crate) fn is_plumbing(attribute: &str) -> bool {
    [
        "objectclass",
        "dn",
        "countrycode",
        "changetype",
        "jpegphoto",
        "cn",
        "structuralobjectclass",
        "entryuuid",
        "entrycsn",
    ]
    .contains(&attribute.to_ascii_lowercase().as_str())
}

/// What an entry of these object classes is; `None` is none of ours.
pub(crate) fn kind_of<'a>(classes: impl Iterator<Item = &'a str> + Clone) -> Option<Kind> {
    // A machine's entry is of the classes of people, too.
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
