//! The background tasks of a simulated server: mails, purges and imports.

use directory::{BoxFuture, DeliveryOutcome, EntitySnapshot, Event, Mail, Store, TenantNumber};
use outbound::{MailSender, MailSummary, MailTransport, NotAccepted};
use parking_lot::Mutex;
use portal::mail::DEFAULT_RETRY_POLICY;
use server::{App, MailConfig};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use testkit::generators::Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Failed mails per 100. Half of them are accepted, and the reply is lost.
const REJECTED_MAILS_PERCENT: u64 = 20;

/// A slow and unreliable mail server, and the mails it was handed.
pub(super) struct MailServer {
    rng: Arc<Mutex<Rng>>,
    accepted: Mutex<BTreeSet<Uuid>>,
}

impl MailServer {
    pub(super) fn new(rng: &Arc<Mutex<Rng>>) -> Arc<Self> {
        Arc::new(Self { rng: Arc::clone(rng), accepted: Mutex::default() })
    }

    /// Checks that every mail recorded as sent was handed over, and every other queued mail waits or has failed.
    pub(super) async fn check(&self, store: &dyn Store, tenant: TenantNumber, events: &[Event]) -> Result<(), String> {
        let mut kept = BTreeSet::new();
        for Event { data: what, position } in events {
            let (before, after) = (as_mail(what.before.as_ref()), as_mail(what.after.as_ref()));
            let is_right = match (before, after) {
                (None, None) => true,
                (None, Some(queued)) => kept.insert(queued.id),
                (Some(_), Some(failed)) => {
                    matches!(failed.outcome, Some(DeliveryOutcome::Failed(_))) && kept.contains(&failed.id)
                }
                (Some(ended), None) => {
                    let is_handed = || self.accepted.lock().contains(&ended.id);
                    (ended.outcome != Some(DeliveryOutcome::Sent) || is_handed()) && kept.remove(&ended.id)
                }
            };
            if !is_right {
                return Err(format!("a mail event does not follow from earlier events, at {position:?}: {what:?}"));
            }
        }
        let stored = directory::records::<Mail>(store, Mail::all_of_tenant(tenant)).await;
        let stored = stored.map_err(|error| error.to_string())?;
        let waiting: BTreeSet<Uuid> = stored.iter().map(|mail| mail.id).collect();
        if waiting == kept { Ok(()) } else { Err(format!("mails {kept:?} should be waiting, and {waiting:?} are")) }
    }
}

fn as_mail(record: Option<&EntitySnapshot>) -> Option<&Mail> {
    match record? {
        EntitySnapshot::Mail(mail) => Some(mail),
        _ => None,
    }
}

impl MailTransport for MailServer {
    fn send(&self, mail: MailSummary) -> BoxFuture<'_, Result<(), NotAccepted>> {
        Box::pin(async move {
            let (millis, luck) = {
                let mut rng = self.rng.lock();
                (rng.below(300), rng.below(100))
            };
            tokio::time::sleep(Duration::from_millis(millis)).await;
            if luck < REJECTED_MAILS_PERCENT / 2 {
                return Err(NotAccepted("simulated".into()));
            }
            self.accepted.lock().insert(mail.id);
            if luck < REJECTED_MAILS_PERCENT { Err(NotAccepted("simulated".into())) } else { Ok(()) }
        })
    }
}

/// The background tasks of a server between two crashes.
pub(super) struct BackgroundTasks {
    tasks: Vec<JoinHandle<()>>,
    /// Never used: a crashing server gets no stop signal.
    _stop: watch::Sender<bool>,
}

impl BackgroundTasks {
    pub(super) fn start(app: &App, mail_server: &Arc<MailServer>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let sender =
            MailSender::with_transport(Arc::clone(mail_server) as _, "people@example.com").expect("an address");
        let mail_config =
            MailConfig { sender, base_url: "https://people.example.com".into(), retry_policy: DEFAULT_RETRY_POLICY };
        let tasks = server::local_tasks(app, mail_config, &stopped);
        Self { tasks: tasks.into_iter().map(tokio::task::spawn_local).collect(), _stop: stop }
    }

    pub(super) async fn kill(self, app: &App) -> Result<(), String> {
        for task in self.tasks {
            task.abort();
            drop(task.await);
        }
        let panicked = app.metrics.tasks.health();
        if panicked.is_empty() { Ok(()) } else { Err(format!("tasks have panicked: {panicked:?}")) }
    }
}
