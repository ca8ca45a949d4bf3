//! References of rows to users: members of groups and managers. A row may refer to one that comes later, so these are looked up
//! when all rows are imported. A reference that leads nowhere is reported, and written beside the rejected rows.

use super::file::About;
use super::job::{Job, patiently};
use super::reading::reading;
use super::refused::RejectedRows;
use super::report::{Outcome, Report};
use super::{ImportError, Scan, thing};
use crate::column::{Kind, What};
use crate::formats::Row;
use crate::refer::user;
use directory::{
    Command, DirectoryError, Field, FieldUpdate, GroupEdit, Item, ItemKey, ItemKind, MemberEdit, Preview,
    UserEdit, UserId, UserKey,
};
use serde_json::Value;
use std::collections::HashSet;

/// Members that join with one command.
const JOIN: usize = 1_000;

/// A user whose manager did not exist when the row was imported.
pub(super) struct Deferred {
    pub(super) row: Row,
    /// The user; none in a preview, if the row would create one.
    pub(super) user: Option<UserId>,
    /// The manager as the row calls them.
    pub(super) manager: String,
    /// Whether the row changed nothing else, so that it is not counted yet.
    pub(super) is_left: bool,
}

impl Job<'_> {
    /// The user whom a row refers to.
    async fn user(&self, text: &str) -> Result<Reference, DirectoryError> {
        for key in self.scan.user_keys(text) {
            if let Some(user) = user(self.directory, self.caller, &key).await? {
                return Ok(Reference::User(user));
            }
            // Nobody is created by a preview.
            if self.options.is_preview && self.scan.has_user(&key) {
                return Ok(Reference::Coming);
            }
        }
        Ok(Reference::Missing)
    }
}

enum Reference {
    User(UserId),
    /// A preview would create them.
    Coming,
    Missing,
}

fn stopped(row: u64) -> impl FnOnce(DirectoryError) -> ImportError {
    move |refusal| ImportError::Stopped { row, refusal }
}

/// Sets the managers of users whose rows came first.
pub(super) async fn managers(
    job: &Job<'_>,
    deferred: Vec<Deferred>,
    report: &mut Report,
    rejected: &mut RejectedRows<'_>,
    seen: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(), ImportError> {
    for Deferred { row, user, manager, is_left } in deferred {
        if !seen(0) {
            return Err(ImportError::CalledOff);
        }
        let mut found = job.user(&manager).await.map_err(stopped(row.number))?;
        // Some systems write the manager's name. It counts if one user of the file has it.
        if let (Reference::Missing, Some(handle)) = (&found, job.scan.user_of_name(&manager)) {
            found = job.user(handle).await.map_err(stopped(row.number))?;
        }
        let mut outcome = Outcome::Left;
        match (found, user) {
            (Reference::Missing, _) => {
                let why = format!("manager '{manager}' not found");
                rejected.reference(&row, What::Text(Field::Manager), &manager, &why);
                report.missing(row.number, why);
            }
            (Reference::User(manager), Some(user)) => {
                let mut edit = UserEdit::default();
                edit.set_text(Field::Manager, FieldUpdate::Set(manager.to_string()));
                let command = Command::UpdateUser { user: UserKey::Id(user), edit: Box::new(edit) };
                if set_manager(job, command).await.map_err(stopped(row.number))? {
                    outcome = Outcome::Changed(vec!["manager"]);
                }
            }
            (Reference::Coming, Some(_)) => outcome = Outcome::Changed(vec!["manager"]),
            (Reference::User(_) | Reference::Coming, None) => {}
        }
        if is_left {
            report.count(Kind::User, row.number, &outcome);
        }
    }
    Ok(())
}

/// Whether it changes anything, or would.
async fn set_manager(job: &Job<'_>, command: Command) -> Result<bool, DirectoryError> {
    let done = if job.options.is_preview {
        job.directory.preview(job.caller, &command).await.map(|would| would != Preview::Unchanged)
    } else {
        patiently(job.directory, job.caller, command).await.map(|receipt| !receipt.users.is_empty())
    };
    match done {
        // Others deleted the user meanwhile.
        Err(DirectoryError::NoSuchUser) => Ok(false),
        done => done,
    }
}

/// Adds members to the groups whose rows name them. Rows that were rejected are skipped.
pub(super) async fn members(
    job: &Job<'_>,
    skipped: &HashSet<u64>,
    report: &mut Report,
    rejected: &mut RejectedRows<'_>,
    seen: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(), ImportError> {
    let mut rows = reading(job.options);
    while let Some(parcel) = rows.recv().await {
        for row in parcel? {
            let About::Kind(kind @ Kind::Item(ItemKind::Group)) = job.scan.about(&row) else { continue };
            let cells = job.scan.cells(&row, kind, &mut |_, _, _| {});
            let is_list = cells.iter().any(|(column, _)| column.what == What::Members);
            // What is wrong with a row was said when it was read itself.
            if skipped.contains(&row.number) || !is_list {
                continue;
            }
            let Ok(said) = crate::thing::read(&cells) else { continue };
            if !seen(0) {
                return Err(ImportError::CalledOff);
            }
            let joined = join(job, &said).await.map_err(stopped(row.number))?;
            for text in &joined.unknown {
                let why = format!("member '{text}' not found");
                rejected.reference(&row, What::Members, text, &why);
                report.missing(row.number, why);
            }
            if joined.above > 0 {
                let many = said.members.len();
                report.note(format!(
                    "row {}: {} of its {many} members have a role above the highest one of this connection",
                    row.number, joined.above
                ));
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Joined {
    unknown: Vec<String>,
    /// How many the caller may not add.
    above: u64,
}

/// Adds the members that a row names.
async fn join(job: &Job<'_>, said: &crate::thing::Said) -> Result<Joined, DirectoryError> {
    let mut joined = Joined::default();
    let group = thing::find(job, ItemKind::Group, said).await?;
    if group.is_none() && !job.options.is_preview {
        return Ok(joined);
    }
    for some in said.members.chunks(JOIN) {
        let mut join = Vec::with_capacity(some.len());
        for text in some {
            match (job.user(text).await?, &group) {
                (Reference::Missing, _) => joined.unknown.push(text.clone()),
                (Reference::User(id), Some(group))
                    if job.resumed.as_ref().is_some_and(|resumed| resumed.is_removed(group.id(), id)) => {}
                (Reference::User(id), _) => join.push(UserKey::Id(id)),
                (Reference::Coming, _) => {}
            }
        }
        let Some(group) = group.as_ref().filter(|_| !job.options.is_preview) else { continue };
        match add(job, group, join.clone()).await {
            // One of them; the others join.
            Err(DirectoryError::RoleTooHigh) => {
                for user in join {
                    match add(job, group, vec![user]).await {
                        Err(DirectoryError::RoleTooHigh) => joined.above += 1,
                        done => done?,
                    }
                }
            }
            done => done?,
        }
    }
    Ok(joined)
}

async fn add(job: &Job<'_>, group: &Item, join: Vec<UserKey>) -> Result<(), DirectoryError> {
    let members = Some(MemberEdit::Change { add: join, remove: Vec::new() });
    let edit = GroupEdit { members, ..GroupEdit::default() };
    let command = Command::UpdateGroup { group: ItemKey::Id(group.id()), edit };
    patiently(job.directory, job.caller, command).await.map(|_| ())
}

/// The cells of a row that identify its user or item, and its reference.
pub(super) fn identifying(scan: &Scan, row: Row) -> Row {
    let is_kept = |(place, _): &(usize, Value)| {
        scan.headers[*place].column.is_some_and(|column| {
            column.identifies()
                || matches!(
                    column.what,
                    What::Kind
                        | What::Name
                        | What::Dn
                        | What::ObjectClass
                        // A name without its parts would be split anew.
                        | What::Text(Field::Manager | Field::GivenName | Field::FamilyName)
                )
        })
    };
    let cells = row.cells.into_iter().filter(is_kept).collect();
    // Whether it is an entry or an object counts, and nothing more of its text.
    let raw = match row.raw {
        crate::formats::Raw::Text(_) => crate::formats::Raw::Text(String::new()),
        _ => crate::formats::Raw::AsRead,
    };
    Row { cells, raw, ..row }
}
