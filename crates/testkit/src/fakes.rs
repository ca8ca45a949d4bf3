//! Implementations of the directory's ports for tests; all but [`UniqueIds`] are deterministic.

use directory::{
    BoxFuture, Clock, CredentialKind, Deprovisioning, Directory, ExposeSecret, IdGenerator, Overloaded, PasswordHash,
    PasswordHasher, PasswordPolicy, PasswordVerification, SealedSecret, SecretString, SecretUse, Store, Target,
    TargetLimits, TargetState, TenantNumber, Time,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use uuid::Uuid;

/// A clock that advances by one second with each reading.
#[derive(Default)]
pub struct StepClock(AtomicI64);

impl Clock for StepClock {
    fn now(&self) -> Time {
        Time(1_600_000_000_000_000 + 1_000_000 * self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A clock that stands still until it is moved.
#[derive(Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(1_600_000_000_000_000).plus_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// Sequential ids.
#[derive(Default)]
pub struct CountingIds(AtomicU64);

impl CountingIds {
    pub fn after(last: u64) -> Self {
        Self(AtomicU64::new(last))
    }
}

impl IdGenerator for CountingIds {
    fn next_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }

    fn random_secret(&self) -> Option<[u8; 32]> {
        Some([7; 32])
    }
}

/// A hasher that stores the password as plain text.
pub struct PlainHasher;

impl PasswordHasher for PlainHasher {
    fn hash(&self, _: TenantNumber, password: SecretString) -> BoxFuture<'_, Result<PasswordHash, Overloaded>> {
        let stored = format!("plain${}", password.expose_secret());
        Box::pin(std::future::ready(Ok(PasswordHash(stored.into()))))
    }

    fn verify(
        &self,
        _: TenantNumber,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<PasswordVerification, Overloaded>> {
        let shown = format!("plain${}", password.expose_secret());
        let is_it = stored.is_some_and(|stored| stored.0.expose_secret() == shown);
        Box::pin(std::future::ready(Ok(if is_it {
            PasswordVerification::Success
        } else {
            PasswordVerification::Failed
        })))
    }

    fn can_verify(&self, stored: &PasswordHash) -> bool {
        stored.0.expose_secret().starts_with("plain$")
    }
}

/// A [`PlainHasher`] that counts password comparisons.
#[derive(Default)]
pub struct CountingHasher(AtomicU64);

impl CountingHasher {
    /// The number of comparisons so far, including those without a stored hash.
    pub fn comparisons(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl PasswordHasher for CountingHasher {
    fn hash(&self, tenant: TenantNumber, password: SecretString) -> BoxFuture<'_, Result<PasswordHash, Overloaded>> {
        PlainHasher.hash(tenant, password)
    }

    fn verify(
        &self,
        tenant: TenantNumber,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<PasswordVerification, Overloaded>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        PlainHasher.verify(tenant, password, stored)
    }

    fn can_verify(&self, stored: &PasswordHash) -> bool {
        PlainHasher.can_verify(stored)
    }
}

/// A directory with deterministic ports.
pub fn directory(store: Arc<dyn Store>) -> Directory {
    directory_with_ids_from(store, 0)
}

/// Like [`directory()`], with ids above `last_id`, for a store that contains data already.
pub fn directory_with_ids_from(store: Arc<dyn Store>, last_id: u64) -> Directory {
    let ids = CountingIds::after(last_id);
    Directory::new(store, Arc::new(StepClock::default()), Arc::new(ids), Arc::new(PlainHasher))
}

/// Globally unique ids, for a database that several stores share.
#[derive(Default)]
pub struct UniqueIds;

impl IdGenerator for UniqueIds {
    #[expect(clippy::disallowed_methods, reason = "several processes need distinct ids")]
    fn next_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random_secret(&self) -> Option<[u8; 32]> {
        None
    }
}

/// A new target and its credential, which cannot be decrypted.
pub fn target(tenant: TenantNumber, name: &str) -> (Target, SealedSecret) {
    let target = Target {
        id: Uuid::from_u128(77),
        tenant,
        number: 0,
        version: 0,
        name: name.to_owned(),
        dialect: "scim".into(),
        url: "https://example.com/scim/v2".into(),
        account: None,
        credential: CredentialKind::Bearer,
        state: TargetState::Active,
        scope: None,
        deprovisioning: Deprovisioning::default(),
        passwords: PasswordPolicy::default(),
        mapping: Vec::new(),
        limits: TargetLimits::default(),
        allowed_addresses: Vec::new(),
        ca_certificates: None,
        capabilities: None,
        created: Time(1),
    };
    let secret = SealedSecret {
        tenant,
        owner: target.secret_owner(),
        use_: SecretUse::Current,
        version: 1,
        key_id: "test".into(),
        sealed: vec![1],
        created: Time(1),
        expires: None,
        last_success: None,
    };
    (target, secret)
}
