//! Lists and searches: `GET /Users`, `GET /Groups` and their `.search`.
//!
//! Pages are requested by index or by encrypted cursor. An index is replaced by the position where the previous
//! page ended, if known ([`crate::kit::PagePositions`]), so that clients miss no users when others are deleted
//! meanwhile. `totalResults` of such a page counts from there, so that clients reach the end.

use super::groups::JsonStream;
use super::projection::Projection;
use super::schema::{ResolvedName, find};
use super::wire::{GROUP_TYPE, ResourceType, USER_TYPE};
use super::write::{self, PageInfo};
use super::{filter, labels, member_filter, read, user_pages};
use crate::kit::{
    AppState, DialectRequest, DialectResponse, Duplicates, ListKey, Node, OutputValue, RequestError, ValueType, json,
};
use directory::{
    Caller, Field, Filter, Item, ItemKind, ItemPageBoundary, ItemPredicate, ItemQuery, Labels, Page, PageBoundary,
    Sort, SortKey, SortPosition, User, UserPredicate, UserQuery,
};
use http::StatusCode;
use std::sync::Arc;

pub(super) const DEFAULT_PAGE_SIZE: u32 = 100;
pub(super) const MAX_PAGE_SIZE: u32 = 1_000;
pub(super) const CURSOR_LIFETIME_SECONDS: i64 = 3_600;
const MAX_SORTED_OFFSET: u64 = 10_000;

pub(super) struct SearchRequest {
    filter: Option<String>,
    sort_by: Option<String>,
    descending: bool,
    start_index: u64,
    count: Option<u32>,
    /// `Some("")` asks for the first page by cursor.
    cursor: Option<String>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
    is_strict: bool,
    max_filter_length: usize,
}

fn bad_request(code: &'static str, text: impl Into<String>) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, code, text)
}

impl SearchRequest {
    fn from_query(request: &DialectRequest) -> Result<Self, RequestError> {
        // Repeated lists of attributes are joined.
        let get = |name: &str| match name {
            "attributes" | "excludedAttributes" => request.query.get_joined(name),
            name => request.query.get(name).map(str::to_owned),
        };
        let has_cursor = request.query.pairs().any(|(name, _)| name.eq_ignore_ascii_case("cursor"));
        let search = Self::new(get, has_cursor.then(|| get("cursor").unwrap_or_default()))?;
        Ok(Self { is_strict: read::is_strict(request), ..search })
    }

    pub(super) fn from_body(request: &DialectRequest) -> Result<Self, RequestError> {
        let object = read::body_object(request)?;
        let get = |name: &str| match object.get(name, Duplicates::LastWins)? {
            Node::Text(text) | Node::Number(text) => Some(text.clone()),
            Node::List(_) => Projection::attribute_list(object, name),
            _ => None,
        };
        let search = Self::new(get, get("cursor"))?;
        Ok(Self { is_strict: read::is_strict(request), max_filter_length: filter::MAX_LENGTH_IN_BODY, ..search })
    }

    fn new(get: impl Fn(&str) -> Option<String>, cursor: Option<String>) -> Result<Self, RequestError> {
        let by_cursor = cursor.is_some();
        let number = |name: &str| -> Result<Option<i64>, RequestError> {
            let Some(text) = get(name) else { return Ok(None) };
            let code = if by_cursor && name == "count" { "invalidCount" } else { "invalidValue" };
            let number = text.trim().parse();
            let number = number.map_err(|_| bad_request(code, format!("{name} must be an integer")))?;
            Ok(Some(number))
        };
        let descending = match get("sortOrder").map(|order| order.to_ascii_lowercase()).as_deref() {
            None | Some("ascending") => false,
            Some("descending") => true,
            Some(_) => return Err(bad_request("invalidValue", "sortOrder must be ascending or descending")),
        };
        let start = number("startIndex")?;
        let count = number("count")?;
        if cursor.is_some() {
            if start.is_some() {
                return Err(bad_request("invalidValue", "startIndex and cursor cannot be combined"));
            }
            if count.is_some_and(|count| count > i64::from(MAX_PAGE_SIZE)) {
                return Err(bad_request("invalidCount", format!("count must be between 0 and {MAX_PAGE_SIZE}")));
            }
        }
        let at_least = |number: i64, least: i64| u64::try_from(number.max(least)).unwrap_or(0);
        Ok(Self {
            filter: get("filter").filter(|filter| !filter.trim().is_empty()),
            sort_by: get("sortBy").filter(|name| !name.trim().is_empty()),
            descending,
            start_index: start.map_or(1, |start| at_least(start, 1)),
            count: count.map(|count| u32::try_from(at_least(count, 0)).unwrap_or(MAX_PAGE_SIZE).min(MAX_PAGE_SIZE)),
            cursor,
            attributes: get("attributes"),
            excluded_attributes: get("excludedAttributes"),
            is_strict: false,
            max_filter_length: filter::MAX_LENGTH,
        })
    }

    fn count(&self) -> u32 {
        self.count.unwrap_or(DEFAULT_PAGE_SIZE)
    }

    fn projection(&self, resource: &'static ResourceType) -> Result<Projection, RequestError> {
        Projection::new(self.attributes.as_deref(), self.excluded_attributes.as_deref(), resource)
    }

    fn filter(&self, resource: &'static ResourceType) -> Result<Option<Filter>, RequestError> {
        let parse = |text: &String| filter::parse(text, resource, self.is_strict, self.max_filter_length);
        self.filter
            .as_ref()
            .map(parse)
            .transpose()
            .map_err(|invalid| bad_request("invalidFilter", invalid.message("filter")))
    }

    /// Cursors and remembered positions are valid only for the same tenant and query.
    fn query_key(&self, caller: &Caller, resource: &ResourceType) -> String {
        let Self { filter, sort_by, descending, .. } = self;
        format!("{}|{}|{filter:?}|{sort_by:?}|{descending}", caller.tenant, resource.name)
    }

    fn sort(&self, resource: &'static ResourceType) -> Result<Sort, RequestError> {
        let Some(name) = &self.sort_by else { return Ok(Sort::default()) };
        let invalid = || bad_request("invalidPath", format!("sortBy: cannot sort by {name}"));
        let Some(ResolvedName::Attribute(attribute)) = find(resource, name) else { return Err(invalid()) };
        // Multi-valued attributes sort by their primary value (RFC 7644 section 3.4.2.3).
        let key = match (attribute.property.field, attribute.leaf().field) {
            (Some(field @ (Field::Emails | Field::Phones | Field::Photos)), _) => {
                SortKey::Text(field.parts().next().unwrap_or(field))
            }
            (Some(Field::Active | Field::Status), _) => SortKey::Status,
            (_, Some(Field::Created)) => SortKey::Created,
            (_, Some(Field::Updated)) => SortKey::Updated,
            (_, Some(Field::Invited)) => SortKey::Invited,
            (_, Some(Field::LastActivity)) => SortKey::LastActivity,
            (_, Some(Field::Id | Field::Number)) => SortKey::Number,
            (_, Some(Field::Organization)) => SortKey::Organization(Arc::default()),
            (_, Some(Field::SocialLinks | Field::CustomLinks | Field::Metadata | Field::Password)) => {
                return Err(invalid());
            }
            (Some(_), _) if attribute.is_multi_valued() => return Err(invalid()),
            // Cursors contain the value, so it must be short.
            (_, Some(field))
                if directory::max_chars(field) <= 2_048
                    && matches!(attribute.leaf().value_type, ValueType::Text | ValueType::Reference(_)) =>
            {
                SortKey::Text(field)
            }
            _ => return Err(invalid()),
        };
        // Missing values sort last, or first if descending (RFC 7644 section 3.4.2.3).
        Ok(Sort { key, descending: self.descending, nulls_last: true })
    }
}

pub(super) async fn users_by_query(
    state: &AppState,
    request: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    search_users(state, request, &SearchRequest::from_query(request)?).await
}

pub(super) async fn users_by_body(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    search_users(state, request, &SearchRequest::from_body(request)?).await
}

pub(super) async fn groups_by_query(
    state: &AppState,
    request: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    search_groups(state, request, &SearchRequest::from_query(request)?).await
}

pub(super) async fn groups_by_body(
    state: &AppState,
    request: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    search_groups(state, request, &SearchRequest::from_body(request)?).await
}

struct PageStart {
    boundary: Option<PageBoundary>,
    offset: u64,
    remembered: Option<SortPosition>,
    count: u32,
}

async fn page_start(
    state: &AppState,
    request: &DialectRequest,
    search: &SearchRequest,
    resource: &'static ResourceType,
    sort: &Sort,
) -> Result<PageStart, RequestError> {
    let query_key = search.query_key(request.caller()?, resource);
    match search.cursor.as_deref() {
        Some("") => Ok(PageStart { boundary: None, offset: 0, remembered: None, count: search.count() }),
        Some(encrypted) => {
            let keys = state.token_keys.get_or_derive(&state.directory).await?;
            let invalid = || bad_request("invalidCursor", "The cursor is invalid or belongs to another query");
            let text = keys.decrypt_cursor(encrypted, &query_key).ok_or_else(invalid)?;
            let cursor: Cursor = serde_json::from_str(&text).map_err(|_| invalid())?;
            if state.directory.now().0 / 1_000_000 >= cursor.expires_at {
                return Err(bad_request("expiredCursor", format!("Expired after {CURSOR_LIFETIME_SECONDS} seconds")));
            }
            if search.count.is_some_and(|count| count != cursor.count) {
                return Err(bad_request("invalidCount", format!("count must be {} with this cursor", cursor.count)));
            }
            let position =
                SortPosition { text: cursor.text, time: cursor.time.map(directory::Time), number: cursor.number };
            let bound = if cursor.is_backward { PageBoundary::Before(position) } else { PageBoundary::After(position) };
            Ok(PageStart { boundary: Some(bound), offset: 0, remembered: None, count: cursor.count })
        }
        None => {
            let list_key = list_key(request, &query_key)?;
            let position = list_key.and_then(|list_key| {
                state.page_positions.position(list_key, search.start_index, sort, state.directory.now())
            });
            let count = search.count();
            Ok(match position {
                Some(position) => {
                    let bound = Some(PageBoundary::After(position.clone()));
                    PageStart { boundary: bound, offset: 0, remembered: Some(position), count }
                }
                None => PageStart { boundary: None, offset: search.start_index - 1, remembered: None, count },
            })
        }
    }
}

fn list_key(request: &DialectRequest, query_key: &str) -> Result<Option<ListKey>, RequestError> {
    Ok(request.caller()?.actor.connection().map(|connection| ListKey::new(connection, query_key)))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Cursor {
    text: Option<String>,
    time: Option<i64>,
    number: u32,
    is_backward: bool,
    count: u32,
    #[serde(rename = "end")]
    expires_at: i64,
}

async fn page_info(
    state: &AppState,
    request: &DialectRequest,
    search: &SearchRequest,
    resource: &'static ResourceType,
    start: &PageStart,
    page: (u64, u64, usize),
    ends: Option<(SortPosition, SortPosition)>,
) -> Result<PageInfo, RequestError> {
    let (total, before, rows) = page;
    let has_next = before + (rows as u64) < total && rows > 0;
    let query_key = search.query_key(request.caller()?, resource);
    let now = state.directory.now();
    if search.cursor.is_none() {
        let last = ends.map(|(_, last)| last);
        let next = last.filter(|_| has_next).map(|last| (search.start_index + rows as u64, last));
        if let Some(list_key) = list_key(request, &query_key)? {
            state.page_positions.record_page(list_key, search.start_index, start.remembered.as_ref(), next, now);
        }
        // Later resources keep their indexes even if earlier ones were deleted meanwhile.
        let total = if start.remembered.is_some() { search.start_index - 1 + (total - before) } else { total };
        return Ok(PageInfo {
            total_results: total,
            start_index: Some(search.start_index),
            next_cursor: None,
            previous_cursor: None,
        });
    }
    let keys = state.token_keys.get_or_derive(&state.directory).await?;
    let count = start.count;
    let encrypt_cursor = |position: SortPosition, is_backward: bool| {
        let SortPosition { text, time, number } = position;
        let end = now.0 / 1_000_000 + CURSOR_LIFETIME_SECONDS;
        let cursor = Cursor { text, time: time.map(|time| time.0), number, is_backward, count, expires_at: end };
        let text =
            serde_json::to_string(&cursor).map_err(|error| directory::DirectoryError::Internal(error.to_string()))?;
        keys.encrypt_cursor(&text, &query_key)
    };
    let (first, last) = ends.unzip();
    let next = last.filter(|_| has_next).map(|position| encrypt_cursor(position, false)).transpose()?;
    let previous = first.filter(|_| before > 0).map(|position| encrypt_cursor(position, true)).transpose()?;
    Ok(PageInfo { total_results: total, start_index: None, next_cursor: next, previous_cursor: previous })
}

async fn search_users(
    state: &AppState,
    request: &DialectRequest,
    search: &SearchRequest,
) -> Result<DialectResponse, RequestError> {
    let projection = search.projection(&USER_TYPE)?;
    let filter = search.filter(&USER_TYPE)?;
    let mut sort = search.sort(&USER_TYPE)?;
    if let SortKey::Organization(names) = &mut sort.key {
        let all = state.directory.find_items(request.caller()?, ItemQuery::all(ItemKind::Organization)).await?.rows;
        *names = Arc::new(all.iter().map(|item| (item.id(), item.name().to_owned())).collect());
    }
    let start = page_start(state, request, search, &USER_TYPE, &sort).await?;
    let query = UserQuery {
        predicates: user_predicates(state, request, filter).await?,
        sort,
        offset: start.offset,
        limit: start.count,
        boundary: start.boundary.clone(),
    };
    if !query.sort.is_by_number() && query.offset > MAX_SORTED_OFFSET {
        return Err(bad_request(
            "tooMany",
            format!("In sorted lists, startIndex is at most {}; use a cursor", MAX_SORTED_OFFSET + 1),
        ));
    }
    let sort = query.sort.clone();
    let page: Page<User> = user_pages::load(state, request, query).await?;
    let ends = page.rows.first().zip(page.rows.last()).map(|(a, b)| (sort.position_of(a), sort.position_of(b)));
    let counts = (page.total, page.offset, page.rows.len());
    let page_info = page_info(state, request, search, &USER_TYPE, &start, counts, ends).await?;
    let resources = write_users(state, request, &page.rows, &projection).await?;
    Ok(write::list(request, page_info, resources))
}

async fn write_users(
    state: &AppState,
    request: &DialectRequest,
    users: &[User],
    projection: &Projection,
) -> Result<Vec<OutputValue>, RequestError> {
    let labels = labels::load(state, request, users, projection).await?;
    let base = write::base_url(request);
    Ok(users.iter().map(|user| write::user(&base, user, &labels, projection)).collect())
}

async fn user_predicates(
    state: &AppState,
    request: &DialectRequest,
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
        if filters_by_display(&filter, field) {
            let all = state.directory.find_items(request.caller()?, ItemQuery::all(kind)).await?.rows;
            labels.items.extend(all.iter().map(|item| (item.id(), item.name().to_owned())));
        }
    }
    if filter.references_field(Field::Roles) {
        let custom_roles = state.directory.find_items(request.caller()?, ItemQuery::all(ItemKind::Role)).await?.rows;
        labels.roles = custom_roles.iter().map(|role| (role.number(), role.name().to_owned())).collect();
    }
    Ok(vec![UserPredicate::Filter(Arc::new(filter), Arc::new(labels))])
}

/// Whether a filter compares labels of references, not only their ids.
fn filters_by_display(filter: &Filter, field: Field) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(|filter| filters_by_display(filter, field)),
        Filter::Not(filter) => filters_by_display(filter, field),
        Filter::Comparison(test) => test.field == field && test.sub_attribute != Some(Field::Value),
        Filter::ValuePath(entry_field, filter) => *entry_field == field && filter.references_field(Field::Display),
    }
}

async fn search_groups(
    state: &AppState,
    request: &DialectRequest,
    search: &SearchRequest,
) -> Result<DialectResponse, RequestError> {
    let projection = search.projection(&GROUP_TYPE)?;
    let filter = search.filter(&GROUP_TYPE)?;
    let sort = search.sort(&GROUP_TYPE)?;
    let start = page_start(state, request, search, &GROUP_TYPE, &sort).await?;
    let page = group_page(state, request, filter, &sort, &start).await?;
    let position = |item: &Item| sort_position(item, &sort);
    let ends = page.rows.first().zip(page.rows.last()).map(|(a, b)| (position(a), position(b)));
    let counts = (page.total, page.offset, page.rows.len());
    let page_info = page_info(state, request, search, &GROUP_TYPE, &start, counts, ends).await?;
    let head = json::write(&OutputValue::object(write::list_members(page_info, page.rows.len())));
    let mut pieces = JsonStream::new(state, request, &projection)?;
    pieces.push_text(head.strip_suffix('}').unwrap_or(&head));
    pieces.push_text(",\"Resources\":[");
    for (n, item) in page.rows.iter().enumerate() {
        if n > 0 {
            pieces.push_text(",");
        }
        pieces.push_group(item, &projection);
    }
    pieces.push_text("]}");
    Ok(write::raw_response(request, pieces.content().await?))
}

fn sort_position(item: &Item, sort: &Sort) -> SortPosition {
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

/// Engines page by number only; other orders are sorted here, from all matches.
async fn group_page(
    state: &AppState,
    request: &DialectRequest,
    filter: Option<Filter>,
    sort: &Sort,
    start: &PageStart,
) -> Result<Page<Item>, RequestError> {
    let mut query = ItemQuery::all(ItemKind::Group);
    if let Some(filter) = filter {
        query.predicates.push(ItemPredicate::Filter(Arc::new(member_filter::resolve(state, request, filter).await?)));
    }
    if sort.is_by_number() {
        query.boundary = start.boundary.as_ref().map(|bound| match bound {
            PageBoundary::After(position) => ItemPageBoundary::After(position.number),
            PageBoundary::Before(position) => ItemPageBoundary::Before(position.number),
        });
        (query.offset, query.limit) = (start.offset, start.count);
        return Ok(state.directory.find_items(request.caller()?, query).await?);
    }
    let mut all = state.directory.find_items(request.caller()?, query).await?.rows;
    let order = |a: &SortPosition, b: &SortPosition| sort.compare(a, b);
    all.sort_by(|a, b| order(&sort_position(a, sort), &sort_position(b, sort)));
    let total = all.len();
    let limit = start.count as usize;
    let before = match &start.boundary {
        None => usize::try_from(start.offset).unwrap_or(usize::MAX).min(total),
        Some(PageBoundary::After(position)) => {
            all.partition_point(|item| order(&sort_position(item, sort), position).is_le())
        }
        Some(PageBoundary::Before(position)) => {
            let end = all.partition_point(|item| order(&sort_position(item, sort), position).is_lt());
            all.truncate(end);
            end.saturating_sub(limit)
        }
    };
    let rows = all.into_iter().skip(before).take(limit).collect();
    Ok(Page { rows, total: total as u64, offset: before as u64 })
}

/// `/.search`: users, then groups, as one list by index.
pub(super) async fn resources_by_body(
    state: &AppState,
    request: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let search = SearchRequest::from_body(request)?;
    if search.cursor.is_some() || search.sort_by.is_some() {
        return Err(bad_request("invalidValue", "Searches over several types support neither cursor nor sortBy"));
    }
    // A filter that is invalid for only one type matches none of its resources.
    let (user_filter, group_filter) = (search.filter(&USER_TYPE), search.filter(&GROUP_TYPE));
    if let (Err(error), Err(_)) = (&user_filter, &group_filter) {
        return Err(error.clone());
    }
    let (offset, limit) = (search.start_index - 1, search.count());
    let mut users = Page { rows: Vec::new(), total: 0, offset: 0 };
    if let Ok(filter) = user_filter {
        let tests = user_predicates(state, request, filter).await?;
        let query = UserQuery { predicates: tests, offset, limit, ..UserQuery::default() };
        users = user_pages::load(state, request, query).await?;
    }
    let mut resources = write_users(state, request, &users.rows, &search.projection(&USER_TYPE)?).await?;
    let mut total = users.total;
    if let Ok(filter) = group_filter {
        let is_last = offset + users.rows.len() as u64 >= users.total;
        let count = if is_last { limit - u32::try_from(users.rows.len()).unwrap_or(limit) } else { 0 };
        let start = PageStart { boundary: None, offset: offset.saturating_sub(users.total), remembered: None, count };
        let groups = group_page(state, request, filter, &Sort::default(), &start).await?;
        let projection = search.projection(&GROUP_TYPE)?;
        let base = write::base_url(request);
        total += groups.total;
        resources.extend(groups.rows.iter().map(|item| write::group(&base, item, &projection)));
    }
    let page_info = PageInfo {
        total_results: total,
        start_index: Some(search.start_index),
        next_cursor: None,
        previous_cursor: None,
    };
    Ok(write::list(request, page_info, resources))
}
