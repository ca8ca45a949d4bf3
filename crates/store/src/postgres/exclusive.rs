//! A database that is locked by one process: a restore fills it, or it is moved.
//!
//! Every process that opens a database writes a lease of its own first, and then looks whether the database is held. A
//! process that holds it writes that first, and then looks for leases of other processes. So one of two that begin at once
//! sees the other. A process that was stopped for so long that its lease ran out commits nothing while the database is
//! held: each batch looks for that ([`sql::ADD_BATCH`]), and one that was under way was given up by the database before
//! the lease ended ([`sql::BEGIN_BATCH`]).

use super::lease::{LEASE_DURATION_MILLIS, RENEW_INTERVAL, SEQUENCER_LEASE, lease_duration, release_exclusive};
use super::managed_connection::{Connector, Session, first_session};
use super::migrations::{self, MigrationMode};
use super::pg_error::PgError;
use super::{DatabaseUrl, PostgresOpenError, PostgresOptions, dump, restore};
use crate::archive::{ArchiveError, EntrySink, EntrySource, Origin, Sums, SumsBuilder};
use crate::sql;
use directory::IdGenerator;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long to wait for the lease of a process that has just ended without giving it back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(7);

/// When the hold was last renewed; nothing once it was lost.
type LastRenewal = Mutex<Option<Instant>>;

/// A database that nobody else can use until this is dropped.
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
    /// Takes a database. One that is empty gets its tables if `may_make` is set in the options.
    ///
    /// # Errors
    /// Another process has it open, or it cannot be used.
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
            let session =
                first_session(&target).await.map_err(|trouble| PostgresOpenError::from_pg(address, &trouble))?;
            migrations::run(&session, address, me, may).await?;
            acquire(&session, address, me).await
        })?;
        let kept = Arc::new(Mutex::new(Some(taken)));
        let keeper = runtime.spawn(renew_until_lost(Arc::clone(&target), me, Arc::clone(&kept)));
        let (address, ids) = (address.clone(), Arc::clone(&options.ids));
        Ok(Self { runtime, address, target, ids, me, last_renewal: kept, renewal_task: keeper })
    }

    /// Gives everything the database holds to `to`.
    pub fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        self.run(async |session| {
            super::archive_api::ensure_complete(session, &self.address).await?;
            dump::all(session, to).await
        })
    }

    /// Fills an empty database from a stream. One that was cut off goes on where it stood. Until [`ExclusivePostgres::finish`]
    /// nobody can open it.
    pub fn restore(&self, origin: &Origin, from: &mut EntrySource<'_>) -> Result<Sums, ArchiveError> {
        self.run(async |session| {
            let place = format!("the store at {}", self.address);
            restore::restore(session, place, origin, from, &*self.ids).await
        })
    }

    /// What is in a database that was filled, read back from it.
    pub fn read_back_sums(&self) -> Result<Sums, ArchiveError> {
        self.run(async |session| {
            let mut running = SumsBuilder::default();
            dump::all(session, &mut |entry| running.add(&entry)).await?;
            Ok(running.sums())
        })
    }

    /// Marks a filled database as complete, so that it can be used.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        self.run(async |session| Ok(restore::finish(session).await?))
    }

    /// Runs a task over a connection of its own, and fails if the database was not held all the time.
    fn run<T>(&self, task: impl AsyncFnOnce(&Session) -> Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        let done = self.runtime.block_on(async {
            let session = first_session(&self.target)
                .await
                .map_err(|trouble| PostgresOpenError::from_pg(&self.address, &trouble))?;
            task(&session).await
        })?;
        // After a lease has run out, another process may have had the database, even if the keeper did not notice.
        if self.last_renewal.lock().is_none_or(|kept| kept.elapsed() > lease_duration()) {
            return Err(PostgresOpenError::InUse(self.address.to_string()).into());
        }
        Ok(done)
    }
}

impl Drop for ExclusivePostgres {
    fn drop(&mut self) {
        self.renewal_task.abort();
        let given_back = async {
            let session = self.target.connect().await?;
            release_exclusive(&session, self.me).await
        };
        // Otherwise the lease ends by itself.
        let within = async { tokio::time::timeout(Duration::from_secs(2), given_back).await };
        drop(self.runtime.block_on(within));
    }
}

/// Waits until no other process has the database open, and takes it; when that was. Others can write until then.
async fn acquire(session: &Session, address: &DatabaseUrl, me: Uuid) -> Result<Instant, ArchiveError> {
    let begun = Instant::now();
    loop {
        let now = Instant::now();
        let taken = try_acquire(session, me).await;
        if !matches!(taken, Ok(true)) {
            // Otherwise it ends by itself.
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

/// Takes the database if no other process has it open or holds it.
async fn try_acquire(session: &Session, me: Uuid) -> Result<bool, PgError> {
    let is_alone = async || -> Result<bool, PgError> {
        Ok(session.query_opt(sql::OTHER_PROCESS_LEASES.postgres, &[&me]).await?.is_none())
    };
    // The second look finds a process that registered between the first look and the hold.
    Ok(is_alone().await? && renew(session, me).await? && is_alone().await?)
}

/// Takes or keeps the database and the lease of its sequencer; false if another process has one of them.
async fn renew(session: &Session, me: Uuid) -> Result<bool, PgError> {
    Ok(session.query_opt(sql::ACQUIRE_EXCLUSIVE_LOCK.postgres, &[&me, &LEASE_DURATION_MILLIS]).await?.is_some()
        && session
            .query_opt(sql::ACQUIRE_LEASE.postgres, &[&SEQUENCER_LEASE, &me, &LEASE_DURATION_MILLIS])
            .await?
            .is_some())
}

/// Keeps the database, and notes when it was kept or lost.
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
            // If it was renewed too late, another process may have had it in between.
            Ok(Ok(true)) => *kept = kept.filter(|last| last.elapsed() < lease_duration()).map(|_| begun),
            Ok(Ok(false)) => *kept = None,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
