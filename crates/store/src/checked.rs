//! What a check of a whole store finds.

use crate::claims::{self, Claim};
use crate::plan::is_active;
use directory::{
    Field, Item, ItemId, Role, Tenant, User, UserId, forbidden_identifiers, roles_above_effective,
};
use std::collections::BTreeSet;

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

/// What the documents of a tenant say of the rows beside them, to compare with those rows.
pub(crate) struct Documents {
    tenant: u32,
    /// The highest number of a user, also of a deleted one.
    highest: u32,
    users: BTreeSet<u32>,
    mentions: BTreeSet<(u32, String)>,
    organisations: BTreeSet<(u32, ItemId)>,
}

impl Documents {
    pub(crate) fn of(tenant: u32) -> Self {
        let (users, mentions, organisations) = Default::default();
        Self { tenant, highest: 0, users, mentions, organisations }
    }

    /// A user, and the columns number, id, version, active and updated.
    pub(crate) fn user(&mut self, user: &User, beside: (u32, UserId, u32, u8, i64), checked: &mut Checked) {
        if beside != (user.number, user.id, user.version, is_active(user), user.updated.0) {
            self.differs(&format!("the columns of user {} differ from the document", beside.0), checked);
        }
        if !user.groups.is_empty() || !user.folders.is_empty() {
            self.differs(&format!("the document of user {} has memberships", user.number), checked);
        }
        self.highest = self.highest.max(user.number);
        self.users.insert(user.number);
        self.mentions.extend(claims::mentions(user).into_iter().map(|text| (user.number, text)));
        self.organisations.extend(user.organization.map(|organisation| (user.number, organisation)));
    }

    /// An item, and the columns number, id and name key.
    pub(crate) fn item(&self, item: &Item, beside: &(u32, ItemId, String), checked: &mut Checked) {
        if *beside != (item.number(), item.id(), Item::name_key(item.kind(), item.name())) {
            let kind = format!("{:?}", item.kind()).to_lowercase();
            self.differs(
                &format!("the columns of {kind} {} are not those of its document", beside.0),
                checked,
            );
        }
    }

    /// A deleted user, and the columns number, id and key of the external id.
    pub(crate) fn tombstone(
        &mut self,
        user: &User,
        beside: &(u32, UserId, Option<String>),
        checked: &mut Checked,
    ) {
        let key = user.external_id.as_deref().map(claims::external_id);
        if *beside != (user.number, user.id, key) {
            self.differs(
                &format!("the columns of deleted user {} are not those of the document", beside.0),
                checked,
            );
        }
        if self.users.contains(&beside.0) {
            self.differs(&format!("number {} is a user and a deleted user", beside.0), checked);
        }
        self.highest = self.highest.max(beside.0);
    }

    /// The rows of secondary emails and of members of organizations, and the last number that was given.
    pub(crate) fn compare(
        &self,
        mentions: &BTreeSet<(u32, String)>,
        organisations: &BTreeSet<(u32, ItemId)>,
        last: u32,
        checked: &mut Checked,
    ) {
        for (number, _) in self.mentions.symmetric_difference(mentions) {
            let text = format!("the stored secondary emails of user {number} are not those of the document");
            self.differs(&text, checked);
        }
        for (number, _) in self.organisations.symmetric_difference(organisations) {
            self.differs(&format!("the organization of user {number} is not that of the document"), checked);
        }
        if last < self.highest {
            self.differs(
                &format!("user {} has a number that was not given yet ({last})", self.highest),
                checked,
            );
        }
    }

    fn differs(&self, what: &str, checked: &mut Checked) {
        checked.damage.push(format!("tenant {}: {what}", self.tenant));
    }
}

impl Checked {
    /// Cuts a long list of the same off.
    pub(crate) fn shorten(&mut self) {
        /// More of the same say nothing new.
        const MANY: usize = 100;
        if self.damage.len() > MANY {
            let more = self.damage.len() - MANY;
            self.damage.truncate(MANY);
            self.damage.push(format!("and {more} more"));
        }
    }

    /// The version of a tenant's settings, and the column.
    pub(crate) fn tenant(&mut self, tenant: &Tenant, beside: (u32, u32)) {
        if beside != (tenant.number.0, tenant.version) {
            self.damage.push(format!("tenant {}: the columns are not those of its document", beside.0));
        }
    }

    /// Memberships between two tenants, or of another kind than their item.
    pub(crate) fn strange_memberships(&mut self, many: i64) {
        if many != 0 {
            self.damage
                .push(format!("{many} memberships are not of one tenant or not of the kind of their item"));
        }
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
