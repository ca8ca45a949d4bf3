//! Handlers of `/Users` and `/Me`.

use super::object;
use super::projection::Projection;
use super::wire::USER_TYPE;
use super::{labels, patch, read, tree, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, Node, Object, RequestError};
use directory::{
    ClientProfile, Command, DirectoryError, FieldErrorKind, FieldUpdate, Receipt, Status, User, UserEdit, UserKey,
};
use http::{Response, StatusCode};

/// Without `If-Match`, while other requests change the same user.
const MAX_UPDATE_ATTEMPTS: usize = 100;

pub(super) async fn create(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let new = new_user(request)?;
    let done = state.directory.run(request.caller()?, Command::CreateUser(new.edit.clone())).await;
    created(state, request, new, done).await
}

/// A user to create, as in the request.
pub(super) struct NewUser {
    tree: Object,
    pub(super) edit: Box<UserEdit>,
    projection: Projection,
}

pub(super) fn new_user(request: &DialectRequest) -> Result<NewUser, RequestError> {
    let projection = Projection::from_query(request, &USER_TYPE)?;
    let tree = read::parse_resource(request, &USER_TYPE)?;
    let mut edit = read::user_edit(&Object::default(), &tree)?;
    if !edit.status.is_change() {
        edit.status = directory::FieldUpdate::Set(directory::RequestedStatus::Active);
    }
    Ok(NewUser { tree, edit: Box::new(edit), projection })
}

/// The response to a create.
pub(super) async fn created(
    state: &AppState,
    request: &DialectRequest,
    new: NewUser,
    done: Result<Receipt, DirectoryError>,
) -> Result<DialectResponse, RequestError> {
    let user = match done {
        Ok(receipt) => receipt.users.into_iter().next().ok_or(DirectoryError::NoSuchUser)?,
        Err(error) => reactivate_by_external_id(state, request, &new.tree, error).await?,
    };
    user_response(state, request, StatusCode::CREATED, user, &new.projection).await
}

/// Okta recreates users it has deactivated: an inactive user with the same `externalId` becomes active as the
/// request says, without the old password, groups and folders. Other conflicts are returned.
async fn reactivate_by_external_id(
    state: &AppState,
    request: &DialectRequest,
    tree: &Object,
    error: DirectoryError,
) -> Result<User, RequestError> {
    let is_taken =
        matches!(&error, DirectoryError::Invalid(errors) if errors.iter().any(|f| f.kind == FieldErrorKind::Taken));
    let Some(Node::Text(id)) = object::get(tree, "externalId").filter(|_| is_taken) else {
        return Err(error.into());
    };
    let caller = request.caller()?;
    let Ok(user) = state.directory.user(caller, UserKey::ExternalId(id.clone())).await else {
        return Err(error.into());
    };
    if caller.profile != ClientProfile::Okta || user.status != Status::Inactive {
        let text = format!("externalId is already in use by user {}", user.id);
        return Err(RequestError::dialect_specific(StatusCode::CONFLICT, "uniqueness", text));
    }
    let change = |before: &Object| {
        let mut after = tree.clone();
        if object::get(&after, "active").is_none() {
            object::set(&mut after, "active", Some(Node::Bool(true)));
        }
        let mut edit = read::user_edit(before, &after)?;
        edit.clear_password = true;
        (edit.groups, edit.folders) = (FieldUpdate::Set(Vec::new()), FieldUpdate::Set(Vec::new()));
        Ok(edit)
    };
    change_user(state, request, UserKey::Id(user.id), change).await
}

pub(super) async fn get(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    get_user(state, request, read::user_key(request.path_param(0))).await
}

pub(super) async fn replace(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    replace_user(state, request, read::user_key(request.path_param(0))).await
}

pub(super) async fn modify(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    modify_user(state, request, read::user_key(request.path_param(0))).await
}

pub(super) async fn delete(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    delete_user(state, request, read::user_key(request.path_param(0))).await
}

/// The user the connection belongs to (RFC 7644 section 3.11).
fn me_key(request: &DialectRequest) -> Result<UserKey, RequestError> {
    let not_implemented = || {
        let text = "/Me needs a connection that belongs to a user (`muster connection add --user`)";
        RequestError::dialect_specific(StatusCode::NOT_IMPLEMENTED, "", text)
    };
    request.client().and_then(|client| client.user).map(UserKey::Id).ok_or_else(not_implemented)
}

pub(super) async fn get_me(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    get_user(state, request, me_key(request)?).await
}

pub(super) async fn replace_me(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    replace_user(state, request, me_key(request)?).await
}

pub(super) async fn modify_me(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    modify_user(state, request, me_key(request)?).await
}

pub(super) async fn delete_me(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    delete_user(state, request, me_key(request)?).await
}

async fn get_user(state: &AppState, request: &DialectRequest, key: UserKey) -> Result<DialectResponse, RequestError> {
    let projection = Projection::from_query(request, &USER_TYPE)?;
    let user = state.directory.user(request.caller()?, key).await?;
    let etag = write::user_etag(&user);
    if read::matches_etag(request, "if-none-match", &etag) == Some(true) {
        return Ok(not_modified(&etag));
    }
    user_response(state, request, StatusCode::OK, user, &projection).await
}

async fn replace_user(
    state: &AppState,
    request: &DialectRequest,
    key: UserKey,
) -> Result<DialectResponse, RequestError> {
    let projection = Projection::from_query(request, &USER_TYPE)?;
    let sent = read::parse_resource(request, &USER_TYPE)?;
    let object = read::body_object(request)?;
    let change = |before: &Object| {
        let mut after = sent.clone();
        read::keep_omitted(before, &mut after, object);
        read::user_edit(before, &after)
    };
    let user = change_user(state, request, key, change).await?;
    user_response(state, request, StatusCode::OK, user, &projection).await
}

async fn modify_user(
    state: &AppState,
    request: &DialectRequest,
    key: UserKey,
) -> Result<DialectResponse, RequestError> {
    let projection = Projection::from_query(request, &USER_TYPE)?;
    let normalizer = read::normalizer(request, &USER_TYPE);
    let operations = read::patch_operations(request, &normalizer)?;
    let change = |before: &Object| {
        let check = |tree: &Object| Ok(directory::validate_user_edit(&read::user_edit(before, tree)?)?);
        let after = patch::apply(before.clone(), &operations, &normalizer, check)?;
        read::user_edit(before, &after)
    };
    let user = change_user(state, request, key, change).await?;
    request.count_ignored(normalizer.ignored_count());
    user_response(state, request, StatusCode::OK, user, &projection).await
}

async fn delete_user(
    state: &AppState,
    request: &DialectRequest,
    key: UserKey,
) -> Result<DialectResponse, RequestError> {
    if state.directory.committed_receipt(request.caller()?).await?.is_some() {
        return Ok(no_content());
    }
    let mut command = Command::DeleteUser(key.clone());
    if request.headers.contains_key("if-match") {
        let user = state.directory.user(request.caller()?, key).await?;
        check_if_match(request, &write::user_etag(&user))?;
        command = Command::IfVersion(user.version, Box::new(command));
    }
    state.directory.run(request.caller()?, command).await?;
    Ok(no_content())
}

/// Applies `change` to the version it was computed from. If another request is faster, it is computed again, or
/// fails with 412 if the request has `If-Match`.
async fn change_user(
    state: &AppState,
    request: &DialectRequest,
    key: UserKey,
    change: impl Fn(&Object) -> Result<UserEdit, RequestError> + Send,
) -> Result<User, RequestError> {
    if let Some(receipt) = state.directory.committed_receipt(request.caller()?).await? {
        return Ok(receipt.users.into_iter().next().ok_or(DirectoryError::NoSuchUser)?);
    }
    let settable = Projection::settable();
    for _ in 0..MAX_UPDATE_ATTEMPTS {
        let user = state.directory.user(request.caller()?, key.clone()).await?;
        check_if_match(request, &write::user_etag(&user))?;
        let labels = labels::load(state, request, std::slice::from_ref(&user), &settable).await?;
        let before = match tree::from_output(&write::user(&write::base_url(request), &user, &labels, &settable)) {
            Node::Object(written) => read::normalize_stored(&written, &USER_TYPE)?,
            _ => Object::default(),
        };
        let command = Command::UpdateUser { user: UserKey::Id(user.id), edit: Box::new(change(&before)?) };
        let command = Command::IfVersion(user.version, Box::new(command));
        match state.directory.run(request.caller()?, command).await {
            Ok(receipt) => return Ok(receipt.users.into_iter().next().unwrap_or(user)),
            Err(DirectoryError::VersionMismatch) if !request.headers.contains_key("if-match") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(DirectoryError::Conflict.into())
}

pub(super) fn check_if_match(request: &DialectRequest, etag: &str) -> Result<(), RequestError> {
    match read::matches_etag(request, "if-match", etag) {
        Some(false) => Err(DirectoryError::VersionMismatch.into()),
        _ => Ok(()),
    }
}

pub(super) fn no_content() -> DialectResponse {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

pub(super) fn not_modified(etag: &str) -> DialectResponse {
    let mut response = write::with_resource_headers(Response::default(), None, etag);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

async fn user_response(
    state: &AppState,
    request: &DialectRequest,
    status: StatusCode,
    user: User,
    projection: &Projection,
) -> Result<DialectResponse, RequestError> {
    let labels = labels::load(state, request, std::slice::from_ref(&user), projection).await?;
    let base = write::base_url(request);
    let out = write::user(&base, &user, &labels, projection);
    let location = write::location(&base, &USER_TYPE, &user.id.to_string());
    Ok(write::with_resource_headers(write::response(request, status, &out), Some(&location), &write::user_etag(&user)))
}
