//! What the routes of users do.

use super::{Generation, generation, read, wire, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, ObjectSchema, OutputValue, RequestError};
use directory::{
    Command, FieldErrorKind, Item, ItemKey, ItemKind, Status, User, UserPredicate, UserQuery,
    builtin_role_name, fold, identifier_key,
};
use http::StatusCode;

pub(super) async fn get(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let caller = call.caller()?;
    let user = desk.directory.user(caller, read::user_named(call)?).await?;
    let names = names(desk, call, std::slice::from_ref(&user)).await?;
    Ok(whole(call, write::user(call, caller.tenant, &user, &names)))
}

pub(super) async fn create(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (_, edit) = read::user_edit(call, true)?;
    let receipt = desk.directory.run(call.caller()?, Command::CreateUser(Box::new(edit))).await?;
    short(call, &receipt.users)
}

pub(super) async fn update(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let (request, edit) = read::user_edit(call, false)?;
    let command = Command::UpdateUser { user: read::user_key(&request, true)?, edit: Box::new(edit) };
    let receipt = desk.directory.run(call.caller()?, command).await?;
    short(call, &receipt.users)
}

pub(super) async fn delete(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    desk.directory.run(call.caller()?, Command::DeleteUser(read::user_to_delete(call)?)).await?;
    Ok(write::reply(call, StatusCode::OK, response(call).name, OutputValue::object(Vec::new())))
}

pub(super) async fn search(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let caller = call.caller()?;
    let (skip, limit) = read::page(call)?;
    let mut query = UserQuery { offset: skip, limit, ..UserQuery::default() };
    let mut add = |name: &str, test: fn(&str) -> UserPredicate| {
        let text = read::parameter(call, name)?;
        query.predicates.extend(text.map(|text| test(text.trim())));
        Ok::<(), RequestError>(())
    };
    add("Email", |text| UserPredicate::Email(identifier_key(text)))?;
    add("ExternalId", |text| UserPredicate::ExternalId(identifier_key(text)))?;
    add("Name", |text| UserPredicate::NameContains(fold(text)))?;
    if let Some(word) = read::parameter(call, "Status")? {
        query.predicates.push(UserPredicate::Status(match word.trim().to_ascii_lowercase().as_str() {
            "invited" => vec![Status::Invited],
            "active" => vec![Status::Active],
            "inactive" => vec![Status::Suspended, Status::Inactive, Status::Archived],
            _ => return Err(RequestError::invalid_member("Status", FieldErrorKind::Malformed)),
        }));
    }
    let page = desk.directory.users(caller, query).await?;
    let names = names(desk, call, &page.rows).await?;
    let rows = page.rows.iter().map(|user| write::user(call, caller.tenant, user, &names)).collect();
    let (record, list, item) = match generation(call) {
        Generation::V1 => (&wire::SUSER_PAGE, "SUsers", "SUser"),
        Generation::V2 => (&wire::USER_PAGE, "Users", "User"),
    };
    Ok(write::reply(call, StatusCode::OK, record.name, write::many(list, item, rows, page.total)))
}

fn response(call: &DialectRequest) -> &'static ObjectSchema {
    match generation(call) {
        Generation::V1 => &wire::SUSER_RESPONSE,
        Generation::V2 => &wire::USER_RESPONSE,
    }
}

fn whole(call: &DialectRequest, user: OutputValue) -> DialectResponse {
    let name = if generation(call) == Generation::V1 { "SUser" } else { "User" };
    write::reply(call, StatusCode::OK, response(call).name, write::one(name, user))
}

fn short(call: &DialectRequest, users: &[User]) -> Result<DialectResponse, RequestError> {
    let user = users.first().ok_or(directory::DirectoryError::NoSuchUser)?;
    Ok(whole(call, write::short_user(call, user)))
}

/// The names that the answer needs: of the tenant's own roles, and of groups and folders where they were asked
/// for instead of ids.
async fn names(desk: &AppState, call: &DialectRequest, users: &[User]) -> Result<write::Names, RequestError> {
    let caller = call.caller()?;
    let mut names = write::Names::default();
    for number in users.iter().filter_map(|user| user.role).filter(|n| builtin_role_name(*n).is_none()) {
        if !names.roles.contains_key(&number)
            && let Ok(role) = desk.directory.item(caller, ItemKind::Role, ItemKey::Number(number)).await
        {
            names.roles.insert(number, role.name().to_owned());
        }
    }
    let by_name = read::switch(call, "UseNames")?;
    let by_external_id = read::switch(call, "UseExternalIds")?;
    if by_name && by_external_id {
        return Err(RequestError::invalid_member("UseExternalIds", FieldErrorKind::NotAllowed));
    }
    if !by_name && !by_external_id {
        return Ok(names);
    }
    let called = |item: &Item| {
        if by_name { Some(item.name().to_owned()) } else { item.external_id().map(str::to_owned) }
    };
    for user in users {
        let groups = user.groups.iter().map(|id| (ItemKind::Group, *id));
        let folders = user.folders.iter().map(|id| (ItemKind::Folder, *id));
        for (kind, id) in groups.chain(folders) {
            if !names.items.contains_key(&id)
                && let Ok(item) = desk.directory.item(caller, kind, ItemKey::Id(id)).await
                && let Some(name) = called(&item)
            {
                names.items.insert(id, name);
            }
        }
    }
    Ok(names)
}
