//! What people do with their own accounts: sign in, follow links, choose passwords.

use super::throttle::Mark;
use super::{Caller, Directory, RETRY_AFTER, unread};
use crate::decide::check_link;
use crate::{
    Account, AccountStep, Command, Field, KeyHash, KnownDevice, LinkKey, Proof, Refusal, Rule, SignInFault,
    StoredPassword, TenantNumber, User, UserId, UserKey, Verdict, identifier_key, rules,
};
use secrecy::{ExposeSecret, SecretString};
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
    /// The known browser it comes from.
    pub device: Option<KnownDevice>,
}

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
        // Nonexistent tenants share one queue, or an attacker could have many.
        let tenant = self.store.tenant(caller.tenant).await.map_err(unread)?;
        let exists = tenant.is_some_and(|tenant| tenant.removed.is_none());
        let (user, account) = if exists { (user, account) } else { (None, Account::default()) };
        let party = if exists { caller.tenant } else { TenantNumber(0) };
        let (typed, now) = (typed(caller.tenant, &guess.handle), self.clock.now());
        let device = guess.device.filter(|device| {
            user.as_ref().is_some_and(|user| user.id == device.user)
                && account.sign_ins.knows_device(device.since, now)
        });
        let is_known_network =
            guess.address.is_some_and(|address| account.sign_ins.knows_network(address, now));
        let from = guess.address.map(network);
        // Failures from elsewhere must not lock out a user from a known browser or network.
        let marks = if let Some(KnownDevice { user, since }) = device {
            vec![Mark::Device(user, since)]
        } else {
            let mut marks = vec![Mark::Pair(&typed, from)];
            marks.extend((!is_known_network).then_some(Mark::Person(&typed)));
            marks.extend(from.map(Mark::Network));
            marks
        };
        let slow = |retry_after| Refusal::SignIn(SignInFault::Slow { retry_after });
        self.throttle.begin(&marks, now).map_err(slow)?;
        if guess.password.expose_secret().len() > rules::limit(Field::Password) {
            return Err(refused);
        }
        let stored = account.password;
        let Ok(verdict) = self.hasher.verify(party, guess.password.clone(), stored.clone()).await else {
            self.throttle.forgive(&marks);
            return Err(Refusal::Busy { retry_after: RETRY_AFTER });
        };
        let (Some(user), Some(shown)) = (user, stored) else { return Err(refused) };
        if verdict == Verdict::Wrong || user.status.is_off() {
            return Err(refused);
        }
        // Where it cannot be hashed anew just now, it is next time.
        let rehashed = match verdict {
            Verdict::RightButWeak => self.hasher.hash(party, guess.password).await.ok(),
            Verdict::Right | Verdict::Wrong => None,
        };
        let step = AccountStep::SignIn { shown, session, rehashed, address: guess.address };
        let signed_in = self.account_step(caller, user.id, step).await;
        self.throttle.forgive(&marks);
        if signed_in.is_ok() {
            self.throttle.clear(&marks[..1]);
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
        let step = AccountStep::ChoosePassword { password, by: Proof::Link(link), keep: None, address };
        let user = self.account_step(caller, link.user, step).await?;
        for handle in user.email().into_iter().chain([user.user_name.as_str()]) {
            let typed = typed(caller.tenant, handle);
            self.throttle.clear(&[Mark::Pair(&typed, address.map(network))]);
        }
        Ok(user)
    }

    /// Somebody changes their password; all browsers but `keep` are signed out.
    pub async fn change_password(
        &self,
        caller: &Caller,
        user: UserId,
        (old, new): (SecretString, SecretString),
        keep: KeyHash,
        address: Option<IpAddr>,
    ) -> Result<User, Refusal> {
        let person = format!("{} {user}", caller.tenant);
        let marks = [Mark::Change(&person)];
        let slow = |retry_after| Refusal::SignIn(SignInFault::Slow { retry_after });
        self.throttle.begin(&marks, self.clock.now()).map_err(slow)?;
        let account = self.store.account(caller.tenant, user).await.map_err(unread)?.unwrap_or_default();
        let stored = account.password;
        let verdict = self.hasher.verify(caller.tenant, old, stored.clone()).await;
        let busy = |_| Refusal::Busy { retry_after: RETRY_AFTER };
        let verdict = verdict.map_err(busy).inspect_err(|_| self.throttle.forgive(&marks))?;
        let shown = stored.filter(|_| verdict != Verdict::Wrong);
        let shown = shown.ok_or(Refusal::SignIn(SignInFault::Refused))?;
        self.throttle.forgive(&marks);
        let by = Proof::Password(shown);
        let step = AccountStep::ChoosePassword { password: new, by, keep: Some(keep), address };
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
        let user = self.store.user(tenant, UserKey::SignIn(handle.to_owned())).await.map_err(unread)?;
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
}

/// The key under which failed sign-ins are counted. A user's email and user name count separately: a shared count would
/// reveal that they belong together.
fn typed(tenant: TenantNumber, handle: &str) -> String {
    format!("{tenant} {}", identifier_key(handle.trim()))
}

/// What a person's mails are counted under: who they are, or what was typed for one who is not there.
fn named(tenant: TenantNumber, user: Option<&User>, handle: &str) -> String {
    match user {
        Some(user) => format!("{tenant} {}", user.id),
        None => typed(tenant, handle),
    }
}

/// What one household or office has of addresses: IPv6 counts by /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mut bytes = address.octets();
            bytes[8..].fill(0);
            IpAddr::V6(bytes.into())
        }
    }
}
