//! What goes on beside the requests: mails are sent, imports are carried out, those who were deleted long ago are let go for good, and mails that
//! have failed and that nobody needs any more with them.

use crate::{App, Imports};
use adapters::TaskMonitor;
use directory::Directory;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use portal::mail::{MailSender, RetryPolicy, Worker};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often it is looked whether somebody can be let go.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);
/// How long what is under way may take on the way down, besides what a mail in hand does.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How mails go out, and where their links lead.
pub struct MailConfig {
    /// What hands them over.
    pub sender: MailSender,
    /// Scheme and host of their links.
    pub base_url: String,
    /// When the next attempt follows a failed one.
    pub retry_policy: RetryPolicy,
}

/// The tasks, until they are stopped.
pub struct BackgroundTasks {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    grace: Duration,
}

impl BackgroundTasks {
    /// Starts them on the runtime this is called on.
    pub fn start(app: &App, mail_config: MailConfig) -> Self {
        let (stop, stopped) = watch::channel(false);
        let grace = mail_config.sender.timeout() + SHUTDOWN_GRACE;
        let mut tasks: Vec<_> =
            [mail_task(app, mail_config, stopped.clone()), purge_task(app, stopped.clone())].map(tokio::spawn).into();
        if let Some(import_jobs) = app.imports.clone() {
            let (health, runtime) = (app.metrics.tasks.clone(), tokio::runtime::Handle::current());
            #[expect(clippy::disallowed_methods, reason = "one, for as long as the server runs")]
            tasks.push(tokio::task::spawn_blocking(move || {
                runtime.block_on(import_task(import_jobs, health, stopped));
            }));
        }
        Self { stop, tasks, grace }
    }

    /// Lets them finish what they have in hand, for a while.
    pub async fn stop(self) {
        // Whoever has ended already hears nothing.
        let _ = self.stop.send(true);
        let all = futures_util::future::join_all(self.tasks);
        if tokio::time::timeout(self.grace, all).await.is_err() {
            tracing::warn!("a mail was in hand for too long; it is tried again");
        }
    }
}

/// The same tasks as in [`BackgroundTasks`], for a runtime with one thread, such as that of a simulation.
pub fn local_tasks(
    app: &App,
    mail_config: MailConfig,
    stopped: &watch::Receiver<bool>,
) -> Vec<LocalBoxFuture<'static, ()>> {
    let mut tasks: Vec<LocalBoxFuture<'static, ()>> =
        vec![mail_task(app, mail_config, stopped.clone()), purge_task(app, stopped.clone())];
    if let Some(import_jobs) = app.imports.clone() {
        tasks.push(import_task(import_jobs, app.metrics.tasks.clone(), stopped.clone()));
    }
    tasks
}

/// Sends mails.
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

/// Purges users who were deleted long ago.
fn purge_task(app: &App, stopped: watch::Receiver<bool>) -> BoxFuture<'static, ()> {
    let directory = Arc::clone(&app.directory);
    let run = move |stop| run_purge(Arc::clone(&directory), stop_requested(stop));
    supervise("purge", app.metrics.tasks.clone(), stopped, run).boxed()
}

/// Executes imports. They read and write files, so they have a thread of their own.
fn import_task(
    imports: Arc<Imports>,
    health: TaskMonitor,
    stopped: watch::Receiver<bool>,
) -> LocalBoxFuture<'static, ()> {
    let run = move |stop| Arc::clone(&imports).run(stop_requested(stop));
    supervise("imports", health, stopped, run).boxed_local()
}

/// Runs a task until it is stopped, and again when it has panicked.
async fn supervise<T: Future<Output = ()>>(
    name: &'static str,
    tasks: TaskMonitor,
    mut stopped: watch::Receiver<bool>,
    run: impl Fn(watch::Receiver<bool>) -> T,
) {
    while AssertUnwindSafe(run(stopped.clone())).catch_unwind().await.is_err() {
        tokio::select! {
            () = tasks.back_off_after_panic(name) => {}
            _ = stopped.wait_for(|is_over| *is_over) => return,
        }
    }
}

async fn stop_requested(mut stopped: watch::Receiver<bool>) {
    // Whoever starts them also stops them; if not, they go on.
    if stopped.wait_for(|is_over| *is_over).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn run_purge(directory: Arc<Directory>, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        match directory.purge_expired_users().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "people who were deleted long ago are gone for good"),
            Err(refusal) => tracing::warn!(?refusal, "the deleted could not be looked through"),
        }
        if let Err(refusal) = directory.withdraw_obsolete_mails().await {
            tracing::warn!(?refusal, "mails that have failed could not be looked through");
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(PURGE_INTERVAL) => {}
        }
    }
}
