//! How people and items are found: which index serves a question, if any, on either engine. What an index finds is still checked
//! against the whole question, so a plan may find too many, and never too few.

use crate::claims::{self, HANDLES, USER_EXTERNAL_IDS};
use directory::{
    AttributeValue, CompareOp, Comparison, Field, Filter, Item, ItemId, ItemKey, ItemKind, ItemPredicate,
    ItemQuery, Status, User, UserId, UserPredicate, UserQuery, identifier_key,
};
use uuid::Uuid;

/// An index and where in it to look.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// Claims of a space from one text up to another, the second not included.
    Claims(u8, String, String),
    /// E-mails besides the preferred one.
    Mentions(String),
    /// The identity.
    Id(UserId),
    /// The number.
    Number(u32),
    /// Whether they are switched on.
    Active(bool),
    /// When they last changed: from, and up to but not including.
    Updated(i64, i64),
    /// Who belongs to an item of a kind.
    Member(ItemKind, ItemId),
    /// What any of these finds.
    Several(Vec<Source>),
}

/// The best index for a question, and whether it finds exactly what was asked for.
pub(crate) fn plan(query: &UserQuery) -> Option<(Source, bool)> {
    let best = query.predicates.iter().filter_map(of_test).min_by_key(|(source, _)| source.rank());
    best.map(|(source, exact)| (source, exact && query.predicates.len() == 1))
}

fn of_test(test: &UserPredicate) -> Option<(Source, bool)> {
    match test {
        UserPredicate::Email(email) => Some((handle(email), false)),
        UserPredicate::ExternalId(id) => {
            let (from, to) = claims::external_ids_like(id);
            Some((Source::Claims(USER_EXTERNAL_IDS, from, to), false))
        }
        UserPredicate::Filter(filter, _) => of_filter(filter),
        _ => None,
    }
}

fn of_filter(filter: &Filter) -> Option<(Source, bool)> {
    match filter {
        Filter::All(filters) => {
            let best = filters.iter().filter_map(of_filter).min_by_key(|(source, _)| source.rank());
            best.map(|(source, exact)| (source, exact && filters.len() == 1))
        }
        Filter::Any(filters) => {
            let sources: Option<Vec<Source>> = filters.iter().map(|f| of_filter(f).map(|(s, _)| s)).collect();
            // The union of long lists would cost more than a walk.
            sources.filter(|all| all.iter().all(Source::is_short)).map(|all| (Source::Several(all), false))
        }
        Filter::Not(_) => None,
        Filter::Comparison(test) => of_comparison(test.field, test.sub_attribute, test),
        Filter::ValuePath(field, filter) => of_entry(*field, filter).map(|source| (source, false)),
    }
}

/// One entry of a plural that must have a certain value.
fn of_entry(field: Field, filter: &Filter) -> Option<Source> {
    match filter {
        Filter::All(filters) => filters.iter().find_map(|filter| of_entry(field, filter)),
        Filter::Comparison(test) => of_comparison(field, Some(test.field), test).map(|(source, _)| source),
        Filter::Any(_) | Filter::Not(_) | Filter::ValuePath(..) => None,
    }
}

fn of_comparison(field: Field, part: Option<Field>, test: &Comparison) -> Option<(Source, bool)> {
    let found = match (field, part, test.op, &test.value) {
        (Field::UserName, None, CompareOp::Equal, AttributeValue::Text(name)) => {
            (handle(&identifier_key(name)), false)
        }
        (Field::Emails, Some(Field::Value), CompareOp::Equal, AttributeValue::Text(email)) => {
            let email = identifier_key(email);
            (Source::Several(vec![handle(&email), Source::Mentions(email)]), false)
        }
        (Field::ExternalId, None, CompareOp::Equal, AttributeValue::Text(id)) => {
            let (from, to) = claims::external_ids_like(&identifier_key(id));
            (Source::Claims(USER_EXTERNAL_IDS, from, to), false)
        }
        (Field::Id, None, CompareOp::Equal, AttributeValue::Text(id)) => {
            (id_source(id, |id| Source::Id(UserId(id))), false)
        }
        (Field::Groups | Field::Folders, Some(Field::Value), CompareOp::Equal, AttributeValue::Text(id)) => {
            let kind = if field == Field::Groups { ItemKind::Group } else { ItemKind::Folder };
            // Only the usual spelling is compared equal, and so found by the index alone.
            let is_usual = Uuid::try_parse(id).is_ok_and(|known| known.to_string() == **id);
            (id_source(id, |id| Source::Member(kind, ItemId(id))), is_usual)
        }
        (Field::Number, None, CompareOp::Equal, AttributeValue::Integer(number)) => {
            (u32::try_from(*number).map_or(Source::Several(Vec::new()), Source::Number), false)
        }
        (Field::Active, None, CompareOp::Equal, AttributeValue::Bool(active)) => {
            (Source::Active(*active), true)
        }
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
            (Source::Updated(from, to), true)
        }
        _ => return None,
    };
    Some(found)
}

/// Whoever signs in with this; the text right behind it ends the range.
fn handle(key: &str) -> Source {
    Source::Claims(HANDLES, key.to_owned(), format!("{key}\0"))
}

/// What is no identity is nobody's.
fn id_source(text: &str, source: impl FnOnce(Uuid) -> Source) -> Source {
    Uuid::try_parse(text).map_or(Source::Several(Vec::new()), source)
}

impl Source {
    /// Whether it finds a handful at the most.
    pub(crate) fn is_short(&self) -> bool {
        match self {
            Self::Claims(..) | Self::Mentions(_) | Self::Id(_) | Self::Number(_) => true,
            Self::Several(sources) => sources.iter().all(Self::is_short),
            Self::Active(_) | Self::Updated(..) | Self::Member(..) => false,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            _ if self.is_short() => 0,
            Self::Member(..) => 1,
            Self::Updated(..) => 2,
            _ => 3,
        }
    }
}

/// An index that finds the few items that are asked for.
pub(crate) enum Few {
    /// Those of some identities.
    Ids(Vec<Uuid>),
    /// Those of a name, in the form in which it is compared.
    Named(String),
    /// Those that claim something in a space, from one text up to another.
    Claims(u8, String, String),
}

/// The index that serves a question for items, if any.
pub(crate) fn few(query: &ItemQuery) -> Option<Few> {
    query.predicates.iter().find_map(|test| match test {
        ItemPredicate::Filter(filter) => few_of(query.kind, filter),
        _ => None,
    })
}

/// Whether an answer takes no walk over the items of a kind.
pub(crate) fn items_are_few(query: &ItemQuery) -> bool {
    matches!(query.kind, ItemKind::Role | ItemKind::Department) || few(query).is_some()
}

fn few_of(kind: ItemKind, filter: &Filter) -> Option<Few> {
    let test = match filter {
        Filter::All(filters) => return filters.iter().find_map(|filter| few_of(kind, filter)),
        Filter::Comparison(test) if test.op == CompareOp::Equal && test.field != Field::Id => test,
        filter => return ids_of(filter).map(Few::Ids),
    };
    let AttributeValue::Text(text) = &test.value else { return None };
    match test.field {
        Field::Name => Some(Few::Named(Item::name_key(kind, text))),
        Field::ExternalId => {
            let claim = claims::of_key(kind, &ItemKey::ExternalId(text.to_string()))?;
            let (from, to) = claims::external_ids_like(&identifier_key(text));
            Some(Few::Claims(claim.space, from, to))
        }
        _ => None,
    }
}

/// The ids of which an item must have one; `None` where a filter asks anything else. What is no id is nobody's.
fn ids_of(filter: &Filter) -> Option<Vec<Uuid>> {
    match filter {
        Filter::Any(filters) => {
            let ids = filters.iter().map(ids_of).collect::<Option<Vec<_>>>()?.concat();
            (ids.len() <= MAX_IDS).then_some(ids)
        }
        Filter::Comparison(test) if test.field == Field::Id && test.op == CompareOp::Equal => {
            match &test.value {
                AttributeValue::Text(text) => Some(Uuid::try_parse(text).into_iter().collect()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// How many ids are looked up one by one; SQLite binds no more than 32,766 values.
const MAX_IDS: usize = 20_000;

/// Whether somebody is switched on, as the index of that name holds it: 1, 0, and 2 where nobody says.
pub(crate) fn is_active(user: &User) -> u8 {
    if user.active_cleared { 2 } else { matches!(user.status, Status::Active | Status::Invited).into() }
}
