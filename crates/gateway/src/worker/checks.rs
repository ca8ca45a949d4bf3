//! What a worker does beside pushing: probes, quarantine, the end of credentials, and references that have arrived.

use super::{RETRY, Run};
use crate::health::{Signal, Transition};
use crate::rotation::{days_left, warning};
use crate::sender::{Exchange, Outcome};
use dialects::kit::{Operation, Verdict};
use directory::{DirectoryError, PushPriority, RemoteUser, TargetProgress};
use outbound::RateControl;
use std::time::{Duration, Instant};

/// Due rows that are counted at most.
const MAX_COUNTED: u32 = 10_000;

impl Run<'_> {
    /// Checks whether the target has accounts that Muster has not created. Returns whether it answered.
    pub(super) async fn check_whether_empty(&mut self, progress: &TargetProgress) -> Result<bool, DirectoryError> {
        let exchange = self.sender.send(&Operation::List { offset: 0, limit: 1 }).await;
        self.worker.shared.metrics.record(&self.worker.target, &exchange);
        let was_empty = match &exchange.outcome {
            Outcome::Answered(Verdict::Found(page)) => page.total == Some(0) && page.accounts.is_empty(),
            Outcome::Answered(Verdict::Unsupported | Verdict::Rejected(_)) => false,
            _ => {
                self.empty_checks += 1;
                self.next_empty_check = Instant::now() + pause_of(&exchange).max(RETRY);
                let check = uuid::Uuid::from_u128(self.empty_checks);
                if let Some(Transition::Quarantined(reason)) =
                    self.health.record(exchange.signal(), check, Instant::now())
                {
                    self.set_quarantine(Some(reason)).await?;
                }
                return Ok(false);
            }
        };
        let write = progress.set_was_empty(was_empty);
        let writes = vec![self.lease.guard(), write];
        self.worker.shared.directory.commit_task_rows(&self.caller, writes).await?;
        self.must_search = !was_empty;
        Ok(true)
    }

    pub(super) async fn probe(&mut self) -> Result<(), DirectoryError> {
        let exchange = self.sender.send(&Operation::List { offset: 0, limit: 1 }).await;
        self.worker.shared.metrics.record(&self.worker.target, &exchange);
        let works = exchange.signal() == Signal::Works;
        let recovered = self.health.record_probe(works, pause_of(&exchange), Instant::now());
        if recovered == Some(Transition::Recovered) {
            self.set_quarantine(None).await?;
            self.worker.shared.retry_temporary(&self.caller, &self.worker.target, &self.lease).await?;
            self.look = true;
        }
        Ok(())
    }

    pub(super) async fn set_quarantine(&mut self, reason: Option<&'static str>) -> Result<(), DirectoryError> {
        let (shared, target) = (&self.worker.shared, &self.worker.target);
        let (name, tenant) = (&target.name, target.tenant.0);
        if let Some(reason) = reason {
            tracing::warn!(name, tenant, reason, "target quarantined");
        } else {
            tracing::info!(name, tenant, "target recovered");
        }
        shared.metrics.set_quarantined(target, reason.is_some());
        let progress = TargetProgress::new(target.tenant, target.number);
        let since = reason.map(|reason| (shared.directory.now(), reason.to_owned()));
        let writes = vec![self.lease.guard(), progress.set_quarantine(since)];
        shared.directory.commit_task_rows(&self.caller, writes).await
    }

    /// Shows how many rows are due and since when.
    pub(super) async fn update_metrics(&mut self) -> Result<(), DirectoryError> {
        let (shared, target) = (&self.worker.shared, &self.worker.target);
        shared.metrics.set_rate(target, self.rate.as_ref().map(RateControl::rate));
        for priority in PushPriority::ALL {
            let key = (self.caller.tenant, target.number);
            let query = RemoteUser::due(key, self.worker.shard, priority, shared.directory.now(), MAX_COUNTED);
            let counts = shared.directory.count_target_records(&self.caller, query, RemoteUser::BY_TARGET).await?;
            shared.metrics.set_due(target, priority, counts.iter().map(|(_, count)| count).sum());
        }
        self.next_due().await.map(drop)
    }

    pub(super) fn warn_of_expiry(&mut self) {
        let Some(expires) = self.expires else { return };
        let (shared, target) = (&self.worker.shared, &self.worker.target);
        let days = days_left(expires, shared.directory.now());
        shared.metrics.set_days_left(target, days);
        let threshold = warning(days);
        if threshold.is_some() && threshold != self.warned {
            self.warned = threshold;
            let (name, tenant) = (&target.name, target.tenant.0);
            tracing::warn!(
                name,
                tenant,
                days,
                "the credential of a target expires (set a new one with `muster target key --next`)"
            );
        }
    }

    /// Marks users whose manager was missing in the target and is there now.
    pub(super) async fn wake_users_whose_manager_has_arrived(&mut self) -> Result<(), DirectoryError> {
        if self.awaits_managers && self.worker.shard == 0 {
            let shared = &self.worker.shared;
            self.awaits_managers = shared.wake_waiting(&self.caller, &self.worker.target, &self.lease).await?;
            self.look = true;
        }
        Ok(())
    }
}

/// The pause that the target asks for (`Retry-After`).
fn pause_of(exchange: &Exchange) -> Duration {
    match exchange.outcome {
        Outcome::Answered(Verdict::Unavailable { retry_after: Some(pause), .. }) => pause,
        _ => Duration::ZERO,
    }
}
