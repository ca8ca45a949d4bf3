//! What is kept of people beside themselves: those who were deleted, mails on their way, what happened.

use super::{Caller, Directory, unread};
use crate::{
    Chain, Command, Event, LinkKey, Mail, Outcome, Position, Receipt, Record, Refusal, SignInFault,
    TenantEdit, TenantNumber, Time, Tombstone, User, UserId, UserKey, identifier_key,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// So many purged at a time.
const PURGE: u32 = 256;
/// What all mails are behind.
pub(super) const FIRST_MAIL: (Time, Uuid) = (Time(i64::MIN), Uuid::nil());

impl Directory {
    /// Somebody who was deleted and is not gone for good: by id, number or external id, else by e-mail or user name; of
    /// several, the one who was deleted last.
    pub async fn deleted(&self, caller: &Caller, keys: &[UserKey]) -> Result<Tombstone, Refusal> {
        for key in keys {
            let found = match key {
                UserKey::Handle(handle) | UserKey::SignIn(handle) | UserKey::Email(handle) => {
                    self.deleted_with(caller.tenant, &identifier_key(handle)).await?
                }
                key => self.store.tombstone(caller.tenant, key.clone()).await.map_err(unread)?,
            };
            if let Some(found) = found.filter(|found| found.is_restorable(self.clock.now())) {
                return Ok(found);
            }
        }
        Err(Refusal::NoSuchUser)
    }

    async fn deleted_with(&self, tenant: TenantNumber, handle: &str) -> Result<Option<Tombstone>, Refusal> {
        let (mut after, mut best) = (0, None::<Tombstone>);
        loop {
            let page = self.store.tombstones(tenant, after, 1000).await.map_err(unread)?;
            let Some(last) = page.last() else { return Ok(best) };
            after = last.user.number;
            let is_meant = |user: &User| {
                identifier_key(&user.user_name) == handle
                    || user.email().is_some_and(|email| identifier_key(email) == handle)
            };
            let found = page.into_iter().filter(|stone| is_meant(&stone.user));
            best = best.into_iter().chain(found).max_by_key(|stone| stone.deleted);
        }
    }

    /// The deleted, in order of number: those with a higher number than `after`.
    pub async fn all_deleted(
        &self,
        caller: &Caller,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Tombstone>, Refusal> {
        self.store.tombstones(caller.tenant, after, limit).await.map_err(unread)
    }

    /// Purges users who can no longer be restored; how many. One who cannot be purged does not stop the others: the last
    /// error is returned at the end.
    pub async fn purge(&self) -> Result<u64, Refusal> {
        let (mut many, mut from, mut failed) = (0, Time(i64::MIN), None);
        loop {
            let moment = self.clock.now().plus_seconds(-Tombstone::RESTORABLE_SECONDS);
            let stones = self.store.tombstones_before((from, moment), PURGE).await.map_err(unread)?;
            let (found, mut gone) = (stones.len(), 0);
            let last = stones.last().map(|(_, stone)| stone.deleted);
            for (tenant, stone) in stones {
                let caller = Caller { who: "server".into(), ..Caller::terminal(tenant) };
                match self.run(&caller, Command::PurgeUser(UserKey::Number(stone.user.number))).await {
                    Ok(_) => gone += 1,
                    // Another process was first, or they are back.
                    Err(Refusal::NoSuchUser | Refusal::WrongStatus | Refusal::Conflict) => {}
                    Err(refusal @ (Refusal::Unavailable(_) | Refusal::Busy { .. })) => return Err(refusal),
                    Err(refusal) => failed = Some(refusal),
                }
            }
            many += gone;
            if found < PURGE as usize {
                return failed.map_or(Ok(many), Err);
            }
            if let (0, Some(last)) = (gone, last) {
                // No user of a full page could be purged: the next page comes next.
                from = Time(last.0 + 1);
            }
        }
    }

    /// Withdraws mails that have failed and that nobody needs any more: their links were used or closed since.
    pub async fn tidy_mails(&self) -> Result<(), Refusal> {
        for tenant in self.tenants().await? {
            let mut after = FIRST_MAIL;
            loop {
                let mails = self.store.mails(tenant.number, None, after, 1000).await.map_err(unread)?;
                let Some(last) = mails.last() else { break };
                after = (last.queued, last.id);
                for mail in mails.iter().filter(|mail| mail.has_failed()) {
                    let link = LinkKey { user: mail.user, id: mail.id, purpose: mail.purpose };
                    if self.link(tenant.number, &link).await == Err(Refusal::SignIn(SignInFault::LinkGone)) {
                        self.move_mail(mail, None, Some(Outcome::Withdrawn), false).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Settles something of a tenant.
    pub async fn update_tenant(&self, caller: &Caller, edit: TenantEdit) -> Result<Receipt, Refusal> {
        self.run(caller, Command::UpdateTenant(edit)).await
    }

    /// Mails that are to be tried now.
    pub async fn mails_due(&self, limit: u32) -> Result<Vec<Mail>, Refusal> {
        self.store.mails_due(self.clock.now(), limit).await.map_err(unread)
    }

    /// Mails of a tenant, or of one of its people, that wait or have failed.
    pub async fn mails(
        &self,
        tenant: TenantNumber,
        user: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Mail>, Refusal> {
        self.store.mails(tenant, user, FIRST_MAIL, limit).await.map_err(unread)
    }

    /// Notes what has become of a mail; `None` when somebody else has it in hand.
    pub async fn move_mail(
        &self,
        mail: &Mail,
        due: Option<Time>,
        outcome: Option<Outcome>,
        is_attempt: bool,
    ) -> Result<Option<Mail>, Refusal> {
        let caller = Caller { who: "server".into(), ..Caller::terminal(mail.tenant) };
        let mut after = mail.moved(due, outcome.clone());
        after.attempts += u32::from(is_attempt);
        after.is_taken = is_attempt;
        let command = Command::MoveMail { mail: Box::new(mail.clone()), due, outcome, is_attempt };
        match self.run(&caller, command).await {
            Ok(_) => Ok(Some(after)),
            Err(Refusal::Conflict) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// What happened to a person after a position, oldest first, and where to go on; nowhere at the end.
    pub async fn history(
        &self,
        caller: &Caller,
        user: UserId,
        after: Position,
    ) -> Result<(Vec<Event>, Option<Position>), Refusal> {
        const PAGE: u32 = 1000;
        let mut events = self.store.history(caller.tenant, user, after, PAGE).await.map_err(unread)?;
        let next = events.last().map(|event| event.position).filter(|_| events.len() == PAGE as usize);
        let is_of = |record: &Record| match record {
            Record::User(known) => known.id == user,
            Record::Mail(mail) => mail.user == user,
            Record::Connection(connection) => connection.user == Some(user),
            Record::Item(_) | Record::Tenant(_) => false,
        };
        events.retain(|event| {
            let what = &event.what;
            what.before.iter().chain(&what.after).any(is_of)
                || what.joined.contains(&user)
                || what.left.contains(&user)
        });
        Ok((events, next))
    }

    /// The link of a tenant's chain at a position, if there is one.
    pub async fn link_at(&self, tenant: TenantNumber, at: Position) -> Result<Option<[u8; 32]>, Refusal> {
        self.store.link_at(tenant, at).await.map_err(unread)
    }

    /// Goes through the chain of a tenant's events, or of all tenants'; what it found, by tenant.
    pub async fn verify(
        &self,
        tenant: Option<TenantNumber>,
    ) -> Result<BTreeMap<TenantNumber, Chain>, Refusal> {
        self.store.verify(tenant).await.map_err(unread)
    }
}
