//! Pushes the marked rows of one shard of a target.
//!
//! Rows are taken in batches: before anything is sent, the store has that a request may be on its way, and until when.
//! Results are stored in batches, too. Every write fails once another process has the lease of the shard.

mod checks;
mod take;

use crate::Shared;
use crate::health::{DENIED, Health, Signal, Transition};
use crate::held_lease::{HeldLease, RENEWAL};
use crate::push::Pushed;
use crate::results::{Finished, store_results};
use crate::sender::{Outcome, Sender};
use crate::signals::stopped;
use crate::source_user::SourceUser;
use dialects::kit::Verdict;
use directory::{Caller, DirectoryError, PushPriority, Record, RemoteUser, Target, TargetProgress, Time, UserId};
use outbound::{RateControl, SendWindow};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinSet};

/// Rows taken at a time. More of them take memory for each target.
const MIN_BATCH: usize = 64;
const MAX_BATCH: usize = 256;
/// Results stored at a time.
const RESULTS: usize = 128;
/// How long results wait for others.
const STORE_DELAY: Duration = Duration::from_millis(20);
/// The longest time without a look at the store.
const IDLE: Duration = Duration::from_secs(30);
/// How often it is checked whether a command has marked users, which wakes nobody in this process.
const ON_DEMAND: Duration = Duration::from_secs(1);
/// The time for a push in addition to two requests.
const PUSH_SLACK: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);
/// How often it is tried to use a target whose credential or settings cannot be used.
const UNUSABLE: Duration = Duration::from_secs(30);
/// How often a next or previous credential is tried.
const ROTATION: Duration = Duration::from_mins(5);

pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) target: Arc<Target>,
    pub(crate) shard: u32,
    /// Set once it has had the lease: then, no worker pushes by former settings of the target.
    pub(crate) has_begun: Arc<AtomicBool>,
}

/// A push that has ended.
struct Done {
    taken: RemoteUser,
    /// `None` if it was given up: the store has until when its requests may be carried out.
    pushed: Option<Pushed>,
}

struct Queued {
    /// As stored when it was taken.
    taken: RemoteUser,
    /// What was known before it was taken.
    row: RemoteUser,
    source: SourceUser,
    /// When the store forgets that a request may be on its way.
    deadline: Instant,
}

/// What a worker has while it holds the lease.
struct Run<'w> {
    worker: &'w Worker,
    caller: Caller,
    sender: Arc<Sender>,
    must_search: bool,
    lease: HeldLease,
    health: Health,
    rate: Option<RateControl>,
    /// By priority.
    queue: HashMap<PushPriority, VecDeque<Queued>>,
    /// Tasks, so that they go on while this one waits for the store.
    pushes: JoinSet<Done>,
    /// Users whose rows were taken, until their results are stored.
    held: HashSet<UserId>,
    finished: Vec<Finished>,
    flush: Option<Instant>,
    /// Whether the store may have due rows.
    look: bool,
    /// Whether more rows were due than could be taken.
    has_more: bool,
    next_look: Instant,
    next_on_demand: Instant,
    awaits_managers: bool,
    /// How often it was checked whether the target is empty.
    empty_checks: u128,
    next_empty_check: Instant,
    /// When the credential ends, and for how many days the log has warned.
    expires: Option<Time>,
    warned: Option<i64>,
    /// When the other credentials of the target are tried, if there are some.
    next_rotation: Option<Instant>,
    began_quarantined: bool,
}

impl Worker {
    fn caller(&self) -> Caller {
        Caller::system(directory::Purpose::Gateway, self.target.tenant)
    }

    fn lease_name(&self) -> String {
        format!("gateway/{}/{}/{}", self.target.tenant, self.target.number, self.shard)
    }

    /// Runs until it is aborted or `stop` ends.
    pub(crate) async fn run(self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let caller = self.caller();
        loop {
            let window = SendWindow::closed();
            let timeout = Duration::from_secs(self.target.limits.timeout_seconds.into());
            let named = (self.lease_name(), self.shared.holder);
            let named = (named.0.as_str(), named.1);
            let held = HeldLease::acquire(&self.shared.directory, &caller, named, timeout, window.clone()).await;
            let ended = match held {
                Ok(Some(lease)) => {
                    self.has_begun.store(true, Ordering::Release);
                    self.run_with(lease, window, &mut stop).await
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(target = self.target.name, ?error, "the gateway cannot use the store; trying again");
            }
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn run_with(
        &self,
        lease: HeldLease,
        window: SendWindow,
        stop: &mut tokio::sync::watch::Receiver<bool>,
    ) -> Result<(), DirectoryError> {
        let (directory, caller) = (&self.shared.directory, self.caller());
        let ready = match self.shared.sender(&self.target, &lease, &window).await? {
            Ok(ready) => ready,
            Err(reason) => {
                self.shared.metrics.set_problem(&self.target, Some(reason.clone()));
                tracing::error!(target = self.target.name, tenant = self.target.tenant.0, "{reason}");
                lease.release(directory, &caller).await;
                // A changed target gets a new worker. What is missing may be a file.
                if tokio::time::timeout(UNUSABLE, stopped(stop)).await.is_ok() {
                    self.shared.metrics.clear_state(&self.target);
                }
                return Ok(());
            }
        };
        let sender = Arc::new(ready.sender);
        self.shared.metrics.set_problem(&self.target, None);
        let progress =
            directory.target_records::<TargetProgress>(&caller, TargetProgress::table().row(self.target.key()));
        let Some(progress) = progress.await?.into_iter().next() else {
            lease.release(directory, &caller).await;
            return Ok(());
        };
        self.shared.metrics.set_quarantined(&self.target, progress.quarantined.is_some());
        let limits = self.target.limits;
        let share = f64::from(limits.requests_per_minute) / 60.0 / f64::from(limits.shards);
        let burst = (share * 2.0).ceil().max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let rate = (limits.requests_per_minute > 0).then(|| RateControl::new(share, burst as u32, Instant::now()));
        let health = match progress.quarantined {
            Some(_) => Health::quarantined(Instant::now()),
            None => Health::default(),
        };
        let mut run = Run {
            worker: self,
            caller,
            sender,
            must_search: progress.was_empty != Some(true),
            lease,
            health,
            rate,
            queue: HashMap::new(),
            pushes: JoinSet::new(),
            held: HashSet::new(),
            finished: Vec::new(),
            flush: None,
            look: true,
            has_more: false,
            next_look: Instant::now(),
            next_on_demand: Instant::now(),
            awaits_managers: true,
            empty_checks: 0,
            next_empty_check: Instant::now(),
            expires: ready.expires,
            warned: None,
            next_rotation: ready.has_other.then(|| Instant::now() + ROTATION),
            began_quarantined: progress.quarantined.is_some(),
        };
        let ended = run.run(progress, stop).await;
        run.end().await;
        self.shared.metrics.clear_state(&self.target);
        ended
    }
}

impl Run<'_> {
    async fn run(
        &mut self,
        progress: TargetProgress,
        stop: &mut tokio::sync::watch::Receiver<bool>,
    ) -> Result<(), DirectoryError> {
        let shared = &self.worker.shared;
        let signal = shared.signals.of(self.caller.tenant, self.worker.target.number);
        let mut renewal = tokio::time::interval(RENEWAL);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut must_check_empty = progress.was_empty.is_none();
        loop {
            let now = Instant::now();
            if !self.lease.is_held() {
                return Ok(());
            }
            if self.next_rotation.is_some_and(|time| time <= now) {
                // Begins again with whichever credential the target accepts.
                return Ok(());
            }
            if self.health.next_probe().is_some_and(|probe| probe <= now) {
                self.probe().await?;
            }
            if must_check_empty && !self.health.is_quarantined() && self.next_empty_check <= now {
                must_check_empty = !self.check_whether_empty(&progress).await?;
            }
            if !must_check_empty && !self.health.is_quarantined() {
                if self.next_on_demand <= now {
                    self.look |= self.has_on_demand().await?;
                    self.next_on_demand = now + ON_DEMAND;
                }
                let is_short = self.queue.values().map(VecDeque::len).sum::<usize>() <= self.wanted() / 2;
                if self.look || self.next_look <= now || self.has_more && is_short {
                    self.take().await?;
                }
                self.begin_pushes();
            }
            if self.finished.len() >= RESULTS || self.flush.is_some_and(|time| time <= now) {
                self.store_results().await?;
                continue;
            }
            let wait = self.next_action(now, must_check_empty);
            tokio::select! {
                biased;
                () = stopped(stop) => return Ok(()),
                _ = renewal.tick() => {
                    if !self.lease.renew(&shared.directory, &self.caller).await {
                        tracing::warn!(name = self.worker.target.name, "the lease of a target was lost");
                        return Ok(());
                    }
                    self.warn_of_expiry();
                    self.update_metrics().await?;
                    self.wake_users_whose_manager_has_arrived().await?;
                }
                Some(done) = self.pushes.join_next() => self.finish(done.map_err(|error| failed(&error))?).await?,
                () = signal.notified() => self.look = true,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// How long nothing is to be done.
    fn next_action(&mut self, now: Instant, must_check_empty: bool) -> Duration {
        let mut next = match self.health.next_probe() {
            Some(probe) => probe,
            None if must_check_empty => self.next_empty_check,
            None => self.next_look.min(self.next_on_demand),
        };
        next = next.min(self.flush.unwrap_or(next)).min(self.next_rotation.unwrap_or(next));
        let is_waiting_for_rate =
            self.queue.values().any(|queued| !queued.is_empty()) && self.pushes.len() < self.concurrency();
        if let (true, Some(rate), false) = (is_waiting_for_rate, &self.rate, self.health.is_quarantined()) {
            next = next.min(now + rate.wait(now));
        }
        next.saturating_duration_since(now).max(Duration::from_millis(1))
    }

    fn concurrency(&self) -> usize {
        self.health.concurrency(self.worker.target.limits.concurrency) as usize
    }

    /// Takes over what a push has found out about the target.
    async fn finish(&mut self, done: Done) -> Result<(), DirectoryError> {
        let Done { taken, pushed } = done;
        let due = pushed.as_ref().map_or(taken.due, |pushed| pushed.row.as_ref().and_then(|row| row.due));
        self.note_due(due);
        let Some(pushed) = pushed else {
            self.held.remove(&taken.user);
            return Ok(());
        };
        let now = Instant::now();
        let mut transition = None;
        for (index, exchange) in pushed.exchanges.iter().enumerate() {
            self.worker.shared.metrics.record(&self.worker.target, exchange);
            let signal = exchange.signal();
            if let Some(rate) = &mut self.rate {
                // The first request was permitted before.
                if index > 0 {
                    rate.charge(1);
                }
                match (&exchange.outcome, signal) {
                    (Outcome::Answered(Verdict::Unavailable { retry_after, .. }), _) => {
                        rate.record_overload(now, *retry_after);
                    }
                    (_, Signal::Works) => rate.record_success(),
                    _ => {}
                }
            } else if let Outcome::Answered(Verdict::Unavailable { retry_after, .. }) = &exchange.outcome {
                // Without a limit, the target gets one when it asks for it.
                let mut rate = RateControl::new(UNLIMITED_RATE, UNLIMITED_BURST, now);
                rate.record_overload(now, *retry_after);
                self.rate = Some(rate);
            }
            transition = self.health.record(signal, taken.user.0, now).or(transition);
        }
        self.finished.push(Finished { taken, pushed });
        self.flush = self.flush.or(Some(now + STORE_DELAY));
        if let Some(Transition::Quarantined(reason)) = transition {
            self.release_queue().await?;
            self.set_quarantine(Some(reason)).await?;
            if reason == DENIED && !self.began_quarantined {
                self.next_rotation = self.next_rotation.map(|_| Instant::now());
            }
        }
        Ok(())
    }

    /// Looks at the store when a row is due again.
    pub(super) fn note_due(&mut self, due: Option<Time>) {
        if let Some(due) = due {
            let wait = due.0.saturating_sub(self.worker.shared.directory.now().0).max(0);
            self.next_look = self.next_look.min(Instant::now() + Duration::from_micros(wait.unsigned_abs()));
        }
    }

    /// Releases the rows that were taken and not pushed.
    async fn release_queue(&mut self) -> Result<(), DirectoryError> {
        let queued: Vec<Queued> = self.queue.drain().flat_map(|(_, queue)| queue).collect();
        for queued in queued {
            self.release(queued);
        }
        self.store_results().await
    }

    /// Releases a row that was taken and not pushed.
    fn release(&mut self, queued: Queued) {
        let Queued { taken, row, .. } = queued;
        let now = self.worker.shared.directory.now();
        let row = RemoteUser { due: Some(now), in_flight_until: None, ..row };
        self.finished.push(Finished { taken, pushed: Pushed { row: Some(row), exchanges: Vec::new() } });
        self.flush = self.flush.or(Some(Instant::now() + STORE_DELAY));
    }

    async fn store_results(&mut self) -> Result<(), DirectoryError> {
        self.flush = None;
        let finished = std::mem::take(&mut self.finished);
        if finished.is_empty() {
            return Ok(());
        }
        let shared = &self.worker.shared;
        let awaits_managers =
            finished.iter().any(|it| it.pushed.row.as_ref().is_some_and(|row| row.waits_for.is_some()));
        let users: Vec<UserId> = finished.iter().map(|it| it.taken.user).collect();
        let due = store_results(shared, &self.caller, &self.worker.target, &self.lease, finished).await?;
        for user in users {
            self.held.remove(&user);
        }
        self.note_due(due);
        // Only rows that are stored are found.
        self.awaits_managers |= awaits_managers;
        Ok(())
    }

    /// Waits for requests that were sent, stores their results, and releases the lease.
    async fn end(mut self) {
        let deadline = tokio::time::Instant::now() + self.sender.timeout();
        while let Ok(Some(done)) = tokio::time::timeout_at(deadline, self.pushes.join_next()).await {
            let Ok(done) = done else { return };
            if self.finish(done).await.is_err() {
                break;
            }
        }
        if self.lease.is_held() && self.release_queue().await.is_ok() && self.pushes.is_empty() {
            self.lease.release(&self.worker.shared.directory, &self.caller).await;
        }
    }
}

/// Requests per second, and in a burst, of a target without limits that has asked for a pause.
const UNLIMITED_RATE: f64 = 1_000.0;
const UNLIMITED_BURST: u32 = 100;

/// A push that has panicked ends the run: its row stays with the note that its requests may be carried out.
fn failed(error: &JoinError) -> DirectoryError {
    DirectoryError::Internal(error.to_string())
}
