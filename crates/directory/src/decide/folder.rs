//! What may become of a folder.

use super::{Decision, Known, Stamp, addressed, refuse_if_any, set, set_name, set_text};
use crate::{
    Edit, Fault, Field, Folder, FolderEdit, Given, Item, ItemId, ItemKey, ItemKind, Refusal, Rule, rules,
};

pub(super) fn create(edit: &FolderEdit, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let mut folder = Folder {
        id: edit.id.unwrap_or_else(|| ItemId(stamp.ids.next())),
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
    Ok(Decision { edits: vec![Edit::AddItem { item, members: Vec::new() }], ..Decision::default() })
}

pub(super) fn update(edit: &FolderEdit, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let item = addressed(known, ItemKind::Folder)?;
    let Item::Folder(before) = item else { return Err(Refusal::NoSuchItem(ItemKind::Folder)) };
    let mut after = before.clone();
    apply(&mut after, edit, known)?;
    let mut decision = Decision::default();
    decision.change_item(item, Item::Folder(after), (Vec::new(), Vec::new()), stamp);
    Ok(decision)
}

fn apply(folder: &mut Folder, edit: &FolderEdit, known: &Known) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    set_name(&mut folder.name, &edit.name, &mut faults);
    set_text(&mut folder.external_id, Field::ExternalId, &edit.external_id, &mut faults);
    set_text(&mut folder.description, Field::Description, &edit.description, &mut faults);
    set(&mut folder.is_restricted, &edit.is_restricted);
    match &edit.restricted_to {
        Given::Absent => {}
        Given::Cleared => folder.restricted_to = None,
        // What was read may be sent back, also when the group has gone since.
        Given::Value(id) if folder.restricted_to == Some(*id) => {}
        Given::Value(id) if known.referred.contains_key(&(ItemKind::Group, ItemKey::Id(*id))) => {
            folder.restricted_to = Some(*id);
        }
        Given::Value(_) => faults.push(Fault { field: Field::RestrictedTo, rule: Rule::Unknown }),
    }
    if edit.entries.value().is_some_and(|entries| entries.len() > rules::MAX_REFERENCES) {
        return Err(Refusal::field(Field::Entries, Rule::TooLong(rules::MAX_REFERENCES)));
    }
    set(&mut folder.entries, &edit.entries);
    for entry in &folder.entries {
        rules::check_text(Field::Entries, &entry.key, &mut faults);
        rules::check_text(Field::Entries, &entry.kind, &mut faults);
    }
    refuse_if_any(faults)
}
