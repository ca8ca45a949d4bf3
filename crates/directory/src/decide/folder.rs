//! Decisions about folders.

use super::{Decision, DecisionContext, DecisionInput, reject_if_any, set_name, set_or_default, set_text, target_item};
use crate::text::validation;
use crate::{
    DirectoryError, Field, FieldError, FieldErrorKind, FieldUpdate, Folder, FolderEdit, Item, ItemId, ItemKey,
    ItemKind, Mutation,
};

pub(super) fn create(
    edit: &FolderEdit,
    known: &DecisionInput,
    stamp: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let mut folder = Folder {
        id: edit.id.unwrap_or_else(|| ItemId(stamp.ids.next_id())),
        number: 0,
        version: 1,
        name: String::new(),
        external_id: None,
        description: None,
        is_restricted: false,
        restricted_to: None,
        entries: Vec::new(),
        created: stamp.now,
        updated: stamp.now,
    };
    apply(&mut folder, edit, known)?;
    let item = Box::new(Item::Folder(folder));
    Ok(Decision { mutations: vec![Mutation::AddItem { item, members: Vec::new() }], ..Decision::default() })
}

pub(super) fn update(
    edit: &FolderEdit,
    known: &DecisionInput,
    stamp: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let item = target_item(known, ItemKind::Folder)?;
    let Item::Folder(before) = item else { return Err(DirectoryError::NoSuchItem(ItemKind::Folder)) };
    let mut after = before.clone();
    apply(&mut after, edit, known)?;
    let mut decision = Decision::default();
    decision.change_item(item, Item::Folder(after), (Vec::new(), Vec::new()), stamp);
    Ok(decision)
}

fn apply(folder: &mut Folder, edit: &FolderEdit, known: &DecisionInput) -> Result<(), DirectoryError> {
    let mut faults = Vec::new();
    set_name(&mut folder.name, &edit.name, &mut faults);
    set_text(&mut folder.external_id, Field::ExternalId, &edit.external_id, &mut faults);
    set_text(&mut folder.description, Field::Description, &edit.description, &mut faults);
    set_or_default(&mut folder.is_restricted, &edit.is_restricted);
    match &edit.restricted_to {
        FieldUpdate::Keep => {}
        FieldUpdate::Clear => folder.restricted_to = None,
        // A client may send back what it read, even if the group was deleted since.
        FieldUpdate::Set(id) if folder.restricted_to == Some(*id) => {}
        FieldUpdate::Set(id) if known.resolved_references.contains_key(&(ItemKind::Group, ItemKey::Id(*id))) => {
            folder.restricted_to = Some(*id);
        }
        FieldUpdate::Set(_) => {
            faults.push(FieldError { field: Field::RestrictedTo, kind: FieldErrorKind::NotFound });
        }
    }
    if edit.entries.value().is_some_and(|entries| entries.len() > validation::MAX_REFERENCES) {
        return Err(DirectoryError::for_field(Field::Entries, FieldErrorKind::TooLong(validation::MAX_REFERENCES)));
    }
    set_or_default(&mut folder.entries, &edit.entries);
    for entry in &folder.entries {
        validation::check_text(Field::Entries, &entry.key, &mut faults);
        validation::check_text(Field::Entries, &entry.kind, &mut faults);
    }
    reject_if_any(faults)
}
