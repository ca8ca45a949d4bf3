//! A row about a group, folder, organisation, role or department, and who belongs to a group.

use super::ImportError;
use super::reading::reading;
use super::report::{Outcome, Report};
use super::rows::{Done, Job, patiently, somebody};
use crate::column::{Kind, What};
use crate::formats::Row;
use crate::refer::{Found, References};
use crate::thing::Said;
use directory::{
    Command, Field, Given, GroupEdit, Item, ItemId, ItemKey, ItemKind, MemberEdit, Preview, Refusal, Rule,
    UserId, UserKey,
};
use std::collections::HashSet;

/// Members that join with one command.
const JOIN: usize = 1_000;

/// The group that a folder is restricted to.
pub(super) async fn restriction(
    references: &mut References<'_>,
    said: &Said,
) -> Result<Given<ItemId>, Refusal> {
    Ok(match &said.restricted_to {
        Given::Absent => Given::Absent,
        Given::Cleared => Given::Cleared,
        Given::Value(text) => match references.find(ItemKind::Group, text).await? {
            Some(Found::There(id)) => Given::Value(id),
            Some(Found::Coming) => Given::Absent,
            None => return Err(Refusal::field(Field::RestrictedTo, Rule::Unknown)),
        },
    })
}

/// What rows behind this one may call it.
pub(super) fn note_coming(references: &mut References<'_>, kind: ItemKind, said: &Said) {
    let id = said.id.map(|id| id.to_string());
    let external = said.external_id.value().cloned();
    references.note_coming(kind, id.into_iter().chain(external).chain(said.name.clone()));
}

/// Carries a row out, and says what came of it.
pub(super) async fn carry_out(
    job: &Job<'_>,
    kind: ItemKind,
    said: Said,
    restricted_to: Result<Given<ItemId>, Refusal>,
    row: Row,
) -> Done {
    let outcome = match restricted_to {
        Ok(restricted_to) => act(job, kind, &said, restricted_to).await,
        Err(refusal) => Err(refusal),
    };
    Done { kind: Kind::Item(kind), row, outcome, number: None, lost_password: false }
}

/// Which item a row is about, if it is there.
async fn find(job: &Job<'_>, kind: ItemKind, said: &Said) -> Result<Option<Item>, Refusal> {
    for key in said.keys(kind) {
        match job.directory.item(job.caller, kind, key).await {
            Ok(item) => return Ok(Some(item)),
            Err(Refusal::NoSuchItem(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}

async fn act(
    job: &Job<'_>,
    kind: ItemKind,
    said: &Said,
    restricted_to: Given<ItemId>,
) -> Result<Outcome, Refusal> {
    if said.name.as_deref().is_none_or(|name| name.trim().is_empty()) && said.keys(kind).is_empty() {
        return Err(Refusal::field(Field::Name, Rule::Missing));
    }
    let Some(before) = find(job, kind, said).await? else {
        if job.resumed.as_ref().is_some_and(|resumed| resumed.is_item_deleted(kind, said.keys(kind))) {
            return Ok(Outcome::Refused(format!(
                "the {} was deleted after this import started",
                kind.word()
            )));
        }
        let command = said.create(kind, restricted_to);
        if job.options.is_preview {
            job.directory.preview(job.caller, &command).await?;
        } else {
            patiently(job.directory, job.caller, command).await?;
        }
        return Ok(Outcome::Created);
    };
    let is_newer = job.resumed.as_ref().is_some_and(|resumed| resumed.is_item_changed(&before));
    let updates = job.options.updates && !is_newer;
    let Some(command) = said.update(&before, restricted_to).filter(|_| updates) else {
        return Ok(job.item_left(&before));
    };
    if job.options.is_preview {
        let would = job.directory.preview(job.caller, &command).await?;
        return Ok(if would == Preview::Nothing { Outcome::Left } else { Outcome::Changed(Vec::new()) });
    }
    let receipt = patiently(job.directory, job.caller, command).await?;
    let is_changed = receipt.items.first().is_some_and(|after| after.version() != before.version());
    Ok(if is_changed { Outcome::Changed(Vec::new()) } else { job.item_left(&before) })
}

/// Lets people join the groups whose rows name them. By now everybody is there who was to come.
/// Rows that were refused are passed over.
pub(super) async fn members(
    job: &Job<'_>,
    refused: &HashSet<u64>,
    report: &mut Report,
    seen: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<(), ImportError> {
    if job.options.is_preview {
        return Ok(());
    }
    let mut rows = reading(job.options);
    while let Some(parcel) = rows.recv().await {
        for row in parcel? {
            let cells = job.scan.cells(&row);
            let is_list = cells.iter().any(|(column, _)| column.what == What::Members);
            let Ok(Kind::Item(kind @ ItemKind::Group)) = super::file::kind(&row, &cells) else { continue };
            // What is wrong with a row was said when it was read itself.
            if refused.contains(&row.number) {
                continue;
            }
            if let (true, Ok(said)) = (is_list, crate::thing::read(&cells)) {
                if !seen(0) {
                    return Err(ImportError::CalledOff);
                }
                let joined = join(job, kind, &said).await;
                let (unknown, above) =
                    joined.map_err(|refusal| ImportError::Stopped { row: row.number, refusal })?;
                let many = said.members.len();
                if unknown > 0 {
                    report.note(format!("row {}: {unknown} of its {many} members are not there", row.number));
                }
                if above > 0 {
                    report.note(format!(
                        "row {}: {above} of its {many} members have a role above the highest one of this connection",
                        row.number
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Adds the members that a row names; how many of them do not exist, and how many the caller may not add.
async fn join(job: &Job<'_>, kind: ItemKind, said: &Said) -> Result<(u64, u64), Refusal> {
    let Some(group) = find(job, kind, said).await? else { return Ok((0, 0)) };
    let (mut unknown, mut above) = (0, 0);
    for some in said.members.chunks(JOIN) {
        let mut join = Vec::with_capacity(some.len());
        for text in some {
            match member(job, text).await? {
                Some(id)
                    if job.resumed.as_ref().is_some_and(|resumed| resumed.is_removed(group.id(), id)) => {}
                Some(id) => join.push(UserKey::Id(id)),
                None => unknown += 1,
            }
        }
        match add(job, &group, join.clone()).await {
            // One of them; the others join.
            Err(Refusal::RoleTooHigh) => {
                for user in join {
                    match add(job, &group, vec![user]).await {
                        Err(Refusal::RoleTooHigh) => above += 1,
                        done => done?,
                    }
                }
            }
            done => done?,
        }
    }
    Ok((unknown, above))
}

async fn add(job: &Job<'_>, group: &Item, join: Vec<UserKey>) -> Result<(), Refusal> {
    let members = Some(MemberEdit::Change { join, leave: Vec::new() });
    let edit = GroupEdit { members, ..GroupEdit::default() };
    let command = Command::UpdateGroup { group: ItemKey::Id(group.id()), edit };
    patiently(job.directory, job.caller, command).await.map(|_| ())
}

/// Somebody as a group names them.
async fn member(job: &Job<'_>, text: &str) -> Result<Option<UserId>, Refusal> {
    let id = uuid::Uuid::try_parse(text).ok().map(|id| UserKey::Id(UserId(id)));
    let others = [UserKey::Handle(text.to_owned()), UserKey::ExternalId(text.to_owned())];
    for key in id.into_iter().chain(others) {
        if let Some(user) = somebody(job, key).await? {
            return Ok(Some(user.id));
        }
    }
    Ok(None)
}
