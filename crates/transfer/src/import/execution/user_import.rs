//! Rows of users.

use crate::column::{ColumnKind, RecordKind};
use crate::formats::Row;
use crate::import::execution::context::{ImportContext, RowResult, run_all_with_retry, run_with_retry};
use crate::import::execution::parsed_row::RowContent;
use crate::import::options::MatchKey;
use crate::import::report::RowOutcome;
use crate::reference_resolver::{ItemReference, ReferenceResolver};
use crate::user_row::{UserRow, changed_columns};
use directory::{
    Command, DirectoryError, ExposeSecret, Field, FieldUpdate, ItemKey, ItemKind, Preview, Receipt, RequestedStatus,
    Status, User, UserEdit, UserId, UserKey,
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

impl PreparedUser {
    /// Hashing a password takes long: other users must not wait for it.
    pub(crate) fn can_be_created_with_others(&self) -> bool {
        !self.user_row.is_deleted() && self.user_row.edit.password.is_none()
    }
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

/// Matches a row to a user by the most reliable key that finds one. Rows without any of the keys are matched by user
/// name.
pub(crate) struct UserMatcher {
    /// Reversed: the next one is the last.
    keys: Vec<(MatchKey, UserKey)>,
    external_id_not_found: bool,
}

impl UserMatcher {
    pub(crate) fn new(ctx: &ImportContext<'_>, user_row: &UserRow) -> Self {
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
        keys.reverse();
        Self { keys, external_id_not_found: false }
    }

    /// The key to look up next; `None` once the row is matched, or no user matches.
    pub(crate) fn next_key(&self) -> Option<&UserKey> {
        self.keys.last().map(|(_, key)| key)
    }

    /// The row after its next key was looked up.
    pub(crate) fn apply(&mut self, ctx: &ImportContext<'_>, row: Box<UserRow>, found: Option<User>) -> RowContent {
        let Some((match_key, _)) = self.keys.pop() else { return RowContent::User(row) };
        let Some(user) = found else {
            self.external_id_not_found |= match_key == MatchKey::ExternalId;
            return RowContent::User(row);
        };
        self.keys.clear();
        // The email may have been given to another user, for example.
        if self.external_id_not_found && user.external_id.is_some() && user.external_id != row.external_id {
            let header = ctx.scan.header_of_field(match_key.field());
            return RowContent::Rejected(format!(
                "'{header}' belongs to a user with another external id (select the keys to match by with --match)"
            ));
        }
        RowContent::ExistingUser(row, Box::new(user))
    }
}

/// Creates users together.
pub(crate) async fn create_all(ctx: &ImportContext<'_>, rows: Vec<(PreparedUser, Row)>) -> Vec<RowResult> {
    let commands = rows.iter().map(|(prepared, _)| create_command(ctx, prepared)).collect();
    let done = run_all_with_retry(ctx.directory, ctx.caller, commands).await;
    let mut results = Vec::with_capacity(rows.len());
    for ((mut prepared, row), done) in rows.into_iter().zip(done) {
        let (manager, mut user) = (prepared.deferred_manager.take(), None);
        let outcome = match finish_create(ctx, &prepared, done, &mut user).await {
            Err(error) if prepared.user_row.drop_rejected_password(&error) => create(ctx, &prepared, &mut user).await,
            outcome => outcome,
        };
        let password_dropped = prepared.user_row.password_dropped && outcome == Ok(RowOutcome::Created);
        let result = RowResult::new(RecordKind::User, row, outcome);
        results.push(RowResult { user, password_dropped, deferred_manager: manager, ..result });
    }
    results
}

fn create_command(ctx: &ImportContext<'_>, prepared: &PreparedUser) -> Command {
    let mut edit = prepared.user_row.edit.clone();
    edit.id = prepared.user_row.id;
    if !edit.status.is_change() {
        let status = if ctx.options.invite { Status::Invited } else { Status::Active };
        edit.status = FieldUpdate::Set(RequestedStatus::Exact(status));
    }
    edit.invite = ctx.options.invite;
    if prepared.has_organization_column && !edit.organization.is_change() {
        edit.organization = FieldUpdate::Clear;
    }
    Command::CreateUser(edit)
}

async fn create(
    ctx: &ImportContext<'_>,
    prepared: &PreparedUser,
    created: &mut Option<(u32, UserId)>,
) -> Result<RowOutcome, DirectoryError> {
    let command = create_command(ctx, prepared);
    if ctx.options.dry_run {
        ctx.directory.preview(ctx.caller, &command).await?;
        return Ok(RowOutcome::Created);
    }
    let done = run_with_retry(ctx.directory, ctx.caller, command).await;
    finish_create(ctx, prepared, done, created).await
}

async fn finish_create(
    ctx: &ImportContext<'_>,
    prepared: &PreparedUser,
    done: Result<Receipt, DirectoryError>,
    created: &mut Option<(u32, UserId)>,
) -> Result<RowOutcome, DirectoryError> {
    let user = done?.users.pop().ok_or_else(|| DirectoryError::Internal("no user was created".into()))?;
    *created = Some((user.number, user.id));
    // A SCIM client had removed the user's attribute `active` before the export: remove it again.
    if prepared.user_row.clears_active {
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
