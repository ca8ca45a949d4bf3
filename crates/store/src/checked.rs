//! What a check of a whole store finds.

use directory::{Item, Role, User, roles_above_effective};

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
    }
}

/// The roles among items.
pub(crate) fn roles_among(items: impl IntoIterator<Item = Item>) -> Vec<Role> {
    let role = |item| if let Item::Role(role) = item { Some(role) } else { None };
    items.into_iter().filter_map(role).collect()
}
