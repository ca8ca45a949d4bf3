//! Gives batches their positions, after they were committed: one process at a time, which holds a lease.
//!
//! Writers never queue for a position, and a reader that follows positions never passes by a batch that commits late:
//! a batch gets the next position when it is seen, whenever it began. A holder that was away for too long cannot do
//! harm: the count of positions moves on only for the holder, in the transaction that gives them.

use super::lanes::Lanes;
use super::lease::{KEEP, LEASE, LEASE_MILLIS, keep_process};
use super::line::{Line, Session};
use super::retry::{DELAYS, wait};
use super::trouble::Trouble;
use crate::event_chain::{ChainHash, GENESIS_HASH, next_chain_hash};
use crate::sql;
use backon::BackoffBuilder;
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

/// How often the holder looks for what other processes have committed.
const LOOK: Duration = Duration::from_millis(50);
/// How long the holder lets news of this process gather.
const GATHER: Duration = Duration::from_millis(20);
/// How often what was counted since goes into the blocks.
const FOLD: Duration = Duration::from_secs(2);
/// How many batches get their positions at a time.
const AT_ONCE: i64 = 2_000;
/// How long whoever asks waits for it.
const ASK_TIME: Duration = Duration::from_secs(2);
/// How long one round may take.
const ROUND_TIME: Duration = Duration::from_secs(5);

/// Asks the sealer of this process to seal what is there now.
#[derive(Clone)]
pub(super) struct Seals(mpsc::Sender<oneshot::Sender<()>>);

impl Seals {
    /// Waits until everything committed before has its position, if this process is the one that gives them; others
    /// have to wait until that one has looked.
    pub(super) async fn now(&self) {
        let (done, heard) = oneshot::channel();
        let asked = async {
            if self.0.send(done).await.is_ok() {
                drop(heard.await);
            }
        };
        drop(tokio::time::timeout(ASK_TIME, asked).await);
    }
}

pub(super) struct Sealer {
    line: Line,
    lanes: Arc<Lanes>,
    me: Uuid,
    held_until: Option<Instant>,
    /// When the lease of this process was kept last.
    kept: Option<Instant>,
    folded: Instant,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
}

impl Sealer {
    pub(super) fn new(
        line: Line,
        lanes: Arc<Lanes>,
        (me, held_until): (Uuid, Option<Instant>),
    ) -> (Self, Seals) {
        let (seals, asked) = mpsc::channel(64);
        (Self { line, lanes, me, held_until, kept: None, folded: Instant::now(), asked }, Seals(seals))
    }

    /// Seals until it is told to stop; then what is left, and gives the lease back.
    pub(super) async fn run(mut self, stop: Arc<Notify>) {
        let tasks = self.lanes.tasks.clone();
        while AssertUnwindSafe(self.seal_until(&stop)).catch_unwind().await.is_err() {
            // It may stand in the middle of something.
            self.held_until = None;
            self.line.forget().await;
            tasks.back_off_after_panic("sequencer").await;
        }
    }

    async fn seal_until(&mut self, stop: &Notify) {
        let mut kept = Instant::now().checked_sub(KEEP).unwrap_or_else(Instant::now);
        let mut delays = DELAYS.build();
        loop {
            let (mut waiting, mut is_over) = (Vec::new(), false);
            let pause = if self.is_holder() { LOOK } else { KEEP };
            tokio::select! {
                () = stop.notified() => is_over = true,
                () = self.lanes.news.notified() => {
                    // More comes right behind; whoever waits for it asks.
                    let more = tokio::time::timeout(GATHER, self.asked.recv()).await;
                    waiting.extend(more.ok().flatten());
                }
                asked = self.asked.recv() => waiting.extend(asked),
                () = tokio::time::sleep(pause) => {}
            }
            while let Ok(asked) = self.asked.try_recv() {
                waiting.push(asked);
            }
            let keep = kept.elapsed() >= KEEP || (!self.is_holder() && !waiting.is_empty());
            if keep {
                kept = Instant::now();
            }
            match tokio::time::timeout(ROUND_TIME, self.round(keep, is_over)).await {
                Ok(Ok(())) => delays = DELAYS.build(),
                Ok(Err(trouble)) => {
                    tracing::debug!(%trouble, "giving events their positions is tried again");
                    if !is_over {
                        wait(&mut delays).await;
                    }
                }
                Err(_) => {
                    // It stands in the middle of something that is not to be gone on with.
                    self.held_until = None;
                    self.line.forget().await;
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

    async fn round(&mut self, keep: bool, is_last: bool) -> Result<(), Trouble> {
        let session = self.line.session().await?;
        let done = self.round_on(&session, keep, is_last).await;
        if let Err(trouble) = &done {
            // It may stand in a transaction; a new one is simpler than asking.
            self.line.leave(&session, trouble).await;
        }
        done
    }

    async fn round_on(&mut self, session: &Session, keep: bool, is_last: bool) -> Result<(), Trouble> {
        if keep {
            let begun = Instant::now();
            if self.kept.is_none_or(|kept| kept.elapsed() >= KEEP) {
                keep_process(session, self.me).await?;
                self.kept = Some(begun);
            }
            let taken = session.row(sql::ACQUIRE_LEASE.postgres, &[&LEASE, &self.me, &LEASE_MILLIS]).await?;
            let lease = Duration::from_millis(LEASE_MILLIS.unsigned_abs());
            self.held_until = taken.map(|_| begun + lease);
        }
        if self.is_holder() {
            self.seal_all(session).await?;
        }
        if is_last {
            session.change(sql::RELEASE_LEASE.postgres, &[&LEASE, &self.me]).await?;
            session.change(sql::REMOVE_PROCESS_LEASES.postgres, &[&self.me]).await?;
        }
        Ok(())
    }

    async fn seal_all(&mut self, session: &Session) -> Result<(), Trouble> {
        // A long backlog takes several rounds.
        let begun = Instant::now();
        while self.seal(session).await? && begun.elapsed() < ROUND_TIME / 4 {}
        if self.folded.elapsed() >= FOLD {
            self.folded = Instant::now();
            fold(session).await?;
        }
        Ok(())
    }

    /// Gives positions to what has none; whether there may be more.
    async fn seal(&mut self, session: &Session) -> Result<bool, Trouble> {
        if session.rows(sql::UNSEQUENCED_BATCHES.postgres, &[&1_i64]).await?.is_empty() {
            return Ok(false);
        }
        session.say(sql::BEGIN_BATCH.postgres).await?;
        let rows = session.rows(sql::UNSEQUENCED_BATCHES.postgres, &[&AT_ONCE]).await?;
        let (mut ids, mut ends, mut total) = (Vec::new(), Vec::new(), 0_i64);
        for row in &rows {
            ids.push(row.try_get::<_, Uuid>(0)?);
            total += i64::from(row.try_get::<_, i32>(1)?);
            ends.push(total);
        }
        let advanced = session.row(sql::ADVANCE_LEASE_VALUE.postgres, &[&LEASE, &self.me, &total]).await?;
        let Some(advanced) = advanced else {
            self.held_until = None;
            session.say(sql::ROLLBACK.postgres).await?;
            return Ok(false);
        };
        let before = advanced.try_get::<_, i64>(0)? - total;
        for end in &mut ends {
            *end += before;
        }
        let sealed = session.change(sql::SET_BATCH_POSITIONS.postgres, &[&ids, &ends]).await?;
        if sealed != ids.len() as u64 {
            return Err(Trouble::Again("somebody else has sealed".into()));
        }
        chain(session, &ids, &ends).await?;
        session.say(sql::COMMIT.postgres).await?;
        Ok(rows.len() as u64 == AT_ONCE.unsigned_abs())
    }
}

/// Links batches to the chains of their tenants, in the order of their positions.
async fn chain(session: &Session, ids: &[Uuid], ends: &[i64]) -> Result<(), Trouble> {
    let mut digests: HashMap<(Uuid, i32), Vec<ChainHash>> = HashMap::new();
    for row in session.rows(sql::EVENT_DIGESTS.postgres, &[&ids.to_vec()]).await? {
        // A batch of a version that knew of no chain has none.
        let Some(digest) = row.try_get::<_, Option<&[u8]>>(2)? else { continue };
        digests.entry((row.try_get(0)?, row.try_get(1)?)).or_default().push(sum(digest)?);
    }
    let tenants: BTreeSet<i32> = digests.keys().map(|(_, tenant)| *tenant).collect();
    let tenants: Vec<i32> = tenants.into_iter().collect();
    let mut heads: BTreeMap<i32, (i64, ChainHash)> = BTreeMap::new();
    for row in session.rows(sql::CHAIN_ENDS.postgres, &[&tenants]).await? {
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
    session.change(sql::ADD_LINKS.postgres, &[&batches, &owners, &links]).await?;
    let positions: Vec<i64> = heads.values().map(|(at, _)| *at).collect();
    let (tenants, links): (Vec<i32>, Vec<Vec<u8>>) =
        heads.iter().map(|(tenant, (_, head))| (*tenant, head.to_vec())).unzip();
    session.change(sql::SET_CHAIN_END.postgres, &[&tenants, &positions, &links]).await?;
    Ok(())
}

fn sum(bytes: &[u8]) -> Result<ChainHash, Trouble> {
    bytes.try_into().map_err(|_| Trouble::Broken("a digest is not of its length".into()))
}

/// Counts what has come since into the blocks.
async fn fold(session: &Session) -> Result<(), Trouble> {
    session.say(sql::BEGIN_BATCH.postgres).await?;
    let mut sums = BTreeMap::<(i32, i32), i64>::new();
    for row in session.rows(sql::DRAIN_PENDING_COUNTS.postgres, &[]).await? {
        *sums.entry((row.try_get(0)?, row.try_get(1)?)).or_default() += row.try_get::<_, i64>(2)?;
    }
    let tenants: Vec<i32> = sums.keys().map(|(tenant, _)| *tenant).collect();
    let blocks: Vec<i32> = sums.keys().map(|(_, block)| *block).collect();
    let live: Vec<i64> = sums.into_values().collect();
    if !tenants.is_empty() {
        session.change(sql::ADD_TO_BLOCK_COUNTS.postgres, &[&tenants, &blocks, &live]).await?;
    }
    session.say(sql::COMMIT.postgres).await
}
