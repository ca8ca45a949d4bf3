//! A row about a group, folder, organisation, role or department.

use super::job::{Done, Job, patiently};
use super::report::Outcome;
use crate::column::Kind;
use crate::formats::Row;
use crate::refer::{Found, References};
use crate::thing::Said;
use directory::{DirectoryError, Field, FieldErrorKind, FieldUpdate, Item, ItemId, ItemKind, Preview};

/// The group that a folder is restricted to.
pub(super) async fn restriction(
    references: &mut References<'_>,
    said: &Said,
) -> Result<FieldUpdate<ItemId>, DirectoryError> {
    Ok(match &said.restricted_to {
        FieldUpdate::Keep => FieldUpdate::Keep,
        FieldUpdate::Clear => FieldUpdate::Clear,
        FieldUpdate::Set(text) => match references.find(ItemKind::Group, text).await? {
            Some(Found::There(id)) => FieldUpdate::Set(id),
            Some(Found::Coming) => FieldUpdate::Keep,
            None => return Err(DirectoryError::for_field(Field::RestrictedTo, FieldErrorKind::NotFound)),
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
    restricted_to: Result<FieldUpdate<ItemId>, DirectoryError>,
    row: Row,
) -> Done {
    let outcome = match restricted_to {
        Ok(restricted_to) => act(job, kind, &said, restricted_to).await,
        Err(refusal) => Err(refusal),
    };
    Done::new(Kind::Item(kind), row, outcome)
}

/// Which item a row is about, if it is there.
pub(super) async fn find(job: &Job<'_>, kind: ItemKind, said: &Said) -> Result<Option<Item>, DirectoryError> {
    for key in said.keys(kind) {
        match job.directory.item(job.caller, kind, key).await {
            Ok(item) => return Ok(Some(item)),
            Err(DirectoryError::NoSuchItem(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}

async fn act(
    job: &Job<'_>,
    kind: ItemKind,
    said: &Said,
    restricted_to: FieldUpdate<ItemId>,
) -> Result<Outcome, DirectoryError> {
    if said.name.as_deref().is_none_or(|name| name.trim().is_empty()) && said.keys(kind).is_empty() {
        return Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Missing));
    }
    let Some(before) = find(job, kind, said).await? else {
        if job.resumed.as_ref().is_some_and(|resumed| resumed.is_item_deleted(kind, said.keys(kind))) {
            return Ok(Outcome::Refused(format!(
                "the {} was deleted after this import started",
                kind.as_str()
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
        return Ok(if would == Preview::Unchanged { Outcome::Left } else { Outcome::Changed(Vec::new()) });
    }
    let receipt = patiently(job.directory, job.caller, command).await?;
    let is_changed = receipt.items.first().is_some_and(|after| after.version() != before.version());
    Ok(if is_changed { Outcome::Changed(Vec::new()) } else { job.item_left(&before) })
}
