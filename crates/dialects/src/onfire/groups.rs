//! Handlers of groups and folders.

use super::{read, wire, write};
use crate::kit::{AppState, BodyUse, DialectRequest, DialectResponse, ObjectSchema, OutputValue, RequestError};
use directory::{
    Command, DirectoryError, Folder, Group, Item, ItemKind, ItemPredicate, ItemQuery, Page, Receipt, fold,
    identifier_key,
};
use http::StatusCode;

pub(super) async fn get_group(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let key = read::item_key(&read::RequestFields::from_request(request, &wire::USER_GROUP)?)?;
    let item = state.directory.item(request.caller()?, ItemKind::Group, key).await?;
    group_response(state, request, as_group(&item)?).await
}

pub(super) async fn create_group(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (_, edit) = read::group_edit(request, BodyUse::Create)?;
    let receipt = state.directory.run(request.caller()?, Command::CreateGroup(edit)).await?;
    group_response(state, request, as_group(first_item(&receipt, ItemKind::Group)?)?).await
}

pub(super) async fn update_group(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (fields, edit) = read::group_edit(request, BodyUse::Update)?;
    let command = Command::UpdateGroup { group: read::item_to_change(&fields)?, edit };
    let receipt = state.directory.run(request.caller()?, command).await?;
    group_response(state, request, as_group(first_item(&receipt, ItemKind::Group)?)?).await
}

pub(super) async fn delete_group(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    delete_item(state, request, ItemKind::Group, &wire::USER_GROUP, &wire::USER_GROUP_RESPONSE).await
}

pub(super) async fn search_groups(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let page = search_items(state, request, ItemKind::Group).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for item in &page.rows {
        rows.push(write::group(&write::context(request)?, as_group(item)?, None));
    }
    let out = write::wrapped_page("UserGroups", "UserGroup", rows, page.total);
    Ok(write::response(request, StatusCode::OK, wire::USER_GROUP_PAGE.name, out))
}

pub(super) async fn get_folder(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let key = read::item_key(&read::RequestFields::from_request(request, &wire::FOLDER)?)?;
    let item = state.directory.item(request.caller()?, ItemKind::Folder, key).await?;
    folder_response(request, as_folder(&item)?)
}

pub(super) async fn create_folder(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (_, edit) = read::folder_edit(request, BodyUse::Create)?;
    let receipt = state.directory.run(request.caller()?, Command::CreateFolder(edit)).await?;
    folder_response(request, as_folder(first_item(&receipt, ItemKind::Folder)?)?)
}

pub(super) async fn update_folder(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (fields, edit) = read::folder_edit(request, BodyUse::Update)?;
    let command = Command::UpdateFolder { folder: read::item_to_change(&fields)?, edit };
    let receipt = state.directory.run(request.caller()?, command).await?;
    folder_response(request, as_folder(first_item(&receipt, ItemKind::Folder)?)?)
}

pub(super) async fn delete_folder(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    delete_item(state, request, ItemKind::Folder, &wire::FOLDER, &wire::FOLDER_RESPONSE).await
}

pub(super) async fn search_folders(
    state: &AppState,
    request: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    let page = search_items(state, request, ItemKind::Folder).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for item in &page.rows {
        rows.push(write::folder(&write::context(request)?, as_folder(item)?));
    }
    let out = write::wrapped_page("Folders", "Folder", rows, page.total);
    Ok(write::response(request, StatusCode::OK, wire::FOLDER_PAGE.name, out))
}

async fn delete_item(
    state: &AppState,
    request: &DialectRequest,
    kind: ItemKind,
    object_schema: &'static ObjectSchema,
    response: &'static ObjectSchema,
) -> Result<DialectResponse, RequestError> {
    let item = read::item_to_change(&read::RequestFields::from_request(request, object_schema)?)?;
    state.directory.run(request.caller()?, Command::DeleteItem { kind, item }).await?;
    Ok(write::response(request, StatusCode::OK, response.name, OutputValue::object(Vec::new())))
}

async fn search_items(state: &AppState, request: &DialectRequest, kind: ItemKind) -> Result<Page<Item>, RequestError> {
    let read::PageParameters { skip, limit } = read::page_parameters(request)?;
    let mut query = ItemQuery { offset: skip, limit, ..ItemQuery::all(kind) };
    let name = read::parameter(request, "Name")?;
    query.predicates.extend(name.map(|text| ItemPredicate::NameContains(fold(text.trim()))));
    let id = read::parameter(request, "ExternalId")?;
    query.predicates.extend(id.map(|text| ItemPredicate::ExternalId(identifier_key(text.trim()))));
    Ok(state.directory.find_items(request.caller()?, query).await?)
}

async fn group_response(
    state: &AppState,
    request: &DialectRequest,
    group: &Group,
) -> Result<DialectResponse, RequestError> {
    let caller = request.caller()?;
    let members = state.directory.members(caller, group.id).await?;
    let out = write::wrapped("UserGroup", write::group(&write::context(request)?, group, Some(&members)));
    Ok(write::response(request, StatusCode::OK, wire::USER_GROUP_RESPONSE.name, out))
}

fn folder_response(request: &DialectRequest, folder: &Folder) -> Result<DialectResponse, RequestError> {
    let out = write::wrapped("Folder", write::folder(&write::context(request)?, folder));
    Ok(write::response(request, StatusCode::OK, wire::FOLDER_RESPONSE.name, out))
}

fn first_item(receipt: &Receipt, kind: ItemKind) -> Result<&Item, RequestError> {
    Ok(receipt.items.iter().find(|item| item.kind() == kind).ok_or(DirectoryError::NoSuchItem(kind))?)
}

fn as_group(item: &Item) -> Result<&Group, RequestError> {
    if let Item::Group(group) = item { Ok(group) } else { Err(DirectoryError::NoSuchItem(ItemKind::Group).into()) }
}

fn as_folder(item: &Item) -> Result<&Folder, RequestError> {
    if let Item::Folder(folder) = item { Ok(folder) } else { Err(DirectoryError::NoSuchItem(ItemKind::Folder).into()) }
}
