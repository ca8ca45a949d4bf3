//! Background tasks: sending mails, running imports, storing security records, and deleting what has expired.

use crate::{App, Imports};
use adapters::TaskMonitor;
use directory::{Caller, Directory, Purpose};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use gateway::{Gateway, MasterKeySource};
use outbound::{MailSender, RetryPolicy};
use portal::mail::Worker;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often security records are stored.
const SECURITY_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Days after which push attempts are deleted, unless configured.
pub const ATTEMPT_DAYS: u32 = 30;
/// How often expired data is deleted.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);
const RETENTION_LEASE: &str = "retention";
/// Duration of the lease. If its holder is killed, another process takes over after this time.
const RETENTION_LEASE_SECONDS: i64 = 15 * 60;
/// How often the lease is acquired or renewed.
const RETENTION_LEASE_INTERVAL: Duration = Duration::from_mins(5);
/// The time that tasks have to finish on shutdown, in addition to the timeout of a mail.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

pub struct MailConfig {
    pub sender: MailSender,
    /// Scheme and host of the links in mails.
    pub base_url: String,
    pub retry_policy: RetryPolicy,
}

pub struct GatewayConfig {
    pub keys: MasterKeySource,
    /// Days after which push attempts are deleted.
    pub attempt_days: u32,
}

/// The running background tasks.
pub struct BackgroundTasks {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    grace: Duration,
}

impl BackgroundTasks {
    /// Starts the tasks on the current runtime.
    pub fn start(app: &App, mail_config: MailConfig, gateway_config: GatewayConfig) -> Self {
        let (stop, stopped) = watch::channel(false);
        let grace = mail_config.sender.timeout() + SHUTDOWN_GRACE;
        let attempt_days = gateway_config.attempt_days;
        let mut tasks: Vec<_> = [
            mail_task(app, mail_config, stopped.clone()),
            gateway_task(app, gateway_config, stopped.clone()),
            purge_task(app, attempt_days, stopped.clone()),
            security_task(app, stopped.clone()),
        ]
        .map(tokio::spawn)
        .into();
        if let Some(import_jobs) = app.imports.clone() {
            let (health, runtime) = (app.metrics.tasks.clone(), tokio::runtime::Handle::current());
            // Imports block their thread, since they read and write files.
            #[expect(clippy::disallowed_methods, reason = "one thread for the lifetime of the server")]
            tasks.push(tokio::task::spawn_blocking(move || {
                runtime.block_on(import_task(import_jobs, health, stopped));
            }));
        }
        Self { stop, tasks, grace }
    }

    /// Stops the tasks. Work in progress can finish within the grace period.
    pub async fn stop(self) {
        // Fails only if all tasks have ended.
        let _ = self.stop.send(true);
        let all = futures_util::future::join_all(self.tasks);
        if tokio::time::timeout(self.grace, all).await.is_err() {
            tracing::warn!("background tasks did not stop in time; unfinished mails are retried");
        }
    }
}

/// The tasks of [`BackgroundTasks`] for a single-threaded runtime, such as that of a simulation.
pub fn local_tasks(
    app: &App,
    mail_config: MailConfig,
    stopped: &watch::Receiver<bool>,
) -> Vec<LocalBoxFuture<'static, ()>> {
    let mut tasks: Vec<LocalBoxFuture<'static, ()>> = vec![
        mail_task(app, mail_config, stopped.clone()),
        purge_task(app, ATTEMPT_DAYS, stopped.clone()),
        security_task(app, stopped.clone()),
    ];
    if let Some(import_jobs) = app.imports.clone() {
        tasks.push(import_task(import_jobs, app.metrics.tasks.clone(), stopped.clone()));
    }
    tasks
}

fn mail_task(app: &App, mail_config: MailConfig, stopped: watch::Receiver<bool>) -> BoxFuture<'static, ()> {
    let metrics = Arc::clone(&app.metrics);
    let on_outcome = move |purpose, outcome: &_| metrics.record_mail_attempt(purpose, outcome);
    let directory = Arc::clone(&app.directory);
    let worker = Arc::new(Worker::new(
        directory,
        mail_config.sender,
        &mail_config.base_url,
        mail_config.retry_policy,
        Arc::new(on_outcome),
    ));
    let run = move |stop: watch::Receiver<bool>| {
        let worker = Arc::clone(&worker);
        async move { worker.run(stop_requested(stop)).await }
    };
    supervise("mails", app.metrics.tasks.clone(), stopped, run).boxed()
}

/// Deletes what has expired: deleted users, idempotency and security records, and failed mails whose links no longer
/// work.
fn purge_task(app: &App, attempt_days: u32, stopped: watch::Receiver<bool>) -> BoxFuture<'static, ()> {
    let (directory, days) = (Arc::clone(&app.directory), app.security_record_days);
    let run = move |stop| run_retention(Arc::clone(&directory), (days, attempt_days), stop_requested(stop));
    supervise("purge", app.metrics.tasks.clone(), stopped, run).boxed()
}

/// Provisions targets.
fn gateway_task(app: &App, config: GatewayConfig, stopped: watch::Receiver<bool>) -> BoxFuture<'static, ()> {
    let metrics = Arc::clone(&app.metrics.gateway);
    let gateway = Arc::new(Gateway::new(Arc::clone(&app.directory), config.keys, metrics));
    let run = move |stop| {
        let gateway = Arc::clone(&gateway);
        async move { gateway.run(stop_requested(stop)).await }
    };
    supervise("gateway", app.metrics.tasks.clone(), stopped, run).boxed()
}

/// Stores security records.
fn security_task(app: &App, stopped: watch::Receiver<bool>) -> BoxFuture<'static, ()> {
    let directory = Arc::clone(&app.directory);
    let run = move |stop| store_security_log(Arc::clone(&directory), stop_requested(stop));
    supervise("security log", app.metrics.tasks.clone(), stopped, run).boxed()
}

/// Runs imports.
fn import_task(
    imports: Arc<Imports>,
    monitor: TaskMonitor,
    stopped: watch::Receiver<bool>,
) -> LocalBoxFuture<'static, ()> {
    let run = move |stop| Arc::clone(&imports).run(stop_requested(stop));
    supervise("imports", monitor, stopped, run).boxed_local()
}

/// Runs a task until it is stopped, and restarts it if it panics.
async fn supervise<T: Future<Output = ()>>(
    name: &'static str,
    monitor: TaskMonitor,
    mut stopped: watch::Receiver<bool>,
    run: impl Fn(watch::Receiver<bool>) -> T,
) {
    while AssertUnwindSafe(run(stopped.clone())).catch_unwind().await.is_err() {
        tokio::select! {
            () = monitor.back_off_after_panic(name) => {}
            _ = stopped.wait_for(|is_over| *is_over) => return,
        }
    }
}

async fn stop_requested(mut stopped: watch::Receiver<bool>) {
    // If the sender was dropped without a stop, run on.
    if stopped.wait_for(|is_over| *is_over).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn store_security_log(directory: Arc<Directory>, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        let is_over = tokio::select! {
            () = &mut stop => true,
            () = tokio::time::sleep(SECURITY_LOG_INTERVAL) => false,
        };
        if let Err(error) = directory.flush_security_log().await {
            tracing::warn!(?error, "cannot store security records; trying again later");
        }
        if is_over {
            return;
        }
    }
}

/// Deletes expired data in one process at a time: in the one that holds the lease.
async fn run_retention(directory: Arc<Directory>, days: (u32, u32), stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let (caller, holder) = (Caller::task(Purpose::Retention), directory.new_id());
    let mut last_purge: Option<tokio::time::Instant> = None;
    let lease = loop {
        let lease = match directory.acquire_lease(&caller, (RETENTION_LEASE, holder), RETENTION_LEASE_SECONDS).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::warn!(?error, "cannot acquire the lease to delete expired data; trying again later");
                None
            }
        };
        if lease.is_some() && last_purge.is_none_or(|last| last.elapsed() >= PURGE_INTERVAL) {
            last_purge = Some(tokio::time::Instant::now());
            delete_expired_data(&directory, days).await;
        }
        tokio::select! {
            () = &mut stop => break lease,
            () = tokio::time::sleep(RETENTION_LEASE_INTERVAL) => {}
        }
    };
    if let Some(lease) = lease
        && let Err(error) = directory.release_lease(&caller, &lease).await
    {
        tracing::warn!(?error, "cannot release the lease to delete expired data");
    }
}

async fn delete_expired_data(directory: &Directory, (security_record_days, attempt_days): (u32, u32)) {
    match directory.purge_expired_users().await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "deleted users permanently removed after their retention period"),
        Err(error) => tracing::warn!(?error, "cannot purge deleted users"),
    }
    if let Err(error) = directory.delete_expired_records().await {
        tracing::warn!(?error, "cannot delete expired idempotency records");
    }
    if let Err(error) = directory.delete_old_security_records(security_record_days).await {
        tracing::warn!(?error, "cannot delete old security records");
    }
    let end = directory.now().plus_seconds(-i64::from(attempt_days) * 24 * 3600);
    if let Err(error) = directory.delete_push_attempts(end).await {
        tracing::warn!(?error, "cannot delete old push attempts");
    }
    if let Err(error) = directory.withdraw_obsolete_mails().await {
        tracing::warn!(?error, "cannot remove obsolete failed mails");
    }
}
