//! The handlers.

use super::{read, wire, write};
use crate::kit::{AppState, BodyUse, DialectRequest, DialectResponse, OutputValue, RequestError, WriteContext};
use directory::{BUILTIN_ROLES, Command, DirectoryError, FieldErrorKind, ItemKind, ItemQuery, User, UserQuery};
use http::{Response, StatusCode};

/// Maximum number of users in one list; larger ones must be requested in parts.
const MAX_LIST_SIZE: u64 = 100_000;

pub(super) async fn create(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let edit = read::user_edit(request, BodyUse::Create)?;
    let receipt = state.directory.run(request.caller()?, Command::CreateUser(Box::new(edit))).await?;
    id_response(request, &receipt.users)
}

pub(super) async fn update(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let command = Command::UpdateUser {
        user: read::user_key(request)?,
        edit: Box::new(read::user_edit(request, BodyUse::Update)?),
    };
    let receipt = state.directory.run(request.caller()?, command).await?;
    id_response(request, &receipt.users)
}

pub(super) async fn delete(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    state.directory.run(request.caller()?, Command::DeleteUser(read::user_key(request)?)).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

pub(super) async fn get(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let user = state.directory.user(request.caller()?, read::user_key(request)?).await?;
    let departments = if user.department.is_some() { numbered_departments(state, request).await? } else { Vec::new() };
    Ok(write::model_response(
        request,
        wire::USER_VIEW.name,
        &write::user(&write::context(request)?, &user, &departments),
    ))
}

pub(super) async fn list(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let caller = request.caller()?;
    let (skip, take) = read::skip_and_take(request)?;
    let limit = take.unwrap_or(u32::MAX);
    if u64::from(limit) > MAX_LIST_SIZE {
        let count = UserQuery { offset: 0, limit: 0, ..UserQuery::default() };
        let total = state.directory.find_users(caller, count).await?.total;
        if u64::from(limit).min(total.saturating_sub(skip)) > MAX_LIST_SIZE {
            let most = usize::try_from(MAX_LIST_SIZE).unwrap_or(usize::MAX);
            return Err(RequestError::invalid_member("Take", FieldErrorKind::TooLong(most)));
        }
    }
    let query = UserQuery { offset: skip, limit, ..UserQuery::default() };
    let users = state.directory.find_users(caller, query).await?.rows;
    let departments = numbered_departments(state, request).await?;
    let context = write::context(request)?;
    let rows = users.iter().map(|user| write::user(&context, user, &departments)).collect();
    Ok(write::model_response(request, wire::USER_LIST.name, &OutputValue::List("UserView", rows)))
}

pub(super) async fn roles(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let custom_roles = state.directory.find_items(request.caller()?, ItemQuery::all(ItemKind::Role)).await?.rows;
    let custom_roles = custom_roles.iter().map(|role| (role.number(), role.name()));
    let context = write::context(request)?;
    let rows = BUILTIN_ROLES
        .into_iter()
        .chain(custom_roles)
        .map(|(number, name)| catalog_entry(&context, number, name))
        .collect();
    Ok(write::model_response(request, wire::ROLE_LIST.name, &OutputValue::List("RoleView", rows)))
}

pub(super) async fn departments(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let context = write::context(request)?;
    let rows = numbered_departments(state, request)
        .await?
        .iter()
        .map(|(number, name)| catalog_entry(&context, *number, name))
        .collect();
    Ok(write::model_response(request, wire::DEPARTMENT_LIST.name, &OutputValue::List("DepartmentView", rows)))
}

fn catalog_entry(context: &WriteContext, number: u32, name: &str) -> OutputValue {
    write::members(context, vec![("id", OutputValue::Integer(number.into())), ("label", OutputValue::text(name))])
}

async fn numbered_departments(state: &AppState, request: &DialectRequest) -> Result<Vec<(u32, String)>, RequestError> {
    let all = state.directory.find_items(request.caller()?, ItemQuery::all(ItemKind::Department)).await?.rows;
    Ok(all.iter().map(|item| (item.number(), item.name().to_owned())).collect())
}

fn id_response(request: &DialectRequest, users: &[User]) -> Result<DialectResponse, RequestError> {
    let user = users.first().ok_or(DirectoryError::NoSuchUser)?;
    let out = write::members(&write::context(request)?, vec![("id", OutputValue::Integer(user.number.into()))]);
    Ok(write::model_response(request, wire::USER_POST_RESPONSE.name, &out))
}
