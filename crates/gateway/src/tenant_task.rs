//! The gateway of one tenant: follows its changes and runs the workers of its targets, in the process that holds the
//! tenant's lease.

use crate::follower::{BATCH, TenantFollower};
use crate::held_lease::{HeldLease, RENEWAL};
use crate::shared::Shared;
use crate::signals::stopped;
use crate::worker::Worker;
use directory::{Caller, DirectoryError, Target, TenantNumber};
use outbound::SendWindow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often another process is asked for its lease.
const RETRY: Duration = Duration::from_secs(1);
/// How often a scan that waits for its target is continued.
const SCAN_INTERVAL: Duration = Duration::from_millis(50);
/// How long further changes are collected after some were followed: many changes then cost less.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct TenantTask {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tenant: TenantNumber,
    /// The targets of the tenant that are not removed.
    pub(crate) targets: watch::Receiver<Arc<Vec<Target>>>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// A worker, with the version of the target it was started for.
struct RunningWorker {
    version: u32,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// By target and shard.
#[derive(Default)]
struct Workers {
    running: HashMap<(u32, u32), RunningWorker>,
    /// Workers that wait for requests that were sent before they were stopped.
    ending: HashMap<(u32, u32), JoinHandle<()>>,
}

impl TenantTask {
    pub(crate) async fn run(mut self) {
        let caller = Caller::system(directory::Purpose::Gateway, self.tenant);
        let name = format!("gateway/{}", self.tenant);
        loop {
            let directory = Arc::clone(&self.shared.directory);
            let named = (name.as_str(), self.shared.holder);
            match HeldLease::acquire(&directory, &caller, named, Duration::ZERO, SendWindow::open()).await {
                Ok(Some(mut lease)) => {
                    let mut workers = Workers::default();
                    let ended = self.run_with(&caller, &mut lease, &mut workers).await;
                    workers.stop(|_, _| true);
                    futures_util::future::join_all(workers.ending.into_values().map(wait_for)).await;
                    if let Err(error) = ended {
                        tracing::warn!(
                            tenant = self.tenant.0,
                            ?error,
                            "the gateway cannot follow changes; trying again"
                        );
                    }
                    lease.release(&directory, &caller).await;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(?error, "the gateway cannot acquire a lease; trying again"),
            }
            // The tenant has no targets any more.
            if self.targets.has_changed().is_err() {
                return;
            }
            tokio::select! {
                () = stopped(&mut self.stop) => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn run_with(
        &mut self,
        caller: &Caller,
        lease: &mut HeldLease,
        workers: &mut Workers,
    ) -> Result<(), DirectoryError> {
        let directory = Arc::clone(&self.shared.directory);
        let mut follower = TenantFollower::start(&directory, caller.clone()).await?;
        let mut renewal = tokio::time::interval(RENEWAL);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut targets = Arc::clone(&self.targets.borrow_and_update());
        follower.set_targets(&directory, &targets).await?;
        self.reconcile(workers, &targets);
        let mut has_new_targets = false;
        loop {
            if std::mem::take(&mut has_new_targets) {
                targets = Arc::clone(&self.targets.borrow_and_update());
                follower.set_targets(&directory, &targets).await?;
                self.reconcile(workers, &targets);
            }
            let (mut followed, mut has_scanned, mut must_wait) = (0, false, !lease.is_held());
            if lease.is_held() {
                let signals = &self.shared.signals;
                let result = follower.follow(&directory, lease, &targets, signals).await;
                let result = tolerate(result)?;
                must_wait |= result.is_none();
                followed = result.unwrap_or_default();
                let result = tolerate(follower.scan(&directory, lease, &targets, signals).await)?;
                must_wait |= result.is_none();
                has_scanned = result.unwrap_or_default();
            }
            let is_busy = has_scanned || followed >= BATCH as usize;
            let pause = if must_wait {
                SCAN_INTERVAL
            } else if is_busy {
                Duration::ZERO
            } else if followed > 0 {
                FOLLOW_INTERVAL
            } else if follower.has_more_users(&targets) {
                SCAN_INTERVAL
            } else {
                Duration::MAX
            };
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return Ok(()),
                _ = renewal.tick() => {
                    if !lease.renew(&directory, caller).await {
                        return Ok(());
                    }
                }
                changed = self.targets.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    has_new_targets = true;
                }
                () = directory.wait_for_events(follower.position()), if followed == 0 && !is_busy && !must_wait => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Starts workers for new and changed targets, and stops those of others.
    fn reconcile(&self, workers: &mut Workers, targets: &[Target]) {
        workers.stop(|number, version| {
            !targets.iter().any(|it| it.number == number && it.version == version && it.is_active())
        });
        for target in targets.iter().filter(|target| target.is_active()) {
            for shard in 0..target.limits.shards {
                let key = (target.number, shard);
                workers.running.entry(key).or_insert_with(|| {
                    let worker = Worker { shared: Arc::clone(&self.shared), target: Arc::new(target.clone()), shard };
                    let (stop, stopped) = watch::channel(false);
                    let former = workers.ending.remove(&key);
                    let task = tokio::spawn(async move {
                        // Both would have the same lease.
                        if let Some(former) = former {
                            wait_for(former).await;
                        }
                        worker.run(stopped).await;
                    });
                    RunningWorker { version: target.version, stop, task }
                });
            }
        }
    }
}

impl Workers {
    /// Stops the workers of some targets, by number and version. They end once the requests that were sent have ended.
    fn stop(&mut self, is_stopped: impl Fn(u32, u32) -> bool) {
        self.ending.retain(|_, task| !task.is_finished());
        for (key, worker) in self.running.extract_if(|key, worker| is_stopped(key.0, worker.version)) {
            // Fails only if it has ended.
            let _ = worker.stop.send(true);
            self.ending.insert(key, worker.task);
        }
    }
}

/// `None`: another process has changed the same rows, or has the lease. Trying again shows which.
fn tolerate<T>(result: Result<T, DirectoryError>) -> Result<Option<T>, DirectoryError> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(DirectoryError::Conflict | DirectoryError::Busy { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn wait_for(worker: JoinHandle<()>) {
    if let Err(error) = worker.await {
        tracing::error!(%error, "a worker of the gateway has panicked");
    }
}
