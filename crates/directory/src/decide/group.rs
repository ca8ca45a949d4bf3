//! Decisions about groups and their members.

use super::{Decision, DecisionContext, DecisionInput, reject_if_any, role_ceiling, set_name, set_text, target_item};
use crate::text::validation;
use crate::{
    DirectoryError, Field, FieldError, FieldErrorKind, Group, GroupEdit, Item, ItemId, ItemKind, MemberEdit, Mutation,
    Status, User, UserId,
};

pub(super) fn create(
    edit: &GroupEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let mut group = Group {
        id: edit.id.unwrap_or_else(|| ItemId(context.ids.next_id())),
        number: 0,
        version: 1,
        name: String::new(),
        external_id: None,
        created: context.now,
        updated: context.now,
    };
    apply(&mut group, edit)?;
    let members = requested_members(edit, input)?.unwrap_or_default();
    role_ceiling::check_users(input.users.iter().flatten(), input, context)?;
    Ok(Decision {
        mutations: vec![Mutation::AddItem { item: Box::new(Item::Group(group)), members }],
        ..Decision::default()
    })
}

pub(super) fn update(
    edit: &GroupEdit,
    has_version_precondition: bool,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let item = target_item(input, ItemKind::Group)?;
    let Item::Group(before) = item else { return Err(DirectoryError::NoSuchItem(ItemKind::Group)) };
    let mut after = before.clone();
    apply(&mut after, edit)?;
    let (mut members_added, mut members_removed) = (Vec::new(), Vec::new());
    if let Some(MemberEdit::Change { add: join, .. }) = &edit.members {
        return change_members(before, after, (join.len(), has_version_precondition), input, context);
    }
    if let Some(wanted) = requested_members(edit, input)? {
        members_added = wanted.iter().filter(|id| !input.members.contains_sorted(id)).copied().collect();
        if matches!(edit.members, Some(MemberEdit::Replace(_))) {
            members_removed = input.members.iter().filter(|id| !wanted.contains_sorted(id)).copied().collect();
            role_ceiling::check_removed_members(input)?;
        }
    }
    role_ceiling::check_users(users_among(&members_added, input), input, context)?;
    let mut decision = Decision::default();
    decision.change_item(item, Item::Group(after), (members_added, members_removed), context);
    Ok(decision)
}

fn apply(group: &mut Group, edit: &GroupEdit) -> Result<(), DirectoryError> {
    let mut errors = Vec::new();
    set_name(&mut group.name, &edit.name, &mut errors);
    set_text(&mut group.external_id, Field::ExternalId, &edit.external_id, &mut errors);
    reject_if_any(errors)
}

/// Adds and removes members by looking only at the users named, not at the other members. If nothing else changes
/// and no version is required, the result is a [`Mutation::ChangeMembers`], so that concurrent requests can change
/// members, too.
fn change_members(
    before: &Group,
    after: Group,
    (join_count, has_version_precondition): (usize, bool),
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let (join, leave) = input.users.split_at(join_count.min(input.users.len()));
    if input.users.len() > validation::MAX_REFERENCES {
        return Err(DirectoryError::for_field(Field::Members, FieldErrorKind::TooLong(validation::MAX_REFERENCES)));
    }
    if join.iter().any(Option::is_none) {
        return Err(DirectoryError::for_field(Field::Members, FieldErrorKind::NotFound));
    }
    let is_in = |user: &&User| user.groups.contains(&before.id);
    let mut members_added: Vec<UserId> = join.iter().flatten().filter(|u| !is_in(u)).map(|u| u.id).collect();
    let mut members_removed: Vec<UserId> = leave.iter().flatten().filter(is_in).map(|u| u.id).collect();
    for list in [&mut members_added, &mut members_removed] {
        list.sort_unstable();
        list.dedup();
    }
    role_ceiling::check_users(users_among(&members_added, input), input, context)?;
    role_ceiling::check_users(users_among(&members_removed, input), input, context)?;
    let mut decision = Decision::default();
    let item = Item::Group(before.clone());
    if !has_version_precondition && after == *before && !(members_added.is_empty() && members_removed.is_empty()) {
        decision.mutations.push(Mutation::ChangeMembers { item: Box::new(item), members_added, members_removed });
    } else {
        decision.change_item(&item, Item::Group(after), (members_added, members_removed), context);
    }
    Ok(decision)
}

/// Those of the named users whose ids are in a sorted list.
fn users_among<'a>(ids: &'a [UserId], input: &'a DecisionInput) -> impl Iterator<Item = &'a User> {
    input.users.iter().flatten().filter(|user| ids.binary_search(&user.id).is_ok())
}

/// The users that the edit names, sorted and without duplicates; `None` if the edit does not concern members.
fn requested_members(edit: &GroupEdit, input: &DecisionInput) -> Result<Option<Vec<UserId>>, DirectoryError> {
    let only_active = match &edit.members {
        None => return Ok(None),
        Some(MemberEdit::Replace(_) | MemberEdit::Change { .. }) => false,
        Some(MemberEdit::Add(_, only_active)) => *only_active,
    };
    if input.users.len() > validation::MAX_REFERENCES {
        return Err(DirectoryError::for_field(Field::Members, FieldErrorKind::TooLong(validation::MAX_REFERENCES)));
    }
    let mut ids = Vec::with_capacity(input.users.len());
    for user in &input.users {
        let unknown =
            DirectoryError::Invalid(vec![FieldError { field: Field::Members, kind: FieldErrorKind::NotFound }]);
        let user = user.as_ref().ok_or(unknown)?;
        if only_active && user.status != Status::Active {
            return Err(DirectoryError::WrongStatus);
        }
        ids.push(user.id);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(Some(ids))
}

trait ContainsSorted {
    fn contains_sorted(&self, id: &UserId) -> bool;
}
impl ContainsSorted for Vec<UserId> {
    fn contains_sorted(&self, id: &UserId) -> bool {
        self.binary_search(id).is_ok()
    }
}
