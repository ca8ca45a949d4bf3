//! What the routes of `/Users` and `/Me` do.

use super::members;
use super::select::Selection;
use super::wire::USERS;
use super::{labels, patch, read, tree, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, Node, Object, RequestError};
use directory::{
    ClientProfile, Command, DirectoryError, FieldErrorKind, FieldUpdate, Status, User, UserEdit, UserKey,
};
use http::{Response, StatusCode};

/// How often a change without `If-Match` is worked out anew when others change the same person meanwhile.
const TRIES: usize = 100;

pub(super) async fn create(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let selection = Selection::of(call, &USERS)?;
    let tree = read::resource(call, &USERS)?;
    let mut edit = read::user_edit(&Object::default(), &tree)?;
    if !edit.status.is_change() {
        edit.status = directory::FieldUpdate::Set(directory::RequestedStatus::Active);
    }
    let user = match desk.directory.run(call.caller()?, Command::CreateUser(Box::new(edit))).await {
        Ok(receipt) => receipt.users.into_iter().next().ok_or(DirectoryError::NoSuchUser)?,
        Err(refusal) => of_external_id(desk, call, &tree, refusal).await?,
    };
    answer(desk, call, StatusCode::CREATED, user, &selection).await
}

/// A user who has the external id of one that cannot be created. Okta creates users again whom it has deactivated: they are active
/// again as after a deletion, as the request says they are, without the password and the groups they had.
async fn of_external_id(
    desk: &AppState,
    call: &DialectRequest,
    tree: &Object,
    refusal: DirectoryError,
) -> Result<User, RequestError> {
    let is_taken = matches!(&refusal, DirectoryError::Invalid(faults) if faults.iter().any(|f| f.kind == FieldErrorKind::Taken));
    let Some(Node::Text(id)) = members::get(tree, "externalId").filter(|_| is_taken) else {
        return Err(refusal.into());
    };
    let caller = call.caller()?;
    let Ok(user) = desk.directory.user(caller, UserKey::ExternalId(id.clone())).await else {
        return Err(refusal.into());
    };
    if caller.profile != ClientProfile::Okta || user.status != Status::Inactive {
        let text = format!("externalId is taken by user {}", user.id);
        return Err(RequestError::dialect_specific(StatusCode::CONFLICT, "uniqueness", text));
    }
    let change = |before: &Object| {
        let mut after = tree.clone();
        if members::get(&after, "active").is_none() {
            members::put(&mut after, "active", Some(Node::Bool(true)));
        }
        let mut edit = read::user_edit(before, &after)?;
        edit.clear_password = true;
        (edit.groups, edit.folders) = (FieldUpdate::Set(Vec::new()), FieldUpdate::Set(Vec::new()));
        Ok(edit)
    };
    change_user(desk, call, UserKey::Id(user.id), change).await
}

pub(super) async fn get(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    get_of(desk, call, read::user_key(call.path_param(0))).await
}

pub(super) async fn replace(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    replace_of(desk, call, read::user_key(call.path_param(0))).await
}

pub(super) async fn modify(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    modify_of(desk, call, read::user_key(call.path_param(0))).await
}

pub(super) async fn delete(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    delete_of(desk, call, read::user_key(call.path_param(0))).await
}

/// The person whose own client it is (RFC 7644 section 3.11).
fn me(call: &DialectRequest) -> Result<UserKey, RequestError> {
    let nobody = || {
        let text = "This token belongs to no person, so there is no Me";
        RequestError::dialect_specific(StatusCode::NOT_IMPLEMENTED, "", text)
    };
    call.caller()?.user.map(UserKey::Id).ok_or_else(nobody)
}

pub(super) async fn get_me(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    get_of(desk, call, me(call)?).await
}

pub(super) async fn replace_me(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    replace_of(desk, call, me(call)?).await
}

pub(super) async fn modify_me(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    modify_of(desk, call, me(call)?).await
}

pub(super) async fn delete_me(
    desk: &AppState,
    call: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    delete_of(desk, call, me(call)?).await
}

async fn get_of(
    desk: &AppState,
    call: &DialectRequest,
    key: UserKey,
) -> Result<DialectResponse, RequestError> {
    let selection = Selection::of(call, &USERS)?;
    let user = desk.directory.user(call.caller()?, key).await?;
    let etag = write::etag_of_user(&user);
    if read::matching(call, "if-none-match", &etag) == Some(true) {
        return Ok(not_modified(&etag));
    }
    answer(desk, call, StatusCode::OK, user, &selection).await
}

async fn replace_of(
    desk: &AppState,
    call: &DialectRequest,
    key: UserKey,
) -> Result<DialectResponse, RequestError> {
    let selection = Selection::of(call, &USERS)?;
    let sent = read::resource(call, &USERS)?;
    let object = read::object(call)?;
    let change = |before: &Object| {
        let mut after = sent.clone();
        read::keep_unmentioned(before, &mut after, object);
        read::user_edit(before, &after)
    };
    let user = change_user(desk, call, key, change).await?;
    answer(desk, call, StatusCode::OK, user, &selection).await
}

async fn modify_of(
    desk: &AppState,
    call: &DialectRequest,
    key: UserKey,
) -> Result<DialectResponse, RequestError> {
    let selection = Selection::of(call, &USERS)?;
    let former = read::former(call, &USERS);
    let operations = read::operations(call, &former)?;
    let change = |before: &Object| {
        let check = |tree: &Object| Ok(directory::validate_user_edit(&read::user_edit(before, tree)?)?);
        let after = patch::apply(before.clone(), &operations, &former, check)?;
        read::user_edit(before, &after)
    };
    let user = change_user(desk, call, key, change).await?;
    call.count_ignored(former.ignored());
    answer(desk, call, StatusCode::OK, user, &selection).await
}

async fn delete_of(
    desk: &AppState,
    call: &DialectRequest,
    key: UserKey,
) -> Result<DialectResponse, RequestError> {
    let mut command = Command::DeleteUser(key.clone());
    if call.headers.contains_key("if-match") {
        let user = desk.directory.user(call.caller()?, key).await?;
        must_match(call, &write::etag_of_user(&user))?;
        command = Command::IfVersion(user.version, Box::new(command));
    }
    desk.directory.run(call.caller()?, command).await?;
    Ok(nothing())
}

/// Changes a person by what `change` makes of their tree. It is bound to the version it was worked out from: without
/// `If-Match` it is worked out anew when somebody else was faster, with it that is a 412.
async fn change_user(
    desk: &AppState,
    call: &DialectRequest,
    key: UserKey,
    change: impl Fn(&Object) -> Result<UserEdit, RequestError> + Send,
) -> Result<User, RequestError> {
    let settable = Selection::settable();
    for _ in 0..TRIES {
        let user = desk.directory.user(call.caller()?, key.clone()).await?;
        must_match(call, &write::etag_of_user(&user))?;
        let labels = labels::of(desk, call, std::slice::from_ref(&user), &settable).await?;
        let before = match tree::of_out(&write::user(&write::base(call), &user, &labels, &settable)) {
            Node::Object(written) => read::stored(&written, &USERS)?,
            _ => Object::default(),
        };
        let command = Command::UpdateUser { user: UserKey::Id(user.id), edit: Box::new(change(&before)?) };
        let command = Command::IfVersion(user.version, Box::new(command));
        match desk.directory.run(call.caller()?, command).await {
            Ok(receipt) => return Ok(receipt.users.into_iter().next().unwrap_or(user)),
            Err(DirectoryError::VersionMismatch) if !call.headers.contains_key("if-match") => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Err(DirectoryError::Conflict.into())
}

/// Refuses what was meant for another version.
pub(super) fn must_match(call: &DialectRequest, etag: &str) -> Result<(), RequestError> {
    match read::matching(call, "if-match", etag) {
        Some(false) => Err(DirectoryError::VersionMismatch.into()),
        _ => Ok(()),
    }
}

pub(super) fn nothing() -> DialectResponse {
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

pub(super) fn not_modified(etag: &str) -> DialectResponse {
    let mut answer = write::with_head(Response::default(), None, etag);
    *answer.status_mut() = StatusCode::NOT_MODIFIED;
    answer
}

async fn answer(
    desk: &AppState,
    call: &DialectRequest,
    status: StatusCode,
    user: User,
    selection: &Selection,
) -> Result<DialectResponse, RequestError> {
    let labels = labels::of(desk, call, std::slice::from_ref(&user), selection).await?;
    let base = write::base(call);
    let out = write::user(&base, &user, &labels, selection);
    let location = write::location(&base, &USERS, &user.id.to_string());
    Ok(write::with_head(write::reply(call, status, &out), Some(&location), &write::etag_of_user(&user)))
}
