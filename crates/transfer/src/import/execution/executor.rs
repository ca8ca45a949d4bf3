//! Executes the rows of an import, many at a time. Rows of one kind are concurrent; rows of the next kind wait for
//! them, since they may refer to them.

use crate::column::{ColumnKind, RecordKind, StateRule};
use crate::formats::Row;
use crate::ignored::{Ignored, IgnoredPart, IgnoredReason};
use crate::import::Scan;
use crate::import::execution::context::{ImportContext, RowResult, UserNumbers, find_user};
use crate::import::execution::deferred_references::{self, DeferredManager, identifying_row};
use crate::import::execution::in_flight::InFlightRows;
use crate::import::execution::item_import;
use crate::import::execution::parsed_row::{ParsedRow, RowContent, group_by_kind, parse_row};
use crate::import::execution::rejected_rows::RejectedRows;
use crate::import::execution::resume_state::ResumeState;
use crate::import::execution::user_import::{self, PreparedUser, UserMatcher};
use crate::import::options::{ImportError, ImportOptions};
use crate::import::report::{ImportReport, RowOutcome};
use crate::import::scan::FileVersion;
use crate::import::scan::keys::lookup_keys;
use crate::import::scan::row_stream::stream_rows;
use crate::messages::error_message_with;
use crate::reference_resolver::ReferenceResolver;
use directory::{Caller, Directory, DirectoryError, ItemKind, User, UserKey};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use std::collections::HashSet;
use std::sync::Arc;

const MAX_CONCURRENT_LOOKUPS: usize = 64;

/// The existing users that rows match.
#[derive(Default)]
pub(crate) struct PresentUsers {
    pub(crate) users: UserNumbers,
    /// Rejected rows that match no existing user.
    pub(crate) unmatched_rows: u64,
}

pub(crate) async fn import_rows(
    directory: &Arc<Directory>,
    caller: &Caller,
    options: &ImportOptions,
    scan: &Scan,
    on_progress: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(ImportReport, PresentUsers), ImportError> {
    let stopped = |error| ImportError::Stopped { row: 0, error };
    let ctx = ImportContext::new(directory, caller, options, scan).await.map_err(stopped)?;
    let mut references = ReferenceResolver::new(directory, caller, options.dry_run);
    let mut collector = ResultCollector {
        scan,
        report: ImportReport { ignored: scan.ignored.clone(), ..ImportReport::default() },
        users: UserNumbers::default(),
        deferred_managers: Vec::new(),
        deleted_users: 0,
        rejected_rows: RejectedRows::new(options, scan),
        rejected_item_rows: HashSet::new(),
        rejected_user_keys: Vec::new(),
        dropped_passwords: 0,
        options,
        on_progress,
    };
    let (mut duplicate_keys, now) = (scan.duplicate_keys.clone(), directory.now());
    let (mut imported_users, mut in_flight) = (UserNumbers::default(), InFlightRows::default());
    let (mut batches, mut last_kind) = (stream_rows(options), None);
    let read = async {
        while let Some(batch) = in_flight.run_alongside(batches.recv()).await {
            let parsed = |row| parse_row(scan, &mut duplicate_keys, row, (now, ctx.ignore_roles));
            let batch: Vec<ParsedRow> = batch?.into_iter().filter_map(parsed).collect();
            for mut rows in group_by_kind(batch) {
                let kind = rows.first().map(|parsed| parsed.kind);
                // Rows may refer to items of earlier kinds. Roles are numbered in order, so they run one by one.
                if last_kind.replace(kind) != Some(kind) || kind == Some(RecordKind::Item(ItemKind::Role)) {
                    while let Some(done) = in_flight.next().await {
                        collector.add_result(done)?;
                    }
                }
                // Users and references are looked up in batches, since many rows have the same references.
                in_flight.run_alongside(match_users(&ctx, &mut rows)).await.map_err(stopped)?;
                reject_duplicate_users(&mut imported_users, &mut rows);
                skip_executed_rows(&ctx, &mut rows);
                in_flight.run_alongside(prefetch_references(&ctx, &mut references, &rows)).await.map_err(stopped)?;
                start_rows(&ctx, &mut references, rows, &mut in_flight, &mut collector).await?;
            }
        }
        while let Some(done) = in_flight.next().await {
            collector.add_result(done)?;
        }
        Ok(())
    };
    let read: Result<(), ImportError> = Box::pin(read).await;
    if read.is_err() {
        // Finish and count the started rows: nothing may run after an import has ended.
        while let Some(done) = in_flight.next().await {
            drop(collector.add_result(done));
        }
    }
    read?;
    collector.report.created_items = references.created.len() as u64;
    collector.resolve_references(&ctx).await?;
    collector.add_notes(&ctx);
    let present = collector.present_users(&ctx).await?;
    Ok((collector.report, present))
}

/// Collects the results of rows.
struct ResultCollector<'a> {
    scan: &'a Scan,
    options: &'a ImportOptions,
    report: ImportReport,
    users: UserNumbers,
    rejected_rows: RejectedRows<'a>,
    rejected_item_rows: HashSet<u64>,
    /// Users whose managers do not exist yet.
    deferred_managers: Vec<DeferredManager>,
    /// Users who are deleted in the file.
    deleted_users: u64,
    /// Keys of rejected rows of users, if missing users are deactivated.
    rejected_user_keys: Vec<Vec<UserKey>>,
    dropped_passwords: u64,
    on_progress: &'a mut (dyn FnMut(u64) -> bool + Send),
}

impl ResultCollector<'_> {
    /// Checks that the file did not change, and looks up the users of rejected rows.
    async fn present_users(&mut self, ctx: &ImportContext<'_>) -> Result<PresentUsers, ImportError> {
        let (rows, scan) = (self.report.row_count(), self.scan);
        if rows != scan.rows || FileVersion::from_path(&self.options.path).ok() != scan.file_version {
            return Err(ImportError::FileChanged { rows, expected: scan.rows });
        }
        let mut present = PresentUsers { users: std::mem::take(&mut self.users), unmatched_rows: 0 };
        let found = std::mem::take(&mut self.rejected_user_keys).into_iter().map(|keys| async move {
            let mut numbers = Vec::new();
            for key in keys {
                numbers.extend(find_user(ctx, key).await?.map(|user| user.number));
            }
            Ok(numbers)
        });
        let mut found = futures_util::stream::iter(found).buffer_unordered(MAX_CONCURRENT_LOOKUPS);
        while let Some(numbers) = found.next().await {
            let numbers = numbers.map_err(|error| ImportError::Stopped { row: 0, error })?;
            present.unmatched_rows += u64::from(numbers.is_empty());
            for number in numbers {
                present.users.insert(number);
            }
        }
        Ok(present)
    }

    /// Resolves references to users after all rows are done.
    async fn resolve_references(&mut self, ctx: &ImportContext<'_>) -> Result<(), ImportError> {
        let deferred = std::mem::take(&mut self.deferred_managers);
        deferred_references::set_managers(ctx, deferred, &mut self.report, &mut self.rejected_rows, self.on_progress)
            .await?;
        if self.scan.has_members {
            let skipped = &self.rejected_item_rows;
            deferred_references::add_members(ctx, skipped, &mut self.report, &mut self.rejected_rows, self.on_progress)
                .await?;
        }
        Ok(())
    }

    /// Adds the ignored parts and notes that are known only at the end.
    fn add_notes(&mut self, ctx: &ImportContext<'_>) {
        if self.deleted_users > 0 {
            let is_deleted_column =
                |what| matches!(what, ColumnKind::AccountState(StateRule::Deleted) | ColumnKind::Status);
            let name = self.scan.header_name(is_deleted_column).unwrap_or_default().to_owned();
            let (part, reason, count) = (IgnoredPart::User, IgnoredReason::Deleted, self.deleted_users);
            self.report.ignored.push(Ignored { part, name, reason, count });
        }
        if ctx.ignore_roles {
            let name = self.scan.header_name(|what| what == ColumnKind::Role).unwrap_or_default().to_owned();
            let (part, reason, count) = (IgnoredPart::Column, IgnoredReason::UnknownRoles, self.scan.role_count);
            self.report.ignored.push(Ignored { part, name, reason, count });
        }
        for note in &self.scan.notes {
            self.report.add_note(note.clone());
        }
        match self.scan.dn_index.ambiguous_group_names() {
            0 => {}
            1 => self.report.add_note(
                "Several groups share one name; they are identified by their distinguished names instead.".to_owned(),
            ),
            many => self.report.add_note(format!(
                "{many} names are shared by several groups each; these groups are identified by their distinguished names instead."
            )),
        }
        if self.dropped_passwords > 0 {
            let (many, were) = match self.dropped_passwords {
                1 => ("1 password".to_owned(), "was"),
                many => (format!("{many} passwords"), "were"),
            };
            self.report.add_note(format!(
                "{many} {were} not imported: too short, or of an unsupported format (supported: Argon2, bcrypt, PBKDF2 \
                and scrypt hashes)."
            ));
        }
        if let Some(error) = self.rejected_rows.finish() {
            self.report.add_note(format!("The file of rejected rows could not be written: {error}."));
        }
        if let Some(remark) = ctx.resume_state.as_ref().and_then(ResumeState::skipped_note) {
            self.report.add_note(remark);
        }
    }

    fn add_result(&mut self, done: RowResult) -> Result<(), ImportError> {
        let RowResult {
            kind,
            row,
            outcome,
            user,
            password_dropped: lost_password,
            is_deleted,
            deferred_manager: manager,
        } = done;
        self.dropped_passwords += u64::from(lost_password);
        self.deleted_users += u64::from(is_deleted);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(
                refusal @ (DirectoryError::Unavailable(_)
                | DirectoryError::Internal(_)
                | DirectoryError::Busy { .. }
                | DirectoryError::ConnectionEnded
                | DirectoryError::Forbidden),
            ) => {
                return Err(ImportError::Stopped { row: row.number, error: refusal });
            }
            Err(error) => RowOutcome::Rejected(error_message_with(&error, |field| self.scan.header_of_field(field))),
        };
        if let Some((number, _)) = user {
            self.users.insert(number);
        }
        // A row that changed nothing is counted once its manager is set.
        let is_unchanged = outcome == RowOutcome::Unchanged;
        if !(is_unchanged && manager.is_some()) {
            self.report.add_outcome(kind, row.number, &outcome);
        }
        if let RowOutcome::Rejected(reason) = &outcome {
            if kind != RecordKind::User {
                self.rejected_item_rows.insert(row.number);
            } else if self.options.deactivate_missing {
                self.rejected_user_keys.push(lookup_keys(&self.scan.cells(&row, kind, &mut |_, _, _| {})));
            }
            self.rejected_rows.add_row(row, reason);
        } else if let Some(manager) = manager {
            let (row, user) = (identifying_row(self.scan, row), user.map(|(_, id)| id));
            self.deferred_managers.push(DeferredManager { row, user, manager, is_unchanged });
        }
        if (self.on_progress)(1) { Ok(()) } else { Err(ImportError::Canceled) }
    }
}

/// Rejects rows that match the user of an earlier row by another key: it is open which row applies.
fn reject_duplicate_users(imported_users: &mut UserNumbers, batch: &mut [ParsedRow]) {
    for parsed in batch {
        let RowContent::ExistingUser(_, user) = &parsed.content else { continue };
        if imported_users.contains(user.number) {
            parsed.content = RowContent::Rejected("matches the same user as an earlier row".into());
        } else {
            imported_users.insert(user.number);
        }
    }
}

/// Skips the rows that an interrupted import executed already or that others changed since.
fn skip_executed_rows(ctx: &ImportContext<'_>, batch: &mut [ParsedRow]) {
    let Some(resumed) = &ctx.resume_state else { return };
    for parsed in batch {
        match &parsed.content {
            RowContent::ExistingUser(content, user) if ctx.options.update => {
                if let Some(outcome) = resumed.skip_outcome(user) {
                    let manager = ctx.pending_manager(content, user);
                    parsed.content = RowContent::Skipped(outcome, (user.number, user.id), manager);
                }
            }
            RowContent::User(content) => {
                if let Some(reason) = resumed.rejection_reason(content) {
                    parsed.content = RowContent::Rejected(reason.into());
                }
            }
            _ => {}
        }
        if let RowContent::ExistingUser(content, _) | RowContent::User(content) = &parsed.content
            && let Some(name) = resumed.deleted_reference(content)
        {
            parsed.content = RowContent::Rejected(format!("'{name}' was deleted after this import started"));
        }
    }
}

/// Matches rows to existing users, all of them by one key after the other.
async fn match_users(ctx: &ImportContext<'_>, batch: &mut [ParsedRow]) -> Result<(), DirectoryError> {
    let mut open: Vec<(&mut RowContent, UserMatcher)> = Vec::new();
    for parsed in batch {
        if let RowContent::User(content) = &parsed.content {
            let matcher = UserMatcher::new(ctx, content);
            open.push((&mut parsed.content, matcher));
        }
    }
    loop {
        open.retain(|(_, matcher)| matcher.next_key().is_some());
        let keys: Vec<UserKey> = open.iter().filter_map(|(_, matcher)| matcher.next_key().cloned()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let found = ctx.directory.users(ctx.caller, keys).await?;
        for ((row, matcher), found) in open.iter_mut().zip(found) {
            match std::mem::replace(*row, RowContent::Rejected(String::new())) {
                RowContent::User(content) => **row = matcher.apply(ctx, content, found),
                other => **row = other,
            }
        }
    }
}

/// Resolves or creates the items that rows of users refer to.
async fn prefetch_references(
    ctx: &ImportContext<'_>,
    references: &mut ReferenceResolver<'_>,
    batch: &[ParsedRow],
) -> Result<(), DirectoryError> {
    let users = || {
        batch.iter().filter_map(|parsed| match &parsed.content {
            RowContent::User(content) => Some(content),
            RowContent::ExistingUser(content, _) if ctx.options.update => Some(content),
            _ => None,
        })
    };
    let managers = users().filter_map(|content| content.manager.as_ref());
    references.prefetch_users(managers.flat_map(|text| ctx.scan.user_reference_keys(text))).await?;
    references.prefetch(ItemKind::Group, users().filter_map(|content| content.groups.as_ref()).flatten()).await?;
    references.prefetch(ItemKind::Folder, users().filter_map(|content| content.folders.as_ref()).flatten()).await?;
    references.prefetch(ItemKind::Organization, users().filter_map(|content| content.organization_name())).await?;
    references.prefetch(ItemKind::Department, users().filter_map(|content| content.department_name())).await
}

/// Starts rows of one kind. New users who follow each other are created together.
async fn start_rows<'a>(
    ctx: &'a ImportContext<'_>,
    references: &mut ReferenceResolver<'_>,
    rows: Vec<ParsedRow>,
    in_flight: &mut InFlightRows<'a>,
    collector: &mut ResultCollector<'_>,
) -> Result<(), ImportError> {
    let mut creates = Vec::new();
    for parsed in rows {
        while in_flight.is_full() {
            if let Some(done) = in_flight.next().await {
                collector.add_result(done)?;
            }
        }
        let started = Box::pin(in_flight.run_alongside(start_row(ctx, references, parsed))).await;
        match started {
            StartedRow::Create(prepared, row) => {
                creates.push((*prepared, row));
                if creates.len() >= MAX_CREATES {
                    push_creates(ctx, &mut creates, in_flight);
                }
            }
            StartedRow::Other(task) => {
                push_creates(ctx, &mut creates, in_flight);
                in_flight.push(1, Box::pin(async { vec![task.await] }));
            }
        }
    }
    push_creates(ctx, &mut creates, in_flight);
    Ok(())
}

/// A row whose references are resolved.
enum StartedRow<'a> {
    /// A user to create, together with others.
    Create(Box<PreparedUser>, Row),
    /// The future finishes the row.
    Other(BoxFuture<'a, RowResult>),
}

/// Users that are created together: one transaction on every engine.
const MAX_CREATES: usize = 256;

/// Starts to create users together.
fn push_creates<'a>(
    ctx: &'a ImportContext<'_>,
    creates: &mut Vec<(PreparedUser, Row)>,
    in_flight: &mut InFlightRows<'a>,
) {
    if !creates.is_empty() {
        let creates = std::mem::take(creates);
        in_flight.push(creates.len(), Box::pin(user_import::create_all(ctx, creates)));
    }
}

async fn prepare_user<'a>(
    ctx: &'a ImportContext<'_>,
    references: &mut ReferenceResolver<'_>,
    user_row: crate::user_row::UserRow,
    before: Option<User>,
    row: Row,
) -> StartedRow<'a> {
    let user = before.as_ref().map(|before| (before.number, before.id));
    match user_import::prepare(ctx, references, user_row, &row).await {
        Ok(ready) if before.is_none() && !ctx.options.dry_run && ready.can_be_created_with_others() => {
            StartedRow::Create(Box::new(ready), row)
        }
        Ok(ready) => StartedRow::Other(Box::pin(user_import::execute(ctx, ready, before, row))),
        Err(error) => StartedRow::Other(Box::pin(std::future::ready(RowResult {
            user,
            ..RowResult::new(RecordKind::User, row, Err(error))
        }))),
    }
}

/// Resolves the references of a row.
async fn start_row<'a>(
    ctx: &'a ImportContext<'_>,
    references: &mut ReferenceResolver<'_>,
    parsed: ParsedRow,
) -> StartedRow<'a> {
    let ParsedRow { kind, row, content } = parsed;
    StartedRow::Other(match content {
        RowContent::Rejected(reason) => {
            Box::pin(std::future::ready(RowResult::new(kind, row, Ok(RowOutcome::Rejected(reason)))))
        }
        RowContent::ExistingUser(content, user) if !ctx.options.update => {
            let (outcome, manager) = (Ok(ctx.outcome_of_unchanged_user(&user)), ctx.pending_manager(&content, &user));
            let user = Some((user.number, user.id));
            Box::pin(std::future::ready(RowResult {
                user,
                deferred_manager: manager,
                ..RowResult::new(kind, row, outcome)
            }))
        }
        RowContent::Skipped(outcome, user, manager) => {
            let user = Some(user);
            Box::pin(std::future::ready(RowResult {
                user,
                deferred_manager: manager,
                ..RowResult::new(kind, row, Ok(outcome))
            }))
        }
        RowContent::ExistingUser(content, user) => {
            return prepare_user(ctx, references, *content, Some(*user), row).await;
        }
        RowContent::User(content) => return prepare_user(ctx, references, *content, None, row).await,
        RowContent::Item(item_kind, content) => {
            let restricted_to = item_import::resolve_restriction(references, &content).await;
            if ctx.options.dry_run {
                item_import::add_planned_item(references, item_kind, &content);
            }
            Box::pin(item_import::execute(ctx, item_kind, *content, restricted_to, row))
        }
    })
}
