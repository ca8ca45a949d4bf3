//! Data kept beside users: deleted users, mails and rows of tenants.

use super::{Caller, Directory, read_error};
use crate::authorization::Query;
use crate::{
    ArchiveForm, Command, DeliveryOutcome, DirectoryError, Expected, Mail, PasswordLink, Purpose, Receipt, Row,
    RowWrite, SignInError, TABLES, TenantEdit, TenantNumber, Time, Tombstone, User, UserId, UserKey, identifier_key,
};
use uuid::Uuid;

/// Users purged at a time.
const PURGE_BATCH: u32 = 256;
/// The position before all mails.
pub(super) const MAILS_START: (Time, Uuid) = (Time(i64::MIN), Uuid::nil());

impl Directory {
    /// Finds a deleted user who can still be restored, by id, number or external id, else by email or user name. If
    /// several match, the one who was deleted last.
    pub async fn deleted_user(&self, caller: &Caller, keys: &[UserKey]) -> Result<Tombstone, DirectoryError> {
        self.authorize(caller, Query::DeletedUsers).await?;
        for key in keys {
            let tombstone = match key {
                UserKey::Login(login) | UserKey::LoginConstantTime(login) | UserKey::Email(login) => {
                    self.deleted_user_by_login(caller.tenant, &identifier_key(login)).await?
                }
                key => self.store.tombstone(caller.tenant, key.clone()).await.map_err(read_error)?,
            };
            if let Some(tombstone) = tombstone.filter(|tombstone| tombstone.is_restorable(self.clock.now())) {
                return Ok(tombstone);
            }
        }
        Err(DirectoryError::NoSuchUser)
    }

    async fn deleted_user_by_login(
        &self,
        tenant: TenantNumber,
        login: &str,
    ) -> Result<Option<Tombstone>, DirectoryError> {
        let (mut after, mut latest) = (0, None::<Tombstone>);
        loop {
            let page = self.store.tombstones(tenant, after, 1000).await.map_err(read_error)?;
            let Some(last) = page.last() else { return Ok(latest) };
            after = last.user.number;
            let has_login = |user: &User| {
                identifier_key(&user.user_name) == login
                    || user.email().is_some_and(|email| identifier_key(email) == login)
            };
            let matching = page.into_iter().filter(|tombstone| has_login(&tombstone.user));
            latest = latest.into_iter().chain(matching).max_by_key(|tombstone| tombstone.deleted);
        }
    }

    /// Deleted users with a number above `after`, in order of number.
    pub async fn deleted_users(
        &self,
        caller: &Caller,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Tombstone>, DirectoryError> {
        self.authorize(caller, Query::DeletedUsers).await?;
        self.store.tombstones(caller.tenant, after, limit).await.map_err(read_error)
    }

    /// Purges users who can no longer be restored; returns how many.
    ///
    /// # Errors
    /// The last error, returned only after all other users were purged; [`DirectoryError::Unavailable`] and
    /// [`DirectoryError::Busy`] are returned at once.
    pub async fn purge_expired_users(&self) -> Result<u64, DirectoryError> {
        let (mut purged_total, mut from, mut last_error) = (0, Time(i64::MIN), None);
        loop {
            let cutoff = self.clock.now().plus_seconds(-Tombstone::RESTORABLE_SECONDS);
            let tombstones = self.store.tombstones_between((from, cutoff), PURGE_BATCH).await.map_err(read_error)?;
            let (page_len, mut purged) = (tombstones.len(), 0);
            let last = tombstones.last().map(|(_, tombstone)| tombstone.deleted);
            for (tenant, tombstone) in tombstones {
                let caller = Caller::system(Purpose::Retention, tenant);
                match self.run(&caller, Command::PurgeUser(UserKey::Number(tombstone.user.number))).await {
                    Ok(_) => purged += 1,
                    // Another process was first, or the user was restored.
                    Err(DirectoryError::NoSuchUser | DirectoryError::WrongStatus | DirectoryError::Conflict) => {}
                    Err(error @ (DirectoryError::Unavailable(_) | DirectoryError::Busy { .. })) => {
                        return Err(error);
                    }
                    Err(error) => last_error = Some(error),
                }
            }
            purged_total += purged;
            if page_len < PURGE_BATCH as usize {
                return last_error.map_or(Ok(purged_total), Err);
            }
            if let (0, Some(last)) = (purged, last) {
                // No user of a full page could be purged: continue with the next page.
                from = Time(last.0 + 1);
            }
        }
    }

    /// Withdraws failed mails that are not needed any more, because their links were used or closed.
    pub async fn withdraw_obsolete_mails(&self) -> Result<(), DirectoryError> {
        for tenant in self.tenants(&Caller::task(Purpose::Retention)).await? {
            let caller = Caller::system(Purpose::Retention, tenant.number);
            let mut after = MAILS_START;
            loop {
                let mails: Vec<Mail> = self.records(Mail::of_tenant(tenant.number, after, 1000)).await?;
                let Some(last) = mails.last() else { break };
                after = (last.queued, last.id);
                for mail in mails.iter().filter(|mail| mail.has_failed()) {
                    let link = PasswordLink { user: mail.user, id: mail.id, purpose: mail.purpose };
                    if self.user_by_link(&caller, &link).await == Err(DirectoryError::SignIn(SignInError::LinkInvalid))
                    {
                        self.update_mail(&caller, mail, None, Some(DeliveryOutcome::Withdrawn), false).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Deletes the rows that a removed tenant has in declared tables; returns how many. Tables with entries of their own in
    /// backups have commands of their own: connections are revoked, and mails are deleted with their users.
    pub async fn delete_rows_of_tenant(&self, tenant: TenantNumber) -> Result<u64, DirectoryError> {
        let (caller, mut count) = (Caller::task(Purpose::Retention), 0);
        let tables = TABLES.iter().map(|table| table());
        for table in tables.filter(|table| table.is_by_tenant() && table.archive != ArchiveForm::Entries) {
            loop {
                let query = table.all().equal(vec![tenant.0.into()]).limit(1_000);
                let rows = self.store.rows(query).await.map_err(read_error)?;
                if rows.is_empty() {
                    break;
                }
                count += rows.len() as u64;
                let delete = |row: Row| {
                    let key = row.into_iter().take(table.key_columns).collect();
                    RowWrite::Delete { table, key, expected: Expected::Anything }
                };
                self.commit_rows(&caller, rows.into_iter().map(delete).collect()).await?;
            }
        }
        Ok(count)
    }

    pub async fn update_tenant(&self, caller: &Caller, edit: TenantEdit) -> Result<Receipt, DirectoryError> {
        self.run(caller, Command::UpdateTenant(edit)).await
    }

    /// Of all tenants.
    pub async fn mails_due(&self, caller: &Caller, limit: u32) -> Result<Vec<Mail>, DirectoryError> {
        self.authorize(caller, Query::MailsDue).await?;
        self.records(Mail::due_by(self.clock.now(), limit)).await
    }

    /// Waiting and failed mails of the caller's tenant or of one of its users.
    pub async fn mails(&self, caller: &Caller, user: Option<UserId>, limit: u32) -> Result<Vec<Mail>, DirectoryError> {
        self.authorize(caller, Query::Mails).await?;
        let tenant = caller.tenant;
        self.records(match user {
            Some(user) => Mail::of_user(tenant, user, limit),
            None => Mail::of_tenant(tenant, MAILS_START, limit),
        })
        .await
    }

    /// Records the progress of a mail; `None` if another process is working on it.
    pub async fn update_mail(
        &self,
        caller: &Caller,
        mail: &Mail,
        due: Option<Time>,
        outcome: Option<DeliveryOutcome>,
        starts_attempt: bool,
    ) -> Result<Option<Mail>, DirectoryError> {
        let mut after = mail.with_outcome(due, outcome.clone());
        after.attempts += u32::from(starts_attempt);
        after.is_claimed = starts_attempt;
        let command = Command::UpdateMail { mail: Box::new(mail.clone()), due, outcome, starts_attempt };
        match self.run(caller, command).await {
            Ok(_) => Ok(Some(after)),
            Err(DirectoryError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
