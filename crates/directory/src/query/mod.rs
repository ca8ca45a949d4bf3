//! What can be asked: keys, conditions, order and pages.
//!
//! A condition can be checked against a person here, in one place; engines use an index where they have one
//! and this check for the rest, so that all engines mean the same.

mod filter;
mod view;

pub use filter::{CompareOp, Comparison, Filter};
pub use view::{AttributeSource, AttributeValue, Labels, SubAttributes, UserView};

use crate::{Field, Item, ItemId, ItemKind, Status, Time, User, UserId, fold, identifier_key};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// How a person is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UserKey {
    /// By identity.
    Id(UserId),
    /// By number.
    Number(u32),
    /// By primary e-mail, in any case.
    Email(String),
    /// By the client's own key, to the letter.
    ExternalId(String),
    /// By user name or email, in any case. Of users whose identifiers differed in 0.1.0 and are the same since, the one
    /// with this spelling.
    Login(String),
    /// The same for a sign-in: the look-up takes as long for a user who does not exist.
    LoginConstantTime(String),
}

/// A question for many people.
#[derive(Clone, Debug, Default)]
pub struct UserQuery {
    /// All of these must hold.
    pub predicates: Vec<UserPredicate>,
    /// In which order.
    pub sort: Sort,
    /// How many to leave out at the start.
    pub offset: u64,
    /// How many to return.
    pub limit: u32,
    /// Only those behind or in front of somebody; skipping counts from there.
    pub boundary: Option<PageBoundary>,
}

/// Where a page begins or ends, by somebody's place in the order instead of a count: people who come and go
/// meanwhile shift nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageBoundary {
    /// Only those behind this place, from the first on.
    After(SortPosition),
    /// Only those in front of this place, up to the last.
    Before(SortPosition),
}

/// Somebody's place in an order. It stays good when they are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortPosition {
    /// What texts are sorted by.
    pub text: Option<String>,
    /// What times are sorted by.
    pub time: Option<Time>,
    /// The number, by which equals are in order.
    pub number: u32,
}

/// One condition on a person. Texts are compared case-folded and must come folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserPredicate {
    /// The e-mail is this.
    Email(String),
    /// The external id is this, in any case.
    ExternalId(String),
    /// First and last name hold this.
    NameContains(String),
    /// Any text of the person holds this, or they belong to one of these organisations.
    AnyTextContains {
        /// The part.
        substring: String,
        /// Organisations whose name holds it.
        organizations: Vec<ItemId>,
    },
    /// Some line of the address holds one of these.
    AddressContains(Vec<String>),
    /// The status is one of these.
    Status(Vec<Status>),
    /// The department is one of these.
    Department(Vec<String>),
    /// The organisation is one of these.
    Organization(Vec<ItemId>),
    /// A member of one of these.
    Group(Vec<ItemId>),
    /// Created within.
    Created(TimeRange),
    /// Last changed within.
    Updated(TimeRange),
    /// They meet a filter, references seen by these labels.
    Filter(Arc<Filter>, Arc<Labels>),
}

/// A stretch of time, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// From.
    pub start: Time,
    /// Up to, not included.
    pub end: Time,
}

impl TimeRange {
    fn contains(self, time: Time) -> bool {
        self.start <= time && time < self.end
    }
}

/// The lines of an address.
const ADDRESS_FIELDS: [Field; 5] =
    [Field::AddressLine1, Field::AddressLine2, Field::City, Field::PostalCode, Field::Country];

/// Texts that a search over "all fields" looks through.
const SEARCHABLE_FIELDS: [Field; 21] = [
    Field::UserName,
    Field::Email,
    Field::ExternalId,
    Field::GivenName,
    Field::FamilyName,
    Field::WorkPhone,
    Field::MobilePhone,
    Field::Title,
    Field::Department,
    Field::AddressLine1,
    Field::AddressLine2,
    Field::City,
    Field::PostalCode,
    Field::Country,
    Field::SecretaryName,
    Field::SecretaryEmail,
    Field::Bio,
    Field::Source,
    Field::Specialties,
    Field::HonorificPrefix,
    Field::Photo,
];

impl UserPredicate {
    /// Whether the person meets the condition.
    pub fn matches(&self, user: &User) -> bool {
        match self {
            Self::Email(email) => user.email().is_some_and(|e| identifier_key(e) == *email),
            Self::ExternalId(id) => user.external_id.as_deref().is_some_and(|e| identifier_key(e) == *id),
            Self::NameContains(part) => fold(&user.full_name()).contains(part),
            Self::AnyTextContains { substring: part, organizations: organisations } => {
                let links = user.links.iter().flat_map(|link| [link.name.as_str(), link.value.as_str()]);
                let mut texts = SEARCHABLE_FIELDS.iter().filter_map(|f| user.text(*f)).chain(links);
                fold(&user.full_name()).contains(part)
                    || texts.any(|text| fold(text).contains(part))
                    || user.organization.is_some_and(|id| organisations.contains(&id))
            }
            Self::AddressContains(parts) => {
                let lines: Vec<String> = ADDRESS_FIELDS.iter().filter_map(|f| user.text(*f)).map(fold).collect();
                parts.iter().any(|part| lines.iter().any(|line| line.contains(part)))
            }
            Self::Status(statuses) => statuses.contains(&user.status),
            Self::Department(names) => user.department.as_deref().is_some_and(|d| names.contains(&fold(d))),
            Self::Organization(ids) => user.organization.is_some_and(|id| ids.contains(&id)),
            Self::Group(ids) => user.groups.iter().any(|id| ids.contains(id)),
            Self::Created(span) => span.contains(user.created),
            Self::Updated(span) => span.contains(user.updated),
            Self::Filter(filter, labels) => filter.matches(&UserView { user, labels }),
        }
    }
}

/// An order for people.
#[derive(Clone, Debug, Default)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// From the end.
    pub descending: bool,
    /// Who lacks what is sorted by comes last instead of first (and first from the end).
    pub nulls_last: bool,
}

/// What people are sorted by; equals stay in order of arrival.
#[derive(Clone, Debug, Default)]
pub enum SortKey {
    /// Order of arrival: by number.
    #[default]
    Number,
    /// By a plain text, case-folded; without it first.
    Text(Field),
    /// By the word of the status.
    Status,
    /// By the organisation's name, which comes along.
    Organization(Arc<HashMap<ItemId, String>>),
    /// By when they were invited.
    Invited,
    /// By when they were last seen.
    LastActivity,
    /// By when they were created.
    Created,
    /// By when they were last changed.
    Updated,
}

impl Sort {
    /// Puts people in order. Equals stay as they were, so that what is sorted may be added to and sorted again.
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

    /// How two places follow one another in this order.
    pub fn compare(&self, a: &SortPosition, b: &SortPosition) -> Ordering {
        let unset = |place: &SortPosition| self.nulls_last && place.text.is_none() && place.time.is_none();
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

    /// Somebody's place in this order.
    pub fn position_of(&self, user: &User) -> SortPosition {
        let (text, time) = self.key_values(user);
        SortPosition { text, time, number: user.number }
    }

    /// Whether somebody is on the right side of a bound.
    pub fn is_within_boundary(&self, user: &User, bound: Option<&PageBoundary>) -> bool {
        let order = |place: &SortPosition| self.compare(&self.position_of(user), place);
        match bound {
            None => true,
            Some(PageBoundary::After(place)) => order(place).is_gt(),
            Some(PageBoundary::Before(place)) => order(place).is_lt(),
        }
    }

    /// Whether this is the order people are stored in.
    pub fn is_by_number(&self) -> bool {
        matches!(self.key, SortKey::Number) && !self.descending
    }
}

/// A question for many items of one kind.
#[derive(Clone, Debug)]
pub struct ItemQuery {
    /// Which kind.
    pub kind: ItemKind,
    /// All of these must hold.
    pub predicates: Vec<ItemPredicate>,
    /// How many to leave out at the start.
    pub offset: u64,
    /// How many to return.
    pub limit: u32,
    /// Only those with a number above or below.
    pub boundary: Option<ItemPageBoundary>,
}

/// Where a page of items begins or ends, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemPageBoundary {
    /// Only those with a higher number, from the first on.
    After(u32),
    /// Only those with a lower number, up to the last.
    Before(u32),
}

impl ItemPageBoundary {
    /// Whether an item's number is on the right side.
    pub fn contains(self, number: u32) -> bool {
        match self {
            Self::After(bound) => number > bound,
            Self::Before(bound) => number < bound,
        }
    }
}

impl ItemQuery {
    /// All items of a kind.
    pub fn all(kind: ItemKind) -> Self {
        Self { kind, predicates: Vec::new(), offset: 0, limit: u32::MAX, boundary: None }
    }
}

/// One condition on an item. Texts are compared case-folded and must come folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemPredicate {
    /// The name holds this.
    NameContains(String),
    /// The external id is this, in any case.
    ExternalId(String),
    /// Created within.
    Created(TimeRange),
    /// Last changed within.
    Updated(TimeRange),
    /// It meets a filter.
    Filter(Arc<Filter>),
}

impl ItemPredicate {
    /// Whether the item meets the condition.
    pub fn matches(&self, item: &Item) -> bool {
        match self {
            Self::NameContains(part) => fold(item.name()).contains(part),
            Self::ExternalId(id) => item.external_id().is_some_and(|e| identifier_key(e) == *id),
            Self::Created(span) => span.contains(item.created()),
            Self::Updated(span) => span.contains(item.updated()),
            Self::Filter(filter) => filter.matches(item),
        }
    }
}

/// Some of what was asked for, and how much there is in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// This page.
    pub rows: Vec<T>,
    /// How many there are over all pages.
    pub total: u64,
    /// How many of them come before this page.
    pub offset: u64,
}
