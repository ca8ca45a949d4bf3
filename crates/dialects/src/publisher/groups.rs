//! What the routes of groups do.

use super::{read, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, RequestError};
use directory::{
    Command, DirectoryError, FieldErrorKind, Group, Item, ItemKind, ItemPredicate, ItemQuery, UserKey, fold,
};
use std::cmp::Ordering;
use std::collections::HashSet;

pub(super) async fn get(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let item = desk.directory.item(call.caller()?, ItemKind::Group, read::item_key(call)).await?;
    let group = group_of(&item)?;
    let members = members(desk, call, group).await?;
    Ok(write::ok(call, "group", write::group(group, &members, false, None)))
}

pub(super) async fn create(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let receipt = desk.directory.run(call.caller()?, Command::CreateGroup(read::group_edit(call)?)).await?;
    summary(call, &receipt.items)
}

pub(super) async fn update(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::UpdateGroup { group: read::item_key(call), edit: read::group_edit(call)? };
    let receipt = desk.directory.run(call.caller()?, command).await?;
    summary(call, &receipt.items)
}

pub(super) async fn add_users(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let command = Command::UpdateGroup { group: read::item_key(call), edit: read::new_members(call)? };
    let receipt = desk.directory.run(call.caller()?, command).await?;
    let item = receipt.items.first().ok_or(DirectoryError::NoSuchItem(ItemKind::Group))?;
    let group = group_of(item)?;
    let members = members(desk, call, group).await?;
    let organisations = organisations(desk, call, &members).await?;
    Ok(write::ok(call, "group", write::group(group, &members, true, organisations)))
}

pub(super) async fn list(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (offset, limit) = read::page(call, 200)?;
    let now = desk.directory.now();
    let mut query = ItemQuery::all(ItemKind::Group);
    query.predicates.extend(call.query.get("search").map(|text| ItemPredicate::NameContains(fold(text))));
    query
        .predicates
        .extend(read::span(call, &["createddate", "createddatetime"], now)?.map(ItemPredicate::Created));
    query.predicates.extend(read::span(call, &["modifieddate"], now)?.map(ItemPredicate::Updated));
    let mut all = desk.directory.items(call.caller()?, query).await?.rows;
    sort_items(call, &mut all, |_, _| None)?;
    let total = all.len() as u64;
    let fields = read::list(call, "fields")?;
    let mut rows = Vec::new();
    for item in all.iter().skip(offset as usize).take(limit as usize) {
        rows.push(match &fields {
            None => write::named_summary(call, "groups", item.number(), item.name()),
            Some(fields) => {
                let group = group_of(item)?;
                let whole = write::group(group, &members(desk, call, group).await?, true, None);
                let is_all = fields.iter().any(|field| field.eq_ignore_ascii_case("all"));
                if is_all { whole } else { write::chosen(&whole, fields) }
            }
        });
    }
    Ok(write::page(call, "groups", "group", rows, total, offset.checked_div(limit).unwrap_or(0)))
}

/// The most fields a list can be sorted by, one after the other.
const SORT_FIELDS: usize = 8;

/// Sorts by the fields that all items have, several in turn; `more` knows those of one kind.
pub(super) fn sort_items(
    call: &DialectRequest,
    items: &mut [Item],
    more: fn(&Item, &str) -> Option<String>,
) -> Result<(), RequestError> {
    let Some(parts) = call.query.get("sort") else { return Ok(()) };
    let wrong = || RequestError::invalid_member("sort", FieldErrorKind::Malformed);
    let parts: Option<Vec<(String, bool)>> = parts.split(',').map(read::sort).collect();
    let parts = parts.filter(|parts| parts.len() <= SORT_FIELDS).ok_or_else(wrong)?;
    let is_known = |field: &str| {
        matches!(field, "id" | "name" | "created" | "updated")
            || items.first().is_none_or(|i| more(i, field).is_some())
    };
    if !parts.iter().all(|(field, _)| is_known(field)) {
        return Err(wrong());
    }
    items.sort_by(|a, b| {
        let mut order = Ordering::Equal;
        for (field, descending) in &parts {
            if order != Ordering::Equal {
                break;
            }
            let by_field = match field.as_str() {
                "id" => a.number().cmp(&b.number()),
                "name" => fold(a.name()).cmp(&fold(b.name())),
                "created" => a.created().cmp(&b.created()),
                "updated" => a.updated().cmp(&b.updated()),
                other => more(a, other).cmp(&more(b, other)),
            };
            order = if *descending { by_field.reverse() } else { by_field };
        }
        order
    });
    Ok(())
}

async fn members(desk: &AppState, call: &DialectRequest, group: &Group) -> Result<Vec<u32>, RequestError> {
    let members = desk.directory.members(call.caller()?, group.id).await?;
    Ok(members.into_iter().map(|(_, number)| number).collect())
}

/// How many organisations the members of a group belong to; nothing where there are too many to look at.
async fn organisations(
    desk: &AppState,
    call: &DialectRequest,
    members: &[u32],
) -> Result<Option<u32>, RequestError> {
    if members.len() > LOOKED_AT {
        return Ok(None);
    }
    let mut distinct = HashSet::new();
    for number in members {
        let member = desk.directory.user(call.caller()?, UserKey::Number(*number)).await;
        distinct.extend(member.ok().and_then(|user| user.organization));
    }
    Ok(u32::try_from(distinct.len()).ok())
}

/// The most members that are looked at one by one.
const LOOKED_AT: usize = 1_000;

fn summary(call: &DialectRequest, items: &[Item]) -> Result<DialectResponse, RequestError> {
    let item = items.first().ok_or(DirectoryError::NoSuchItem(ItemKind::Group))?;
    Ok(write::ok(call, "group", write::named_summary(call, "groups", item.number(), item.name())))
}

fn group_of(item: &Item) -> Result<&Group, RequestError> {
    if let Item::Group(group) = item {
        Ok(group)
    } else {
        Err(DirectoryError::NoSuchItem(ItemKind::Group).into())
    }
}
