//! Sees to it that every mail that waits is sent, or that it is known why not.
//!
//! A mail is taken by moving the moment when it is due on, which only one process can do; whoever took it and ended
//! before it was sent has lost nothing, since it is due again a little later. A mail may so be handed over twice where a
//! process ends between a server's yes and the note of it; both have the same Message-ID and the same link.

use super::compose::{ComposedMail, compose};
use super::sender::{MailSender, SendResult};
use crate::portal_keys::PortalKeys;
use backon::{ExponentialBuilder, Retryable};
use directory::{DeliveryOutcome, Directory, DirectoryError, LinkPurpose, Mail, SignInError, Time, UserKey};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often mails are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How many mails are sent concurrently.
const MAX_CONCURRENT: usize = 8;
/// How many due mails are read at a time.
const BATCH_SIZE: u32 = 64;
/// After so many attempts a refusal that may be about us counts as one of the mail.
const MAX_REJECTIONS: u32 = 3;
/// Delays while the outcome of a mail cannot be stored: twenty, from 100 ms to 2 s, about 20 s in all.
const RECORD_RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_factor(1.25)
    .with_max_delay(Duration::from_secs(2))
    .with_max_times(20);

/// When mails that were not taken in are tried again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The wait after the first attempt, in seconds; it doubles with each.
    pub initial_delay: i64,
    /// The longest wait, in seconds.
    pub max_delay: i64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { initial_delay: 60, max_delay: 3600 }
    }
}

impl RetryPolicy {
    /// The wait after so many attempts. A part of it depends on the mail, so that not all come at once.
    fn delay(self, mail: &Mail) -> i64 {
        let backoff = self.initial_delay.saturating_mul(1 << mail.attempts.saturating_sub(1).min(16));
        let wait = backoff.min(self.max_delay).max(1);
        let jitter = i64::from(mail.id.as_bytes()[15]);
        wait + wait * jitter / 1024
    }
}

/// Who is told what came of each attempt.
pub type OutcomeListener = Arc<dyn Fn(LinkPurpose, &DeliveryOutcome) + Send + Sync>;

/// The worker of one process.
pub struct Worker {
    directory: Arc<Directory>,
    sender: MailSender,
    /// Where people reach the pages, such as `https://people.example.com`.
    base_url: String,
    retry_policy: RetryPolicy,
    on_outcome: OutcomeListener,
}

/// A mail, ready to go; or that nobody needs it; or that it cannot be sent, and why.
enum Preparation {
    Send(Box<ComposedMail>, Time),
    Withdrawn,
    Unsendable(String),
}

impl Worker {
    /// A worker that sends that way.
    pub fn new(
        directory: Arc<Directory>,
        sender: MailSender,
        url: &str,
        pace: RetryPolicy,
        noted: OutcomeListener,
    ) -> Self {
        Self {
            directory,
            sender,
            base_url: url.trim_end_matches('/').to_owned(),
            retry_policy: pace,
            on_outcome: noted,
        }
    }

    /// Sends mails until `stop`, then finishes those in progress. Mails do not wait for each other, so a mail server that
    /// hangs on one delays no other while fewer than [`MAX_CONCURRENT`] hang.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let (mut due, mut sending) = (VecDeque::new(), FuturesUnordered::new());
        let mut next_poll = Instant::now();
        let mut stop = pin!(stop);
        loop {
            if due.is_empty() && sending.len() < MAX_CONCURRENT && Instant::now() >= next_poll {
                next_poll = Instant::now() + POLL_INTERVAL;
                match self.due_mails().await {
                    Ok(found) => due.extend(found),
                    Err(refusal) => tracing::warn!(?refusal, "due mails could not be read"),
                }
            }
            while sending.len() < MAX_CONCURRENT
                && let Some((keys, mail)) = due.pop_front()
            {
                sending.push(self.try_to_send(keys, mail));
            }
            tokio::select! {
                biased;
                () = &mut stop => break,
                // Look again at once, unless the store failed or another process took the mail.
                Some(is_tried) = sending.next() => if is_tried { next_poll = Instant::now() },
                () = tokio::time::sleep_until(next_poll), if sending.len() < MAX_CONCURRENT => {}
            }
        }
        while sending.next().await.is_some() {}
    }

    /// The mails that are due, each with the keys that seal its link.
    async fn due_mails(&self) -> Result<Vec<(Arc<PortalKeys>, Mail)>, DirectoryError> {
        let due = self.directory.mails_due(BATCH_SIZE).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let keys = Arc::new(PortalKeys::load(&self.directory).await?);
        Ok(due.into_iter().map(|mail| (Arc::clone(&keys), mail)).collect())
    }

    /// Tries one mail. `true` if this process took it and recorded the outcome.
    async fn try_to_send(&self, keys: Arc<PortalKeys>, mail: Mail) -> bool {
        self.attempt(&keys, mail).await.unwrap_or_else(|refusal| {
            tracing::warn!(?refusal, "a mail waits");
            false
        })
    }

    /// Tries one mail, unless another process has it in hand.
    async fn attempt(&self, keys: &PortalKeys, mail: Mail) -> Result<bool, DirectoryError> {
        let lease = i64::try_from(self.sender.timeout().as_secs()).unwrap_or(60).saturating_mul(2).max(2);
        let lease_end = self.directory.now().plus_seconds(lease);
        let leased = self.directory.update_mail(&mail, Some(lease_end), mail.outcome.clone(), true).await?;
        let Some(mail) = leased else { return Ok(false) };
        // Whatever is wrong with one mail is not to hold up the others.
        let ready = AssertUnwindSafe(self.prepare(keys, &mail)).catch_unwind().await;
        let ready = ready.unwrap_or_else(|_| Ok(Preparation::Unsendable("it could not be made".into())));
        let (due, outcome) = match ready? {
            Preparation::Withdrawn => (None, DeliveryOutcome::Withdrawn),
            Preparation::Unsendable(cause) => (None, DeliveryOutcome::Failed(cause)),
            Preparation::Send(composed, until) => match self.send(&composed).await {
                SendResult::Sent => (None, DeliveryOutcome::Sent),
                SendResult::Permanent(cause) => (None, DeliveryOutcome::Failed(cause)),
                SendResult::Rejected(cause) if mail.attempts >= MAX_REJECTIONS => {
                    (None, DeliveryOutcome::Failed(cause))
                }
                SendResult::Temporary(cause) | SendResult::Rejected(cause) => {
                    let next = self.directory.now().plus_seconds(self.retry_policy.delay(&mail));
                    if next < until {
                        (Some(next), DeliveryOutcome::Delayed(cause))
                    } else {
                        (None, DeliveryOutcome::Failed(format!("the link would have run out; at last: {cause}")))
                    }
                }
            },
        };
        match &outcome {
            // What the mail server said may hold somebody's address; `muster mail list` shows it.
            DeliveryOutcome::Failed(_) => tracing::warn!(mail = %mail.id, "a mail has failed"),
            DeliveryOutcome::Delayed(_) => tracing::info!(mail = %mail.id, "a mail is tried again later"),
            DeliveryOutcome::Sent | DeliveryOutcome::Withdrawn => {
                tracing::debug!(mail = %mail.id, "a mail is done with");
            }
        }
        (self.on_outcome)(mail.purpose, &outcome);
        self.record_outcome(&mail, due, outcome).await?;
        Ok(true)
    }

    async fn send(&self, composed: &ComposedMail) -> SendResult {
        let sent = AssertUnwindSafe(self.sender.send(composed)).catch_unwind().await;
        sent.unwrap_or_else(|_| SendResult::Temporary("sending it went wrong on our side".into()))
    }

    /// Notes what came of a mail. What was sent would be sent again if that were lost, so it is tried for a while.
    async fn record_outcome(
        &self,
        mail: &Mail,
        due: Option<Time>,
        outcome: DeliveryOutcome,
    ) -> Result<(), DirectoryError> {
        let note = || self.directory.update_mail(mail, due, Some(outcome.clone()), false);
        note.retry(RECORD_RETRY).await.map(drop)
    }

    async fn prepare(&self, keys: &PortalKeys, mail: &Mail) -> Result<Preparation, DirectoryError> {
        let tenant = match self.directory.tenant(mail.tenant).await {
            Err(DirectoryError::NoSuchTenant) => return Ok(Preparation::Withdrawn),
            found => found?,
        };
        let until = mail.queued.plus_seconds(tenant.settings.link_lifetime_seconds(mail.purpose));
        let link = directory::SignInLinkRef { user: mail.user, id: mail.id, purpose: mail.purpose };
        match self.directory.user_by_link(mail.tenant, &link).await {
            Ok(_) => {}
            Err(DirectoryError::SignIn(SignInError::LinkExpired)) => {
                return Ok(Preparation::Unsendable("its link ran out before it could be sent".into()));
            }
            Err(DirectoryError::SignIn(_)) => return Ok(Preparation::Withdrawn),
            Err(refusal) => return Err(refusal),
        }
        let caller = directory::Caller::operator(mail.tenant);
        let user = match self.directory.user(&caller, UserKey::Id(mail.user)).await {
            Ok(user) => user,
            Err(DirectoryError::NoSuchUser) => return Ok(Preparation::Withdrawn),
            Err(refusal) => return Err(refusal),
        };
        match compose((keys, &self.base_url, &self.sender.from), mail, &tenant, &user) {
            Ok(Ok(composed)) => Ok(Preparation::Send(Box::new(composed), until)),
            Ok(Err(unsendable)) => Ok(Preparation::Unsendable(unsendable.0)),
            // What cannot be made now can hardly be made later; it must not stop the others.
            Err(DirectoryError::Internal(text)) => Ok(Preparation::Unsendable(text)),
            Err(refusal) => Err(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backon::BackoffBuilder;
    use directory::{TenantNumber, UserId};
    use uuid::Uuid;

    #[test]
    fn outcomes_are_noted_with_twenty_delays() {
        let delays: Vec<Duration> = RECORD_RETRY.build().collect();
        assert_eq!((delays.len(), delays[0], delays[19]), (20, Duration::from_millis(100), Duration::from_secs(2)));
        let total: Duration = delays.iter().sum();
        assert!((20..=21).contains(&total.as_secs()), "{total:?}");
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut mail = Mail::new(Uuid::nil(), TenantNumber(1), UserId(Uuid::nil()), LinkPurpose::Reset, Time(0));
        let waits: Vec<i64> = (1..=9)
            .map(|attempts| {
                mail.attempts = attempts;
                RetryPolicy::default().delay(&mail)
            })
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        mail.id = Uuid::from_u128(u128::MAX);
        assert!((3600..4600).contains(&RetryPolicy::default().delay(&mail)));
    }
}
