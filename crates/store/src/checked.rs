//! What a check of a whole store finds.

use crate::claims::Claim;
use directory::{Field, Item, Role, User, forbidden_identifiers, roles_above_effective};

/// What a check of a whole store has found, in sentences that name users by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What contradicts itself.
    pub damage: Vec<String>,
    /// What is consistent and still deserves a look.
    pub notes: Vec<String>,
}

impl Checked {
    /// Notes what would be rejected of a user, whose tenant has these roles of its own.
    pub(crate) fn note_user(&mut self, tenant: u32, user: &User, own: &[Role]) {
        for name in roles_above_effective(user, own) {
            self.notes.push(format!(
                "tenant {tenant}: the list of roles of user {} contains {name:?}, which ranks above the user's role",
                user.number
            ));
        }
        for field in forbidden_identifiers(user) {
            let field = name_of(field);
            self.notes.push(format!(
                "tenant {tenant}: the {field} of user {} has invisible characters or spaces around it, which new ones must not have",
                user.number
            ));
        }
    }

    /// Notes a key that two users or items have. The older one is found by it.
    pub(crate) fn note_shared(&mut self, tenant: u32, claim: &Claim, younger: u32, older: u32) {
        let (owners, field) = (claim.owners(), name_of(claim.field));
        self.notes.push(format!(
            "tenant {tenant}: the {owners} {older} and {younger} have the same {field}; {older}, the older one, is found by it: rename {younger}"
        ));
    }
}

/// The field in a sentence.
fn name_of(field: Field) -> &'static str {
    match field {
        Field::Email => "email",
        Field::ExternalId => "external id",
        Field::Domains => "domain",
        Field::Addresses => "address",
        Field::UserName => "user name",
        _ => "name",
    }
}

/// The roles among items.
pub(crate) fn roles_among(items: impl IntoIterator<Item = Item>) -> Vec<Role> {
    let role = |item| if let Item::Role(role) = item { Some(role) } else { None };
    items.into_iter().filter_map(role).collect()
}
