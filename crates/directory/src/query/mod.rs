//! Queries: keys, predicates, sort orders and pages.
//!
//! Predicates are evaluated here, in one place. Engines use an index where they have one and this check for the
//! rest, so that they all agree.

mod filter;
mod view;

pub use filter::{CompareOp, Comparison, Filter};
pub use view::{AttributeSource, AttributeValue, Labels, SubAttributes, UserView};

use crate::{ATTRIBUTES, Field, Item, ItemId, ItemKind, Status, Time, User, UserId, fold, identifier_key};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UserKey {
    Id(UserId),
    Number(u32),
    /// The primary email, in any case.
    Email(String),
    /// The client's own key, case-sensitive.
    ExternalId(String),
    /// User name or email, in any case. If several users match, because their identifiers still differed in 0.1.0,
    /// the one with this spelling.
    Login(String),
    /// Like `Login`, for a sign-in: the lookup takes as long if there is no such user.
    LoginConstantTime(String),
}

#[derive(Clone, Debug, Default)]
pub struct UserQuery {
    /// All of them must match.
    pub predicates: Vec<UserPredicate>,
    pub sort: Sort,
    /// Rows to skip, counted from the boundary.
    pub offset: u64,
    pub limit: u32,
    pub boundary: Option<PageBoundary>,
}

/// Where a page begins or ends: a position in the sort order instead of a count, so that concurrent changes shift
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageBoundary {
    /// The first users after this position.
    After(SortPosition),
    /// The last users before this position.
    Before(SortPosition),
}

/// A position in a sort order. It stays valid when its user is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortPosition {
    /// The sort key, if it is a text.
    pub text: Option<String>,
    /// The sort key, if it is a time.
    pub time: Option<Time>,
    /// The number of the user, which orders equal keys.
    pub number: u32,
}

/// A condition on a user. Texts are compared case-folded, and the predicate must hold them folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserPredicate {
    Email(String),
    /// Ignores case.
    ExternalId(String),
    /// The full name contains this text.
    NameContains(String),
    /// Any text of the user contains this text, or the user belongs to one of these organizations.
    AnyTextContains {
        substring: String,
        /// Organizations whose name contains the text.
        organizations: Vec<ItemId>,
    },
    /// Any line of the address contains one of these texts.
    AddressContains(Vec<String>),
    Status(Vec<Status>),
    Department(Vec<String>),
    Organization(Vec<ItemId>),
    Group(Vec<ItemId>),
    Created(TimeRange),
    Updated(TimeRange),
    /// References are compared by these labels.
    Filter(Arc<Filter>, Arc<Labels>),
}

/// Half-open: `end` is not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    pub start: Time,
    pub end: Time,
}

impl TimeRange {
    fn contains(self, time: Time) -> bool {
        self.start <= time && time < self.end
    }
}

const ADDRESS_FIELDS: [Field; 5] =
    [Field::AddressLine1, Field::AddressLine2, Field::City, Field::PostalCode, Field::Country];

impl UserPredicate {
    pub fn matches(&self, user: &User) -> bool {
        match self {
            Self::Email(email) => user.email().is_some_and(|e| identifier_key(e) == *email),
            Self::ExternalId(id) => user.external_id.as_deref().is_some_and(|e| identifier_key(e) == *id),
            Self::NameContains(part) => fold(&user.full_name()).contains(part),
            Self::AnyTextContains { substring: part, organizations } => {
                let links = user.links.iter().flat_map(|link| [link.name.as_str(), link.value.as_str()]);
                let attributes = ATTRIBUTES.iter().filter(|attribute| attribute.searchable);
                let mut texts = attributes.filter_map(|attribute| user.text(attribute.field)).chain(links);
                fold(&user.full_name()).contains(part)
                    || texts.any(|text| fold(text).contains(part))
                    || user.organization.is_some_and(|id| organizations.contains(&id))
            }
            Self::AddressContains(parts) => {
                let lines: Vec<String> = ADDRESS_FIELDS.iter().filter_map(|f| user.text(*f)).map(fold).collect();
                parts.iter().any(|part| lines.iter().any(|line| line.contains(part)))
            }
            Self::Status(statuses) => statuses.contains(&user.status),
            Self::Department(names) => user.department.as_deref().is_some_and(|d| names.contains(&fold(d))),
            Self::Organization(ids) => user.organization.is_some_and(|id| ids.contains(&id)),
            Self::Group(ids) => user.groups.iter().any(|id| ids.contains(id)),
            Self::Created(range) => range.contains(user.created),
            Self::Updated(range) => range.contains(user.updated),
            Self::Filter(filter, labels) => filter.matches(&UserView { user, labels }),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Sort {
    pub key: SortKey,
    pub descending: bool,
    /// Users without the sort key come last instead of first (first if descending).
    pub nulls_last: bool,
}

/// Equal keys are ordered by number.
#[derive(Clone, Debug, Default)]
pub enum SortKey {
    #[default]
    Number,
    /// A case-folded text; users without it come first.
    Text(Field),
    /// By [`Status::as_str`].
    Status,
    /// By the organization's name in this map.
    Organization(Arc<HashMap<ItemId, String>>),
    Invited,
    LastActivity,
    Created,
    Updated,
}

impl Sort {
    /// Sorts stably, so that more users can be added and sorted again.
    pub fn apply(&self, users: &mut [User]) {
        let key = |user: &User| {
            let (text, time) = self.key_values(user);
            (self.nulls_last && text.is_none() && time.is_none(), text, time)
        };
        match (&self.key, self.descending) {
            (SortKey::Number, false) => {}
            (SortKey::Number, true) => users.sort_by_key(|user| std::cmp::Reverse(user.number)),
            (_, false) => users.sort_by_cached_key(key),
            (_, true) => users.sort_by_cached_key(|user| std::cmp::Reverse(key(user))),
        }
    }

    pub fn compare(&self, a: &SortPosition, b: &SortPosition) -> Ordering {
        let unset = |position: &SortPosition| self.nulls_last && position.text.is_none() && position.time.is_none();
        let by_key = (unset(a), &a.text, a.time).cmp(&(unset(b), &b.text, b.time));
        let by_number = a.number.cmp(&b.number);
        match (&self.key, self.descending) {
            (SortKey::Number, false) => by_number,
            (SortKey::Number, true) => by_number.reverse(),
            (_, true) => by_key.reverse().then(by_number),
            (_, false) => by_key.then(by_number),
        }
    }

    fn key_values(&self, user: &User) -> (Option<String>, Option<Time>) {
        let text = match &self.key {
            SortKey::Text(field) => user.text(*field).map(fold),
            SortKey::Status => Some(user.status.as_str().to_owned()),
            SortKey::Organization(names) => user.organization.and_then(|id| names.get(&id)).map(|n| fold(n)),
            _ => None,
        };
        let time = match self.key {
            SortKey::Invited => user.invited,
            SortKey::LastActivity => user.last_activity,
            SortKey::Created => Some(user.created),
            SortKey::Updated => Some(user.updated),
            _ => None,
        };
        (text, time)
    }

    pub fn position_of(&self, user: &User) -> SortPosition {
        let (text, time) = self.key_values(user);
        SortPosition { text, time, number: user.number }
    }

    pub fn is_within_boundary(&self, user: &User, boundary: Option<&PageBoundary>) -> bool {
        let order = |position: &SortPosition| self.compare(&self.position_of(user), position);
        match boundary {
            None => true,
            Some(PageBoundary::After(position)) => order(position).is_gt(),
            Some(PageBoundary::Before(position)) => order(position).is_lt(),
        }
    }

    /// Whether users are stored in this order.
    pub fn is_by_number(&self) -> bool {
        matches!(self.key, SortKey::Number) && !self.descending
    }
}

#[derive(Clone, Debug)]
pub struct ItemQuery {
    pub kind: ItemKind,
    /// All of them must match.
    pub predicates: Vec<ItemPredicate>,
    pub offset: u64,
    pub limit: u32,
    pub boundary: Option<ItemPageBoundary>,
}

/// Where a page of items begins or ends, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemPageBoundary {
    /// The first items with a higher number.
    After(u32),
    /// The last items with a lower number.
    Before(u32),
}

impl ItemPageBoundary {
    pub fn contains(self, number: u32) -> bool {
        match self {
            Self::After(boundary) => number > boundary,
            Self::Before(boundary) => number < boundary,
        }
    }
}

impl ItemQuery {
    pub fn all(kind: ItemKind) -> Self {
        Self { kind, predicates: Vec::new(), offset: 0, limit: u32::MAX, boundary: None }
    }
}

/// A condition on an item. Texts are compared case-folded, and the predicate must hold them folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemPredicate {
    NameContains(String),
    /// Ignores case.
    ExternalId(String),
    Created(TimeRange),
    Updated(TimeRange),
    Filter(Arc<Filter>),
}

impl ItemPredicate {
    pub fn matches(&self, item: &Item) -> bool {
        match self {
            Self::NameContains(part) => fold(item.name()).contains(part),
            Self::ExternalId(id) => item.external_id().is_some_and(|e| identifier_key(e) == *id),
            Self::Created(range) => range.contains(item.created()),
            Self::Updated(range) => range.contains(item.updated()),
            Self::Filter(filter) => filter.matches(item),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// Rows of all pages.
    pub total: u64,
    /// Rows before this page.
    pub offset: u64,
}
