//! Decisions about folders.

use super::{Decision, DecisionContext, DecisionInput, reject_if_any, set_name, set_or_default, set_text, target_item};
use crate::text::validation;
use crate::{
    DirectoryError, Field, FieldError, FieldErrorKind, FieldUpdate, Folder, FolderEdit, Item, ItemId, ItemKey,
    ItemKind, Mutation,
};

pub(super) fn create(
    edit: &FolderEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let mut folder = Folder {
        id: edit.id.unwrap_or_else(|| ItemId(context.ids.next_id())),
        number: 0,
        version: 1,
        name: String::new(),
        external_id: None,
        description: None,
        is_restricted: false,
        restricted_to: None,
        entries: Vec::new(),
        created: context.now,
        updated: context.now,
    };
    apply(&mut folder, edit, input)?;
    let item = Box::new(Item::Folder(folder));
    Ok(Decision { mutations: vec![Mutation::AddItem { item, members: Vec::new() }], ..Decision::default() })
}

pub(super) fn update(
    edit: &FolderEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let item = target_item(input, ItemKind::Folder)?;
    let Item::Folder(before) = item else { return Err(DirectoryError::NoSuchItem(ItemKind::Folder)) };
    let mut after = before.clone();
    apply(&mut after, edit, input)?;
    let mut decision = Decision::default();
    decision.change_item(item, Item::Folder(after), (Vec::new(), Vec::new()), context);
    Ok(decision)
}

fn apply(folder: &mut Folder, edit: &FolderEdit, input: &DecisionInput) -> Result<(), DirectoryError> {
    let mut errors = Vec::new();
    set_name(&mut folder.name, &edit.name, &mut errors);
    set_text(&mut folder.external_id, Field::ExternalId, &edit.external_id, &mut errors);
    set_text(&mut folder.description, Field::Description, &edit.description, &mut errors);
    set_or_default(&mut folder.is_restricted, &edit.is_restricted);
    match &edit.restricted_to {
        FieldUpdate::Keep => {}
        FieldUpdate::Clear => folder.restricted_to = None,
        // A client may send back what it read, even if the group was deleted since.
        FieldUpdate::Set(id) if folder.restricted_to == Some(*id) => {}
        FieldUpdate::Set(id) if input.resolved_references.contains_key(&(ItemKind::Group, ItemKey::Id(*id))) => {
            folder.restricted_to = Some(*id);
        }
        FieldUpdate::Set(_) => {
            errors.push(FieldError { field: Field::RestrictedTo, kind: FieldErrorKind::NotFound });
        }
    }
    if edit.entries.value().is_some_and(|entries| entries.len() > validation::MAX_REFERENCES) {
        return Err(DirectoryError::for_field(Field::Entries, FieldErrorKind::TooLong(validation::MAX_REFERENCES)));
    }
    set_or_default(&mut folder.entries, &edit.entries);
    for entry in &folder.entries {
        validation::check_text(Field::Entries, &entry.key, &mut errors);
        validation::check_text(Field::Entries, &entry.kind, &mut errors);
    }
    reject_if_any(errors)
}
