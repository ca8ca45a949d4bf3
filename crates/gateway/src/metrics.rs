//! What the gateway has done, for metrics.

use crate::sender::Exchange;
use directory::{PushPriority, Target, TenantNumber};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
pub struct GatewayMetrics {
    targets: Mutex<BTreeMap<(TenantNumber, u32), TargetMetrics>>,
    /// Positions of events that were not followed yet.
    behind: Mutex<BTreeMap<TenantNumber, u64>>,
    /// The clock of this process minus that of the database, in microseconds.
    clock_difference: AtomicI64,
}

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
    /// Due rows by priority.
    pub due: BTreeMap<&'static str, u64>,
    /// Requests per second that are sent at most; `None` without a limit.
    pub rate: Option<f64>,
    /// Days until its credential ends.
    pub days_left: Option<i64>,
}

impl GatewayMetrics {
    fn change(&self, target: &Target, change: impl FnOnce(&mut TargetMetrics)) {
        let mut all = self.targets.lock();
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
            metrics.due.clear();
            metrics.rate = None;
            metrics.is_quarantined = false;
            metrics.days_left = None;
            metrics.problem = None;
        });
    }

    pub(crate) fn set_due(&self, target: &Target, priority: PushPriority, count: u64) {
        self.change(target, |metrics| {
            metrics.due.insert(priority.as_str(), count);
        });
    }

    pub(crate) fn set_rate(&self, target: &Target, rate: Option<f64>) {
        self.change(target, |metrics| metrics.rate = rate);
    }

    /// Sets how many events of a tenant are to be followed; `None` if another process follows them.
    pub(crate) fn set_behind(&self, tenant: TenantNumber, events: Option<u64>) {
        match events {
            Some(events) => drop(self.behind.lock().insert(tenant, events)),
            None => drop(self.behind.lock().remove(&tenant)),
        }
    }

    pub(crate) fn set_clock_difference(&self, micros: i64) {
        self.clock_difference.store(micros, Ordering::Relaxed);
    }

    pub fn clock_difference(&self) -> i64 {
        self.clock_difference.load(Ordering::Relaxed)
    }

    pub(crate) fn set_days_left(&self, target: &Target, days: i64) {
        self.change(target, |metrics| metrics.days_left = Some(days));
    }

    pub(crate) fn remove(&self, tenant: TenantNumber, target: u32) {
        self.targets.lock().remove(&(tenant, target));
    }

    pub fn snapshot(&self) -> BTreeMap<(TenantNumber, u32), TargetMetrics> {
        self.targets.lock().clone()
    }

    /// Events that are to be followed, by tenant.
    pub fn behind(&self) -> BTreeMap<TenantNumber, u64> {
        self.behind.lock().clone()
    }
}
