//! What may become of a group and its members.

use super::{Decision, Known, Stamp, addressed, ceiling, refuse_if_any, set_name, set_text};
use crate::{
    Edit, Fault, Field, Group, GroupEdit, Item, ItemId, ItemKind, MemberEdit, Refusal, Rule, Status, User,
    UserId, rules,
};

pub(super) fn create(edit: &GroupEdit, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let mut group = Group {
        id: edit.id.unwrap_or_else(|| ItemId(stamp.ids.next())),
        number: 0,
        version: 1,
        name: String::new(),
        external_id: None,
        created: stamp.now,
        updated: stamp.now,
    };
    apply(&mut group, edit)?;
    let members = wanted(edit, known)?.unwrap_or_default();
    ceiling::check_users(known.users.iter().flatten(), known, stamp)?;
    Ok(Decision {
        edits: vec![Edit::AddItem { item: Box::new(Item::Group(group)), members }],
        ..Decision::default()
    })
}

pub(super) fn update(
    edit: &GroupEdit,
    is_bound: bool,
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    let item = addressed(known, ItemKind::Group)?;
    let Item::Group(before) = item else { return Err(Refusal::NoSuchItem(ItemKind::Group)) };
    let mut after = before.clone();
    apply(&mut after, edit)?;
    let (mut joined, mut left) = (Vec::new(), Vec::new());
    if let Some(MemberEdit::Change { join, .. }) = &edit.members {
        return change_members(before, after, (join.len(), is_bound), known, stamp);
    }
    if let Some(wanted) = wanted(edit, known)? {
        joined = wanted.iter().filter(|id| !known.members.contains_sorted(id)).copied().collect();
        if matches!(edit.members, Some(MemberEdit::Replace(_))) {
            left = known.members.iter().filter(|id| !wanted.contains_sorted(id)).copied().collect();
            ceiling::check_leaving(known)?;
        }
    }
    ceiling::check_users(users_among(&joined, known), known, stamp)?;
    let mut decision = Decision::default();
    decision.change_item(item, Item::Group(after), (joined, left), stamp);
    Ok(decision)
}

fn apply(group: &mut Group, edit: &GroupEdit) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    set_name(&mut group.name, &edit.name, &mut faults);
    set_text(&mut group.external_id, Field::ExternalId, &edit.external_id, &mut faults);
    refuse_if_any(faults)
}

/// Who joins and who leaves, seen from their side, so that nobody else of the group is looked at. When nothing but
/// members changes, and no version was asked for, that is all the edit says: others may change members at the same time.
fn change_members(
    before: &Group,
    after: Group,
    (joining, is_bound): (usize, bool),
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    let (join, leave) = known.users.split_at(joining.min(known.users.len()));
    if known.users.len() > rules::MAX_REFERENCES {
        return Err(Refusal::field(Field::Members, Rule::TooLong(rules::MAX_REFERENCES)));
    }
    if join.iter().any(Option::is_none) {
        return Err(Refusal::field(Field::Members, Rule::Unknown));
    }
    let is_in = |user: &&User| user.groups.contains(&before.id);
    let mut joined: Vec<UserId> = join.iter().flatten().filter(|u| !is_in(u)).map(|u| u.id).collect();
    let mut left: Vec<UserId> = leave.iter().flatten().filter(is_in).map(|u| u.id).collect();
    for list in [&mut joined, &mut left] {
        list.sort_unstable();
        list.dedup();
    }
    ceiling::check_users(users_among(&joined, known), known, stamp)?;
    ceiling::check_users(users_among(&left, known), known, stamp)?;
    let mut decision = Decision::default();
    let item = Item::Group(before.clone());
    if !is_bound && after == *before && !(joined.is_empty() && left.is_empty()) {
        decision.edits.push(Edit::ChangeMembers { item: Box::new(item), joined, left });
    } else {
        decision.change_item(&item, Item::Group(after), (joined, left), stamp);
    }
    Ok(decision)
}

/// The users of a sorted list among those that the edit names.
fn users_among<'a>(ids: &'a [UserId], known: &'a Known) -> impl Iterator<Item = &'a User> {
    known.users.iter().flatten().filter(|user| ids.binary_search(&user.id).is_ok())
}

/// The people the edit names, sorted and each once; `None` when it names none.
fn wanted(edit: &GroupEdit, known: &Known) -> Result<Option<Vec<UserId>>, Refusal> {
    let only_active = match &edit.members {
        None => return Ok(None),
        Some(MemberEdit::Replace(_) | MemberEdit::Change { .. }) => false,
        Some(MemberEdit::Add(_, only_active)) => *only_active,
    };
    if known.users.len() > rules::MAX_REFERENCES {
        return Err(Refusal::field(Field::Members, Rule::TooLong(rules::MAX_REFERENCES)));
    }
    let mut ids = Vec::with_capacity(known.users.len());
    for user in &known.users {
        let unknown = Refusal::Invalid(vec![Fault { field: Field::Members, rule: Rule::Unknown }]);
        let user = user.as_ref().ok_or(unknown)?;
        if only_active && user.status != Status::Active {
            return Err(Refusal::WrongStatus);
        }
        ids.push(user.id);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(Some(ids))
}

/// Membership in a sorted list.
trait ContainsSorted {
    fn contains_sorted(&self, id: &UserId) -> bool;
}
impl ContainsSorted for Vec<UserId> {
    fn contains_sorted(&self, id: &UserId) -> bool {
        self.binary_search(id).is_ok()
    }
}
