//! LDAP names of columns (RFC 4519, RFC 2798) for import and export. Columns without an LDAP name are written as
//! `muster-` and their own name.

use crate::column::Column;

/// The name of a column in LDIF.
pub(crate) fn ldap_attribute(column: &Column) -> String {
    column.ldap_name.map_or_else(|| format!("muster-{}", column.name), str::to_owned)
}

/// Whether an attribute is specific to Muster. Its value may be a list in one text.
pub(crate) fn is_muster_attribute(attribute: &str) -> bool {
    attribute.get(..7).is_some_and(|beginning| beginning.eq_ignore_ascii_case("muster-"))
}
