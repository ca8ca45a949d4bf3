//! What users do with their own accounts: sign in, follow links, set passwords.

use super::throttle::ThrottleKey;
use super::{Caller, Directory, RETRY_AFTER_SECONDS, read_error};
use crate::authorization::Query;
use crate::decide::check_link;
use crate::text::validation;
use crate::{
    Account, AccountAction, Command, DirectoryError, Field, FieldErrorKind, KeyHash, KnownBrowser, PasswordHash,
    PasswordLink, PasswordProof, PasswordVerification, SecurityEvent, SecurityKind, SignInError, Tenant, TenantNumber,
    User, UserId, UserKey, identifier_key,
};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;

#[derive(Clone, Debug)]
pub struct Credentials {
    /// Email or user name.
    pub login: String,
    pub password: SecretString,
    pub client_ip: Option<IpAddr>,
    pub known_browser: Option<KnownBrowser>,
}

impl Directory {
    /// Signs a user in. `session` is the hash of the browser's session key, if the client is a browser.
    ///
    /// # Errors
    /// [`SignInError::InvalidCredentials`] if there is no such user, the user may not sign in, or the password is
    /// wrong; it takes the same time in each case. [`SignInError::TooManyAttempts`] after many failures.
    pub async fn sign_in(
        &self,
        caller: &Caller,
        credentials: Credentials,
        session: Option<KeyHash>,
    ) -> Result<User, DirectoryError> {
        let client_ip = credentials.client_ip;
        let (user, account) = self.find_login(caller.tenant, &credentials.login).await?;
        let id = user.as_ref().map(|user| user.id);
        let signed_in = self.sign_in_user(caller, credentials, session, (user, account)).await;
        if let Err(DirectoryError::SignIn(error)) = &signed_in {
            // An unknown tenant has no records of its own: otherwise, an attacker could fill memory with many.
            let tenant: Option<Tenant> = self.record(vec![caller.tenant.0.into()]).await?;
            let tenant = tenant.filter(|tenant| tenant.removed.is_none());
            self.record_security_event(SecurityEvent {
                user: id.filter(|_| tenant.is_some()),
                tenant: tenant.map_or(Caller::NO_TENANT, |tenant| tenant.number),
                kind: SecurityKind::SignIn,
                source: client_ip.map_or_else(|| caller.actor.to_string(), |address| address.to_string()),
                reason: error.reason().to_owned(),
            });
        }
        signed_in
    }

    async fn sign_in_user(
        &self,
        caller: &Caller,
        credentials: Credentials,
        session: Option<KeyHash>,
        (user, account): (Option<User>, Account),
    ) -> Result<User, DirectoryError> {
        let invalid_credentials = DirectoryError::SignIn(SignInError::InvalidCredentials);
        // Unknown tenants share one queue: otherwise, an attacker could use many.
        let tenant: Option<Tenant> = self.record(vec![caller.tenant.0.into()]).await?;
        let exists = tenant.is_some_and(|tenant| tenant.removed.is_none());
        let (user, account) = if exists { (user, account) } else { (None, Account::default()) };
        let queue_tenant = if exists { caller.tenant } else { TenantNumber(0) };
        let (key_of_login, now) = (login_key(caller.tenant, &credentials.login), self.clock.now());
        let device = credentials.known_browser.filter(|device| {
            user.as_ref().is_some_and(|user| user.id == device.user)
                && account.sign_in_state.is_known_device(device.last_sign_in, now)
        });
        let is_known_network =
            credentials.client_ip.is_some_and(|address| account.sign_in_state.is_known_network(address, now));
        let from = credentials.client_ip.map(rate_limit_network);
        // Failures from elsewhere must not lock out a user from a known browser or network.
        let keys = if let Some(KnownBrowser { user, last_sign_in: since }) = device {
            vec![ThrottleKey::Browser(user, since)]
        } else {
            let mut keys = vec![ThrottleKey::LoginAndNetwork(&key_of_login, from)];
            keys.extend((!is_known_network).then_some(ThrottleKey::Login(&key_of_login)));
            keys.extend(from.map(ThrottleKey::Network));
            keys
        };
        let too_many_attempts = |retry_after| DirectoryError::SignIn(SignInError::TooManyAttempts { retry_after });
        self.throttle.start_attempt(&keys, now).map_err(too_many_attempts)?;
        if credentials.password.expose_secret().len() > validation::max_chars(Field::Password) {
            return Err(invalid_credentials);
        }
        let stored = account.password_hash;
        let Ok(verdict) = self.hasher.verify(queue_tenant, credentials.password.clone(), stored.clone()).await else {
            self.throttle.undo_attempt(&keys);
            return Err(DirectoryError::Busy { retry_after: RETRY_AFTER_SECONDS });
        };
        let (Some(user), Some(verified_hash)) = (user, stored) else { return Err(invalid_credentials) };
        if verdict == PasswordVerification::Failed || user.status.blocks_sign_in() {
            return Err(invalid_credentials);
        }
        // If the password cannot be hashed again now, the next sign-in will do it.
        let rehashed = match verdict {
            PasswordVerification::SuccessRehashNeeded => {
                self.hasher.hash(queue_tenant, credentials.password).await.ok()
            }
            PasswordVerification::Success | PasswordVerification::Failed => None,
        };
        let action =
            AccountAction::SignIn { verified_hash, session_key: session, rehashed, client_ip: credentials.client_ip };
        let signed_in = self.run_account_action(caller, user.id, action).await;
        self.throttle.undo_attempt(&keys);
        if signed_in.is_ok() {
            self.throttle.reset(&keys[..1]);
        }
        signed_in
    }

    /// The user of a link, if the link can be used.
    pub async fn user_by_link(&self, caller: &Caller, link: &PasswordLink) -> Result<User, DirectoryError> {
        self.authorize(caller, Query::UserOfProof).await?;
        let tenant = caller.tenant;
        let invalid_link = DirectoryError::SignIn(SignInError::LinkInvalid);
        let user = self.store.user(tenant, UserKey::Id(link.user)).await.map_err(read_error)?;
        let user = user.ok_or(invalid_link.clone())?;
        let account = self.store.account(tenant, link.user).await.map_err(read_error)?.ok_or(invalid_link)?;
        let settings = self.tenant(caller).await?.settings;
        check_link(&user, &account, &settings, link, self.clock.now())?;
        Ok(user)
    }

    /// Sets a password with a link, which is used up, and ends the user's delays for this client address.
    pub async fn set_password_with_link(
        &self,
        caller: &Caller,
        link: PasswordLink,
        password: SecretString,
        address: Option<IpAddr>,
    ) -> Result<User, DirectoryError> {
        let action =
            AccountAction::SetPassword { password, proof: PasswordProof::Link(link), keep_session: None, address };
        let user = self.run_account_action(caller, link.user, action).await?;
        for login in user.email().into_iter().chain([user.user_name.as_str()]) {
            let key_of_login = login_key(caller.tenant, login);
            self.throttle.reset(&[ThrottleKey::LoginAndNetwork(&key_of_login, address.map(rate_limit_network))]);
        }
        Ok(user)
    }

    /// Changes a password and ends all sessions except `keep_session`.
    pub async fn change_password(
        &self,
        caller: &Caller,
        user: UserId,
        (old, new): (SecretString, SecretString),
        keep_session: KeyHash,
        address: Option<IpAddr>,
    ) -> Result<User, DirectoryError> {
        let user_key = format!("{} {user}", caller.tenant);
        let keys = [ThrottleKey::PasswordChange(&user_key)];
        let too_many_attempts = |retry_after| DirectoryError::SignIn(SignInError::TooManyAttempts { retry_after });
        self.throttle.start_attempt(&keys, self.clock.now()).map_err(too_many_attempts)?;
        let account = self.store.account(caller.tenant, user).await.map_err(read_error)?.unwrap_or_default();
        let stored = account.password_hash;
        let verdict = self.hasher.verify(caller.tenant, old, stored.clone()).await;
        let busy = |_| DirectoryError::Busy { retry_after: RETRY_AFTER_SECONDS };
        let verdict = verdict.map_err(busy).inspect_err(|_| self.throttle.undo_attempt(&keys))?;
        let verified_hash = stored.filter(|_| verdict != PasswordVerification::Failed);
        let verified_hash = verified_hash.ok_or(DirectoryError::SignIn(SignInError::InvalidCredentials))?;
        self.throttle.undo_attempt(&keys);
        let proof = PasswordProof::CurrentPassword(verified_hash);
        let action = AccountAction::SetPassword { password: new, proof, keep_session: Some(keep_session), address };
        self.run_account_action(caller, user, action).await
    }

    /// The user who is signed in with this session key.
    pub async fn user_by_session(
        &self,
        caller: &Caller,
        user: UserId,
        key: &KeyHash,
    ) -> Result<Option<User>, DirectoryError> {
        self.authorize(caller, Query::UserOfProof).await?;
        let tenant = caller.tenant;
        let account = self.store.account(tenant, user).await.map_err(read_error)?;
        if !account.is_some_and(|account| account.sign_in_state.has_session(key, self.clock.now())) {
            return Ok(None);
        }
        let found = self.store.user(tenant, UserKey::Id(user)).await.map_err(read_error)?;
        Ok(found.filter(|user| !user.status.blocks_sign_in()))
    }

    pub async fn session_count(&self, caller: &Caller, user: UserId) -> Result<usize, DirectoryError> {
        self.authorize(caller, Query::SessionCount(user)).await?;
        let account = self.store.account(caller.tenant, user).await.map_err(read_error)?.unwrap_or_default();
        Ok(account.sign_in_state.session_count(self.clock.now()))
    }

    pub async fn run_account_action(
        &self,
        caller: &Caller,
        user: UserId,
        action: AccountAction,
    ) -> Result<User, DirectoryError> {
        let receipt = self.run(caller, Command::Account { user, action }).await?;
        receipt.users.into_iter().next().ok_or(DirectoryError::SignIn(SignInError::InvalidCredentials))
    }

    /// Sends a link to the user with this login, if there is one and not too many links were requested lately. The
    /// result reveals neither.
    pub async fn request_password_reset(
        &self,
        caller: &Caller,
        login: &str,
        address: Option<IpAddr>,
    ) -> Result<(), DirectoryError> {
        let (user, _) = self.find_login(caller.tenant, login).await?;
        let user_key = recipient_key(caller.tenant, user.as_ref(), login);
        let mut keys = vec![ThrottleKey::ResetRecipient(&user_key)];
        keys.extend(address.map(|address| ThrottleKey::ResetNetwork(rate_limit_network(address))));
        let (Some(user), Ok(())) = (user, self.throttle.start_attempt(&keys, self.clock.now())) else {
            return Ok(());
        };
        let command = Command::Account { user: user.id, action: AccountAction::RequestPasswordReset };
        self.run(caller, command).await.map(|_| ())
    }

    /// Finds a user and their account. The lookup takes the same time if there is no such user.
    async fn find_login(&self, tenant: TenantNumber, login: &str) -> Result<(Option<User>, Account), DirectoryError> {
        let login = login.trim();
        if login.chars().count() > validation::max_chars(Field::Email) {
            return Ok((None, Account::default()));
        }
        let user = self.store.user(tenant, UserKey::LoginConstantTime(login.to_owned())).await.map_err(read_error)?;
        let id = user.as_ref().map_or(UserId(uuid::Uuid::nil()), |user| user.id);
        let account = self.store.account(tenant, id).await.map_err(read_error)?;
        Ok((user, account.unwrap_or_default()))
    }

    /// Rejects password hashes from other systems that cannot be verified here.
    pub(super) fn check_password_hash(&self, command: &Command) -> Result<(), DirectoryError> {
        let (Command::CreateUser(edit) | Command::UpdateUser { edit, .. }) = command.split_version().0 else {
            return Ok(());
        };
        let is_good = |stored: &PasswordHash| self.hasher.can_verify(stored);
        if edit.password_hash.as_ref().is_none_or(is_good) {
            return Ok(());
        }
        Err(DirectoryError::for_field(Field::Password, FieldErrorKind::Malformed))
    }
}

/// The key under which failed sign-ins are counted. A user's email and user name count separately: a shared count would
/// reveal that they belong together.
fn login_key(tenant: TenantNumber, login: &str) -> String {
    format!("{tenant} {}", identifier_key(login.trim()))
}

/// The key under which mails to a user are counted: the id, or the login as typed if there is no such user.
fn recipient_key(tenant: TenantNumber, user: Option<&User>, login: &str) -> String {
    match user {
        Some(user) => format!("{tenant} {}", user.id),
        None => login_key(tenant, login),
    }
}

/// The network of one household or office: the address itself for IPv4, the /64 for IPv6.
pub fn rate_limit_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mut bytes = address.octets();
            bytes[8..].fill(0);
            IpAddr::V6(bytes.into())
        }
    }
}
