//! A database that is locked by one process: a restore fills it, or it is moved.
//!
//! Every process that opens a database tries to take the lease of its sequencer, and then looks whether the database is held.
//! A process that holds it writes another lease first, and then takes that of the sequencer, which fails if another
//! process has the database open. So one of two that begin at once sees the other.

use super::line::{Session, Target, first_session};
use super::migrations::{self, May};
use super::sealer::{KEEP, LEASE, LEASE_MILLIS};
use super::trouble::Trouble;
use super::{Address, OpenError, ServerOptions, dump, fill};
use crate::archive::{ArchiveError, Origin, Running, Sink, Source, Sums};
use crate::sql;
use directory::Ids;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long to wait for the lease of a process that has just ended without giving it back.
const WAIT: Duration = Duration::from_secs(7);

/// The lease that says so.
pub(super) const HOLD: &str = "hold";

/// A database that nobody else can use until this is dropped.
pub struct PostgresHold {
    runtime: Runtime,
    address: Address,
    target: Arc<Target>,
    ids: Arc<dyn Ids>,
    me: Uuid,
    is_lost: Arc<AtomicBool>,
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
        let me = options.ids.next();
        let may = if options.may_make { May::Begin } else { May::Read };
        runtime.block_on(async {
            let session = first_session(&target).await.map_err(|trouble| OpenError::of(address, &trouble))?;
            migrations::run(&session, address, me, may).await?;
            take(&session, address, me).await
        })?;
        let is_lost = Arc::new(AtomicBool::new(false));
        let keeper = runtime.spawn(keep(Arc::clone(&target), me, Arc::clone(&is_lost)));
        let (address, ids) = (address.clone(), Arc::clone(&options.ids));
        Ok(Self { runtime, address, target, ids, me, is_lost, keeper })
    }

    /// Gives everything the database holds to `to`.
    pub fn dump(&self, to: &mut Sink<'_>) -> Result<(), ArchiveError> {
        self.run(async |session| {
            super::whole::is_whole(session, &self.address).await?;
            dump::all(session, to).await
        })
    }

    /// Fills an empty database from a stream. One that was cut off goes on where it stood. Until [`PostgresHold::finish`]
    /// nobody can open it.
    pub fn fill(&self, origin: &Origin, from: &mut Source<'_>) -> Result<Sums, ArchiveError> {
        self.run(async |session| {
            let place = format!("the store at {}", self.address);
            fill::fill(session, place, origin, from, (&*self.ids, self.me)).await
        })
    }

    /// What is in a database that was filled, read back from it.
    pub fn filled(&self) -> Result<Sums, ArchiveError> {
        self.run(async |session| {
            let mut running = Running::default();
            dump::all(session, &mut |entry| running.note(&entry)).await?;
            Ok(running.sums())
        })
    }

    /// Marks a filled database as complete, so that it can be used.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        self.run(async |session| Ok(fill::finish(session).await?))
    }

    /// Runs a task over a connection of its own, and fails if the lease was lost meanwhile.
    fn run<T>(&self, task: impl AsyncFnOnce(&Session) -> Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        let done = self.runtime.block_on(async {
            let session = first_session(&self.target)
                .await
                .map_err(|trouble| OpenError::of(&self.address, &trouble))?;
            task(&session).await
        })?;
        if self.is_lost.load(Ordering::Acquire) {
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
            for name in [LEASE, HOLD] {
                session.change(sql::END_LEASE.postgres, &[&name, &self.me]).await?;
            }
            Ok::<_, Trouble>(())
        };
        // Otherwise the lease ends by itself.
        let within = async { tokio::time::timeout(Duration::from_secs(2), given_back).await };
        drop(self.runtime.block_on(within));
    }
}

/// Waits for the lease.
async fn take(session: &Session, address: &Address, me: Uuid) -> Result<(), ArchiveError> {
    let begun = Instant::now();
    loop {
        match take_both(session, me).await {
            Ok(true) => return Ok(()),
            Ok(false) | Err(Trouble::Again(_)) if begun.elapsed() < WAIT => {}
            Ok(false) => {
                session.change(sql::END_LEASE.postgres, &[&HOLD, &me]).await?;
                return Err(OpenError::InUse(address.to_string()).into());
            }
            Err(trouble) => return Err(trouble.into()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Takes or keeps both leases; false if another process has one of them.
pub(super) async fn take_both(session: &Session, me: Uuid) -> Result<bool, Trouble> {
    for name in [HOLD, LEASE] {
        if session.row(sql::TAKE_LEASE.postgres, &[&name, &me, &LEASE_MILLIS]).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the lease of the sequencer for a process that opens a database, unless another process has it; until when.
///
/// # Errors
/// Another process holds the database.
pub(super) async fn join(
    session: &Session,
    address: &Address,
    me: Uuid,
) -> Result<Option<Instant>, OpenError> {
    let failed = |trouble| OpenError::of(address, &trouble);
    let begun = Instant::now();
    let taken = match session.row(sql::TAKE_LEASE.postgres, &[&LEASE, &me, &LEASE_MILLIS]).await {
        Ok(taken) => taken.is_some(),
        Err(Trouble::Again(_)) => false,
        Err(trouble) => return Err(failed(trouble)),
    };
    if session.row(sql::HELD_LEASE.postgres, &[&HOLD]).await.map_err(failed)?.is_some() {
        let given_back = session.change(sql::END_LEASE.postgres, &[&LEASE, &me]).await;
        given_back.map_err(failed)?;
        return Err(OpenError::InUse(address.to_string()));
    }
    Ok(taken.then(|| begun + Duration::from_millis(LEASE_MILLIS.unsigned_abs())))
}

/// Keeps the lease, and notes when it was lost.
async fn keep(target: Arc<Target>, me: Uuid, is_lost: Arc<AtomicBool>) {
    let mut kept = Instant::now();
    loop {
        tokio::time::sleep(KEEP).await;
        let begun = Instant::now();
        let taken = async {
            let session = target.connect().await?;
            take_both(&session, me).await
        };
        match tokio::time::timeout(KEEP, taken).await {
            Ok(Ok(true)) => {
                if kept.elapsed() > Duration::from_millis(LEASE_MILLIS.unsigned_abs()) {
                    is_lost.store(true, Ordering::Release);
                }
                kept = begun;
            }
            Ok(Ok(false)) => is_lost.store(true, Ordering::Release),
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
