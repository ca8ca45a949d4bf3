//! A database locked by one process for a restore or move.
//!
//! A process that opens a database first writes its lease and then checks for the exclusive lock. A process
//! that locks it first writes the lock and then checks for leases of others. So of two that start at once, one
//! sees the other. A process that was stopped until its lease expired commits nothing while the database is
//! locked: each batch checks the lock ([`store::sql::ADD_BATCH`]), and the server has aborted a batch in progress
//! before the lease expires ([`store::sql::BEGIN_BATCH`]).

use super::archive_api::dump;
use super::lease::{
    LEASE_DURATION, RENEW_INTERVAL, SEQUENCER_LEASE, acquire_exclusive_lock, acquire_lease, other_process_exists,
    release_exclusive,
};
use super::managed_connection::{Connector, Session, first_session};
use super::migrations::{self, MigrationMode};
use super::pg_error::PgError;
use super::restore::{self, PostgresTarget};
use super::{DatabaseUrl, PostgresOpenError, PostgresOptions};
use directory::IdGenerator;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::ExclusiveStore;
use store::archive::{self, ArchiveError, EntrySink, EntrySource, Origin, Sums, SumsBuilder};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long to wait for the lease of a killed process to expire.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(7);

/// When the lock was last renewed; `None` once it was lost.
type LastRenewal = Mutex<Option<Instant>>;

/// A database that no other process can use until this is dropped.
pub struct ExclusivePostgres {
    runtime: Runtime,
    address: DatabaseUrl,
    target: Arc<Connector>,
    ids: Arc<dyn IdGenerator>,
    me: Uuid,
    last_renewal: Arc<LastRenewal>,
    renewal_task: JoinHandle<()>,
}

impl ExclusivePostgres {
    /// Locks a database. Creates the tables in an empty one if `create_schema` is set.
    ///
    /// # Errors
    /// [`PostgresOpenError::InUse`] if another process has it open, and the other errors of opening.
    pub fn acquire(address: &DatabaseUrl, options: &PostgresOptions) -> Result<Self, ArchiveError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("muster-hold")
            .enable_all()
            .build()
            .map_err(PostgresOpenError::Thread)?;
        let place = runtime.handle().clone();
        let target = Arc::new(Connector::new(address.clone(), place, options.named_statements, false));
        let me = options.ids.next_id();
        let may = if options.create_schema { MigrationMode::CreateOrUpgradeEmpty } else { MigrationMode::ReadOnly };
        let taken = runtime.block_on(async {
            let session = first_session(&target).await.map_err(|error| PostgresOpenError::from_pg(address, &error))?;
            migrations::run(&session, address, me, may).await?;
            acquire(&session, address, me).await
        })?;
        let kept = Arc::new(Mutex::new(Some(taken)));
        let keeper = runtime.spawn(renew_until_lost(Arc::clone(&target), me, Arc::clone(&kept)));
        let (address, ids) = (address.clone(), Arc::clone(&options.ids));
        Ok(Self { runtime, address, target, ids, me, last_renewal: kept, renewal_task: keeper })
    }

    /// Runs a task on its own connection. Fails if the lock was lost meanwhile.
    fn run<T>(&self, task: impl AsyncFnOnce(&Session) -> Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        let done = self.runtime.block_on(async {
            let session =
                first_session(&self.target).await.map_err(|error| PostgresOpenError::from_pg(&self.address, &error))?;
            task(&session).await
        })?;
        // After the lease expired, another process may have used the database, even if the renewal did not notice.
        if self.last_renewal.lock().is_none_or(|kept| kept.elapsed() > LEASE_DURATION) {
            return Err(PostgresOpenError::InUse(self.address.to_string()).into());
        }
        Ok(done)
    }
}

impl ExclusiveStore for ExclusivePostgres {
    fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        self.run(async |session| {
            super::archive_api::ensure_complete(session, &self.address).await?;
            dump(session, to).await
        })
    }

    fn restore(&self, origin: &Origin, from: &mut EntrySource<'_>) -> Result<Sums, ArchiveError> {
        self.run(async |session| {
            let place = format!("the store at {}", self.address);
            archive::restore(&mut PostgresTarget::new(session, &*self.ids), place, origin, from).await
        })
    }

    fn read_back_sums(&self) -> Result<Sums, ArchiveError> {
        self.run(async |session| {
            let mut running = SumsBuilder::default();
            dump(session, &mut |entry| running.add(&entry)).await?;
            Ok(running.sums())
        })
    }

    fn finish_restore(&self) -> Result<(), ArchiveError> {
        self.run(async |session| Ok(restore::finish(session).await?))
    }
}

impl Drop for ExclusivePostgres {
    fn drop(&mut self) {
        self.renewal_task.abort();
        let given_back = async {
            let session = self.target.connect().await?;
            release_exclusive(&session, self.me).await
        };
        // If this fails, the lock expires by itself.
        let within = async { tokio::time::timeout(Duration::from_secs(2), given_back).await };
        drop(self.runtime.block_on(within));
    }
}

/// Waits until no other process has the database open, and locks it. Returns when; others may have written until then.
async fn acquire(session: &Session, address: &DatabaseUrl, me: Uuid) -> Result<Instant, ArchiveError> {
    let begun = Instant::now();
    loop {
        let now = Instant::now();
        let taken = try_acquire(session, me).await;
        if !matches!(taken, Ok(true)) {
            // If this fails, it expires by itself.
            drop(release_exclusive(session, me).await);
        }
        match taken {
            Ok(true) => return Ok(now),
            Ok(false) | Err(PgError::Conflict(_)) if begun.elapsed() < ACQUIRE_TIMEOUT => {}
            Ok(false) => return Err(PostgresOpenError::InUse(address.to_string()).into()),
            Err(trouble) => return Err(trouble.into()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Locks the database if no other process has it open or locked.
async fn try_acquire(session: &Session, me: Uuid) -> Result<bool, PgError> {
    let is_alone = async || Ok::<_, PgError>(!other_process_exists(session, me).await?);
    // The second check finds a process that registered between the first one and the lock.
    Ok(is_alone().await? && renew(session, me).await? && is_alone().await?)
}

/// Takes or renews the lock and the sequencer lease. Returns `false` if another process has one of them.
async fn renew(session: &Session, me: Uuid) -> Result<bool, PgError> {
    Ok(acquire_exclusive_lock(session, me).await?
        && acquire_lease(session, SEQUENCER_LEASE, me, LEASE_DURATION).await?)
}

async fn renew_until_lost(target: Arc<Connector>, me: Uuid, kept: Arc<LastRenewal>) {
    while kept.lock().is_some() {
        tokio::time::sleep(RENEW_INTERVAL).await;
        let begun = Instant::now();
        let taken = async {
            let session = target.connect().await?;
            renew(&session, me).await
        };
        let taken = tokio::time::timeout(RENEW_INTERVAL, taken).await;
        let mut kept = kept.lock();
        match taken {
            // After a late renewal, another process may have had it in between.
            Ok(Ok(true)) => *kept = kept.filter(|last| last.elapsed() < LEASE_DURATION).map(|_| begun),
            Ok(Ok(false)) => *kept = None,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
