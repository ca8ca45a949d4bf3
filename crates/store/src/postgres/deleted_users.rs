//! Plans deletions, restores and permanent deletions of users.

use super::batch_plan::{ApplyResult, BatchPlan, memberships_of};
use super::param::{Param, int, tenant_code};
use super::prefetch::Prefetched;
use super::table_rows::EncodedUser;
use crate::event_row::{EncodedEvent, to_json};
use crate::query_plan::active_code;
use crate::{sql, unique_keys};
use directory::{AccountEdit, Action, EntitySnapshot, EventNote, TenantNumber, Time, Tombstone, User};

impl BatchPlan {
    pub(super) fn remove_user(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        user: &User,
        known: &Prefetched,
    ) -> ApplyResult<EncodedEvent> {
        let code = tenant_code(tenant);
        let user = &known.with_memberships(code, user);
        // A membership that is added meanwhile prevents the deletion (foreign key).
        self.rows.remove_expected_memberships(code, user.number, &memberships_of(user));
        self.replace_unique_keys(code, &unique_keys::of_user(user), Vec::new(), user.number);
        for text in unique_keys::secondary_emails(user) {
            self.rows.remove_secondary_email(code, &text, user.number);
        }
        for group in &user.groups {
            self.rows.bump_item_version(code, *group, at);
        }
        let key = user.external_id.as_deref().map(|id| unique_keys::external_id_key(id).into_bytes());
        let bury: Vec<Box<dyn Param>> = vec![
            Box::new(code),
            Box::new(int(user.number)),
            Box::new(int(user.version)),
            Box::new(at.0),
            Box::new(key),
            Box::new(to_json(user)?),
        ];
        self.push_early(sql::ADD_TOMBSTONE, bury, Some(1));
        self.rows.remove_user(code, user);
        let before = Some(to_json(&EntitySnapshot::User(Box::new(user.clone())))?);
        Ok(EncodedEvent { before, notes: vec![EventNote::SignInsEnded], ..EncodedEvent::new(Action::Deleted) })
    }

    pub(super) fn restore_user(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        (before, user): (&Tombstone, &User),
        (account, keeps_password): (&AccountEdit, bool),
    ) -> ApplyResult<EncodedEvent> {
        let code = tenant_code(tenant);
        let mut user = user.clone();
        (user.id, user.number) = (before.user.id, before.user.number);
        self.created.insert(user.id.0);
        self.add_user_relations(code, at, &user);
        let after = Some(to_json(&EntitySnapshot::User(Box::new(user.clone())))?);
        self.receipt().users.push(user.clone());
        (user.groups, user.folders) = (Vec::new(), Vec::new());
        let columns = EncodedUser::new(active_code(&user), account, to_json(&user)?)?;
        let raise: Vec<Box<dyn Param>> = vec![
            Box::new(code),
            Box::new(int(user.number)),
            Box::new(before.deleted.0),
            Box::new(int(user.version)),
            Box::new(keeps_password),
            Box::new(columns.password),
            Box::new(columns.account),
            Box::new(columns.doc),
            Box::new(i16::from(columns.active)),
            Box::new(user.updated.0),
        ];
        self.push_early(sql::ADD_USER_FROM_TOMBSTONE, raise, Some(1));
        self.delete_tombstone(code, before);
        self.rows.add_to_block(code, user.number, 1);
        let password_set = account.sets_password();
        Ok(EncodedEvent { after, password_set, notes: vec![EventNote::Restored], ..EncodedEvent::new(Action::Created) })
    }

    pub(super) fn purge_user(&mut self, tenant: TenantNumber, tombstone: &Tombstone) -> ApplyResult<EncodedEvent> {
        let code = tenant_code(tenant);
        self.delete_tombstone(code, tombstone);
        let before = Some(to_json(&EntitySnapshot::User(Box::new(tombstone.user.clone())))?);
        Ok(EncodedEvent { before, notes: vec![EventNote::Purged], ..EncodedEvent::new(Action::Deleted) })
    }

    fn delete_tombstone(&mut self, code: i32, tombstone: &Tombstone) {
        let removed: Vec<Box<dyn Param>> =
            vec![Box::new(code), Box::new(int(tombstone.user.number)), Box::new(tombstone.deleted.0)];
        self.push_early(sql::REMOVE_TOMBSTONE, removed, Some(1));
    }
}
