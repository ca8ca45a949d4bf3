//! What the routes of users do.

use super::write::LinkStyle;
use super::{read, status, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, OutputValue, RequestError};
use directory::{
    Command, DirectoryError, Field, FieldErrorKind, Item, ItemId, ItemKey, ItemKind, ItemQuery, Organization,
    Sort, SortKey, Status, StatusChange, User, UserKey, UserPredicate, UserQuery, fold, identifier_key,
};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) async fn create(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let edit = Box::new(read::user_edit(call, true)?);
    let receipt = desk.directory.run(call.caller()?, Command::CreateUser(edit)).await?;
    summary(call, &receipt.users, LinkStyle::Singular)
}

pub(super) async fn update(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command =
        Command::UpdateUser { user: read::user_key(call)?, edit: Box::new(read::user_edit(call, false)?) };
    let receipt = desk.directory.run(call.caller()?, command).await?;
    summary(call, &receipt.users, LinkStyle::Plural)
}

pub(super) async fn get(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let user = desk.directory.user(call.caller()?, read::user_key(call)?).await?;
    let organisations = organisations_of(desk, call, std::slice::from_ref(&user)).await?;
    Ok(write::ok(call, "user", whole(&user, &organisations)))
}

pub(super) async fn activate(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    move_one(desk, call, Status::Active, None).await
}
pub(super) async fn disable(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    move_one(desk, call, Status::Inactive, None).await
}
pub(super) async fn archive(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    move_one(desk, call, Status::Archived, None).await
}
pub(super) async fn reinstate(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    move_one(desk, call, Status::Active, Some(Status::Suspended)).await
}
pub(super) async fn activate_all(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    move_all(desk, call, Status::Active).await
}
pub(super) async fn disable_all(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    move_all(desk, call, Status::Inactive).await
}

async fn move_one(
    desk: &AppState,
    call: &DialectRequest,
    to: Status,
    only_from: Option<Status>,
) -> Result<DialectResponse, RequestError> {
    let users = vec![read::user_key(call)?];
    let command = Command::ChangeStatus(StatusChange { users, to, required_status: only_from });
    let receipt = desk.directory.run(call.caller()?, command).await?;
    summary(call, &receipt.users, LinkStyle::Plural)
}

async fn move_all(
    desk: &AppState,
    call: &DialectRequest,
    to: Status,
) -> Result<DialectResponse, RequestError> {
    let users = read::bulk_users(call)?;
    let command = Command::ChangeStatus(StatusChange { users: users.clone(), to, required_status: None });
    let receipt = desk.directory.run(call.caller()?, command).await?;
    // Answered in the order they were named, each once.
    let mut order: HashMap<String, usize> = HashMap::new();
    for (place, key) in users.iter().enumerate() {
        let name = match key {
            UserKey::Number(number) => number.to_string(),
            UserKey::Email(email) => identifier_key(email),
            _ => continue,
        };
        order.entry(name).or_insert(place);
    }
    let place = |user: &User| {
        let by_email = user.email().and_then(|email| order.get(&identifier_key(email)));
        order.get(&user.number.to_string()).into_iter().chain(by_email).min().copied()
    };
    let mut moved = receipt.users;
    moved.sort_by_cached_key(place);
    let rows: Vec<OutputValue> =
        moved.iter().map(|user| write::summary(call, user, LinkStyle::Singular)).collect();
    let total = rows.len() as u64;
    Ok(write::page(call, "users", "user", rows, total, 0))
}

/// Asks people in, all of them or none.
pub(super) async fn invite(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::Invite(read::invitation(call)?);
    let receipt = desk.directory.run(call.caller()?, command).await?;
    let users = receipt.users.iter();
    let rows: Vec<OutputValue> = users.map(|user| write::summary(call, user, LinkStyle::Singular)).collect();
    let total = rows.len() as u64;
    Ok(write::page(call, "users", "user", rows, total, 0))
}

fn summary(call: &DialectRequest, users: &[User], style: LinkStyle) -> Result<DialectResponse, RequestError> {
    let user = users.first().ok_or(DirectoryError::NoSuchUser)?;
    Ok(write::ok(call, "user", write::summary(call, user, style)))
}

fn whole(user: &User, organisations: &HashMap<ItemId, Organization>) -> OutputValue {
    write::user(user, user.organization.and_then(|id| organisations.get(&id)))
}

async fn organisations_of(
    desk: &AppState,
    call: &DialectRequest,
    users: &[User],
) -> Result<HashMap<ItemId, Organization>, RequestError> {
    let mut found = HashMap::new();
    for id in users.iter().filter_map(|user| user.organization) {
        if !found.contains_key(&id)
            && let Item::Organization(organisation) =
                desk.directory.item(call.caller()?, ItemKind::Organization, ItemKey::Id(id)).await?
        {
            found.insert(id, organisation);
        }
    }
    Ok(found)
}

/// How deep a sorted list may be paged through.
const SORTED_AT_MOST: u32 = 100_000;

pub(super) async fn list(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let caller = call.caller()?;
    let (offset, limit) = read::page(call, 200)?;
    let sort = sort(desk, call).await?;
    // Sorted people are held in memory up to the end of the page.
    if !sort.is_by_number() && offset > SORTED_AT_MOST {
        return Err(RequestError::invalid_member("offset", FieldErrorKind::TooLong(SORTED_AT_MOST as usize)));
    }
    let tests = tests(desk, call).await?;
    let query = UserQuery { predicates: tests, sort, offset: offset.into(), limit, boundary: None };
    let page = desk.directory.users(caller, query).await?;
    let fields = read::list(call, "fields")?;
    let rows = match &fields {
        None => page.rows.iter().map(|user| write::summary(call, user, LinkStyle::Plural)).collect(),
        Some(fields) => {
            let organisations = organisations_of(desk, call, &page.rows).await?;
            let is_all = fields.iter().any(|field| field.eq_ignore_ascii_case("all"));
            let row = |user: &User| {
                let whole = whole(user, &organisations);
                if is_all { whole } else { write::chosen(&whole, fields) }
            };
            page.rows.iter().map(row).collect::<Vec<OutputValue>>()
        }
    };
    Ok(write::page(call, "users", "user", rows, page.total, offset.checked_div(limit).unwrap_or(0)))
}

async fn sort(desk: &AppState, call: &DialectRequest) -> Result<Sort, RequestError> {
    let Some(text) = call.query.get("sort") else { return Ok(Sort::default()) };
    let wrong = || RequestError::invalid_member("sort", FieldErrorKind::Malformed);
    let (field, descending) = read::sort(text).ok_or_else(wrong)?;
    let key = match field.as_str() {
        "firstname" => SortKey::Text(Field::GivenName),
        "lastname" => SortKey::Text(Field::FamilyName),
        "email" => SortKey::Text(Field::Email),
        "status" => SortKey::Status,
        "invited" => SortKey::Invited,
        "lastlogin" => SortKey::LastActivity,
        "created" => SortKey::Created,
        "updated" => SortKey::Updated,
        "organisation" => {
            let all =
                desk.directory.items(call.caller()?, ItemQuery::all(ItemKind::Organization)).await?.rows;
            let names = all.into_iter().map(|item| (item.id(), item.name().to_owned())).collect();
            SortKey::Organization(Arc::new(names))
        }
        _ => return Err(wrong()),
    };
    Ok(Sort { key, descending, nulls_last: false })
}

async fn tests(desk: &AppState, call: &DialectRequest) -> Result<Vec<UserPredicate>, RequestError> {
    let mut tests = Vec::new();
    let folded = |list: Vec<String>| list.iter().map(|text| fold(text)).collect::<Vec<String>>();
    if let Some(word) = call.query.get("status") {
        let status = status::of_user(word)
            .ok_or_else(|| RequestError::invalid_member("status filter", FieldErrorKind::Malformed))?;
        tests.push(UserPredicate::Status(vec![status]));
    }
    if let Some(list) = read::list(call, "organisations")? {
        tests.push(UserPredicate::Organization(ids(desk, call, ItemKind::Organization, &list).await?));
    }
    if let Some(list) = read::list(call, "usergroups")? {
        tests.push(UserPredicate::Group(ids(desk, call, ItemKind::Group, &list).await?));
    }
    // There are no groups of organisations, so nobody is in one.
    if read::list(call, "organisationgroups")?.is_some() {
        tests.push(UserPredicate::Organization(Vec::new()));
    }
    if let Some(list) = read::list(call, "departments")? {
        let mut names = folded(list.clone());
        for number in list.iter().filter_map(|text| text.parse().ok()) {
            let by_number =
                desk.directory.item(call.caller()?, ItemKind::Department, ItemKey::Number(number)).await;
            names.extend(by_number.ok().map(|department| fold(department.name())));
        }
        tests.push(UserPredicate::Department(names));
    }
    tests.extend(read::list(call, "locations")?.map(|list| UserPredicate::AddressContains(folded(list))));
    if let Some(text) = call.query.get("search") {
        let part = fold(text);
        let mut query = ItemQuery::all(ItemKind::Organization);
        query.predicates.push(directory::ItemPredicate::NameContains(part.clone()));
        let named = desk.directory.items(call.caller()?, query).await?.rows;
        let organisations = named.iter().map(Item::id).collect();
        tests.push(UserPredicate::AnyTextContains { substring: part, organizations: organisations });
    }
    let now = desk.directory.now();
    let created = read::span(call, &["createddate", "createddatetime"], now)?;
    tests.extend(created.map(UserPredicate::Created));
    tests.extend(read::span(call, &["modifieddate"], now)?.map(UserPredicate::Updated));
    Ok(tests)
}

/// The items that a filter names; those that do not exist are left out.
async fn ids(
    desk: &AppState,
    call: &DialectRequest,
    kind: ItemKind,
    list: &[String],
) -> Result<Vec<ItemId>, RequestError> {
    let mut ids = Vec::new();
    for text in list {
        match desk.directory.item(call.caller()?, kind, read::named(text)).await {
            Ok(item) => ids.push(item.id()),
            Err(DirectoryError::NoSuchItem(_)) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(ids)
}
