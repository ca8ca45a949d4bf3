//! Assigns event positions to committed batches, in the one process that holds the sequencer lease.
//!
//! Writers never queue for a position, and a reader that follows positions never misses a batch that commits late: a
//! batch gets the next position when it becomes visible, whenever it began. A holder that was stopped for too long does
//! no harm: the position counter advances only for the lease holder, in the transaction that assigns the positions.

use super::batch_writer::BatchWriter;
use super::lease::{
    LEASE_DURATION, RENEW_INTERVAL, SEQUENCER_LEASE, acquire_lease, release_lease, remove_process_leases,
    renew_process_lease,
};
use super::managed_connection::{ManagedConnection, Session};
use super::pg_error::PgError;
use super::retry::{BACKOFF, sleep_for_next};
use backon::BackoffBuilder;
use directory::EventPosition;
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::event_chain::{ChainHash, GENESIS_HASH, next_chain_hash};
use store::event_signal::EventSignal;
use store::sql;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

/// How often the holder looks for commits of other processes.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long the holder collects commits of its own process.
const COALESCE_DELAY: Duration = Duration::from_millis(20);
/// How often pending counts are added to the block counts.
const COMPACT_INTERVAL: Duration = Duration::from_secs(2);
/// Batches per transaction.
const MAX_BATCHES: i64 = 2_000;
/// How long a caller waits for [`SequencerHandle::sequence_now`].
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const ROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the sequencer of this process to run now.
#[derive(Clone)]
pub(super) struct SequencerHandle {
    requests: mpsc::Sender<oneshot::Sender<()>>,
    events: Arc<EventSignal>,
}

impl SequencerHandle {
    /// Waits until everything committed before has its position, if this process holds the lease. Otherwise the
    /// holder assigns it within [`POLL_INTERVAL`], which this does not wait for.
    pub(super) async fn sequence_now(&self) {
        let (done, heard) = oneshot::channel();
        let asked = async {
            if self.requests.send(done).await.is_ok() {
                drop(heard.await);
            }
        };
        drop(tokio::time::timeout(REQUEST_TIMEOUT, asked).await);
    }

    pub(super) fn events(&self) -> &EventSignal {
        &self.events
    }
}

pub(super) struct EventSequencer {
    line: ManagedConnection,
    batch_writer: Arc<BatchWriter>,
    me: Uuid,
    held_until: Option<Instant>,
    /// When the process lease was last renewed.
    lease_renewed: Option<Instant>,
    compacted: Instant,
    requests: mpsc::Receiver<oneshot::Sender<()>>,
    events: Arc<EventSignal>,
}

impl EventSequencer {
    pub(super) fn new(
        line: ManagedConnection,
        batch_writer: Arc<BatchWriter>,
        (me, held_until): (Uuid, Option<Instant>),
    ) -> (Self, SequencerHandle) {
        let (seals, asked) = mpsc::channel(64);
        let events = Arc::new(EventSignal::default());
        let handle = SequencerHandle { requests: seals, events: Arc::clone(&events) };
        (
            Self {
                line,
                batch_writer,
                me,
                held_until,
                lease_renewed: None,
                compacted: Instant::now(),
                requests: asked,
                events,
            },
            handle,
        )
    }

    /// Runs until `stop`; then assigns the remaining positions and releases the leases.
    pub(super) async fn run(mut self, stop: Arc<Notify>) {
        let tasks = self.batch_writer.tasks.clone();
        while AssertUnwindSafe(self.sequence_until(&stop)).catch_unwind().await.is_err() {
            // The connection may be in a transaction.
            self.held_until = None;
            self.line.abort().await;
            tasks.back_off_after_panic("sequencer").await;
        }
    }

    async fn sequence_until(&mut self, stop: &Notify) {
        let mut kept = Instant::now().checked_sub(RENEW_INTERVAL).unwrap_or_else(Instant::now);
        let mut delays = BACKOFF.build();
        loop {
            let (mut waiting, mut is_over) = (Vec::new(), false);
            let pause = if self.is_holder() { POLL_INTERVAL } else { RENEW_INTERVAL };
            tokio::select! {
                () = stop.notified() => is_over = true,
                () = self.batch_writer.commit_notify.notified() => {
                    // More commits usually follow at once; a caller that waits sends a request.
                    let more = tokio::time::timeout(COALESCE_DELAY, self.requests.recv()).await;
                    waiting.extend(more.ok().flatten());
                }
                asked = self.requests.recv() => waiting.extend(asked),
                () = tokio::time::sleep(pause) => {}
            }
            while let Ok(asked) = self.requests.try_recv() {
                waiting.push(asked);
            }
            let keep = kept.elapsed() >= RENEW_INTERVAL || (!self.is_holder() && !waiting.is_empty());
            if keep {
                kept = Instant::now();
            }
            match tokio::time::timeout(ROUND_TIMEOUT, self.round(keep, is_over)).await {
                Ok(Ok(())) => delays = BACKOFF.build(),
                Ok(Err(trouble)) => {
                    tracing::debug!(%trouble, "retrying to assign event positions");
                    if !is_over {
                        sleep_for_next(&mut delays).await;
                    }
                }
                Err(_) => {
                    // The connection may be in a transaction that must not continue.
                    self.held_until = None;
                    self.line.abort().await;
                }
            }
            for one in waiting {
                let _ = one.send(());
            }
            if is_over {
                return;
            }
        }
    }

    fn is_holder(&self) -> bool {
        self.held_until.is_some_and(|end| Instant::now() < end)
    }

    async fn round(&mut self, keep: bool, is_last: bool) -> Result<(), PgError> {
        let session = self.line.session().await?;
        let done = self.round_on(&session, keep, is_last).await;
        if let Err(trouble) = &done {
            // The connection may be in a transaction; opening a new one is simpler than checking.
            self.line.discard(&session, trouble).await;
        }
        done
    }

    async fn round_on(&mut self, session: &Session, keep: bool, is_last: bool) -> Result<(), PgError> {
        if keep {
            let begun = Instant::now();
            if self.lease_renewed.is_none_or(|kept| kept.elapsed() >= RENEW_INTERVAL) {
                renew_process_lease(session, self.me).await?;
                self.lease_renewed = Some(begun);
            }
            let is_acquired = acquire_lease(session, SEQUENCER_LEASE, self.me, LEASE_DURATION).await?;
            self.held_until = is_acquired.then_some(begun + LEASE_DURATION);
        }
        if self.is_holder() {
            self.sequence_all(session).await?;
        }
        if is_last {
            release_lease(session, SEQUENCER_LEASE, self.me).await?;
            remove_process_leases(session, self.me).await?;
        }
        Ok(())
    }

    async fn sequence_all(&mut self, session: &Session) -> Result<(), PgError> {
        // A long backlog takes several rounds.
        let begun = Instant::now();
        while self.sequence_batches(session).await? && begun.elapsed() < ROUND_TIMEOUT / 4 {}
        if self.compacted.elapsed() >= COMPACT_INTERVAL {
            self.compacted = Instant::now();
            compact_counts(session).await?;
        }
        Ok(())
    }

    /// Assigns positions to batches that have none. Returns whether there may be more.
    async fn sequence_batches(&mut self, session: &Session) -> Result<bool, PgError> {
        if session.query(sql::UNSEQUENCED_BATCHES.postgres, &[&1_i64]).await?.is_empty() {
            return Ok(false);
        }
        session.batch_execute(sql::BEGIN_BATCH.postgres).await?;
        let rows = session.query(sql::UNSEQUENCED_BATCHES.postgres, &[&MAX_BATCHES]).await?;
        let (mut ids, mut ends, mut total) = (Vec::new(), Vec::new(), 0_i64);
        for row in &rows {
            ids.push(row.try_get::<_, Uuid>(0)?);
            total += i64::from(row.try_get::<_, i32>(1)?);
            ends.push(total);
        }
        let advanced =
            session.query_opt(sql::ADVANCE_LEASE_VALUE.postgres, &[&SEQUENCER_LEASE, &self.me, &total]).await?;
        let Some(advanced) = advanced else {
            self.held_until = None;
            session.batch_execute(sql::ROLLBACK.postgres).await?;
            return Ok(false);
        };
        let before = advanced.try_get::<_, i64>(0)? - total;
        for end in &mut ends {
            *end += before;
        }
        let sealed = session.execute(sql::SET_BATCH_POSITIONS.postgres, &[&ids, &ends]).await?;
        if sealed != ids.len() as u64 {
            return Err(PgError::Conflict("another process has assigned positions".into()));
        }
        link_batches(session, &ids, &ends).await?;
        session.batch_execute(sql::COMMIT.postgres).await?;
        self.events.publish(EventPosition((before + total).unsigned_abs()));
        Ok(rows.len() as u64 == MAX_BATCHES.unsigned_abs())
    }
}

/// Appends batches to the hash chains of their tenants, in order of position.
async fn link_batches(session: &Session, ids: &[Uuid], ends: &[i64]) -> Result<(), PgError> {
    let mut digests: HashMap<(Uuid, i32), Vec<ChainHash>> = HashMap::new();
    for row in session.query(sql::EVENT_DIGESTS.postgres, &[&ids.to_vec()]).await? {
        // Batches of versions without chains have none.
        let Some(digest) = row.try_get::<_, Option<&[u8]>>(2)? else { continue };
        digests.entry((row.try_get(0)?, row.try_get(1)?)).or_default().push(sum(digest)?);
    }
    let tenants: BTreeSet<i32> = digests.keys().map(|(_, tenant)| *tenant).collect();
    let tenants: Vec<i32> = tenants.into_iter().collect();
    let mut heads: BTreeMap<i32, (i64, ChainHash)> = BTreeMap::new();
    for row in session.query(sql::CHAIN_ENDS.postgres, &[&tenants]).await? {
        let link = row.try_get::<_, Option<&[u8]>>(2)?.map_or(Ok(GENESIS_HASH), sum)?;
        heads.insert(row.try_get(0)?, (row.try_get(1)?, link));
    }
    let (mut batches, mut owners, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for (id, end) in ids.iter().zip(ends) {
        for tenant in &tenants {
            let Some(digests) = digests.get(&(*id, *tenant)) else { continue };
            let (at, head) = heads.entry(*tenant).or_insert((0, GENESIS_HASH));
            (*at, *head) = (*end, next_chain_hash(head, end.unsigned_abs(), digests));
            batches.push(*id);
            owners.push(*tenant);
            links.push(head.to_vec());
        }
    }
    if batches.is_empty() {
        return Ok(());
    }
    session.execute(sql::ADD_LINKS.postgres, &[&batches, &owners, &links]).await?;
    let positions: Vec<i64> = heads.values().map(|(at, _)| *at).collect();
    let (tenants, links): (Vec<i32>, Vec<Vec<u8>>) =
        heads.iter().map(|(tenant, (_, head))| (*tenant, head.to_vec())).unzip();
    session.execute(sql::SET_CHAIN_END.postgres, &[&tenants, &positions, &links]).await?;
    Ok(())
}

fn sum(bytes: &[u8]) -> Result<ChainHash, PgError> {
    bytes.try_into().map_err(|_| PgError::Other("a digest has the wrong length".into()))
}

/// Adds pending counts to the block counts.
async fn compact_counts(session: &Session) -> Result<(), PgError> {
    session.batch_execute(sql::BEGIN_BATCH.postgres).await?;
    let mut sums = BTreeMap::<(i32, i32), i64>::new();
    for row in session.query(sql::DRAIN_PENDING_COUNTS.postgres, &[]).await? {
        *sums.entry((row.try_get(0)?, row.try_get(1)?)).or_default() += row.try_get::<_, i64>(2)?;
    }
    let tenants: Vec<i32> = sums.keys().map(|(tenant, _)| *tenant).collect();
    let blocks: Vec<i32> = sums.keys().map(|(_, block)| *block).collect();
    let live: Vec<i64> = sums.into_values().collect();
    if !tenants.is_empty() {
        session.execute(sql::ADD_TO_BLOCK_COUNTS.postgres, &[&tenants, &blocks, &live]).await?;
    }
    session.batch_execute(sql::COMMIT.postgres).await
}
