//! What the routes of groups and folders do.

use super::{read, wire, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, ObjectSchema, OutputValue, RequestError};
use directory::{
    Command, DirectoryError, Folder, Group, Item, ItemKind, ItemPredicate, ItemQuery, Page, Receipt, fold,
    identifier_key,
};
use http::StatusCode;

pub(super) async fn get_group(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let key = read::item_key(&read::Request::of(call, &wire::USER_GROUP)?)?;
    let item = desk.directory.item(call.caller()?, ItemKind::Group, key).await?;
    whole_group(desk, call, group_of(&item)?).await
}

pub(super) async fn create_group(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let (_, edit) = read::group_edit(call, true)?;
    let receipt = desk.directory.run(call.caller()?, Command::CreateGroup(edit)).await?;
    whole_group(desk, call, group_of(first(&receipt, ItemKind::Group)?)?).await
}

pub(super) async fn update_group(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let (request, edit) = read::group_edit(call, false)?;
    let command = Command::UpdateGroup { group: read::item_to_change(&request)?, edit };
    let receipt = desk.directory.run(call.caller()?, command).await?;
    whole_group(desk, call, group_of(first(&receipt, ItemKind::Group)?)?).await
}

pub(super) async fn delete_group(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    delete(desk, call, ItemKind::Group, &wire::USER_GROUP, &wire::USER_GROUP_RESPONSE).await
}

pub(super) async fn search_groups(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let page = search(desk, call, ItemKind::Group).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for item in &page.rows {
        rows.push(write::group(call, call.caller()?.tenant, group_of(item)?, None));
    }
    let out = write::many("UserGroups", "UserGroup", rows, page.total);
    Ok(write::reply(call, StatusCode::OK, wire::USER_GROUP_PAGE.name, out))
}

pub(super) async fn get_folder(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let key = read::item_key(&read::Request::of(call, &wire::FOLDER)?)?;
    let item = desk.directory.item(call.caller()?, ItemKind::Folder, key).await?;
    whole_folder(call, folder_of(&item)?)
}

pub(super) async fn create_folder(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let (_, edit) = read::folder_edit(call, true)?;
    let receipt = desk.directory.run(call.caller()?, Command::CreateFolder(edit)).await?;
    whole_folder(call, folder_of(first(&receipt, ItemKind::Folder)?)?)
}

pub(super) async fn update_folder(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let (request, edit) = read::folder_edit(call, false)?;
    let command = Command::UpdateFolder { folder: read::item_to_change(&request)?, edit };
    let receipt = desk.directory.run(call.caller()?, command).await?;
    whole_folder(call, folder_of(first(&receipt, ItemKind::Folder)?)?)
}

pub(super) async fn delete_folder(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    delete(desk, call, ItemKind::Folder, &wire::FOLDER, &wire::FOLDER_RESPONSE).await
}

pub(super) async fn search_folders(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let page = search(desk, call, ItemKind::Folder).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for item in &page.rows {
        rows.push(write::folder(call, call.caller()?.tenant, folder_of(item)?));
    }
    let out = write::many("Folders", "Folder", rows, page.total);
    Ok(write::reply(call, StatusCode::OK, wire::FOLDER_PAGE.name, out))
}

async fn delete(
    desk: &AppState,
    call: &DialectRequest,
    kind: ItemKind,
    record: &'static ObjectSchema,
    response: &'static ObjectSchema,
) -> Result<DialectResponse, RequestError> {
    let item = read::item_to_change(&read::Request::of(call, record)?)?;
    desk.directory.run(call.caller()?, Command::DeleteItem { kind, item }).await?;
    Ok(write::reply(call, StatusCode::OK, response.name, OutputValue::object(Vec::new())))
}

async fn search(desk: &AppState, call: &DialectRequest, kind: ItemKind) -> Result<Page<Item>, RequestError> {
    let (skip, limit) = read::page(call)?;
    let mut query = ItemQuery { offset: skip, limit, ..ItemQuery::all(kind) };
    let name = read::parameter(call, "Name")?;
    query.predicates.extend(name.map(|text| ItemPredicate::NameContains(fold(text.trim()))));
    let id = read::parameter(call, "ExternalId")?;
    query.predicates.extend(id.map(|text| ItemPredicate::ExternalId(identifier_key(text.trim()))));
    Ok(desk.directory.items(call.caller()?, query).await?)
}

async fn whole_group(
    desk: &AppState,
    call: &DialectRequest,
    group: &Group,
) -> Result<DialectResponse, RequestError> {
    let caller = call.caller()?;
    let members = desk.directory.members(caller, group.id).await?;
    let out = write::one("UserGroup", write::group(call, caller.tenant, group, Some(&members)));
    Ok(write::reply(call, StatusCode::OK, wire::USER_GROUP_RESPONSE.name, out))
}

fn whole_folder(call: &DialectRequest, folder: &Folder) -> Result<DialectResponse, RequestError> {
    let out = write::one("Folder", write::folder(call, call.caller()?.tenant, folder));
    Ok(write::reply(call, StatusCode::OK, wire::FOLDER_RESPONSE.name, out))
}

fn first(receipt: &Receipt, kind: ItemKind) -> Result<&Item, RequestError> {
    Ok(receipt.items.iter().find(|item| item.kind() == kind).ok_or(DirectoryError::NoSuchItem(kind))?)
}

fn group_of(item: &Item) -> Result<&Group, RequestError> {
    if let Item::Group(group) = item {
        Ok(group)
    } else {
        Err(DirectoryError::NoSuchItem(ItemKind::Group).into())
    }
}

fn folder_of(item: &Item) -> Result<&Folder, RequestError> {
    if let Item::Folder(folder) = item {
        Ok(folder)
    } else {
        Err(DirectoryError::NoSuchItem(ItemKind::Folder).into())
    }
}
