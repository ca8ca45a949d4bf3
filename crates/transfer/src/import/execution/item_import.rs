//! Rows of groups, folders, organizations, roles and departments.

use crate::column::RecordKind;
use crate::formats::Row;
use crate::import::execution::context::{ImportContext, RowResult, run_with_retry};
use crate::import::report::RowOutcome;
use crate::item_row::ItemRow;
use crate::reference_resolver::{ItemReference, ReferenceResolver};
use directory::{DirectoryError, Field, FieldErrorKind, FieldUpdate, Item, ItemId, ItemKind, Preview};

pub(crate) async fn resolve_restriction(
    references: &mut ReferenceResolver<'_>,
    item_row: &ItemRow,
) -> Result<FieldUpdate<ItemId>, DirectoryError> {
    Ok(match &item_row.restricted_to {
        FieldUpdate::Keep => FieldUpdate::Keep,
        FieldUpdate::Clear => FieldUpdate::Clear,
        FieldUpdate::Set(text) => match references.resolve(ItemKind::Group, text).await? {
            Some(ItemReference::Existing(id)) => FieldUpdate::Set(id),
            Some(ItemReference::Planned) => FieldUpdate::Keep,
            None => return Err(DirectoryError::for_field(Field::RestrictedTo, FieldErrorKind::NotFound)),
        },
    })
}

/// Makes the keys of a planned item known to later rows.
pub(crate) fn add_planned_item(references: &mut ReferenceResolver<'_>, kind: ItemKind, item_row: &ItemRow) {
    let id = item_row.id.map(|id| id.to_string());
    let external = item_row.external_id.value().cloned();
    references.add_planned(kind, id.into_iter().chain(external).chain(item_row.name.clone()));
}

pub(crate) async fn execute(
    ctx: &ImportContext<'_>,
    kind: ItemKind,
    item_row: ItemRow,
    restricted_to: Result<FieldUpdate<ItemId>, DirectoryError>,
    row: Row,
) -> RowResult {
    let outcome = match restricted_to {
        Ok(restricted_to) => create_or_update(ctx, kind, &item_row, restricted_to).await,
        Err(error) => Err(error),
    };
    RowResult::new(RecordKind::Item(kind), row, outcome)
}

/// Finds the item that a row matches.
pub(crate) async fn match_item(
    ctx: &ImportContext<'_>,
    kind: ItemKind,
    item_row: &ItemRow,
) -> Result<Option<Item>, DirectoryError> {
    for key in item_row.lookup_keys(kind) {
        match ctx.directory.item(ctx.caller, kind, key).await {
            Ok(item) => return Ok(Some(item)),
            Err(DirectoryError::NoSuchItem(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn create_or_update(
    ctx: &ImportContext<'_>,
    kind: ItemKind,
    item_row: &ItemRow,
    restricted_to: FieldUpdate<ItemId>,
) -> Result<RowOutcome, DirectoryError> {
    if item_row.name.as_deref().is_none_or(|name| name.trim().is_empty()) && item_row.lookup_keys(kind).is_empty() {
        return Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Missing));
    }
    let Some(before) = match_item(ctx, kind, item_row).await? else {
        if ctx.resume_state.as_ref().is_some_and(|resumed| resumed.is_item_deleted(kind, item_row.lookup_keys(kind))) {
            return Ok(RowOutcome::Rejected(format!("the {} was deleted after this import started", kind.as_str())));
        }
        let command = item_row.create_command(kind, restricted_to);
        if ctx.options.dry_run {
            ctx.directory.preview(ctx.caller, &command).await?;
        } else {
            run_with_retry(ctx.directory, ctx.caller, command).await?;
        }
        return Ok(RowOutcome::Created);
    };
    let is_newer = ctx.resume_state.as_ref().is_some_and(|resumed| resumed.is_item_changed(&before));
    let may_update = ctx.options.update && !is_newer;
    let Some(command) = item_row.update_command(&before, restricted_to).filter(|_| may_update) else {
        return Ok(ctx.outcome_of_unchanged_item(&before));
    };
    if ctx.options.dry_run {
        let preview = ctx.directory.preview(ctx.caller, &command).await?;
        return Ok(if preview == Preview::Unchanged { RowOutcome::Unchanged } else { RowOutcome::Changed(Vec::new()) });
    }
    let receipt = run_with_retry(ctx.directory, ctx.caller, command).await?;
    let is_changed = receipt.items.first().is_some_and(|after| after.version() != before.version());
    Ok(if is_changed { RowOutcome::Changed(Vec::new()) } else { ctx.outcome_of_unchanged_item(&before) })
}
