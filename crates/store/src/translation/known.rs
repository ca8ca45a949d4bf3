//! What the translation of a mutation must know of the stored data. Engines read it beforehand: SQLite and the reference
//! engine in the same transaction, PostgreSQL for a whole batch. Writes check what was read.

use crate::unique_keys::{self, kind_index};
use directory::{
    Connection, Item, ItemId, ItemKind, Mutation, Record, Row, RowQuery, Tenant, TenantNumber, User, UserId, fold,
};
use std::collections::{HashMap, HashSet, VecDeque};

/// Something to read in the tenant of the change.
#[derive(Debug)]
pub enum Read {
    /// The next number of a sequence.
    Number(Sequence),
    /// Groups and folders of the user with this number.
    Memberships(u32),
    /// Numbers of users.
    Users(Vec<UserId>),
    /// An item, the numbers of users, and which of them are its members.
    Membership { item: ItemId, kind: ItemKind, users: Vec<UserId> },
    /// The highest number of a tenant.
    HighestTenant,
    /// At most one row of a declared table.
    Row(RowQuery),
}

/// What numbers are allocated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sequence {
    Users,
    Items(ItemKind),
}

impl Sequence {
    /// The stored number of the sequence.
    pub fn code(self) -> u8 {
        match self {
            Self::Users => 0,
            Self::Items(kind) => 1 + kind_index(kind),
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        let items = ItemKind::ALL.into_iter().map(Self::Items);
        std::iter::once(Self::Users).chain(items).find(|sequence| sequence.code() == code)
    }

    /// The first number.
    pub fn first(self) -> u32 {
        match self {
            Self::Users => 1,
            Self::Items(kind) => unique_keys::first_item_number(kind),
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub struct Known {
    pub numbers: HashMap<(TenantNumber, Sequence), VecDeque<u32>>,
    /// Groups and folders by number of the user, sorted. Those that are missing are assumed to be as decided.
    pub memberships: HashMap<(TenantNumber, u32), (Vec<ItemId>, Vec<ItemId>)>,
    /// Users that do not exist are missing.
    pub users: HashMap<(TenantNumber, UserId), u32>,
    pub items: HashMap<(TenantNumber, ItemId), Item>,
    pub members: HashSet<(TenantNumber, ItemId, u32)>,
    pub highest_tenant: u32,
    /// By table and the values of the query.
    pub rows: HashMap<(&'static str, Row), Row>,
}

impl Known {
    pub fn next_number(&mut self, tenant: TenantNumber, sequence: Sequence) -> u32 {
        self.numbers.get_mut(&(tenant, sequence)).and_then(VecDeque::pop_front).unwrap_or(0)
    }

    pub fn user_number(&self, tenant: TenantNumber, user: UserId) -> Option<u32> {
        self.users.get(&(tenant, user)).copied()
    }

    /// The user with the stored memberships, as far as they were read.
    pub fn with_memberships(&self, tenant: TenantNumber, mut user: User) -> User {
        if let Some((groups, folders)) = self.memberships.get(&(tenant, user.number)) {
            user.groups.clone_from(groups);
            user.folders.clone_from(folders);
        }
        user
    }

    pub fn row(&self, query: &RowQuery) -> Option<&Row> {
        self.rows.get(&(query.table.name, query.equal.clone()))
    }

    pub fn add_row(&mut self, query: &RowQuery, row: Option<Row>) {
        self.rows.extend(row.map(|row| ((query.table.name, query.equal.clone()), row)));
    }

    pub fn add_number(&mut self, tenant: TenantNumber, sequence: Sequence, number: u32) {
        self.numbers.entry((tenant, sequence)).or_default().push_back(number);
    }
}

/// What must be read before a mutation is translated.
pub fn reads_of(mutation: &Mutation) -> Vec<Read> {
    match mutation {
        Mutation::AddUser { .. } => vec![Read::Number(Sequence::Users)],
        Mutation::ChangeUser { before: user, .. } | Mutation::RemoveUser(user) => vec![Read::Memberships(user.number)],
        Mutation::AddItem { item, members } => {
            let number = needs_number(item).then(|| Read::Number(Sequence::Items(item.kind())));
            number.into_iter().chain(users(members.iter())).collect()
        }
        Mutation::ChangeItem { members_added, members_removed, .. } => {
            users(members_added.iter().chain(members_removed)).into_iter().collect()
        }
        Mutation::ChangeMembers { item, members_added, members_removed } => {
            let users = members_added.iter().chain(members_removed).copied().collect();
            vec![Read::Membership { item: item.id(), kind: item.kind(), users }]
        }
        Mutation::AddTenant(tenant) if tenant.number.0 == 0 => vec![Read::HighestTenant],
        Mutation::AddConnection(new) => vec![Read::Row(Connection::by_name(new.tenant, fold(&new.name)))],
        Mutation::ChangeConnection { before, .. } => vec![Read::Row(stored_connection(before))],
        Mutation::RestoreUser { .. }
        | Mutation::PurgeUser(_)
        | Mutation::RemoveItem(_)
        | Mutation::AddTenant(Tenant { .. })
        | Mutation::ChangeTenant { .. }
        | Mutation::AddMail(_)
        | Mutation::ChangeMail { .. }
        | Mutation::RemoveMail(_)
        | Mutation::PutTarget { .. }
        | Mutation::RecordConnectionUse(..)
        | Mutation::AddSecret(_)
        | Mutation::Rows(_) => Vec::new(),
    }
}

pub(super) fn stored_connection(connection: &Connection) -> RowQuery {
    Connection::table().row(vec![connection.id.0.into()])
}

/// Departments bring their own number.
pub(super) fn needs_number(item: &Item) -> bool {
    item.number() == 0 && item.kind() != ItemKind::Department
}

fn users<'a>(ids: impl Iterator<Item = &'a UserId>) -> Option<Read> {
    let ids: Vec<UserId> = ids.copied().collect();
    (!ids.is_empty()).then_some(Read::Users(ids))
}
