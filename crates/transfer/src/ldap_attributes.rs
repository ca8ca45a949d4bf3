//! LDAP names of columns (RFC 4519, RFC 2798) for import and export. Columns without an LDAP name are written as
//! `muster-` and their own name.

use crate::column::Column;

/// Muster and LDAP names of columns.
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

/// The name of a column in LDIF.
pub(crate) fn ldap_attribute(column: &Column) -> String {
    let known = LDAP_NAMES.iter().find(|(ours, _)| *ours == column.name).map(|(_, theirs)| (*theirs).to_owned());
    known.unwrap_or_else(|| format!("muster-{}", column.name))
}

/// Whether an attribute is specific to Muster. Its value may be a list in one text.
pub(crate) fn is_muster_attribute(attribute: &str) -> bool {
    attribute.get(..7).is_some_and(|beginning| beginning.eq_ignore_ascii_case("muster-"))
}
