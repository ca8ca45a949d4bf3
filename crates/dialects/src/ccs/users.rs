//! What the routes do.

use super::{read, wire, write};
use crate::kit::{Answer, Call, Desk, Fault, Out};
use directory::{
    BUILTIN_ROLES, Command, DirectoryError, FieldErrorKind, ItemKind, ItemQuery, User, UserQuery,
};
use http::{Response, StatusCode};

/// How many people one list may hold before a part must be asked for.
const LIST_AT_MOST: u64 = 100_000;

pub(super) async fn create(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let edit = read::user_edit(call, true)?;
    let receipt = desk.directory.run(call.caller()?, Command::CreateUser(Box::new(edit))).await?;
    number(call, &receipt.users)
}

pub(super) async fn update(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let command =
        Command::UpdateUser { user: read::user_key(call)?, edit: Box::new(read::user_edit(call, false)?) };
    let receipt = desk.directory.run(call.caller()?, command).await?;
    number(call, &receipt.users)
}

pub(super) async fn delete(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    desk.directory.run(call.caller()?, Command::DeleteUser(read::user_key(call)?)).await?;
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

pub(super) async fn get(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let user = desk.directory.user(call.caller()?, read::user_key(call)?).await?;
    let departments = if user.department.is_some() { catalogue(desk, call).await? } else { Vec::new() };
    Ok(write::model(call, wire::USER_VIEW.name, &write::user(call, &user, &departments)))
}

pub(super) async fn list(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let caller = call.caller()?;
    let (skip, take) = read::part(call)?;
    let limit = take.unwrap_or(u32::MAX);
    let count = UserQuery { offset: 0, limit: 0, ..UserQuery::default() };
    let total = desk.directory.users(caller, count).await?.total;
    if u64::from(limit).min(total.saturating_sub(skip)) > LIST_AT_MOST {
        return Err(Fault::field(
            "Take",
            FieldErrorKind::TooLong(usize::try_from(LIST_AT_MOST).unwrap_or(usize::MAX)),
        ));
    }
    let query = UserQuery { offset: skip, limit, ..UserQuery::default() };
    let users = desk.directory.users(caller, query).await?.rows;
    let departments = catalogue(desk, call).await?;
    let rows = users.iter().map(|user| write::user(call, user, &departments)).collect();
    Ok(write::model(call, wire::USER_LIST.name, &Out::List("UserView", rows)))
}

pub(super) async fn roles(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let own = desk.directory.items(call.caller()?, ItemQuery::all(ItemKind::Role)).await?.rows;
    let own = own.iter().map(|role| (role.number(), role.name()));
    let rows = BUILTIN_ROLES.into_iter().chain(own).map(|(number, name)| label(call, number, name)).collect();
    Ok(write::model(call, wire::ROLE_LIST.name, &Out::List("RoleView", rows)))
}

pub(super) async fn departments(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let rows = catalogue(desk, call).await?.iter().map(|(number, name)| label(call, *number, name)).collect();
    Ok(write::model(call, wire::DEPARTMENT_LIST.name, &Out::List("DepartmentView", rows)))
}

fn label(call: &Call, number: u32, name: &str) -> Out {
    write::members(call, vec![("id", Out::Integer(number.into())), ("label", Out::text(name))])
}

async fn catalogue(desk: &Desk, call: &Call) -> Result<Vec<(u32, String)>, Fault> {
    let all = desk.directory.items(call.caller()?, ItemQuery::all(ItemKind::Department)).await?.rows;
    Ok(all.iter().map(|item| (item.number(), item.name().to_owned())).collect())
}

fn number(call: &Call, users: &[User]) -> Result<Answer, Fault> {
    let user = users.first().ok_or(DirectoryError::NoSuchUser)?;
    let out = write::members(call, vec![("id", Out::Integer(user.number.into()))]);
    Ok(write::model(call, wire::USER_POST_RESPONSE.name, &out))
}
