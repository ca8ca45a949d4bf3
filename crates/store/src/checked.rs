//! What a check of a whole store finds.

use crate::claims::Claim;
use directory::{Item, Role, User, forbidden_identifiers, roles_above_effective};

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
            self.notes.push(format!(
                "tenant {tenant}: the {field:?} of user {} contains characters that new identifiers may not have",
                user.number
            ));
        }
    }

    /// Notes a key that two users or items share; the older one was first to have it.
    pub(crate) fn note_shared(&mut self, tenant: u32, claim: &Claim, owner: u32, holder: u32) {
        let what = if claim.is_of_user() { "user" } else { "item" };
        self.notes.push(format!(
            "tenant {tenant}: the {:?} of {what} {owner} is the same identifier as that of {what} {holder}, which is found by it",
            claim.field
        ));
    }
}

/// The roles among items.
pub(crate) fn roles_among(items: impl IntoIterator<Item = Item>) -> Vec<Role> {
    let role = |item| if let Item::Role(role) = item { Some(role) } else { None };
    items.into_iter().filter_map(role).collect()
}
