//! What both engines do with rows that come by: check each against the whole question, and cut the page from those
//! that meet it.

use crate::plan::plan;
use directory::{Item, ItemPageBoundary, ItemQuery, Page, PageBoundary, SortKey, User, UserQuery};

/// Numbers per counted block.
pub(crate) const BLOCK: u32 = 1000;
/// The block a number is counted in.
pub(crate) fn block_of(number: u32) -> u32 {
    number / BLOCK
}

/// The largest page that is read on the calling thread.
const SHORT: u32 = 250;

/// Whether the answer takes no walk through the directory.
pub(crate) fn is_short(query: &UserQuery) -> bool {
    match plan(query) {
        Some((source, _)) => source.is_short(),
        None => query.predicates.is_empty() && query.sort.is_by_number() && query.limit <= SHORT,
    }
}

/// What a walk has found so far: never much more than the page asked for, and of a sorted one than all up to its end.
pub(crate) struct Found<'a> {
    query: &'a UserQuery,
    total: u64,
    /// On the right side of the bound.
    within: u64,
    page: Vec<User>,
}

impl<'a> Found<'a> {
    pub(crate) fn new(query: &'a UserQuery) -> Self {
        Self { query, total: 0, within: 0, page: Vec::new() }
    }

    fn is_backward(&self) -> bool {
        matches!(self.query.boundary, Some(PageBoundary::Before(_)))
    }

    fn is_cut(&self) -> bool {
        matches!((&self.query.sort.key, self.query.sort.descending), (SortKey::Number, false))
            && !self.is_backward()
    }

    /// How many in order are enough to cut the page from.
    fn enough(&self) -> usize {
        usize::try_from(self.query.offset.saturating_add(u64::from(self.query.limit))).unwrap_or(usize::MAX)
    }

    pub(crate) fn look_at(&mut self, user: User) {
        let query = self.query;
        if !query.predicates.iter().all(|test| test.matches(&user)) {
            return;
        }
        self.total += 1;
        if !query.sort.is_within_boundary(&user, query.boundary.as_ref()) {
            return;
        }
        self.within += 1;
        // In order of arrival a page is cut as it comes by.
        if self.is_cut() && (self.within <= query.offset || self.within > self.enough() as u64) {
            return;
        }
        self.page.push(user);
        if self.page.len() > self.enough().saturating_add(5_000) {
            self.trim();
        }
    }

    /// Puts what was found in order and leaves no more of it than is enough.
    fn trim(&mut self) {
        self.query.sort.apply(&mut self.page);
        let enough = self.enough();
        if self.is_backward() {
            self.page.drain(..self.page.len().saturating_sub(enough));
        } else {
            self.page.truncate(enough);
        }
    }

    pub(crate) fn page(mut self) -> Page<User> {
        self.trim();
        let outside = self.total - self.within;
        let (rows, before) = if self.is_backward() {
            let before = self.within - self.page.len() as u64;
            (self.page, before)
        } else {
            let skip = if self.is_cut() { 0 } else { self.query.offset };
            let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.page.len());
            (self.page.split_off(skip), outside + self.query.offset.min(self.within))
        };
        Page { rows, total: self.total, offset: before }
    }
}

/// The same for items, which are always in order of number.
pub(crate) struct ItemsFound<'a> {
    query: &'a ItemQuery,
    total: u64,
    within: u64,
    page: Vec<Item>,
}

impl<'a> ItemsFound<'a> {
    pub(crate) fn new(query: &'a ItemQuery) -> Self {
        Self { query, total: 0, within: 0, page: Vec::new() }
    }

    fn is_backward(&self) -> bool {
        matches!(self.query.boundary, Some(ItemPageBoundary::Before(_)))
    }

    pub(crate) fn look_at(&mut self, item: Item) {
        let query = self.query;
        if !query.predicates.iter().all(|test| test.matches(&item)) {
            return;
        }
        self.total += 1;
        if query.boundary.is_some_and(|bound| !bound.contains(item.number())) {
            return;
        }
        self.within += 1;
        let limit = query.limit as usize;
        if self.is_backward() {
            self.page.push(item);
            if self.page.len() > limit.saturating_mul(2).max(1000) {
                self.page.drain(..self.page.len() - limit);
            }
        } else if self.within > query.offset && self.page.len() < limit {
            self.page.push(item);
        }
    }

    pub(crate) fn page(mut self) -> Page<Item> {
        let before = if self.is_backward() {
            self.page.drain(..self.page.len().saturating_sub(self.query.limit as usize));
            self.within - self.page.len() as u64
        } else {
            self.total - self.within + self.query.offset.min(self.within)
        };
        Page { rows: self.page, total: self.total, offset: before }
    }
}
