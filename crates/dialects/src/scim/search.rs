//! Questions for many: `GET /Users`, `GET /Groups`, and their `.search`.
//!
//! Pages are by index or by cursor. A cursor is a sealed place in the order; an index is turned into the place where
//! the page before it ended, where we know that ([`crate::kit::PagePositions`]), so that a walk misses nobody when others are
//! deleted meanwhile. `totalResults` of such a page counts from there, so that a client which walks up to it comes
//! to the end.

use super::groups::Pieces;
use super::schema::{Named, find};
use super::select::Selection;
use super::wire::{GROUPS, Resource, USERS};
use super::write::{self, Heading};
use super::{filter, labels, memberships, pages, read};
use crate::kit::{
    AppState, DialectRequest, DialectResponse, Duplicates, ListKey, Node, OutputValue, RequestError,
    ValueType, json,
};
use directory::{
    Caller, Field, Filter, Item, ItemKind, ItemPageBoundary, ItemPredicate, ItemQuery, Labels, Page,
    PageBoundary, Sort, SortKey, SortPosition, User, UserPredicate, UserQuery,
};
use http::StatusCode;
use std::sync::Arc;

/// How many a page holds when nobody says.
pub(super) const USUAL: u32 = 100;
/// How many a page holds at the most.
pub(super) const MOST: u32 = 1_000;
/// How long a cursor is good, in seconds.
pub(super) const CURSOR_SECONDS: i64 = 3_600;
/// How deep a sorted list may be counted into; behind that, cursors lead on.
const SORTED_MOST: u64 = 10_000;

/// What was asked.
pub(super) struct Asked {
    filter: Option<String>,
    sort_by: Option<String>,
    descending: bool,
    start: u64,
    count: Option<u32>,
    /// `Some("")` asks for the first page by cursor.
    cursor: Option<String>,
    only: Option<String>,
    not: Option<String>,
    is_strict: bool,
    /// The longest filter, in characters.
    longest: usize,
}

fn bad(code: &'static str, text: impl Into<String>) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, code, text)
}

impl Asked {
    /// In the query of a GET.
    fn by_query(call: &DialectRequest) -> Result<Self, RequestError> {
        // Several lists of attributes are one.
        let get = |name: &str| match name {
            "attributes" | "excludedAttributes" => call.query.get_joined(name),
            name => call.query.get(name).map(str::to_owned),
        };
        let has_cursor = call.query.pairs().any(|(name, _)| name.eq_ignore_ascii_case("cursor"));
        let asked = Self::new(get, has_cursor.then(|| get("cursor").unwrap_or_default()))?;
        Ok(Self { is_strict: read::is_strict(call), ..asked })
    }

    /// In the body of a POST.
    pub(super) fn by_body(call: &DialectRequest) -> Result<Self, RequestError> {
        let object = read::object(call)?;
        let get = |name: &str| match object.get(name, Duplicates::LastWins)? {
            Node::Text(text) | Node::Number(text) => Some(text.clone()),
            Node::List(_) => Selection::text(object, name),
            _ => None,
        };
        let asked = Self::new(get, get("cursor"))?;
        Ok(Self { is_strict: read::is_strict(call), longest: filter::MAX_LENGTH_IN_BODY, ..asked })
    }

    fn new(get: impl Fn(&str) -> Option<String>, cursor: Option<String>) -> Result<Self, RequestError> {
        let by_cursor = cursor.is_some();
        let number = |name: &str| -> Result<Option<i64>, RequestError> {
            let Some(text) = get(name) else { return Ok(None) };
            let code = if by_cursor && name == "count" { "invalidCount" } else { "invalidValue" };
            let number = text.trim().parse();
            let number = number.map_err(|_| bad(code, format!("{name} must be a whole number")))?;
            Ok(Some(number))
        };
        let descending = match get("sortOrder").map(|order| order.to_ascii_lowercase()).as_deref() {
            None | Some("ascending") => false,
            Some("descending") => true,
            Some(_) => return Err(bad("invalidValue", "sortOrder must be ascending or descending")),
        };
        let start = number("startIndex")?;
        let count = number("count")?;
        if cursor.is_some() {
            if start.is_some() {
                return Err(bad("invalidValue", "startIndex and cursor exclude one another"));
            }
            if count.is_some_and(|count| count > i64::from(MOST)) {
                return Err(bad("invalidCount", format!("count must be between 0 and {MOST}")));
            }
        }
        let at_least = |number: i64, least: i64| u64::try_from(number.max(least)).unwrap_or(0);
        Ok(Self {
            filter: get("filter").filter(|filter| !filter.trim().is_empty()),
            sort_by: get("sortBy").filter(|name| !name.trim().is_empty()),
            descending,
            start: start.map_or(1, |start| at_least(start, 1)),
            count: count.map(|count| u32::try_from(at_least(count, 0)).unwrap_or(MOST).min(MOST)),
            cursor,
            only: get("attributes"),
            not: get("excludedAttributes"),
            is_strict: false,
            longest: filter::MAX_LENGTH,
        })
    }

    fn count(&self) -> u32 {
        self.count.unwrap_or(USUAL)
    }

    fn selection(&self, resource: &'static Resource) -> Result<Selection, RequestError> {
        Selection::new(self.only.as_deref(), self.not.as_deref(), resource)
    }

    fn filter(&self, resource: &'static Resource) -> Result<Option<Filter>, RequestError> {
        let parse = |text: &String| filter::parse(text, resource, self.is_strict, self.longest);
        self.filter
            .as_ref()
            .map(parse)
            .transpose()
            .map_err(|wrong| bad("invalidFilter", wrong.sentence("filter")))
    }

    /// What a cursor or a walk is bound to: whose directory, and what was asked.
    fn question(&self, caller: &Caller, resource: &Resource) -> String {
        let Self { filter, sort_by, descending, .. } = self;
        format!("{}|{}|{filter:?}|{sort_by:?}|{descending}", caller.tenant, resource.name)
    }

    fn sort(&self, resource: &'static Resource) -> Result<Sort, RequestError> {
        let Some(name) = &self.sort_by else { return Ok(Sort::default()) };
        let wrong = || bad("invalidPath", format!("sortBy: there is no order by {name}"));
        let Some(Named::Attribute(attribute)) = find(resource, name) else { return Err(wrong()) };
        // A plural is sorted by its preferred value (RFC 7644 section 3.4.2.3).
        let key = match (attribute.member.field, attribute.last().field) {
            (Some(Field::Emails), _) => SortKey::Text(Field::Email),
            (Some(Field::Phones), _) => SortKey::Text(Field::WorkPhone),
            (Some(Field::Photos), _) => SortKey::Text(Field::Photo),
            (Some(Field::Active | Field::Status), _) => SortKey::Status,
            (_, Some(Field::Created)) => SortKey::Created,
            (_, Some(Field::Updated)) => SortKey::Updated,
            (_, Some(Field::Invited)) => SortKey::Invited,
            (_, Some(Field::LastActivity)) => SortKey::LastActivity,
            // Identities rise with time, as numbers do.
            (_, Some(Field::Id | Field::Number)) => SortKey::Number,
            (_, Some(Field::Organization)) => SortKey::Organization(Arc::default()),
            (_, Some(Field::SocialLinks | Field::CustomLinks | Field::Metadata | Field::Password)) => {
                return Err(wrong());
            }
            (Some(_), _) if attribute.is_plural() => return Err(wrong()),
            // A place in the order must fit into a cursor.
            (_, Some(field))
                if directory::max_chars(field) <= 2_048
                    && matches!(attribute.last().value_type, ValueType::Text | ValueType::Reference(_)) =>
            {
                SortKey::Text(field)
            }
            _ => return Err(wrong()),
        };
        // Who has no value comes last, and first from the end (RFC 7644 section 3.4.2.3).
        Ok(Sort { key, descending: self.descending, nulls_last: true })
    }
}

pub(super) async fn users_by_query(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    users(desk, call, &Asked::by_query(call)?).await
}

pub(super) async fn users_by_body(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    users(desk, call, &Asked::by_body(call)?).await
}

pub(super) async fn groups_by_query(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    groups(desk, call, &Asked::by_query(call)?).await
}

pub(super) async fn groups_by_body(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    groups(desk, call, &Asked::by_body(call)?).await
}

/// Where a page begins.
struct Begin {
    bound: Option<PageBoundary>,
    skip: u64,
    /// The place an index page was found to begin behind.
    walked: Option<SortPosition>,
    /// How many the page holds at the most.
    count: u32,
}

/// Turns a cursor or an index into where the page begins.
async fn begin(
    desk: &AppState,
    call: &DialectRequest,
    asked: &Asked,
    resource: &'static Resource,
    sort: &Sort,
) -> Result<Begin, RequestError> {
    let question = asked.question(call.caller()?, resource);
    match asked.cursor.as_deref() {
        Some("") => Ok(Begin { bound: None, skip: 0, walked: None, count: asked.count() }),
        Some(sealed) => {
            let keys = desk.token_keys.get_or_derive(&desk.directory).await?;
            let wrong = || bad("invalidCursor", "The cursor is not one of this question's");
            let text = keys.decrypt_cursor(sealed, &question).ok_or_else(wrong)?;
            let cursor: Cursor = serde_json::from_str(&text).map_err(|_| wrong())?;
            if desk.directory.now().0 / 1_000_000 >= cursor.end {
                return Err(bad("expiredCursor", format!("A cursor is good for {CURSOR_SECONDS} seconds")));
            }
            if asked.count.is_some_and(|count| count != cursor.count) {
                return Err(bad(
                    "invalidCount",
                    format!("count must stay {} with this cursor", cursor.count),
                ));
            }
            let place = SortPosition {
                text: cursor.text,
                time: cursor.time.map(directory::Time),
                number: cursor.number,
            };
            let bound =
                if cursor.is_backward { PageBoundary::Before(place) } else { PageBoundary::After(place) };
            Ok(Begin { bound: Some(bound), skip: 0, walked: None, count: cursor.count })
        }
        None => {
            let walk = walk(call, &question)?;
            let place = walk
                .and_then(|walk| desk.page_positions.position(walk, asked.start, sort, desk.directory.now()));
            let count = asked.count();
            Ok(match place {
                Some(place) => {
                    let bound = Some(PageBoundary::After(place.clone()));
                    Begin { bound, skip: 0, walked: Some(place), count }
                }
                None => Begin { bound: None, skip: asked.start - 1, walked: None, count },
            })
        }
    }
}

fn walk(call: &DialectRequest, question: &str) -> Result<Option<ListKey>, RequestError> {
    Ok(call.caller()?.connection.map(|connection| ListKey::new(connection, question)))
}

/// What a cursor says, before it is sealed.
#[derive(serde::Serialize, serde::Deserialize)]
struct Cursor {
    text: Option<String>,
    time: Option<i64>,
    number: u32,
    is_backward: bool,
    count: u32,
    end: i64,
}

/// The heading of a page between two places, with cursors or an index.
async fn heading(
    desk: &AppState,
    call: &DialectRequest,
    asked: &Asked,
    resource: &'static Resource,
    begin: &Begin,
    page: (u64, u64, usize),
    ends: Option<(SortPosition, SortPosition)>,
) -> Result<Heading, RequestError> {
    let (total, before, rows) = page;
    let has_next = before + (rows as u64) < total && rows > 0;
    let question = asked.question(call.caller()?, resource);
    let now = desk.directory.now();
    if asked.cursor.is_none() {
        let last = ends.map(|(_, last)| last);
        let next = last.filter(|_| has_next).map(|last| (asked.start + rows as u64, last));
        if let Some(walk) = walk(call, &question)? {
            desk.page_positions.record_page(walk, asked.start, begin.walked.as_ref(), next, now);
        }
        // What is behind this page is where it was when the walk began, whoever is gone in front of it.
        let total = if begin.walked.is_some() { asked.start - 1 + (total - before) } else { total };
        return Ok(Heading { total, start: Some(asked.start), next: None, previous: None });
    }
    let keys = desk.token_keys.get_or_derive(&desk.directory).await?;
    let count = begin.count;
    let seal = |place: SortPosition, is_backward: bool| {
        let SortPosition { text, time, number } = place;
        let end = now.0 / 1_000_000 + CURSOR_SECONDS;
        let cursor = Cursor { text, time: time.map(|time| time.0), number, is_backward, count, end };
        let text = serde_json::to_string(&cursor)
            .map_err(|error| directory::DirectoryError::Internal(error.to_string()))?;
        keys.encrypt_cursor(&text, &question)
    };
    let (first, last) = ends.unzip();
    let next = last.filter(|_| has_next).map(|place| seal(place, false)).transpose()?;
    let previous = first.filter(|_| before > 0).map(|place| seal(place, true)).transpose()?;
    Ok(Heading { total, start: None, next, previous })
}

async fn users(
    desk: &AppState,
    call: &DialectRequest,
    asked: &Asked,
) -> Result<DialectResponse, RequestError> {
    let selection = asked.selection(&USERS)?;
    let filter = asked.filter(&USERS)?;
    let mut sort = asked.sort(&USERS)?;
    if let SortKey::Organization(names) = &mut sort.key {
        let all = desk.directory.items(call.caller()?, ItemQuery::all(ItemKind::Organization)).await?.rows;
        *names = Arc::new(all.iter().map(|item| (item.id(), item.name().to_owned())).collect());
    }
    let begin = begin(desk, call, asked, &USERS, &sort).await?;
    let query = UserQuery {
        predicates: user_tests(desk, call, filter).await?,
        sort,
        offset: begin.skip,
        limit: begin.count,
        boundary: begin.bound.clone(),
    };
    if !query.sort.is_by_number() && query.offset > SORTED_MOST {
        return Err(bad("tooMany", format!("A sorted list is counted up to {SORTED_MOST}; use a cursor")));
    }
    let sort = query.sort.clone();
    let page: Page<User> = pages::read(desk, call, query).await?;
    let ends =
        page.rows.first().zip(page.rows.last()).map(|(a, b)| (sort.position_of(a), sort.position_of(b)));
    let figures = (page.total, page.offset, page.rows.len());
    let heading = heading(desk, call, asked, &USERS, &begin, figures, ends).await?;
    let resources = written(desk, call, &page.rows, &selection).await?;
    Ok(write::list(call, heading, resources))
}

async fn written(
    desk: &AppState,
    call: &DialectRequest,
    users: &[User],
    selection: &Selection,
) -> Result<Vec<OutputValue>, RequestError> {
    let labels = labels::of(desk, call, users, selection).await?;
    let base = write::base(call);
    Ok(users.iter().map(|user| write::user(&base, user, &labels, selection)).collect())
}

/// A filter as conditions of the core, with what references are called where it asks by that.
async fn user_tests(
    desk: &AppState,
    call: &DialectRequest,
    filter: Option<Filter>,
) -> Result<Vec<UserPredicate>, RequestError> {
    let Some(filter) = filter else { return Ok(Vec::new()) };
    let mut labels = Labels::default();
    let kinds = [
        (Field::Groups, ItemKind::Group),
        (Field::Folders, ItemKind::Folder),
        (Field::Organization, ItemKind::Organization),
    ];
    for (field, kind) in kinds {
        if names(&filter, field) {
            let all = desk.directory.items(call.caller()?, ItemQuery::all(kind)).await?.rows;
            labels.items.extend(all.iter().map(|item| (item.id(), item.name().to_owned())));
        }
    }
    if filter.references_field(Field::Roles) {
        let own = desk.directory.items(call.caller()?, ItemQuery::all(ItemKind::Role)).await?.rows;
        labels.roles = own.iter().map(|role| (role.number(), role.name().to_owned())).collect();
    }
    Ok(vec![UserPredicate::Filter(Arc::new(filter), Arc::new(labels))])
}

/// Whether a filter asks what a reference is called, and not just which it is.
fn names(filter: &Filter, field: Field) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(|filter| names(filter, field)),
        Filter::Not(filter) => names(filter, field),
        Filter::Comparison(test) => test.field == field && test.sub_attribute != Some(Field::Value),
        Filter::ValuePath(entry, filter) => *entry == field && filter.references_field(Field::Display),
    }
}

async fn groups(
    desk: &AppState,
    call: &DialectRequest,
    asked: &Asked,
) -> Result<DialectResponse, RequestError> {
    let selection = asked.selection(&GROUPS)?;
    let filter = asked.filter(&GROUPS)?;
    let sort = asked.sort(&GROUPS)?;
    let begin = begin(desk, call, asked, &GROUPS, &sort).await?;
    let page = group_page(desk, call, filter, &sort, &begin).await?;
    let place = |item: &Item| place_of(item, &sort);
    let ends = page.rows.first().zip(page.rows.last()).map(|(a, b)| (place(a), place(b)));
    let figures = (page.total, page.offset, page.rows.len());
    let heading = heading(desk, call, asked, &GROUPS, &begin, figures, ends).await?;
    let head = json::write(&OutputValue::object(write::list_head(heading, page.rows.len())));
    let mut pieces = Pieces::new(desk, call, &selection)?;
    pieces.text(head.strip_suffix('}').unwrap_or(&head));
    pieces.text(",\"Resources\":[");
    for (n, item) in page.rows.iter().enumerate() {
        if n > 0 {
            pieces.text(",");
        }
        pieces.group(item, &selection);
    }
    pieces.text("]}");
    Ok(write::raw(call, pieces.content().await?))
}

fn place_of(item: &Item, sort: &Sort) -> SortPosition {
    let (mut text, mut time) = (None, None);
    match sort.key {
        SortKey::Text(Field::Name) => text = Some(directory::fold(item.name())),
        SortKey::Text(Field::ExternalId) => text = item.external_id().map(directory::fold),
        SortKey::Created => time = Some(item.created()),
        SortKey::Updated => time = Some(item.updated()),
        _ => {}
    }
    SortPosition { text, time, number: item.number() }
}

/// A page of groups. In order of arrival the engine cuts it; any other order is made here, of all that match.
async fn group_page(
    desk: &AppState,
    call: &DialectRequest,
    filter: Option<Filter>,
    sort: &Sort,
    begin: &Begin,
) -> Result<Page<Item>, RequestError> {
    let mut query = ItemQuery::all(ItemKind::Group);
    if let Some(filter) = filter {
        query.predicates.push(ItemPredicate::Filter(Arc::new(memberships::of(desk, call, filter).await?)));
    }
    if sort.is_by_number() {
        query.boundary = begin.bound.as_ref().map(|bound| match bound {
            PageBoundary::After(place) => ItemPageBoundary::After(place.number),
            PageBoundary::Before(place) => ItemPageBoundary::Before(place.number),
        });
        (query.offset, query.limit) = (begin.skip, begin.count);
        return Ok(desk.directory.items(call.caller()?, query).await?);
    }
    let mut all = desk.directory.items(call.caller()?, query).await?.rows;
    let order = |a: &SortPosition, b: &SortPosition| sort.compare(a, b);
    all.sort_by(|a, b| order(&place_of(a, sort), &place_of(b, sort)));
    let total = all.len();
    let limit = begin.count as usize;
    let before = match &begin.bound {
        None => usize::try_from(begin.skip).unwrap_or(usize::MAX).min(total),
        Some(PageBoundary::After(place)) => {
            all.partition_point(|item| order(&place_of(item, sort), place).is_le())
        }
        Some(PageBoundary::Before(place)) => {
            let end = all.partition_point(|item| order(&place_of(item, sort), place).is_lt());
            all.truncate(end);
            end.saturating_sub(limit)
        }
    };
    let rows = all.into_iter().skip(before).take(limit).collect();
    Ok(Page { rows, total: total as u64, offset: before as u64 })
}

/// `/.search`: people and then groups, as one list by index.
pub(super) async fn everything(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let asked = Asked::by_body(call)?;
    if asked.cursor.is_some() || asked.sort_by.is_some() {
        return Err(bad("invalidValue", "Over several types there are neither cursors nor an order"));
    }
    // What one type does not have, none of it meets; what no type has is wrong.
    let (of_users, of_groups) = (asked.filter(&USERS), asked.filter(&GROUPS));
    if let (Err(fault), Err(_)) = (&of_users, &of_groups) {
        return Err(fault.clone());
    }
    let (skip, limit) = (asked.start - 1, asked.count());
    let mut people = Page { rows: Vec::new(), total: 0, offset: 0 };
    if let Ok(filter) = of_users {
        let tests = user_tests(desk, call, filter).await?;
        let query = UserQuery { predicates: tests, offset: skip, limit, ..UserQuery::default() };
        people = pages::read(desk, call, query).await?;
    }
    let mut resources = written(desk, call, &people.rows, &asked.selection(&USERS)?).await?;
    let mut total = people.total;
    if let Ok(filter) = of_groups {
        // Groups come behind the last user.
        let is_last = skip + people.rows.len() as u64 >= people.total;
        let count = if is_last { limit - u32::try_from(people.rows.len()).unwrap_or(limit) } else { 0 };
        let begin = Begin { bound: None, skip: skip.saturating_sub(people.total), walked: None, count };
        let found = group_page(desk, call, filter, &Sort::default(), &begin).await?;
        let selection = asked.selection(&GROUPS)?;
        let base = write::base(call);
        total += found.total;
        resources.extend(found.rows.iter().map(|item| write::group(&base, item, &selection)));
    }
    let heading = Heading { total, start: Some(asked.start), next: None, previous: None };
    Ok(write::list(call, heading, resources))
}
