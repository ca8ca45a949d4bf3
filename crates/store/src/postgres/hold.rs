//! A database that is locked by one process: a restore fills it, or it is moved.
//!
//! Every process that opens a database writes a lease of its own first, and then looks whether the database is held. A
//! process that holds it writes that first, and then looks for leases of other processes. So one of two that begin at once
//! sees the other. A process that was stopped for so long that its lease ran out commits nothing while the database is
//! held: each batch looks for that ([`sql::ADD_BATCH`]), and one that was under way was given up by the database before
//! the lease ended ([`sql::BEGIN_BATCH`]).

use super::lease::{KEEP, LEASE, LEASE_MILLIS, end, lease};
use super::line::{Session, Target, first_session};
use super::migrations::{self, May};
use super::trouble::Trouble;
use super::{Address, OpenError, ServerOptions, dump, fill};
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
const WAIT: Duration = Duration::from_secs(7);

/// When the hold was last renewed; nothing once it was lost.
type Kept = Mutex<Option<Instant>>;

/// A database that nobody else can use until this is dropped.
pub struct PostgresHold {
    runtime: Runtime,
    address: Address,
    target: Arc<Target>,
    ids: Arc<dyn IdGenerator>,
    me: Uuid,
    kept: Arc<Kept>,
    keeper: JoinHandle<()>,
}

impl PostgresHold {
    /// Takes a database. One that is empty gets its tables if `may_make` is set in the options.
    ///
    /// # Errors
    /// Another process has it open, or it cannot be used.
    pub fn new(address: &Address, options: &ServerOptions) -> Result<Self, ArchiveError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("muster-hold")
            .enable_all()
            .build()
            .map_err(OpenError::Thread)?;
        let place = runtime.handle().clone();
        let target = Arc::new(Target::new(address.clone(), place, options.named_statements, false));
        let me = options.ids.next_id();
        let may = if options.may_make { May::Begin } else { May::Read };
        let taken = runtime.block_on(async {
            let session = first_session(&target).await.map_err(|trouble| OpenError::of(address, &trouble))?;
            migrations::run(&session, address, me, may).await?;
            take(&session, address, me).await
        })?;
        let kept = Arc::new(Mutex::new(Some(taken)));
        let keeper = runtime.spawn(keep(Arc::clone(&target), me, Arc::clone(&kept)));
        let (address, ids) = (address.clone(), Arc::clone(&options.ids));
        Ok(Self { runtime, address, target, ids, me, kept, keeper })
    }

    /// Gives everything the database holds to `to`.
    pub fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        self.run(async |session| {
            super::whole::is_whole(session, &self.address).await?;
            dump::all(session, to).await
        })
    }

    /// Fills an empty database from a stream. One that was cut off goes on where it stood. Until [`PostgresHold::finish`]
    /// nobody can open it.
    pub fn fill(&self, origin: &Origin, from: &mut EntrySource<'_>) -> Result<Sums, ArchiveError> {
        self.run(async |session| {
            let place = format!("the store at {}", self.address);
            fill::fill(session, place, origin, from, &*self.ids).await
        })
    }

    /// What is in a database that was filled, read back from it.
    pub fn filled(&self) -> Result<Sums, ArchiveError> {
        self.run(async |session| {
            let mut running = SumsBuilder::default();
            dump::all(session, &mut |entry| running.add(&entry)).await?;
            Ok(running.sums())
        })
    }

    /// Marks a filled database as complete, so that it can be used.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        self.run(async |session| Ok(fill::finish(session).await?))
    }

    /// Runs a task over a connection of its own, and fails if the database was not held all the time.
    fn run<T>(&self, task: impl AsyncFnOnce(&Session) -> Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        let done = self.runtime.block_on(async {
            let session = first_session(&self.target)
                .await
                .map_err(|trouble| OpenError::of(&self.address, &trouble))?;
            task(&session).await
        })?;
        // After a lease has run out, another process may have had the database, even if the keeper did not notice.
        if self.kept.lock().is_none_or(|kept| kept.elapsed() > lease()) {
            return Err(OpenError::InUse(self.address.to_string()).into());
        }
        Ok(done)
    }
}

impl Drop for PostgresHold {
    fn drop(&mut self) {
        self.keeper.abort();
        let given_back = async {
            let session = self.target.connect().await?;
            end(&session, self.me).await
        };
        // Otherwise the lease ends by itself.
        let within = async { tokio::time::timeout(Duration::from_secs(2), given_back).await };
        drop(self.runtime.block_on(within));
    }
}

/// Waits until no other process has the database open, and takes it; when that was. Others can write until then.
async fn take(session: &Session, address: &Address, me: Uuid) -> Result<Instant, ArchiveError> {
    let begun = Instant::now();
    loop {
        let now = Instant::now();
        let taken = try_acquire(session, me).await;
        if !matches!(taken, Ok(true)) {
            // Otherwise it ends by itself.
            drop(end(session, me).await);
        }
        match taken {
            Ok(true) => return Ok(now),
            Ok(false) | Err(Trouble::Again(_)) if begun.elapsed() < WAIT => {}
            Ok(false) => return Err(OpenError::InUse(address.to_string()).into()),
            Err(trouble) => return Err(trouble.into()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Takes the database if no other process has it open or holds it.
async fn try_acquire(session: &Session, me: Uuid) -> Result<bool, Trouble> {
    let is_alone = async || -> Result<bool, Trouble> {
        Ok(session.row(sql::OTHER_PROCESS_LEASES.postgres, &[&me]).await?.is_none())
    };
    // The second look finds a process that registered between the first look and the hold.
    Ok(is_alone().await? && renew(session, me).await? && is_alone().await?)
}

/// Takes or keeps the database and the lease of its sequencer; false if another process has one of them.
async fn renew(session: &Session, me: Uuid) -> Result<bool, Trouble> {
    Ok(session.row(sql::ACQUIRE_EXCLUSIVE_LOCK.postgres, &[&me, &LEASE_MILLIS]).await?.is_some()
        && session.row(sql::ACQUIRE_LEASE.postgres, &[&LEASE, &me, &LEASE_MILLIS]).await?.is_some())
}

/// Keeps the database, and notes when it was kept or lost.
async fn keep(target: Arc<Target>, me: Uuid, kept: Arc<Kept>) {
    while kept.lock().is_some() {
        tokio::time::sleep(KEEP).await;
        let begun = Instant::now();
        let taken = async {
            let session = target.connect().await?;
            renew(&session, me).await
        };
        let taken = tokio::time::timeout(KEEP, taken).await;
        let mut kept = kept.lock();
        match taken {
            // If it was renewed too late, another process may have had it in between.
            Ok(Ok(true)) => *kept = kept.filter(|last| last.elapsed() < lease()).map(|_| begun),
            Ok(Ok(false)) => *kept = None,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
