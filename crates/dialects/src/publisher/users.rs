//! Handlers of users.

use super::write::LinkStyle;
use super::{read, status, write};
use crate::kit::{AppState, BodyUse, DialectRequest, DialectResponse, OutputValue, RequestError};
use directory::{
    Command, DirectoryError, Field, FieldErrorKind, Item, ItemId, ItemKey, ItemKind, ItemQuery, Organization, Sort,
    SortKey, Status, StatusChange, User, UserKey, UserPredicate, UserQuery, fold, identifier_key,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(super) async fn create(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let edit = Box::new(read::user_edit(request, BodyUse::Create)?);
    let receipt = state.directory.run(request.caller()?, Command::CreateUser(edit)).await?;
    summary_response(request, &receipt.users, LinkStyle::Singular)
}

pub(super) async fn update(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::UpdateUser {
        user: read::user_key(request)?,
        edit: Box::new(read::user_edit(request, BodyUse::Replace)?),
    };
    let receipt = state.directory.run(request.caller()?, command).await?;
    summary_response(request, &receipt.users, LinkStyle::Plural)
}

pub(super) async fn get(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let user = state.directory.user(request.caller()?, read::user_key(request)?).await?;
    let organizations = load_organizations(state, request, std::slice::from_ref(&user)).await?;
    Ok(write::ok_response(request, "user", full_user(&user, &organizations)))
}

pub(super) async fn activate(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change_status(state, request, Status::Active, None).await
}
pub(super) async fn disable(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change_status(state, request, Status::Inactive, None).await
}
pub(super) async fn archive(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change_status(state, request, Status::Archived, None).await
}
pub(super) async fn reinstate(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change_status(state, request, Status::Active, Some(Status::Suspended)).await
}
pub(super) async fn activate_many(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change_status_of_many(state, request, Status::Active).await
}
pub(super) async fn disable_many(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    change_status_of_many(state, request, Status::Inactive).await
}

async fn change_status(
    state: &AppState,
    request: &DialectRequest,
    to: Status,
    only_from: Option<Status>,
) -> Result<DialectResponse, RequestError> {
    let users = vec![read::user_key(request)?];
    let command = Command::ChangeStatus(StatusChange { users, to, required_status: only_from });
    let receipt = state.directory.run(request.caller()?, command).await?;
    summary_response(request, &receipt.users, LinkStyle::Plural)
}

async fn change_status_of_many(
    state: &AppState,
    request: &DialectRequest,
    to: Status,
) -> Result<DialectResponse, RequestError> {
    let users = read::bulk_user_keys(request)?;
    let command = Command::ChangeStatus(StatusChange { users: users.clone(), to, required_status: None });
    let receipt = state.directory.run(request.caller()?, command).await?;
    // In the order of the request, each user once.
    let mut positions: HashMap<String, usize> = HashMap::new();
    for (position, key) in users.iter().enumerate() {
        let name = match key {
            UserKey::Number(number) => number.to_string(),
            UserKey::Email(email) => identifier_key(email),
            _ => continue,
        };
        positions.entry(name).or_insert(position);
    }
    let position = |user: &User| {
        let by_email = user.email().and_then(|email| positions.get(&identifier_key(email)));
        positions.get(&user.number.to_string()).into_iter().chain(by_email).min().copied()
    };
    let mut updated = receipt.users;
    updated.sort_by_cached_key(position);
    let context = write::context(request)?;
    let rows: Vec<OutputValue> =
        updated.iter().map(|user| write::summary(&context, user, LinkStyle::Singular)).collect();
    let total = rows.len() as u64;
    Ok(write::list_response(request, "users", "user", rows, total, 0))
}

/// Invites all users or none.
pub(super) async fn invite(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::Invite(read::invited_users(request)?);
    let receipt = state.directory.run(request.caller()?, command).await?;
    let (users, context) = (receipt.users.iter(), write::context(request)?);
    let rows: Vec<OutputValue> = users.map(|user| write::summary(&context, user, LinkStyle::Singular)).collect();
    let total = rows.len() as u64;
    Ok(write::list_response(request, "users", "user", rows, total, 0))
}

fn summary_response(
    request: &DialectRequest,
    users: &[User],
    style: LinkStyle,
) -> Result<DialectResponse, RequestError> {
    let user = users.first().ok_or(DirectoryError::NoSuchUser)?;
    Ok(write::ok_response(request, "user", write::summary(&write::context(request)?, user, style)))
}

fn full_user(user: &User, organizations: &HashMap<ItemId, Organization>) -> OutputValue {
    write::user(user, user.organization.and_then(|id| organizations.get(&id)))
}

async fn load_organizations(
    state: &AppState,
    request: &DialectRequest,
    users: &[User],
) -> Result<HashMap<ItemId, Organization>, RequestError> {
    let ids: HashSet<ItemId> = users.iter().filter_map(|user| user.organization).collect();
    let keys: Vec<_> = ids.into_iter().map(|id| (ItemKind::Organization, ItemKey::Id(id))).collect();
    let organization = |item: Item| match item {
        Item::Organization(organization) => Some((organization.id, organization)),
        _ => None,
    };
    let found = state.directory.map_items(request.caller()?, &keys, organization).await?;
    Ok(found.into_iter().flatten().flatten().collect())
}

const MAX_SORTED_OFFSET: u32 = 100_000;

pub(super) async fn list(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let caller = request.caller()?;
    let read::PageParameters { offset, limit } = read::page_parameters(request, 200)?;
    let sort = parse_sort(state, request).await?;
    // Sorted users are held in memory up to the end of the page.
    if !sort.is_by_number() && offset > MAX_SORTED_OFFSET {
        return Err(RequestError::invalid_member("offset", FieldErrorKind::TooLong(MAX_SORTED_OFFSET as usize)));
    }
    let tests = user_predicates(state, request).await?;
    let query = UserQuery { predicates: tests, sort, offset: offset.into(), limit, boundary: None };
    let page = state.directory.find_users(caller, query).await?;
    let fields = read::list_parameter(request, "fields")?;
    let context = write::context(request)?;
    let rows = match &fields {
        None => page.rows.iter().map(|user| write::summary(&context, user, LinkStyle::Plural)).collect(),
        Some(fields) => {
            let organizations = load_organizations(state, request, &page.rows).await?;
            let is_all = fields.iter().any(|field| field.eq_ignore_ascii_case("all"));
            let row = |user: &User| {
                let full = full_user(user, &organizations);
                if is_all { full } else { write::select_fields(&full, fields) }
            };
            page.rows.iter().map(row).collect::<Vec<OutputValue>>()
        }
    };
    Ok(write::list_response(request, "users", "user", rows, page.total, offset.checked_div(limit).unwrap_or(0)))
}

async fn parse_sort(state: &AppState, request: &DialectRequest) -> Result<Sort, RequestError> {
    let Some(text) = request.query.get("sort") else { return Ok(Sort::default()) };
    let invalid = || RequestError::invalid_member("sort", FieldErrorKind::Malformed);
    let field = read::parse_sort_field(text).ok_or_else(invalid)?;
    let key = match field.name.as_str() {
        "firstname" => SortKey::Text(Field::GivenName),
        "lastname" => SortKey::Text(Field::FamilyName),
        "email" => SortKey::Text(Field::Email),
        "status" => SortKey::Status,
        "invited" => SortKey::Invited,
        "lastlogin" => SortKey::LastActivity,
        "created" => SortKey::Created,
        "updated" => SortKey::Updated,
        "organisation" => {
            let all = state.directory.find_items(request.caller()?, ItemQuery::all(ItemKind::Organization)).await?.rows;
            let names = all.into_iter().map(|item| (item.id(), item.name().to_owned())).collect();
            SortKey::Organization(Arc::new(names))
        }
        _ => return Err(invalid()),
    };
    Ok(Sort { key, descending: field.is_descending, nulls_last: false })
}

async fn user_predicates(state: &AppState, request: &DialectRequest) -> Result<Vec<UserPredicate>, RequestError> {
    let mut tests = Vec::new();
    let folded = |list: Vec<String>| list.iter().map(|text| fold(text)).collect::<Vec<String>>();
    if let Some(word) = request.query.get("status") {
        let status = status::parse_user_status(word)
            .ok_or_else(|| RequestError::invalid_member("status filter", FieldErrorKind::Malformed))?;
        tests.push(UserPredicate::Status(vec![status]));
    }
    if let Some(list) = read::list_parameter(request, "organisations")? {
        tests
            .push(UserPredicate::Organization(existing_item_ids(state, request, ItemKind::Organization, &list).await?));
    }
    if let Some(list) = read::list_parameter(request, "usergroups")? {
        tests.push(UserPredicate::Group(existing_item_ids(state, request, ItemKind::Group, &list).await?));
    }
    // There are no organization groups, so no user matches.
    if read::list_parameter(request, "organisationgroups")?.is_some() {
        tests.push(UserPredicate::Organization(Vec::new()));
    }
    if let Some(list) = read::list_parameter(request, "departments")? {
        let mut names = folded(list.clone());
        let numbers = list.iter().filter_map(|text| text.parse().ok());
        let keys: Vec<_> = numbers.map(|number| (ItemKind::Department, ItemKey::Number(number))).collect();
        let by_number = state.directory.map_items(request.caller()?, &keys, |item| fold(item.name())).await?;
        names.extend(by_number.into_iter().flatten());
        tests.push(UserPredicate::Department(names));
    }
    tests.extend(read::list_parameter(request, "locations")?.map(|list| UserPredicate::AddressContains(folded(list))));
    if let Some(text) = request.query.get("search") {
        let part = fold(text);
        let mut query = ItemQuery::all(ItemKind::Organization);
        query.predicates.push(directory::ItemPredicate::NameContains(part.clone()));
        let named = state.directory.find_items(request.caller()?, query).await?.rows;
        let organizations = named.iter().map(Item::id).collect();
        tests.push(UserPredicate::AnyTextContains { substring: part, organizations });
    }
    let now = state.directory.now();
    let created = read::time_range_parameter(request, &["createddate", "createddatetime"], now)?;
    tests.extend(created.map(UserPredicate::Created));
    tests.extend(read::time_range_parameter(request, &["modifieddate"], now)?.map(UserPredicate::Updated));
    Ok(tests)
}

/// Unknown items are ignored.
async fn existing_item_ids(
    state: &AppState,
    request: &DialectRequest,
    kind: ItemKind,
    list: &[String],
) -> Result<Vec<ItemId>, RequestError> {
    let keys: Vec<_> = list.iter().map(|text| (kind, read::parse_item_key(text))).collect();
    let found = state.directory.map_items(request.caller()?, &keys, |item| item.id()).await?;
    Ok(found.into_iter().flatten().collect())
}
