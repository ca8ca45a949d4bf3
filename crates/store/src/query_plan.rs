//! Chooses the index for a query of users or items, for all engines but memory. Rows found by an index are checked
//! against the whole query, so a plan may find too many rows, but never too few.

use crate::unique_keys::{self, LOGINS, USER_EXTERNAL_IDS};
use directory::{
    AttributeValue, CompareOp, Comparison, Field, Filter, Item, ItemId, ItemKey, ItemKind, ItemPredicate, ItemQuery,
    Status, User, UserId, UserPredicate, UserQuery, identifier_key,
};
use uuid::Uuid;

/// An index and the key or range to look up.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexLookup {
    /// A namespace and a range in it; the end is exclusive.
    UniqueKeys(u8, String, String),
    /// An email other than the preferred one.
    SecondaryEmail(String),
    Id(UserId),
    Number(u32),
    Active(bool),
    /// Time of the last update in microseconds; the end is exclusive.
    UpdatedRange(i64, i64),
    Member(ItemKind, ItemId),
    Union(Vec<IndexLookup>),
}

/// The best index for a query, and whether it finds exactly the matching users.
pub fn plan_users(query: &UserQuery) -> Option<(IndexLookup, bool)> {
    let best = query.predicates.iter().filter_map(plan_predicate).min_by_key(|(lookup, _)| lookup.cost_rank());
    best.map(|(lookup, is_exact)| (lookup, is_exact && query.predicates.len() == 1))
}

fn plan_predicate(predicate: &UserPredicate) -> Option<(IndexLookup, bool)> {
    match predicate {
        UserPredicate::Email(email) => Some((login_lookup(email), false)),
        UserPredicate::ExternalId(id) => {
            let (from, to) = unique_keys::external_id_key_range(id);
            Some((IndexLookup::UniqueKeys(USER_EXTERNAL_IDS, from, to), false))
        }
        UserPredicate::Filter(filter, _) => plan_filter(filter),
        _ => None,
    }
}

fn plan_filter(filter: &Filter) -> Option<(IndexLookup, bool)> {
    match filter {
        Filter::All(filters) => {
            let best = filters.iter().filter_map(plan_filter).min_by_key(|(lookup, _)| lookup.cost_rank());
            best.map(|(lookup, is_exact)| (lookup, is_exact && filters.len() == 1))
        }
        Filter::Any(filters) => {
            let sources: Option<Vec<IndexLookup>> = filters.iter().map(|f| plan_filter(f).map(|(s, _)| s)).collect();
            // The union of long lists would cost more than a scan.
            sources.filter(|all| all.iter().all(IndexLookup::is_selective)).map(|all| (IndexLookup::Union(all), false))
        }
        Filter::Not(_) => None,
        Filter::Comparison(test) => plan_comparison(test.field, test.sub_attribute, test),
        Filter::ValuePath(field, filter) => plan_value_path(*field, filter).map(|source| (source, false)),
    }
}

/// A filter on one entry of a multi-valued attribute.
fn plan_value_path(field: Field, filter: &Filter) -> Option<IndexLookup> {
    match filter {
        Filter::All(filters) => filters.iter().find_map(|filter| plan_value_path(field, filter)),
        Filter::Comparison(test) => plan_comparison(field, Some(test.field), test).map(|(source, _)| source),
        Filter::Any(_) | Filter::Not(_) | Filter::ValuePath(..) => None,
    }
}

fn plan_comparison(field: Field, part: Option<Field>, test: &Comparison) -> Option<(IndexLookup, bool)> {
    let planned = match (field, part, test.op, &test.value) {
        (Field::UserName, None, CompareOp::Equal, AttributeValue::Text(name)) => {
            (login_lookup(&identifier_key(name)), false)
        }
        (Field::Emails, Some(Field::Value), CompareOp::Equal, AttributeValue::Text(email)) => {
            let email = identifier_key(email);
            (IndexLookup::Union(vec![login_lookup(&email), IndexLookup::SecondaryEmail(email)]), false)
        }
        (Field::ExternalId, None, CompareOp::Equal, AttributeValue::Text(id)) => {
            let (from, to) = unique_keys::external_id_key_range(&identifier_key(id));
            (IndexLookup::UniqueKeys(USER_EXTERNAL_IDS, from, to), false)
        }
        (Field::Id, None, CompareOp::Equal, AttributeValue::Text(id)) => {
            (id_lookup(id, |id| IndexLookup::Id(UserId(id))), false)
        }
        (Field::Groups | Field::Folders, Some(Field::Value), CompareOp::Equal, AttributeValue::Text(id)) => {
            let kind = if field == Field::Groups { ItemKind::Group } else { ItemKind::Folder };
            // Filters compare ids as text, so the index is exact only for the canonical spelling.
            let is_canonical = Uuid::try_parse(id).is_ok_and(|known| known.to_string() == **id);
            (id_lookup(id, |id| IndexLookup::Member(kind, ItemId(id))), is_canonical)
        }
        (Field::Number, None, CompareOp::Equal, AttributeValue::Integer(number)) => {
            (u32::try_from(*number).map_or(IndexLookup::Union(Vec::new()), IndexLookup::Number), false)
        }
        (Field::Active, None, CompareOp::Equal, AttributeValue::Bool(active)) => (IndexLookup::Active(*active), true),
        (Field::Updated, None, op, AttributeValue::Time(time)) => {
            let next = time.0.saturating_add(1);
            let (from, to) = match op {
                CompareOp::Equal => (time.0, next),
                CompareOp::Greater => (next, i64::MAX),
                CompareOp::GreaterOrEqual => (time.0, i64::MAX),
                CompareOp::Less => (i64::MIN, time.0),
                CompareOp::LessOrEqual => (i64::MIN, next),
                _ => return None,
            };
            (IndexLookup::UpdatedRange(from, to), true)
        }
        _ => return None,
    };
    Some(planned)
}

/// The range ends with the text directly after the key.
fn login_lookup(key: &str) -> IndexLookup {
    IndexLookup::UniqueKeys(LOGINS, key.to_owned(), format!("{key}\0"))
}

/// A malformed id matches nothing.
fn id_lookup(text: &str, source: impl FnOnce(Uuid) -> IndexLookup) -> IndexLookup {
    Uuid::try_parse(text).map_or(IndexLookup::Union(Vec::new()), source)
}

impl IndexLookup {
    /// Whether it finds a handful at most.
    pub fn is_selective(&self) -> bool {
        match self {
            Self::UniqueKeys(..) | Self::SecondaryEmail(_) | Self::Id(_) | Self::Number(_) => true,
            Self::Union(sources) => sources.iter().all(Self::is_selective),
            Self::Active(_) | Self::UpdatedRange(..) | Self::Member(..) => false,
        }
    }

    fn cost_rank(&self) -> u8 {
        match self {
            _ if self.is_selective() => 0,
            Self::Member(..) => 1,
            Self::UpdatedRange(..) => 2,
            _ => 3,
        }
    }
}

/// An index that finds a few items.
pub enum ItemIndexLookup {
    Ids(Vec<Uuid>),
    /// The name key.
    Name(String),
    /// A namespace and a range in it; the end is exclusive.
    UniqueKeys(u8, String, String),
}

pub fn plan_items(query: &ItemQuery) -> Option<ItemIndexLookup> {
    query.predicates.iter().find_map(|test| match test {
        ItemPredicate::Filter(filter) => plan_item_filter(query.kind, filter),
        _ => None,
    })
}

/// Whether the query needs no scan of the items of a kind.
pub fn is_short_item_read(query: &ItemQuery) -> bool {
    matches!(query.kind, ItemKind::Role | ItemKind::Department) || plan_items(query).is_some()
}

fn plan_item_filter(kind: ItemKind, filter: &Filter) -> Option<ItemIndexLookup> {
    let test = match filter {
        Filter::All(filters) => return filters.iter().find_map(|filter| plan_item_filter(kind, filter)),
        Filter::Comparison(test) if test.op == CompareOp::Equal && test.field != Field::Id => test,
        filter => return filter_ids(filter).map(ItemIndexLookup::Ids),
    };
    let AttributeValue::Text(text) = &test.value else { return None };
    match test.field {
        Field::Name => Some(ItemIndexLookup::Name(Item::name_key(kind, text))),
        Field::ExternalId => {
            let claim = unique_keys::of_key(kind, &ItemKey::ExternalId(text.to_string()))?;
            let (from, to) = unique_keys::external_id_key_range(&identifier_key(text));
            Some(ItemIndexLookup::UniqueKeys(claim.namespace, from, to))
        }
        _ => None,
    }
}

/// The ids that the filter allows; `None` if it tests anything else. A malformed id matches nothing.
fn filter_ids(filter: &Filter) -> Option<Vec<Uuid>> {
    match filter {
        Filter::Any(filters) => {
            let ids = filters.iter().map(filter_ids).collect::<Option<Vec<_>>>()?.concat();
            (ids.len() <= MAX_IDS).then_some(ids)
        }
        Filter::Comparison(test) if test.field == Field::Id && test.op == CompareOp::Equal => match &test.value {
            AttributeValue::Text(text) => Some(Uuid::try_parse(text).into_iter().collect()),
            _ => None,
        },
        _ => None,
    }
}

/// Maximum number of ids looked up one by one; SQLite binds at most 32,766 values.
const MAX_IDS: usize = 20_000;

/// The value of the column `active`: 1 or 0; 2 if the attribute was cleared.
pub fn active_code(user: &User) -> u8 {
    if user.active_cleared { 2 } else { matches!(user.status, Status::Active | Status::Invited).into() }
}
