//! Metrics for `/metrics`. Labels are dialects, routes as in the routing table, methods and statuses, never user data.

use crate::gateway_metrics::GatewayCollector;
use adapters::TaskMonitor;
use directory::{DeliveryOutcome, Health, LinkPurpose};
use gateway::GatewayMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    dialect: &'static str,
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DialectLabels {
    dialect: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    dialect: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MailLabels {
    purpose: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: &'static str,
}

pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<DialectLabels, Histogram>,
    rejections: Family<RejectionLabels, Counter>,
    unknown_members: Family<DialectLabels, Counter>,
    mail_attempts: Family<MailLabels, Counter>,
    pub(crate) connections: Gauge<i64, AtomicI64>,
    commits: Gauge<u64, AtomicU64>,
    changes: Gauge<u64, AtomicU64>,
    retries: Gauge<u64, AtomicU64>,
    queued_changes: Gauge<u64, AtomicU64>,
    statements: Gauge<u64, AtomicU64>,
    wal_bytes: Gauge<u64, AtomicU64>,
    writable: Gauge<u64, AtomicU64>,
    panics: Family<TaskLabels, Gauge<u64, AtomicU64>>,
    /// Monitors the server's own background tasks.
    pub tasks: TaskMonitor,
    /// Counted by the gateway.
    pub gateway: Arc<GatewayMetrics>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("muster");
        let requests = Family::default();
        registry.register("requests", "Requests answered", requests.clone());
        let seconds: Family<DialectLabels, Histogram> = Family::new_with_constructor(|| {
            Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0])
        });
        registry.register("request_seconds", "Time until the response, in seconds", seconds.clone());
        let rejected = Family::default();
        registry.register(
            "rejected",
            "Requests rejected, by reason, such as failed sign-ins and invalid keys",
            rejected.clone(),
        );
        let unknown_members = Family::default();
        let help = "Unknown members of request bodies that were ignored";
        registry.register("unknown_members", help, unknown_members.clone());
        let mails = Family::default();
        registry.register("mails", "Mails processed, by outcome", mails.clone());
        let connections = Gauge::default();
        registry.register("connections", "Open connections", connections.clone());
        let commits = Gauge::default();
        registry.register("store_commits", "Transactions since the server started", commits.clone());
        let changes = Gauge::default();
        registry.register("store_changes", "Changes in these transactions", changes.clone());
        let retries = Gauge::default();
        let help = "Transactions that were rolled back and tried again since the server started";
        registry.register("store_retries", help, retries.clone());
        let waiting = Gauge::default();
        registry.register("store_waiting", "Changes waiting to be written", waiting.clone());
        let statements = Gauge::default();
        let help = "SQL statements of requests since the server started";
        registry.register("store_statements", help, statements.clone());
        let log_bytes = Gauge::default();
        let help = "Size of the embedded engine's write-ahead log";
        registry.register_with_unit("store_log", help, Unit::Bytes, log_bytes.clone());
        let panics = Family::default();
        let help = "Panics of background tasks since the server started";
        registry.register("task_panics", help, panics.clone());
        let writable = Gauge::default();
        registry.register("store_writable", "Whether the store accepts changes: 1 or 0", writable.clone());
        let gateway = Arc::<GatewayMetrics>::default();
        registry.register_collector(Box::new(GatewayCollector(Arc::clone(&gateway))));
        Self {
            registry,
            requests,
            request_duration: seconds,
            rejections: rejected,
            unknown_members,
            mail_attempts: mails,
            connections,
            commits,
            changes,
            retries,
            queued_changes: waiting,
            statements,
            wal_bytes: log_bytes,
            writable,
            panics,
            tasks: TaskMonitor::default(),
            gateway,
        }
    }
}

impl Metrics {
    pub(crate) fn record_request(
        &self,
        dialect: &'static str,
        route: &'static str,
        method: &str,
        status: u16,
        elapsed: Duration,
        ignored_members: usize,
    ) {
        let known = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
        // Clients can invent methods, which would create any number of time series.
        let method = known.into_iter().find(|known| *known == method).unwrap_or("other");
        self.requests.get_or_create(&RequestLabels { dialect, route, method, status }).inc();
        self.request_duration.get_or_create(&DialectLabels { dialect }).observe(elapsed.as_secs_f64());
        if ignored_members > 0 {
            self.unknown_members.get_or_create(&DialectLabels { dialect }).inc_by(ignored_members as u64);
        }
    }

    pub(crate) fn record_rejection(&self, dialect: &'static str, reason: &'static str) {
        self.rejections.get_or_create(&RejectionLabels { dialect, reason }).inc();
    }

    pub(crate) fn record_mail_attempt(&self, purpose: LinkPurpose, outcome: &DeliveryOutcome) {
        let outcome = match outcome {
            DeliveryOutcome::Sent => "sent",
            DeliveryOutcome::Withdrawn => "withdrawn",
            DeliveryOutcome::Delayed(_) => "delayed",
            DeliveryOutcome::Failed(_) => "failed",
        };
        self.mail_attempts.get_or_create(&MailLabels { purpose: purpose.as_str(), outcome }).inc();
    }

    /// The metrics in the text format of `OpenMetrics`.
    pub(crate) fn encode(&self, health: Option<&Health>) -> String {
        self.writable.set(health.is_some_and(|health| health.unwritable_reason.is_none()).into());
        for task in self.tasks.health().iter().chain(health.iter().flat_map(|health| &health.tasks)) {
            self.panics.get_or_create(&TaskLabels { task: task.name }).set(task.panics);
        }
        if let Some(health) = health {
            self.wal_bytes.set(health.wal_bytes.unwrap_or_default());
            self.commits.set(health.commits);
            self.changes.set(health.changes);
            self.retries.set(health.retries);
            self.queued_changes.set(health.queued_changes);
            self.statements.set(health.statements.unwrap_or_default());
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
