//! Builds a page from candidate rows, for all engines but memory: checks each row against the whole query and keeps those
//! of the page.

use crate::query_plan::plan_users;
use directory::{Item, ItemPageBoundary, ItemQuery, Page, PageBoundary, SortKey, User, UserQuery};

/// Numbers per block of the user counts.
pub const BLOCK_SIZE: u32 = 1000;
pub fn block_of(number: u32) -> u32 {
    number / BLOCK_SIZE
}

/// How many rows are read on the calling thread at most.
pub const MAX_SHORT_READ_ROWS: u32 = 250;

/// Whether the query needs no scan of the directory.
pub fn is_short_read(query: &UserQuery) -> bool {
    match plan_users(query) {
        Some((source, _)) => source.is_selective(),
        None => query.predicates.is_empty() && query.sort.is_by_number() && query.limit <= MAX_SHORT_READ_ROWS,
    }
}

/// Holds little more than the requested page, or, if sorted, little more than all rows up to its end.
pub struct UserPageBuilder<'a> {
    query: &'a UserQuery,
    total: u64,
    /// Rows on the requested side of the boundary.
    in_bounds: u64,
    rows: Vec<User>,
}

impl<'a> UserPageBuilder<'a> {
    pub fn new(query: &'a UserQuery) -> Self {
        Self { query, total: 0, in_bounds: 0, rows: Vec::new() }
    }

    fn is_backward(&self) -> bool {
        matches!(self.query.boundary, Some(PageBoundary::Before(_)))
    }

    fn is_in_number_order(&self) -> bool {
        matches!((&self.query.sort.key, self.query.sort.descending), (SortKey::Number, false)) && !self.is_backward()
    }

    /// How many sorted rows contain the page.
    fn max_rows(&self) -> usize {
        usize::try_from(self.query.offset.saturating_add(u64::from(self.query.limit))).unwrap_or(usize::MAX)
    }

    /// Takes the users in the order of their numbers.
    pub fn push(&mut self, user: User) {
        let query = self.query;
        if !query.predicates.iter().all(|test| test.matches(&user)) {
            return;
        }
        self.total += 1;
        if !query.sort.is_within_boundary(&user, query.boundary.as_ref()) {
            return;
        }
        self.in_bounds += 1;
        // In number order, rows outside the page are not needed.
        if self.is_in_number_order() && (self.in_bounds <= query.offset || self.in_bounds > self.max_rows() as u64) {
            return;
        }
        self.rows.push(user);
        if self.rows.len() > self.max_rows().saturating_add(5_000) {
            self.sort_and_truncate();
        }
    }

    /// Sorts the rows and drops those after the page.
    fn sort_and_truncate(&mut self) {
        self.query.sort.apply(&mut self.rows);
        let enough = self.max_rows();
        if self.is_backward() {
            self.rows.drain(..self.rows.len().saturating_sub(enough));
        } else {
            self.rows.truncate(enough);
        }
    }

    pub fn build(mut self) -> Page<User> {
        self.sort_and_truncate();
        let outside = self.total - self.in_bounds;
        let (rows, before) = if self.is_backward() {
            let before = self.in_bounds - self.rows.len() as u64;
            (self.rows, before)
        } else {
            let skip = if self.is_in_number_order() { 0 } else { self.query.offset };
            let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.rows.len());
            (self.rows.split_off(skip), outside + self.query.offset.min(self.in_bounds))
        };
        Page { rows, total: self.total, offset: before }
    }
}

/// The same for items, which are always sorted by number.
pub struct ItemPageBuilder<'a> {
    query: &'a ItemQuery,
    total: u64,
    in_bounds: u64,
    rows: Vec<Item>,
}

impl<'a> ItemPageBuilder<'a> {
    pub fn new(query: &'a ItemQuery) -> Self {
        Self { query, total: 0, in_bounds: 0, rows: Vec::new() }
    }

    fn is_backward(&self) -> bool {
        matches!(self.query.boundary, Some(ItemPageBoundary::Before(_)))
    }

    pub fn push(&mut self, item: Item) {
        let query = self.query;
        if !query.predicates.iter().all(|test| test.matches(&item)) {
            return;
        }
        self.total += 1;
        if query.boundary.is_some_and(|bound| !bound.contains(item.number())) {
            return;
        }
        self.in_bounds += 1;
        let limit = query.limit as usize;
        if self.is_backward() {
            self.rows.push(item);
            if self.rows.len() > limit.saturating_mul(2).max(1000) {
                self.rows.drain(..self.rows.len() - limit);
            }
        } else if self.in_bounds > query.offset && self.rows.len() < limit {
            self.rows.push(item);
        }
    }

    pub fn build(mut self) -> Page<Item> {
        let before = if self.is_backward() {
            self.rows.drain(..self.rows.len().saturating_sub(self.query.limit as usize));
            self.in_bounds - self.rows.len() as u64
        } else {
            self.total - self.in_bounds + self.query.offset.min(self.in_bounds)
        };
        Page { rows: self.rows, total: self.total, offset: before }
    }
}
