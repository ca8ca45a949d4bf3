//! What LDAP calls columns (RFC 4519, RFC 2798): attributes that directories and address books know, in both directions.
//! Columns that LDAP has no name for are written as `muster-` and their own.

use crate::column::Column;

/// Our name and LDAP's, where they differ or are told to the letter.
const LDAP_NAMES: [(&str, &str); 22] = [
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
pub(crate) fn ldap_attribute(column: &Column) -> String {
    let known = LDAP_NAMES.iter().find(|(ours, _)| *ours == column.name).map(|(_, theirs)| (*theirs).to_owned());
    known.unwrap_or_else(|| format!("muster-{}", column.name))
}

/// Whether an attribute is one that only Muster has. Its value may be a list in one text.
pub(crate) fn is_muster_attribute(attribute: &str) -> bool {
    attribute.get(..7).is_some_and(|beginning| beginning.eq_ignore_ascii_case("muster-"))
}
