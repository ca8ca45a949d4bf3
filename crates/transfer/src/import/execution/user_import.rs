//! Rows of users.

use crate::column::{ColumnKind, RecordKind};
use crate::formats::Row;
use crate::import::execution::context::{ImportContext, RowResult, find_user, run_with_retry};
use crate::import::options::MatchKey;
use crate::import::report::RowOutcome;
use crate::reference_resolver::{ItemReference, ReferenceResolver};
use crate::user_row::{UserRow, changed_columns};
use directory::{
    Command, DirectoryError, ExposeSecret, Field, FieldUpdate, ItemKey, ItemKind, Preview, RequestedStatus, Status,
    User, UserEdit, UserId, UserKey,
};
use serde_json::Value;

/// A row whose references are resolved.
pub(crate) struct PreparedUser {
    user_row: UserRow,
    /// Whether there is an organization column (in formats without a table: in this row). If so, a new user without a
    /// value gets no organization; otherwise, the one that has the domain of the email.
    has_organization_column: bool,
    /// Whether the user would join a group or folder that would be created (dry runs only).
    joins_planned_item: bool,
    /// The manager, if it does not exist yet.
    deferred_manager: Option<String>,
}

pub(crate) async fn prepare(
    ctx: &ImportContext<'_>,
    references: &mut ReferenceResolver<'_>,
    mut user_row: UserRow,
    row: &Row,
) -> Result<PreparedUser, DirectoryError> {
    let manager = match user_row.manager.take() {
        Some(text) => match ctx.scan.user_reference_keys(&text).iter().find_map(|key| references.cached_user(key)) {
            Some(user) => {
                user_row.edit.set_text(Field::Manager, FieldUpdate::Set(user.to_string()));
                None
            }
            None => Some(text),
        },
        None => None,
    };
    let mut joins_new = false;
    for (kind, texts) in [(ItemKind::Group, user_row.groups.take()), (ItemKind::Folder, user_row.folders.take())] {
        let Some(texts) = texts else { continue };
        let found = references.resolve_or_create(kind, &texts).await?;
        let existing = found.iter().filter_map(|found| match found {
            ItemReference::Existing(id) => Some(ItemKey::Id(*id)),
            ItemReference::Planned => None,
        });
        let existing = FieldUpdate::Set(existing.collect());
        joins_new |= found.contains(&ItemReference::Planned);
        if kind == ItemKind::Group {
            user_row.edit.groups = existing;
        } else {
            user_row.edit.folders = existing;
        }
    }
    // A column of a table applies to every row, a member or attribute only to rows that have it.
    let is_table = matches!(ctx.options.format, crate::Format::Csv | crate::Format::Xlsx);
    let has_organization = |(place, _): &(usize, Value)| {
        ctx.scan.headers[*place].column.is_some_and(|column| column.kind == ColumnKind::Organization)
    };
    let has_organizations = if is_table {
        ctx.scan.header_name(|what| what == ColumnKind::Organization).is_some()
    } else {
        row.cells.iter().any(has_organization)
    };
    Ok(PreparedUser {
        user_row,
        has_organization_column: has_organizations,
        joins_planned_item: joins_new,
        deferred_manager: manager,
    })
}

/// Executes a row. `before` is the existing user, if any.
pub(crate) async fn execute(
    ctx: &ImportContext<'_>,
    mut prepared: PreparedUser,
    before: Option<User>,
    row: Row,
) -> RowResult {
    let mut user = before.as_ref().map(|before| (before.number, before.id));
    let is_deleted = prepared.user_row.is_deleted();
    let manager = prepared.deferred_manager.take().filter(|_| !is_deleted);
    let outcome = match before {
        None if is_deleted => Ok(RowOutcome::Unchanged),
        None => match create(ctx, &prepared, &mut user).await {
            Err(error) if prepared.user_row.drop_rejected_password(&error) => create(ctx, &prepared, &mut user).await,
            outcome => outcome,
        },
        Some(before) => {
            if is_deleted {
                let status = FieldUpdate::Set(RequestedStatus::Inactive);
                *prepared.user_row.edit = UserEdit { status, ..UserEdit::default() };
            }
            match update(ctx, &prepared, before.clone()).await {
                Err(error) if prepared.user_row.drop_rejected_password(&error) => update(ctx, &prepared, before).await,
                outcome => outcome,
            }
        }
    };
    let lost_password = prepared.user_row.password_dropped && outcome == Ok(RowOutcome::Created);
    RowResult {
        user,
        password_dropped: lost_password,
        is_deleted,
        deferred_manager: manager,
        ..RowResult::new(RecordKind::User, row, outcome)
    }
}

/// The user that a row matches.
pub(crate) enum UserMatch {
    NotFound,
    Found(Box<User>),
    /// The matching user conflicts with another key of the row; the text is the reason for the rejection.
    Ambiguous(String),
}

/// Finds the user by the most reliable key that matches one. Rows without any of the keys are matched by user name.
pub(crate) async fn match_user(ctx: &ImportContext<'_>, user_row: &UserRow) -> Result<UserMatch, DirectoryError> {
    let user_key = |key: MatchKey| match key {
        MatchKey::Id => user_row.id.map(UserKey::Id),
        MatchKey::ExternalId => user_row.external_id.clone().map(UserKey::ExternalId),
        MatchKey::Email => user_row.email.clone().map(UserKey::Email),
        MatchKey::UserName => user_row.user_name.clone().map(UserKey::Login),
    };
    let mut keys: Vec<(MatchKey, UserKey)> =
        ctx.options.match_by.iter().filter_map(|key| Some((*key, user_key(*key)?))).collect();
    if keys.is_empty() {
        keys.extend(user_key(MatchKey::UserName).map(|key| (MatchKey::UserName, key)));
    }
    let mut external_id_not_found = false;
    for (match_key, key) in keys {
        if let Some(user) = find_user(ctx, key).await? {
            // The email may have been given to another user, for example.
            if external_id_not_found && user.external_id.is_some() && user.external_id != user_row.external_id {
                let header = ctx.scan.header_of_field(match_key.field());
                return Ok(UserMatch::Ambiguous(format!(
                    "'{header}' belongs to a user with another external id (select the keys to match by with --match)"
                )));
            }
            return Ok(UserMatch::Found(Box::new(user)));
        }
        external_id_not_found |= match_key == MatchKey::ExternalId;
    }
    Ok(UserMatch::NotFound)
}

async fn create(
    ctx: &ImportContext<'_>,
    prepared: &PreparedUser,
    created: &mut Option<(u32, UserId)>,
) -> Result<RowOutcome, DirectoryError> {
    let PreparedUser {
        user_row,
        has_organization_column: has_organizations,
        joins_planned_item: _,
        deferred_manager: _,
    } = prepared;
    let mut edit = user_row.edit.clone();
    edit.id = user_row.id;
    if !edit.status.is_change() {
        let status = if ctx.options.invite { Status::Invited } else { Status::Active };
        edit.status = FieldUpdate::Set(RequestedStatus::Exact(status));
    }
    edit.invite = ctx.options.invite;
    if *has_organizations && !edit.organization.is_change() {
        edit.organization = FieldUpdate::Clear;
    }
    let command = Command::CreateUser(edit);
    if ctx.options.dry_run {
        ctx.directory.preview(ctx.caller, &command).await?;
        return Ok(RowOutcome::Created);
    }
    let mut receipt = run_with_retry(ctx.directory, ctx.caller, command).await?;
    let Some(user) = receipt.users.pop() else {
        return Err(DirectoryError::Internal("no user was created".into()));
    };
    *created = Some((user.number, user.id));
    // A SCIM client had removed the user's attribute `active` before the export: remove it again.
    if user_row.clears_active {
        let edit = UserEdit { status: FieldUpdate::Clear, ..UserEdit::default() };
        let command = Command::UpdateUser { user: UserKey::Id(user.id), edit: Box::new(edit) };
        run_with_retry(ctx.directory, ctx.caller, command).await?;
    }
    Ok(RowOutcome::Created)
}

async fn update(ctx: &ImportContext<'_>, prepared: &PreparedUser, before: User) -> Result<RowOutcome, DirectoryError> {
    let PreparedUser { user_row, has_organization_column: _, joins_planned_item: joins_new, deferred_manager: _ } =
        prepared;
    let mut edit = user_row.edit.clone();
    // An existing user cannot return to the status `invited`.
    if edit.status == FieldUpdate::Set(RequestedStatus::Exact(Status::Invited)) {
        edit.status = FieldUpdate::Keep;
    }
    if user_row.clears_active || edit.status == FieldUpdate::Clear && before.active_cleared {
        edit.status = FieldUpdate::Keep;
    }
    if let Some(hash) = &edit.password_hash {
        // Setting the same hash again would end the user's sessions.
        let stored = ctx.directory.password_hashes(ctx.caller, before.number..=before.number).await?;
        let is_same_hash =
            |(_, stored): &(u32, directory::PasswordHash)| stored.0.expose_secret() == hash.0.expose_secret();
        if stored.first().is_some_and(is_same_hash) {
            edit.password_hash = None;
        }
    }
    let has_password = edit.password.is_some() || edit.password_hash.is_some();
    let command = Command::UpdateUser { user: UserKey::Id(before.id), edit };
    if ctx.options.dry_run {
        return Ok(match ctx.directory.preview(ctx.caller, &command).await? {
            Preview::User(after) => {
                let mut columns = changed_columns(&before, &after, &ctx.names);
                columns.extend(has_password.then_some("password"));
                RowOutcome::Changed(columns)
            }
            _ if *joins_new => RowOutcome::Changed(vec!["groups"]),
            _ => RowOutcome::Unchanged,
        });
    }
    let receipt = run_with_retry(ctx.directory, ctx.caller, command).await?;
    let is_changed = receipt.users.first().is_some_and(|after| after.version != before.version);
    Ok(if is_changed { RowOutcome::Changed(Vec::new()) } else { ctx.outcome_of_unchanged_user(&before) })
}
