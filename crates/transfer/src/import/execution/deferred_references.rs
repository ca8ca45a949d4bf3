//! References to users: members of groups and managers. They may refer to later rows, so they are resolved after
//! all rows are imported. A reference that is not found is reported and written to the file of rejected rows.

use crate::column::{ColumnKind, RecordKind};
use crate::formats::Row;
use crate::import::Scan;
use crate::import::execution::context::{ImportContext, run_with_retry};
use crate::import::execution::item_import;
use crate::import::execution::rejected_rows::RejectedRows;
use crate::import::options::ImportError;
use crate::import::report::{ImportReport, RowOutcome};
use crate::import::scan::RowSubject;
use crate::import::scan::row_stream::stream_rows;
use crate::reference_resolver::find_user;
use directory::{
    Command, DirectoryError, Field, FieldUpdate, GroupEdit, Item, ItemKey, ItemKind, MemberEdit, Preview, UserEdit,
    UserId, UserKey,
};
use serde_json::Value;
use std::collections::HashSet;

const MEMBERS_PER_COMMAND: usize = 1_000;

/// A user whose manager did not exist when the row was imported.
pub(crate) struct DeferredManager {
    pub(crate) row: Row,
    /// `None` in a dry run, if the row would create the user.
    pub(crate) user: Option<UserId>,
    /// The manager as named in the row.
    pub(crate) manager: String,
    /// Whether the row changed nothing else, so that it is not counted yet.
    pub(crate) is_unchanged: bool,
}

impl ImportContext<'_> {
    async fn resolve_user(&self, text: &str) -> Result<UserReference, DirectoryError> {
        for key in self.scan.user_reference_keys(text) {
            if let Some(user) = find_user(self.directory, self.caller, &key).await? {
                return Ok(UserReference::Existing(user));
            }
            // A dry run creates no users.
            if self.options.dry_run && self.scan.has_user(&key) {
                return Ok(UserReference::Planned);
            }
        }
        Ok(UserReference::Missing)
    }
}

enum UserReference {
    Existing(UserId),
    /// A dry run would create the user.
    Planned,
    Missing,
}

fn stopped_at(row: u64) -> impl FnOnce(DirectoryError) -> ImportError {
    move |error| ImportError::Stopped { row, error }
}

pub(crate) async fn set_managers(
    ctx: &ImportContext<'_>,
    deferred: Vec<DeferredManager>,
    report: &mut ImportReport,
    rejected_rows: &mut RejectedRows<'_>,
    on_progress: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(), ImportError> {
    for DeferredManager { row, user, manager, is_unchanged: is_left } in deferred {
        if !on_progress(0) {
            return Err(ImportError::Canceled);
        }
        let mut reference = ctx.resolve_user(&manager).await.map_err(stopped_at(row.number))?;
        // Some systems write the manager's name. It is used if only one user of the file has it.
        if let (UserReference::Missing, Some(login)) = (&reference, ctx.scan.login_of_name(&manager)) {
            reference = ctx.resolve_user(login).await.map_err(stopped_at(row.number))?;
        }
        let mut outcome = RowOutcome::Unchanged;
        match (reference, user) {
            (UserReference::Missing, _) => {
                let reason = format!("manager '{manager}' not found");
                rejected_rows.add_reference(&row, ColumnKind::Text(Field::Manager), &manager, &reason);
                report.add_missing_reference(row.number, reason);
            }
            (UserReference::Existing(manager), Some(user)) => {
                let mut edit = UserEdit::default();
                edit.set_text(Field::Manager, FieldUpdate::Set(manager.to_string()));
                let command = Command::UpdateUser { user: UserKey::Id(user), edit: Box::new(edit) };
                if set_manager(ctx, command).await.map_err(stopped_at(row.number))? {
                    outcome = RowOutcome::Changed(vec!["manager"]);
                }
            }
            (UserReference::Planned, Some(_)) => outcome = RowOutcome::Changed(vec!["manager"]),
            (UserReference::Existing(_) | UserReference::Planned, None) => {}
        }
        if is_left {
            report.add_outcome(RecordKind::User, row.number, &outcome);
        }
    }
    Ok(())
}

/// Returns whether the manager changes, or would change.
async fn set_manager(ctx: &ImportContext<'_>, command: Command) -> Result<bool, DirectoryError> {
    let done = if ctx.options.dry_run {
        ctx.directory.preview(ctx.caller, &command).await.map(|would| would != Preview::Unchanged)
    } else {
        run_with_retry(ctx.directory, ctx.caller, command).await.map(|receipt| !receipt.users.is_empty())
    };
    match done {
        // Others deleted the user in the meantime.
        Err(DirectoryError::NoSuchUser) => Ok(false),
        done => done,
    }
}

/// Adds members to the groups of rows, except of rejected rows.
pub(crate) async fn add_members(
    ctx: &ImportContext<'_>,
    rejected_groups: &HashSet<u64>,
    report: &mut ImportReport,
    rejected_rows: &mut RejectedRows<'_>,
    on_progress: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(), ImportError> {
    let mut rows = stream_rows(ctx.options);
    while let Some(batch) = rows.recv().await {
        for row in batch? {
            let RowSubject::Kind(kind @ RecordKind::Item(ItemKind::Group)) = ctx.scan.subject(&row) else {
                continue;
            };
            let cells = ctx.scan.cells(&row, kind, &mut |_, _, _| {});
            let is_list = cells.iter().any(|(column, _)| column.kind == ColumnKind::Members);
            // Errors of the row were reported when it was imported.
            if rejected_groups.contains(&row.number) || !is_list {
                continue;
            }
            let Ok(item_row) = crate::item_row::parse(&cells) else { continue };
            if !on_progress(0) {
                return Err(ImportError::Canceled);
            }
            let joined = join_group(ctx, &item_row).await.map_err(stopped_at(row.number))?;
            for text in &joined.not_found {
                let reason = format!("member '{text}' not found");
                rejected_rows.add_reference(&row, ColumnKind::Members, text, &reason);
                report.add_missing_reference(row.number, reason);
            }
            if joined.role_too_high > 0 {
                let member_count = item_row.members.len();
                report.add_note(format!(
                    "row {}: {} of {member_count} members were not added: their role is too high for this connection",
                    row.number, joined.role_too_high
                ));
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct JoinResult {
    not_found: Vec<String>,
    /// The number of members whose role the caller may not manage.
    role_too_high: u64,
}

async fn join_group(
    ctx: &ImportContext<'_>,
    item_row: &crate::item_row::ItemRow,
) -> Result<JoinResult, DirectoryError> {
    let mut joined = JoinResult::default();
    let group = item_import::match_item(ctx, ItemKind::Group, item_row).await?;
    if group.is_none() && !ctx.options.dry_run {
        return Ok(joined);
    }
    for chunk in item_row.members.chunks(MEMBERS_PER_COMMAND) {
        let mut join = Vec::with_capacity(chunk.len());
        for text in chunk {
            match (ctx.resolve_user(text).await?, &group) {
                (UserReference::Missing, _) => joined.not_found.push(text.clone()),
                (UserReference::Existing(id), Some(group))
                    if ctx.resume_state.as_ref().is_some_and(|resumed| resumed.is_member_removed(group.id(), id)) => {}
                (UserReference::Existing(id), _) => join.push(UserKey::Id(id)),
                (UserReference::Planned, _) => {}
            }
        }
        let Some(group) = group.as_ref().filter(|_| !ctx.options.dry_run) else { continue };
        match send_members(ctx, group, join.clone()).await {
            // Add them one by one, to find the members above the ceiling.
            Err(DirectoryError::RoleTooHigh) => {
                for user in join {
                    match send_members(ctx, group, vec![user]).await {
                        Err(DirectoryError::RoleTooHigh) => joined.role_too_high += 1,
                        done => done?,
                    }
                }
            }
            done => done?,
        }
    }
    Ok(joined)
}

async fn send_members(ctx: &ImportContext<'_>, group: &Item, join: Vec<UserKey>) -> Result<(), DirectoryError> {
    let members = Some(MemberEdit::Change { add: join, remove: Vec::new() });
    let edit = GroupEdit { members, ..GroupEdit::default() };
    let command = Command::UpdateGroup { group: ItemKey::Id(group.id()), edit };
    run_with_retry(ctx.directory, ctx.caller, command).await.map(|_| ())
}

/// The cells of a row that identify its user or item, and its reference to a manager.
pub(crate) fn identifying_row(scan: &Scan, row: Row) -> Row {
    let is_kept = |(place, _): &(usize, Value)| {
        scan.headers[*place].column.is_some_and(|column| {
            column.is_identifier()
                || matches!(
                    column.kind,
                    ColumnKind::RecordKind
                        | ColumnKind::Name
                        | ColumnKind::Dn
                        | ColumnKind::ObjectClass
                        // A full name without its parts would be split again.
                        | ColumnKind::Text(Field::Manager | Field::GivenName | Field::FamilyName)
                )
        })
    };
    let cells = row.cells.into_iter().filter(is_kept).collect();
    // The writer needs to know whether the row has a text, but not the text.
    let raw = match row.raw {
        crate::formats::RawRow::Text(_) => crate::formats::RawRow::Text(String::new()),
        _ => crate::formats::RawRow::SameAsCells,
    };
    Row { cells, raw, ..row }
}
