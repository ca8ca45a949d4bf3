//! The order in which engines read the pages of a [`directory::TenantSnapshot`].

use directory::{
    Item, ItemKind, ItemPageBoundary, ItemQuery, PageBoundary, SnapshotPage, SortPosition, User, UserQuery,
};

/// Maximum number of items or users per page.
const PAGE_SIZE: u32 = 1_000;

/// What to read next.
#[derive(Clone, Debug)]
pub enum PageQuery {
    Items(ItemQuery),
    Users(UserQuery),
}

/// The state of reading: items by kind, then users.
#[derive(Clone, Debug)]
pub struct SnapshotCursor {
    /// Kinds of items still to be read, the next one last.
    kinds: Vec<ItemKind>,
    /// The last number that was read of the current kind, or of the users.
    after: Option<u32>,
    is_complete: bool,
}

impl Default for SnapshotCursor {
    fn default() -> Self {
        Self { kinds: ItemKind::ALL.into_iter().rev().collect(), after: None, is_complete: false }
    }
}

impl SnapshotCursor {
    /// `None` after the last page.
    pub fn next_query(&self) -> Option<PageQuery> {
        let after_user = |number| PageBoundary::After(SortPosition { number, ..SortPosition::default() });
        match self.kinds.last() {
            _ if self.is_complete => None,
            Some(kind) => Some(PageQuery::Items(ItemQuery {
                kind: *kind,
                predicates: Vec::new(),
                offset: 0,
                limit: PAGE_SIZE,
                boundary: self.after.map(ItemPageBoundary::After),
            })),
            None => Some(PageQuery::Users(UserQuery {
                limit: PAGE_SIZE,
                boundary: self.after.map(after_user),
                ..UserQuery::default()
            })),
        }
    }

    pub fn advance_items(&mut self, items: Vec<Item>) -> SnapshotPage {
        self.after = items.last().map(Item::number).filter(|_| items.len() >= PAGE_SIZE as usize);
        if self.after.is_none() {
            self.kinds.pop();
        }
        SnapshotPage::Items(items)
    }

    pub fn advance_users(&mut self, users: Vec<User>) -> SnapshotPage {
        self.after = users.last().map(|user| user.number).filter(|_| users.len() >= PAGE_SIZE as usize);
        self.is_complete = self.after.is_none();
        SnapshotPage::Users(users)
    }
}
