//! SCIM filters (RFC 7644 section 3.4.2.2) over single users, beside requests: the scope of a target.

use super::{filter, wire, write};
use directory::{Field, Filter, Labels, User};

/// The longest filter, in bytes.
const MAX_LENGTH: usize = 4_096;

pub struct UserFilter(Filter);

impl UserFilter {
    /// # Errors
    /// Why the filter is not valid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let filter =
            filter::parse(text, &wire::USER_TYPE, true, MAX_LENGTH).map_err(|error| error.message("filter"))?;
        // Changes of their members are not followed for this.
        if filter.references_field(Field::Folders) {
            return Err("the filter must not use folders".into());
        }
        Ok(Self(filter))
    }

    pub fn uses_groups(&self) -> bool {
        self.0.references_field(Field::Groups)
    }

    pub fn matches(&self, user: &User, labels: &Labels) -> bool {
        self.0.matches(&write::view(user, labels))
    }
}
