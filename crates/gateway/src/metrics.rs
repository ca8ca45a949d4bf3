//! What the gateway has done, for metrics.

use crate::sender::Exchange;
use directory::{PushPriority, Target, TenantNumber};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Default)]
pub struct GatewayMetrics(Mutex<BTreeMap<(TenantNumber, u32), TargetMetrics>>);

/// Of one target, since the process has started.
#[derive(Clone, Debug, Default)]
pub struct TargetMetrics {
    pub name: String,
    /// Requests by action and outcome: how many, and how long they took in all.
    pub requests: BTreeMap<(&'static str, &'static str), (u64, Duration)>,
    pub is_quarantined: bool,
    /// Why nothing can be sent.
    pub problem: Option<String>,
    /// How long the oldest due row has waited, by priority, in microseconds.
    pub lag: BTreeMap<&'static str, i64>,
    /// Days until its credential ends.
    pub days_left: Option<i64>,
}

impl GatewayMetrics {
    fn change(&self, target: &Target, change: impl FnOnce(&mut TargetMetrics)) {
        let mut all = self.0.lock();
        let metrics = all.entry((target.tenant, target.number)).or_default();
        if metrics.name != target.name {
            metrics.name.clone_from(&target.name);
        }
        change(metrics);
    }

    pub(crate) fn record(&self, target: &Target, exchange: &Exchange) {
        self.change(target, |metrics| {
            let (count, time) = metrics.requests.entry((exchange.action, exchange.outcome_name())).or_default();
            *count += 1;
            *time += exchange.duration;
        });
    }

    pub(crate) fn set_quarantined(&self, target: &Target, is_quarantined: bool) {
        self.change(target, |metrics| metrics.is_quarantined = is_quarantined);
    }

    pub(crate) fn set_problem(&self, target: &Target, problem: Option<String>) {
        self.change(target, |metrics| metrics.problem = problem);
    }

    pub(crate) fn set_lag(&self, target: &Target, priority: PushPriority, micros: i64) {
        self.change(target, |metrics| {
            metrics.lag.insert(priority.as_str(), micros);
        });
    }

    /// Forgets what only the process that holds the lease knows.
    pub(crate) fn clear_state(&self, target: &Target) {
        self.change(target, |metrics| {
            metrics.lag.clear();
            metrics.is_quarantined = false;
        });
    }

    pub(crate) fn set_days_left(&self, target: &Target, days: i64) {
        self.change(target, |metrics| metrics.days_left = Some(days));
    }

    pub(crate) fn remove(&self, tenant: TenantNumber, target: u32) {
        self.0.lock().remove(&(tenant, target));
    }

    pub fn snapshot(&self) -> BTreeMap<(TenantNumber, u32), TargetMetrics> {
        self.0.lock().clone()
    }
}
