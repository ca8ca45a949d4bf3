//! Handlers of groups.

use super::{read, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, OutputValue, RequestError};
use directory::{
    Command, DirectoryError, FieldErrorKind, Group, Item, ItemId, ItemKind, ItemPredicate, ItemQuery, UserKey, fold,
};
use std::cmp::Ordering;
use std::collections::HashSet;

pub(super) async fn get(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let item = state.directory.item(request.caller()?, ItemKind::Group, read::item_key(request)).await?;
    let group = as_group(&item)?;
    let members = member_numbers(state, request, group).await?;
    Ok(write::ok_response(request, "group", write::group(group, &members, false, None)))
}

pub(super) async fn create(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let receipt = state.directory.run(request.caller()?, Command::CreateGroup(read::group_edit(request)?)).await?;
    summary_response(request, &receipt.items)
}

pub(super) async fn update(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::UpdateGroup { group: read::item_key(request), edit: read::group_edit(request)? };
    let receipt = state.directory.run(request.caller()?, command).await?;
    summary_response(request, &receipt.items)
}

pub(super) async fn add_users(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::UpdateGroup { group: read::item_key(request), edit: read::add_members_edit(request)? };
    let receipt = state.directory.run(request.caller()?, command).await?;
    let item = receipt.items.first().ok_or(DirectoryError::NoSuchItem(ItemKind::Group))?;
    let group = as_group(item)?;
    let members = member_numbers(state, request, group).await?;
    let organizations = count_organizations(state, request, &members).await?;
    Ok(write::ok_response(request, "group", write::group(group, &members, true, organizations)))
}

pub(super) async fn list(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let read::PageParameters { offset, limit } = read::page_parameters(request, 200)?;
    let now = state.directory.now();
    let mut query = ItemQuery::all(ItemKind::Group);
    query.predicates.extend(request.query.get("search").map(|text| ItemPredicate::NameContains(fold(text))));
    query.predicates.extend(
        read::time_range_parameter(request, &["createddate", "createddatetime"], now)?.map(ItemPredicate::Created),
    );
    query.predicates.extend(read::time_range_parameter(request, &["modifieddate"], now)?.map(ItemPredicate::Updated));
    let mut all = state.directory.find_items(request.caller()?, query).await?.rows;
    sort_items(request, &mut all, |_, _| None)?;
    let total = all.len() as u64;
    let page = all.into_iter().skip(offset as usize).take(limit as usize).collect::<Vec<Item>>();
    let full = |item: &Item, members: &[u32]| Ok(write::group(as_group(item)?, members, true, None));
    let rows = list_rows(state, request, "groups", &page, full).await?;
    Ok(write::list_response(request, "groups", "group", rows, total, offset.checked_div(limit).unwrap_or(0)))
}

const MAX_SORT_FIELDS: usize = 8;

/// Groups or organizations whose members are read at once: lists of members can be long.
const MEMBER_LISTS_PER_READ: usize = 25;

/// The rows of a page of groups or organizations: summaries, or the requested fields of what `full` writes of an item and
/// the numbers of its members.
pub(super) async fn list_rows(
    state: &AppState,
    request: &DialectRequest,
    list_name: &'static str,
    page: &[Item],
    full: impl Fn(&Item, &[u32]) -> Result<OutputValue, RequestError>,
) -> Result<Vec<OutputValue>, RequestError> {
    let Some(fields) = read::list_parameter(request, "fields")? else {
        let context = write::context(request)?;
        let summary = |item: &Item| write::named_summary(&context, list_name, item.number(), item.name());
        return Ok(page.iter().map(summary).collect());
    };
    let is_all = fields.iter().any(|field| field.eq_ignore_ascii_case("all"));
    let mut rows = Vec::with_capacity(page.len());
    for part in page.chunks(MEMBER_LISTS_PER_READ) {
        let members = state.directory.members_of(request.caller()?, part.iter().map(Item::id).collect()).await?;
        for item in part {
            let numbers: Vec<u32> = members.get(&item.id()).into_iter().flatten().map(|(_, number)| *number).collect();
            let row = full(item, &numbers)?;
            rows.push(if is_all { row } else { write::select_fields(&row, &fields) });
        }
    }
    Ok(rows)
}

/// `extra_key` supplies the fields of one kind of item, besides those of all.
pub(super) fn sort_items(
    request: &DialectRequest,
    items: &mut [Item],
    extra_key: fn(&Item, &str) -> Option<String>,
) -> Result<(), RequestError> {
    let Some(sort_fields) = request.query.get("sort") else { return Ok(()) };
    let invalid = || RequestError::invalid_member("sort", FieldErrorKind::Malformed);
    let sort_fields: Option<Vec<read::SortField>> = sort_fields.split(',').map(read::parse_sort_field).collect();
    let sort_fields = sort_fields.filter(|sort_fields| sort_fields.len() <= MAX_SORT_FIELDS).ok_or_else(invalid)?;
    let is_known = |field: &str| {
        matches!(field, "id" | "name" | "created" | "updated")
            || items.first().is_none_or(|i| extra_key(i, field).is_some())
    };
    if !sort_fields.iter().all(|field| is_known(&field.name)) {
        return Err(invalid());
    }
    items.sort_by(|a, b| {
        let mut order = Ordering::Equal;
        for read::SortField { name: field, is_descending } in &sort_fields {
            if order != Ordering::Equal {
                break;
            }
            let by_field = match field.as_str() {
                "id" => a.number().cmp(&b.number()),
                "name" => fold(a.name()).cmp(&fold(b.name())),
                "created" => a.created().cmp(&b.created()),
                "updated" => a.updated().cmp(&b.updated()),
                other => extra_key(a, other).cmp(&extra_key(b, other)),
            };
            order = if *is_descending { by_field.reverse() } else { by_field };
        }
        order
    });
    Ok(())
}

async fn member_numbers(state: &AppState, request: &DialectRequest, group: &Group) -> Result<Vec<u32>, RequestError> {
    let members = state.directory.members(request.caller()?, group.id).await?;
    Ok(members.into_iter().map(|(_, number)| number).collect())
}

/// `None` if the group has too many members to read, or they cannot be read: the change is done, so its response must
/// not fail.
async fn count_organizations(
    state: &AppState,
    request: &DialectRequest,
    members: &[u32],
) -> Result<Option<u32>, RequestError> {
    if members.len() > MAX_MEMBERS_READ {
        return Ok(None);
    }
    let mut distinct: HashSet<ItemId> = HashSet::new();
    let keys = members.iter().map(|number| UserKey::Number(*number)).collect();
    let Ok(users) = state.directory.users(request.caller()?, keys).await else { return Ok(None) };
    distinct.extend(users.into_iter().flatten().filter_map(|user| user.organization));
    Ok(u32::try_from(distinct.len()).ok())
}

const MAX_MEMBERS_READ: usize = 1_000;

fn summary_response(request: &DialectRequest, items: &[Item]) -> Result<DialectResponse, RequestError> {
    let item = items.first().ok_or(DirectoryError::NoSuchItem(ItemKind::Group))?;
    Ok(write::ok_response(
        request,
        "group",
        write::named_summary(&write::context(request)?, "groups", item.number(), item.name()),
    ))
}

fn as_group(item: &Item) -> Result<&Group, RequestError> {
    if let Item::Group(group) = item { Ok(group) } else { Err(DirectoryError::NoSuchItem(ItemKind::Group).into()) }
}
