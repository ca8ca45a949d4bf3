//! Handlers of users.

use super::{ApiVersion, api_version, read, wire, write};
use crate::kit::{AppState, BodyUse, DialectRequest, DialectResponse, ObjectSchema, OutputValue, RequestError};
use directory::{
    Command, FieldErrorKind, Item, ItemKey, ItemKind, Status, User, UserPredicate, UserQuery, builtin_role_name, fold,
    identifier_key,
};
use http::StatusCode;
use std::collections::HashSet;

pub(super) async fn get(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let caller = request.caller()?;
    let user = state.directory.user(caller, read::user_to_get(request)?).await?;
    let labels = load_labels(state, request, std::slice::from_ref(&user)).await?;
    Ok(user_response(request, write::user(&write::context(request)?, read::user_record(request), &user, &labels)))
}

pub(super) async fn create(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (_, edit) = read::user_edit(request, BodyUse::Create)?;
    let receipt = state.directory.run(request.caller()?, Command::CreateUser(Box::new(edit))).await?;
    short_user_response(request, &receipt.users)
}

pub(super) async fn update(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (fields, edit) = read::user_edit(request, BodyUse::Update)?;
    let command =
        Command::UpdateUser { user: read::user_key(&fields, read::KeyOrder::ExternalIdFirst)?, edit: Box::new(edit) };
    let receipt = state.directory.run(request.caller()?, command).await?;
    short_user_response(request, &receipt.users)
}

pub(super) async fn delete(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    state.directory.run(request.caller()?, Command::DeleteUser(read::user_to_delete(request)?)).await?;
    Ok(write::response(request, StatusCode::OK, response_record(request).name, OutputValue::object(Vec::new())))
}

pub(super) async fn search(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let caller = request.caller()?;
    let read::PageParameters { skip, limit } = read::page_parameters(request)?;
    let mut query = UserQuery { offset: skip, limit, ..UserQuery::default() };
    let mut add = |name: &str, test: fn(&str) -> UserPredicate| {
        let text = read::parameter(request, name)?;
        query.predicates.extend(text.map(|text| test(text.trim())));
        Ok::<(), RequestError>(())
    };
    add("Email", |text| UserPredicate::Email(identifier_key(text)))?;
    add("ExternalId", |text| UserPredicate::ExternalId(identifier_key(text)))?;
    add("Name", |text| UserPredicate::NameContains(fold(text)))?;
    if let Some(word) = read::parameter(request, "Status")? {
        query.predicates.push(UserPredicate::Status(match word.trim().to_ascii_lowercase().as_str() {
            "invited" => vec![Status::Invited],
            "active" => vec![Status::Active],
            "inactive" => vec![Status::Suspended, Status::Inactive, Status::Archived],
            _ => return Err(RequestError::invalid_member("Status", FieldErrorKind::Malformed)),
        }));
    }
    let page = state.directory.find_users(caller, query).await?;
    let labels = load_labels(state, request, &page.rows).await?;
    let (context, record) = (write::context(request)?, read::user_record(request));
    let rows = page.rows.iter().map(|user| write::user(&context, record, user, &labels)).collect();
    let (object_schema, list, item) = match api_version(request) {
        ApiVersion::V1 => (&wire::SUSER_PAGE, "SUsers", "SUser"),
        ApiVersion::V2 => (&wire::USER_PAGE, "Users", "User"),
    };
    Ok(write::response(request, StatusCode::OK, object_schema.name, write::wrapped_page(list, item, rows, page.total)))
}

fn response_record(request: &DialectRequest) -> &'static ObjectSchema {
    match api_version(request) {
        ApiVersion::V1 => &wire::SUSER_RESPONSE,
        ApiVersion::V2 => &wire::USER_RESPONSE,
    }
}

fn user_response(request: &DialectRequest, user: OutputValue) -> DialectResponse {
    let name = if api_version(request) == ApiVersion::V1 { "SUser" } else { "User" };
    write::response(request, StatusCode::OK, response_record(request).name, write::wrapped(name, user))
}

fn short_user_response(request: &DialectRequest, users: &[User]) -> Result<DialectResponse, RequestError> {
    let user = users.first().ok_or(directory::DirectoryError::NoSuchUser)?;
    Ok(user_response(request, write::short_user(&write::context(request)?, user)))
}

/// Names of custom roles, and of groups and folders if they were requested instead of ids.
async fn load_labels(
    state: &AppState,
    request: &DialectRequest,
    users: &[User],
) -> Result<write::WrittenNames, RequestError> {
    let caller = request.caller()?;
    let mut labels = write::WrittenNames::default();
    let mut keys: Vec<(ItemKind, ItemKey)> = Vec::new();
    let custom_roles = users.iter().filter_map(|user| user.role).filter(|n| builtin_role_name(*n).is_none());
    keys.extend(custom_roles.map(|number| (ItemKind::Role, ItemKey::Number(number))));
    let by_name = read::boolean_parameter(request, "UseNames")?;
    let by_external_id = read::boolean_parameter(request, "UseExternalIds")?;
    if by_name && by_external_id {
        return Err(RequestError::invalid_member("UseExternalIds", FieldErrorKind::NotAllowed));
    }
    if by_name || by_external_id {
        let groups = users.iter().flat_map(|user| &user.groups).map(|id| (ItemKind::Group, ItemKey::Id(*id)));
        let folders = users.iter().flat_map(|user| &user.folders).map(|id| (ItemKind::Folder, ItemKey::Id(*id)));
        keys.extend(groups.chain(folders));
    }
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    let label = |item: Item| {
        let label = if by_name || item.kind() == ItemKind::Role { Some(item.name()) } else { item.external_id() };
        (item.kind(), item.id(), item.number(), label.map(str::to_owned))
    };
    for (kind, id, number, label) in state.directory.map_items(caller, &keys, label).await?.into_iter().flatten() {
        match (kind, label) {
            (ItemKind::Role, Some(name)) => drop(labels.roles.insert(number, name)),
            (_, Some(name)) => drop(labels.items.insert(id, name)),
            (_, None) => {}
        }
    }
    Ok(labels)
}
