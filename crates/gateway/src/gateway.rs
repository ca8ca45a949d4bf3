//! Runs the gateways of all tenants that have targets.

use crate::attempt_limit::AttemptLimit;
use crate::master_key::MasterKeySource;
use crate::metrics::GatewayMetrics;
use crate::shared::Shared;
use crate::signals::Signals;
use crate::tenant_task::TenantTask;
use directory::{Caller, Directory, DirectoryError, Purpose, PushAttempt, RemoteUser, Target, TenantNumber};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How often the targets are read, so that those that were added or changed at the command line take effect.
const INTERVAL: Duration = Duration::from_secs(1);
/// The group in which the processes announce themselves.
const GROUP: &str = "gateway-processes";
/// Seconds until an announcement ends.
const MEMBER_SECONDS: i64 = 12;
/// How often it is repeated.
const ANNOUNCEMENT: Duration = Duration::from_secs(3);
/// The largest difference between the clocks of this machine and of the database. Leases and the times of requests are by
/// the clocks of the processes: the larger it is, the earlier another process can take over.
const MAX_CLOCK_DIFFERENCE_MICROS: i64 = 5_000_000;
/// Rows of removed targets that are deleted at a time.
const BATCH: u32 = 250;

pub struct Gateway {
    shared: Arc<Shared>,
}

struct RunningTenant {
    /// `None` while it ends.
    targets: Option<watch::Sender<Arc<Vec<Target>>>>,
    task: JoinHandle<()>,
}

impl Gateway {
    pub fn new(directory: Arc<Directory>, keys: MasterKeySource, metrics: Arc<GatewayMetrics>) -> Self {
        let holder = directory.new_id();
        let (signals, attempts) = (Signals::default(), AttemptLimit::default());
        Self { shared: Arc::new(Shared { directory, holder, keys, signals, metrics, attempts }) }
    }

    /// Runs until `stop` ends, then lets requests that were sent end.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let (stop_tasks, stopped) = watch::channel(false);
        let mut tenants: HashMap<TenantNumber, RunningTenant> = HashMap::new();
        let caller = Caller::task(Purpose::Gateway);
        let (mut processes, mut next_announcement) = (Vec::new(), Instant::now());
        let mut deleted: HashSet<(TenantNumber, u32)> = HashSet::new();
        loop {
            if next_announcement <= Instant::now() {
                next_announcement = Instant::now() + ANNOUNCEMENT;
                match self.announce(&caller).await {
                    Ok(members) => processes = members,
                    Err(error) => tracing::warn!(?error, "the gateway cannot announce its process; trying again"),
                }
            }
            match self.shared.directory.targets_and_removed(&caller).await {
                Ok(mut targets) => {
                    targets.retain(|target| owner_of(target.tenant, &processes) == Some(self.shared.holder));
                    let (removed, targets): (Vec<Target>, _) = targets.into_iter().partition(Target::is_removed);
                    Self::reconcile(&self.shared, &mut tenants, targets, &stopped);
                    for target in removed {
                        let key = (target.tenant, target.number);
                        if !deleted.contains(&key) && self.delete_rows(&target).await {
                            deleted.insert(key);
                        }
                    }
                }
                Err(error) => tracing::warn!(?error, "the gateway cannot read the targets; trying again"),
            }
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        // Fails only if all tasks have ended.
        let _ = stop_tasks.send(true);
        futures_util::future::join_all(tenants.into_values().map(|tenant| tenant.task)).await;
        if let Err(error) = self.shared.directory.leave_group(&caller, GROUP, self.shared.holder).await {
            tracing::debug!(?error, "cannot withdraw the announcement of this process; it ends by itself");
        }
    }

    /// Announces this process, and returns all. None if its clock is wrong: then it does not take part.
    async fn announce(&self, caller: &Caller) -> Result<Vec<Uuid>, DirectoryError> {
        let (directory, me) = (&self.shared.directory, self.shared.holder);
        let difference = directory.clock_difference(caller).await?;
        self.shared.metrics.set_clock_difference(difference);
        if difference.abs() > MAX_CLOCK_DIFFERENCE_MICROS {
            let seconds = difference / 1_000_000;
            tracing::error!(
                seconds,
                "nothing is pushed: the clock of this machine differs from the database's; set it"
            );
            directory.leave_group(caller, GROUP, me).await?;
            return Ok(Vec::new());
        }
        directory.join_group(caller, GROUP, me, MEMBER_SECONDS).await
    }

    /// Starts tasks for tenants with targets, tells the others about changes, and ends those of other processes.
    fn reconcile(
        shared: &Arc<Shared>,
        tenants: &mut HashMap<TenantNumber, RunningTenant>,
        targets: Vec<Target>,
        stopped: &watch::Receiver<bool>,
    ) {
        let mut by_tenant: BTreeMap<TenantNumber, Vec<Target>> = BTreeMap::new();
        for target in targets {
            by_tenant.entry(target.tenant).or_default().push(target);
        }
        for (tenant, running) in tenants.iter_mut() {
            if !by_tenant.contains_key(tenant) {
                // Ends the task.
                running.targets = None;
            }
        }
        tenants.retain(|_, running| !running.task.is_finished());
        for (tenant, targets) in by_tenant {
            let running = tenants.entry(tenant).or_insert_with(|| {
                let (sender, receiver) = watch::channel(Arc::new(targets.clone()));
                let shared = Arc::clone(shared);
                let task = TenantTask { shared, tenant, targets: receiver, stop: stopped.clone() };
                RunningTenant { targets: Some(sender), task: tokio::spawn(task.run()) }
            });
            // A task that is ending is replaced once it has ended.
            let Some(sender) = &running.targets else { continue };
            sender.send_if_modified(|known| {
                let is_changed = **known != targets;
                if is_changed {
                    *known = Arc::new(targets);
                }
                is_changed
            });
        }
    }

    /// Deletes what is stored for a removed target, some rows at a time. Returns whether there is nothing left.
    async fn delete_rows(&self, target: &Target) -> bool {
        let (shared, caller) = (&self.shared, Caller::system(Purpose::Gateway, target.tenant));
        shared.metrics.remove(target.tenant, target.number);
        let key = (target.tenant, target.number);
        let delete = async {
            let rows: Vec<RemoteUser> =
                shared.directory.target_records(&caller, RemoteUser::of_target(key, None, BATCH)).await?;
            let attempts: Vec<PushAttempt> =
                shared.directory.target_records(&caller, PushAttempt::of_target(key, BATCH)).await?;
            let deletions = rows.iter().map(RemoteUser::delete).chain(attempts.iter().map(PushAttempt::deletion));
            shared.directory.commit_task_rows(&caller, deletions.collect()).await?;
            Ok(rows.is_empty() && attempts.is_empty())
        };
        match delete.await {
            Ok(is_done) => is_done,
            Err(DirectoryError::Conflict) => false,
            Err(error) => {
                let (tenant, target) = (target.tenant.0, &target.name);
                tracing::warn!(tenant, target, ?error, "cannot delete the rows of a removed target; trying again");
                false
            }
        }
    }
}

/// The process that pushes the changes of a tenant (rendezvous hashing): when a process starts or ends, only its own share
/// moves. Processes that know of different others may both choose themselves for some seconds; the lease of the tenant
/// decides.
fn owner_of(tenant: TenantNumber, processes: &[Uuid]) -> Option<Uuid> {
    let weight = |process: &&Uuid| {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        hash.update(process.as_bytes());
        hash.update(&tenant.0.to_be_bytes());
        hash.finish().as_ref().to_vec()
    };
    processes.iter().max_by_key(weight).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_shared_among_the_processes_and_move_only_if_they_must() {
        let processes: Vec<Uuid> = (1..=4).map(|n| Uuid::from_u128(n << 64 | n)).collect();
        let owners = |processes: &[Uuid]| -> Vec<Uuid> {
            (1..=1_000).filter_map(|tenant| owner_of(TenantNumber(tenant), processes)).collect()
        };
        let before = owners(&processes);
        for process in &processes {
            let share = before.iter().filter(|owner| *owner == process).count();
            assert!((200..300).contains(&share), "{share}");
        }
        let after = owners(&processes[..3]);
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after || *before == processes[3]);
        }
        assert_eq!(owner_of(TenantNumber(1), &[]), None);
    }
}
