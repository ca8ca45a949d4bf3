//! Translates changes of users: rows of the user, unique keys, secondary emails and memberships.

use super::{Encoded, Memberships, Owner, RemovedUser, Sequence, Side, Translation, UserColumns, Write};
use crate::event_row::to_json;
use crate::memberships;
use crate::query_plan::active_code;
use crate::unique_keys;
use directory::{
    AccountEdit, Action, EntitySnapshot, EventData, EventNote, ExposeSecret, ItemId, ItemKind, Tombstone, User,
};

impl Translation<'_> {
    pub(super) fn add_user(&mut self, mut user: User, account: &AccountEdit) -> Encoded {
        user.number = self.known.next_number(self.tenant, Sequence::Users);
        let (groups, folders) = (std::mem::take(&mut user.groups), std::mem::take(&mut user.folders));
        let columns = user_columns(&user, account)?;
        let has_memberships = !groups.is_empty() || !folders.is_empty();
        // Without memberships, the snapshot is the document.
        let plain = (!has_memberships).then(|| format!("{{\"user\":{}}}", columns.doc));
        (user.groups, user.folders) = (groups, folders);
        self.push(Write::AddUser(columns));
        self.add_relations(&user);
        let (after, password_set) = (Some(EntitySnapshot::User(Box::new(user.clone()))), account.sets_password());
        self.event_encoded(EventData { after, password_set, ..self.new_event(Action::Created) }, plain)?;
        self.receipt.users.push(user);
        Ok(())
    }

    /// Unique keys, secondary emails and memberships of a created or restored user.
    pub(super) fn add_relations(&mut self, user: &User) {
        self.replace_keys(&[], unique_keys::of_user(user), Owner::User(user.number));
        self.replace_secondary_emails(&[], unique_keys::secondary_emails(user), user.number);
        self.add_memberships_of_user(user.number, memberships::all_of(user));
        self.touch_groups(&[], &user.groups);
    }

    pub(super) fn change_user(
        &mut self,
        (mut before, mut after): (User, User),
        account: &AccountEdit,
        notes: Vec<EventNote>,
    ) -> Encoded {
        let number = before.number;
        after.number = number;
        let stored = self.known.with_memberships(self.tenant, before.clone());
        memberships::merge_into(&stored, &mut before, &mut after);
        let (old, new) = (memberships::all_of(&before), memberships::all_of(&after));
        let event = EventData {
            before: Some(EntitySnapshot::User(Box::new(before.clone()))),
            after: Some(EntitySnapshot::User(Box::new(after.clone()))),
            password_set: account.sets_password(),
            notes,
            ..self.new_event(Action::Updated)
        };
        self.receipt.users.push(after.clone());
        let (groups, _) = (std::mem::take(&mut after.groups), std::mem::take(&mut after.folders));
        let columns = user_columns(&after, account)?;
        self.push(Write::ChangeUser { before: before.version, columns, memberships: old.clone() });
        self.replace_keys(&unique_keys::of_user(&before), unique_keys::of_user(&after), Owner::User(number));
        let old_emails = unique_keys::secondary_emails(&before);
        self.replace_secondary_emails(&old_emails, unique_keys::secondary_emails(&after), number);
        let (left, joined) = (difference(&old, &new), difference(&new, &old));
        self.remove_memberships_of_user(number, left);
        self.add_memberships_of_user(number, joined);
        self.touch_groups(&before.groups, &groups);
        self.event(event)
    }

    pub(super) fn remove_user(&mut self, user: User) -> Encoded {
        let user = self.known.with_memberships(self.tenant, user);
        // Its row can be removed last only.
        self.remove_memberships_of_user(user.number, memberships::all_of(&user));
        self.replace_keys(&unique_keys::of_user(&user), Vec::new(), Owner::User(user.number));
        self.replace_secondary_emails(&unique_keys::secondary_emails(&user), Vec::new(), user.number);
        self.push(Write::RemoveUser(RemovedUser {
            id: user.id,
            number: user.number,
            version: user.version,
            deleted: self.at,
            external_key: user.external_id.as_deref().map(unique_keys::external_id_key),
            doc: to_json(&user)?,
        }));
        self.touch_groups(&user.groups, &[]);
        let before = Some(EntitySnapshot::User(Box::new(user)));
        let notes = vec![EventNote::SignInsEnded];
        self.event(EventData { before, notes, ..self.new_event(Action::Deleted) })
    }

    pub(super) fn restore_user(
        &mut self,
        (before, mut user): (&Tombstone, User),
        account: &AccountEdit,
        keeps_password: bool,
    ) -> Encoded {
        (user.id, user.number) = (before.user.id, before.user.number);
        let after = Some(EntitySnapshot::User(Box::new(user.clone())));
        self.receipt.users.push(user.clone());
        let (groups, folders) = (std::mem::take(&mut user.groups), std::mem::take(&mut user.folders));
        let columns = user_columns(&user, account)?;
        (user.groups, user.folders) = (groups, folders);
        self.push(Write::RestoreUser { deleted: before.deleted, keeps_password, columns });
        self.add_relations(&user);
        let (password_set, notes) = (account.sets_password(), vec![EventNote::Restored]);
        self.event(EventData { after, password_set, notes, ..self.new_event(Action::Created) })
    }

    pub(super) fn purge_user(&mut self, tombstone: Tombstone) -> Encoded {
        let Tombstone { user, deleted } = tombstone;
        self.push(Write::RemoveTombstone { number: user.number, deleted });
        let before = Some(EntitySnapshot::User(Box::new(user)));
        self.event(EventData { before, notes: vec![EventNote::Purged], ..self.new_event(Action::Deleted) })
    }

    fn add_memberships_of_user(&mut self, number: u32, items: Vec<(ItemId, ItemKind)>) {
        if !items.is_empty() {
            self.push(Write::AddMemberships(memberships_of_user(number, items)));
        }
    }

    fn remove_memberships_of_user(&mut self, number: u32, items: Vec<(ItemId, ItemKind)>) {
        if !items.is_empty() {
            let removed = Memberships { is_exact: true, ..memberships_of_user(number, items) };
            self.push(Write::RemoveMemberships(removed));
        }
    }

    /// A group includes its members: joining and leaving from the user's side changes its version, too.
    fn touch_groups(&mut self, old: &[ItemId], new: &[ItemId]) {
        for group in unique_keys::symmetric_difference(old, new) {
            self.push(Write::TouchItem(group, self.at));
        }
    }

    fn replace_secondary_emails(&mut self, old: &[String], new: Vec<String>, number: u32) {
        for text in old.iter().filter(|text| !new.contains(text)) {
            self.push(Write::RemoveSecondaryEmail { text: text.clone(), number });
        }
        for text in new.into_iter().filter(|text| !old.contains(text)) {
            self.push(Write::AddSecondaryEmail { text, number });
        }
    }
}

fn user_columns(user: &User, account: &AccountEdit) -> Encoded<UserColumns> {
    Ok(UserColumns {
        id: user.id,
        number: user.number,
        version: user.version,
        active: active_code(user),
        updated: user.updated,
        password: account.password_hash.as_ref().map(|hash| hash.0.expose_secret().to_owned()),
        account: account.sign_in_state.as_ref().map(to_json).transpose()?,
        doc: to_json(user)?,
    })
}

fn memberships_of_user(number: u32, items: Vec<(ItemId, ItemKind)>) -> Memberships {
    let rows = items.into_iter().map(|(item, kind)| (item, kind, number)).collect();
    Memberships { rows, side: Side::User, is_exact: false }
}

fn difference<T: PartialEq + Copy>(from: &[T], without: &[T]) -> Vec<T> {
    from.iter().filter(|one| !without.contains(one)).copied().collect()
}
