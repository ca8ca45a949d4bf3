//! What people do with their own accounts, and what is done for those who are gone.

use super::throttle::Mark;
use super::{Caller, Directory, RETRY_AFTER, unread};
use crate::decide::check_link;
use crate::{
    Account, AccountStep, Chain, Command, Event, Field, KeyHash, LinkKey, Mail, Outcome, Position, Proof,
    Receipt, Record, Refusal, Rule, SignInFault, StoredPassword, TenantEdit, TenantNumber, TenantSettings,
    Time, Tombstone, User, UserId, UserKey, Verdict, fold, rules,
};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A password shown for somebody.
#[derive(Clone, Debug)]
pub struct Guess {
    /// E-mail or user name.
    pub handle: String,
    /// The password.
    pub password: SecretString,
    /// Where it comes from, if that is known.
    pub address: Option<IpAddr>,
}

/// So many purged at a time.
const PURGE: u32 = 256;

impl Directory {
    /// Who signs in with that; `session` is what is kept of the key of their browser, if it is one.
    ///
    /// Whether there is no such person, they may not sign in, or the password is another: it is
    /// [`SignInFault::Refused`] and takes as long. After many failures it is [`SignInFault::Slow`].
    pub async fn sign_in(
        &self,
        caller: &Caller,
        guess: Guess,
        session: Option<KeyHash>,
    ) -> Result<User, Refusal> {
        let refused = Refusal::SignIn(SignInFault::Refused);
        let (user, account) = self.behind(caller.tenant, &guess.handle).await?;
        let person = named(caller.tenant, user.as_ref(), &guess.handle);
        let from = guess.address.map(network);
        let mut marks = vec![Mark::Pair(&person, from), Mark::Person(&person)];
        marks.extend(from.map(Mark::Network));
        let slow = |retry_after| Refusal::SignIn(SignInFault::Slow { retry_after });
        self.throttle.begin(&marks, self.clock.now()).map_err(slow)?;
        let stored = account.password;
        let Ok(verdict) = self.hasher.verify(guess.password.clone(), stored.clone()).await else {
            self.throttle.forgive(&marks);
            return Err(Refusal::Busy { retry_after: RETRY_AFTER });
        };
        let (Some(user), Some(shown)) = (user, stored) else { return Err(refused) };
        if verdict == Verdict::Wrong || user.status.is_off() {
            return Err(refused);
        }
        // Where it cannot be hashed anew just now, it is next time.
        let rehashed = match verdict {
            Verdict::RightButWeak => self.hasher.hash(guess.password).await.ok(),
            Verdict::Right | Verdict::Wrong => None,
        };
        let step = AccountStep::SignIn { shown, session, rehashed };
        let signed_in = self.account_step(caller, user.id, step).await;
        self.throttle.forgive(&marks);
        if signed_in.is_ok() {
            self.throttle.clear(&marks[..2]);
        }
        signed_in
    }

    /// Whom a link is for, if it can be used.
    pub async fn link(&self, tenant: TenantNumber, link: &LinkKey) -> Result<User, Refusal> {
        let gone = Refusal::SignIn(SignInFault::LinkGone);
        let user = self.store.user(tenant, UserKey::Id(link.user)).await.map_err(unread)?;
        let user = user.ok_or(gone.clone())?;
        let account = self.store.account(tenant, link.user).await.map_err(unread)?.ok_or(gone)?;
        let settings = self.tenant(tenant).await?.settings;
        check_link(&user, &account, &settings, link, self.clock.now())?;
        Ok(user)
    }

    /// Somebody chooses a password with a link, which is used up. They need not wait any more, where they come from.
    pub async fn choose_password(
        &self,
        caller: &Caller,
        link: LinkKey,
        password: SecretString,
        address: Option<IpAddr>,
    ) -> Result<User, Refusal> {
        let step = AccountStep::ChoosePassword { password, by: Proof::Link(link), keep: None };
        let user = self.account_step(caller, link.user, step).await?;
        let person = named(caller.tenant, Some(&user), "");
        self.throttle.clear(&[Mark::Pair(&person, address.map(network)), Mark::Person(&person)]);
        Ok(user)
    }

    /// Somebody changes their password; all browsers but `keep` are signed out.
    pub async fn change_password(
        &self,
        caller: &Caller,
        user: UserId,
        (old, new): (SecretString, SecretString),
        keep: KeyHash,
    ) -> Result<User, Refusal> {
        let person = format!("{} {user}", caller.tenant);
        let marks = [Mark::Change(&person)];
        let slow = |retry_after| Refusal::SignIn(SignInFault::Slow { retry_after });
        self.throttle.begin(&marks, self.clock.now()).map_err(slow)?;
        let account = self.store.account(caller.tenant, user).await.map_err(unread)?.unwrap_or_default();
        let stored = account.password;
        let verdict = self.hasher.verify(old, stored.clone()).await;
        let busy = |_| Refusal::Busy { retry_after: RETRY_AFTER };
        let verdict = verdict.map_err(busy).inspect_err(|_| self.throttle.forgive(&marks))?;
        let shown = stored.filter(|_| verdict != Verdict::Wrong);
        let shown = shown.ok_or(Refusal::SignIn(SignInFault::Refused))?;
        self.throttle.forgive(&marks);
        let by = Proof::Password(shown);
        let step = AccountStep::ChoosePassword { password: new, by, keep: Some(keep) };
        self.account_step(caller, user, step).await
    }

    /// Who is signed in in a browser with that key.
    pub async fn signed_in(
        &self,
        tenant: TenantNumber,
        user: UserId,
        key: &KeyHash,
    ) -> Result<Option<User>, Refusal> {
        let account = self.store.account(tenant, user).await.map_err(unread)?;
        if !account.is_some_and(|account| account.sign_ins.holds(key, self.clock.now())) {
            return Ok(None);
        }
        let found = self.store.user(tenant, UserKey::Id(user)).await.map_err(unread)?;
        Ok(found.filter(|user| !user.status.is_off()))
    }

    /// In how many browsers somebody is signed in.
    pub async fn sessions(&self, tenant: TenantNumber, user: UserId) -> Result<usize, Refusal> {
        let account = self.store.account(tenant, user).await.map_err(unread)?.unwrap_or_default();
        Ok(account.sign_ins.live(self.clock.now()))
    }

    /// One step of somebody with their own account.
    pub async fn account_step(
        &self,
        caller: &Caller,
        user: UserId,
        step: AccountStep,
    ) -> Result<User, Refusal> {
        let receipt = self.run(caller, Command::Account { user, step }).await?;
        receipt.users.into_iter().next().ok_or(Refusal::SignIn(SignInFault::Refused))
    }

    /// Has a link sent to whoever signs in with that, if there is such a person. Nothing tells whether there is, nor
    /// whether too many were asked for: then none is sent for a while.
    pub async fn forgot(
        &self,
        caller: &Caller,
        handle: &str,
        address: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let (user, _) = self.behind(caller.tenant, handle).await?;
        let person = named(caller.tenant, user.as_ref(), handle);
        let mut marks = vec![Mark::Mail(&person)];
        marks.extend(address.map(|address| Mark::Asking(network(address))));
        let (Some(user), Ok(())) = (user, self.throttle.begin(&marks, self.clock.now())) else {
            return Ok(());
        };
        let command = Command::Account { user: user.id, step: AccountStep::Forgot };
        self.run(caller, command).await.map(|_| ())
    }

    /// Who signs in with that, and how. Looked up alike whether they are there or not.
    async fn behind(&self, tenant: TenantNumber, handle: &str) -> Result<(Option<User>, Account), Refusal> {
        let handle = handle.trim();
        if handle.chars().count() > rules::limit(Field::Email) {
            return Ok((None, Account::default()));
        }
        let user = self.store.user(tenant, UserKey::Handle(handle.to_owned())).await.map_err(unread)?;
        let id = user.as_ref().map_or(UserId(uuid::Uuid::nil()), |user| user.id);
        let account = self.store.account(tenant, id).await.map_err(unread)?;
        Ok((user, account.unwrap_or_default()))
    }

    /// Refuses passwords that another system has stored in a way that cannot be verified here.
    pub(super) fn check_hash(&self, command: &Command) -> Result<(), Refusal> {
        let (Command::CreateUser(edit) | Command::UpdateUser { edit, .. }) = command.bare().0 else {
            return Ok(());
        };
        let is_good = |stored: &StoredPassword| self.hasher.can_verify(stored);
        if edit.password_hash.as_ref().is_none_or(is_good) {
            return Ok(());
        }
        Err(Refusal::field(Field::Password, Rule::Malformed))
    }

    /// Somebody who was deleted and is not gone for good: by id, number or external id, else by e-mail or user name; of
    /// several, the one who was deleted last.
    pub async fn deleted(&self, caller: &Caller, keys: &[UserKey]) -> Result<Tombstone, Refusal> {
        for key in keys {
            let found = match key {
                UserKey::Handle(handle) | UserKey::Email(handle) => {
                    self.deleted_with(caller.tenant, &fold(handle)).await?
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
                fold(&user.user_name) == handle || user.email().is_some_and(|email| fold(email) == handle)
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

    /// Lets go for good of everybody who can no longer be restored; how many.
    pub async fn purge(&self) -> Result<u64, Refusal> {
        let mut many = 0;
        loop {
            let moment = self.clock.now().plus_seconds(-Tombstone::RESTORABLE_SECONDS);
            let stones = self.store.tombstones_before(moment, PURGE).await.map_err(unread)?;
            let (found, mut gone) = (stones.len(), 0);
            for (tenant, stone) in stones {
                let caller = Caller { who: "server".into(), ..Caller::terminal(tenant) };
                match self.run(&caller, Command::PurgeUser(UserKey::Number(stone.user.number))).await {
                    Ok(_) => gone += 1,
                    // Another process was first, or they are back.
                    Err(Refusal::NoSuchUser | Refusal::WrongStatus | Refusal::Conflict) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
            many += gone;
            if found < PURGE as usize || gone == 0 {
                return Ok(many);
            }
        }
    }

    /// Withdraws mails that have failed and that nobody needs any more: their links were used or closed since.
    pub async fn tidy_mails(&self) -> Result<(), Refusal> {
        for tenant in self.tenants().await? {
            let mails = self.store.mails(tenant.number, None, 1000).await.map_err(unread)?;
            for mail in mails.iter().filter(|mail| mail.has_failed()) {
                let link = LinkKey { user: mail.user, id: mail.id, purpose: mail.purpose };
                if self.link(tenant.number, &link).await == Err(Refusal::SignIn(SignInFault::LinkGone)) {
                    self.move_mail(mail, None, Some(Outcome::Withdrawn), false).await?;
                }
            }
        }
        Ok(())
    }

    /// Settles something of a tenant.
    pub async fn update_tenant(&self, caller: &Caller, edit: TenantEdit) -> Result<Receipt, Refusal> {
        self.run(caller, Command::UpdateTenant(edit)).await
    }

    /// How long links last in a tenant, and what else it has settled.
    pub async fn settings(&self, tenant: TenantNumber) -> Result<TenantSettings, Refusal> {
        Ok(self.tenant(tenant).await?.settings)
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
        self.store.mails(tenant, user, limit).await.map_err(unread)
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

/// What a person is counted under: who they are, or what was typed for one who is not there.
fn named(tenant: TenantNumber, user: Option<&User>, handle: &str) -> String {
    match user {
        Some(user) => format!("{tenant} {}", user.id),
        None => format!("{tenant} {}", fold(handle.trim())),
    }
}

/// What one household or office has of addresses: IPv6 counts by /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mut bytes = address.octets();
            bytes[8..].fill(0);
            IpAddr::V6(bytes.into())
        }
    }
}
