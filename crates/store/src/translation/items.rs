//! Translates changes of items and their members.

use super::known::needs_number;
use super::{Encoded, ItemColumns, Memberships, Owner, Sequence, Side, Translation, Write};
use crate::event_row::to_json;
use crate::unique_keys;
use directory::{Action, CommitError, EntitySnapshot, EventData, Item, ItemId, UserId};

impl Translation<'_> {
    pub(super) fn add_item(&mut self, mut item: Item, members: Vec<UserId>) -> Encoded {
        let is_allocated = needs_number(&item);
        if is_allocated {
            item.set_number(self.known.next_number(self.tenant, Sequence::Items(item.kind())));
        }
        self.push(Write::AddItem { columns: item_columns(&item)?, is_allocated });
        self.replace_keys(&[], unique_keys::of_item(&item), owner_of(&item));
        self.update_members(&item, &members, &[]);
        let after = Some(EntitySnapshot::Item(Box::new(item.clone())));
        self.event(EventData { after, members_added: members, ..self.new_event(Action::Created) })?;
        self.receipt.items.push(item);
        Ok(())
    }

    pub(super) fn change_item(
        &mut self,
        (before, after): (Item, Item),
        members_added: Vec<UserId>,
        members_removed: Vec<UserId>,
    ) -> Encoded {
        let columns = item_columns(&after)?;
        self.push(Write::ChangeItem { before: before.version(), columns, is_reread: false });
        self.replace_keys(&unique_keys::of_item(&before), unique_keys::of_item(&after), owner_of(&before));
        self.update_members(&after, &members_added, &members_removed);
        self.item_changed(before, after, members_added, members_removed)
    }

    pub(super) fn item_changed(
        &mut self,
        before: Item,
        after: Item,
        members_added: Vec<UserId>,
        members_removed: Vec<UserId>,
    ) -> Encoded {
        self.receipt.items.push(after.clone());
        self.event(EventData {
            before: Some(EntitySnapshot::Item(Box::new(before))),
            after: Some(EntitySnapshot::Item(Box::new(after))),
            members_added,
            members_removed,
            ..self.new_event(Action::Updated)
        })
    }

    /// Changes only memberships that differ from the stored ones. No event if there are none.
    pub(super) fn change_members(&mut self, id: ItemId, added: &[UserId], removed: &[UserId]) -> Encoded {
        let Some(before) = self.known.items.get(&(self.tenant, id)).cloned() else {
            self.push(Write::Fail(CommitError::Stale));
            return Ok(());
        };
        let mut members_added: Vec<(UserId, u32)> = Vec::new();
        for user in added {
            let Some(number) = self.known.user_number(self.tenant, *user) else {
                self.push(Write::Fail(CommitError::Stale));
                return Ok(());
            };
            if !self.is_member(id, number) {
                members_added.push((*user, number));
            }
        }
        let removed = removed.iter().filter_map(|user| Some((*user, self.known.user_number(self.tenant, *user)?)));
        let mut members_removed: Vec<(UserId, u32)> =
            removed.filter(|(_, number)| self.is_member(id, *number)).collect();
        let mut seen = std::collections::HashSet::new();
        members_added.retain(|(_, number)| seen.insert(*number));
        members_removed.retain(|(_, number)| seen.insert(*number));
        if members_added.is_empty() && members_removed.is_empty() {
            self.receipt.items.push(before);
            return Ok(());
        }
        let mut after = before.clone();
        after.mark_updated(self.at);
        let columns = item_columns(&after)?;
        self.push(Write::ChangeItem { before: before.version(), columns, is_reread: true });
        let kind = after.kind();
        let exact = |users: &[(UserId, u32)]| Memberships {
            rows: users.iter().map(|(_, number)| (id, kind, *number)).collect(),
            side: Side::Item,
            is_exact: true,
        };
        self.add_and_remove(exact(&members_added), exact(&members_removed));
        let ids = |users: Vec<(UserId, u32)>| users.into_iter().map(|(id, _)| id).collect();
        self.item_changed(before, after, ids(members_added), ids(members_removed))
    }

    pub(super) fn is_member(&self, item: ItemId, number: u32) -> bool {
        self.known.members.contains(&(self.tenant, item, number))
    }

    pub(super) fn remove_item(&mut self, item: Item) -> Encoded {
        self.replace_keys(&unique_keys::of_item(&item), Vec::new(), owner_of(&item));
        self.push(Write::RemoveItem { id: item.id(), version: item.version() });
        let before = Some(EntitySnapshot::Item(Box::new(item)));
        self.event(EventData { before, ..self.new_event(Action::Deleted) })
    }

    /// Adds and removes members, whether or not they are members already.
    pub(super) fn update_members(&mut self, item: &Item, added: &[UserId], removed: &[UserId]) {
        let (id, kind) = (item.id(), item.kind());
        let rows = |users: &[UserId]| {
            let numbers = users.iter().filter_map(|user| self.known.user_number(self.tenant, *user));
            let rows = numbers.map(|number| (id, kind, number)).collect();
            Memberships { rows, side: Side::Item, is_exact: false }
        };
        let (to_add, to_remove) = (rows(added), rows(removed));
        let is_missing = to_add.rows.len() < added.len();
        self.add_and_remove(to_add, to_remove);
        if is_missing {
            self.push(Write::Fail(CommitError::Stale));
        }
    }
}

fn item_columns(item: &Item) -> Encoded<ItemColumns> {
    Ok(ItemColumns {
        id: item.id(),
        kind: item.kind(),
        number: item.number(),
        version: item.version(),
        updated: item.updated(),
        name_key: Item::name_key(item.kind(), item.name()),
        doc: to_json(item)?,
    })
}

fn owner_of(item: &Item) -> Owner {
    Owner::Item(item.kind(), item.number())
}
