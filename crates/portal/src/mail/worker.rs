//! Sends due mails and records the outcome of each.
//!
//! A process claims a mail by moving its due time, which only one process can do. If it ends before the mail is
//! sent, the mail is due again a little later. If it ends after the mail server accepted the mail and before this
//! was recorded, the mail is sent twice, with the same Message-ID and link.

use super::compose::compose;
use crate::portal_keys::PortalKeys;
use backon::{ExponentialBuilder, Retryable};
use directory::{
    Caller, DeliveryOutcome, Directory, DirectoryError, LinkPurpose, Mail, Purpose, SignInError, Time, UserKey,
};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use outbound::{MailSender, OutgoingMail, RetryPolicy, SendResult};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often due mails are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Mails sent concurrently.
const MAX_CONCURRENT: usize = 8;
/// Due mails read at a time.
const BATCH_SIZE: u32 = 64;
/// Attempts after which [`SendResult::PossiblyPermanent`] is final.
const MAX_REJECTIONS: u32 = 3;
/// Delays between attempts to record an outcome: twenty, from 100 ms to 2 s, about 20 s in all.
const RECORD_RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_factor(1.25)
    .with_max_delay(Duration::from_secs(2))
    .with_max_times(20);

/// When mails are retried, unless configured otherwise.
pub const DEFAULT_RETRY_POLICY: RetryPolicy = RetryPolicy { initial_delay: 60, max_delay: 3600 };

/// Called with the outcome of each attempt.
pub type OutcomeListener = Arc<dyn Fn(LinkPurpose, &DeliveryOutcome) + Send + Sync>;

pub struct Worker {
    directory: Arc<Directory>,
    sender: MailSender,
    /// The public URL of the pages, such as `https://people.example.com`.
    base_url: String,
    retry_policy: RetryPolicy,
    on_outcome: OutcomeListener,
}

/// A mail to send before the given time, one that is no longer needed, or the reason why it cannot be sent.
enum Preparation {
    Send(Box<OutgoingMail>, Time),
    Withdrawn,
    Unsendable(String),
}

impl Worker {
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

    /// Sends mails until `stop`, then finishes those in progress. Mails do not wait for each other, so a mail
    /// server that hangs on one delays no other while fewer than `MAX_CONCURRENT` hang.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let (mut due, mut sending) = (VecDeque::new(), FuturesUnordered::new());
        let mut next_poll = Instant::now();
        let mut stop = pin!(stop);
        loop {
            if due.is_empty() && sending.len() < MAX_CONCURRENT && Instant::now() >= next_poll {
                next_poll = Instant::now() + POLL_INTERVAL;
                match self.due_mails().await {
                    Ok(found) => due.extend(found),
                    Err(error) => tracing::warn!(?error, "cannot read due mails"),
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

    /// The due mails, each with the keys that sign its link.
    async fn due_mails(&self) -> Result<Vec<(Arc<PortalKeys>, Mail)>, DirectoryError> {
        let due = self.directory.mails_due(&Caller::task(Purpose::Mails), BATCH_SIZE).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let keys = Arc::new(PortalKeys::load(&self.directory, Purpose::Mails).await?);
        Ok(due.into_iter().map(|mail| (Arc::clone(&keys), mail)).collect())
    }

    /// Tries one mail. `true` if this process took it and recorded the outcome.
    async fn try_to_send(&self, keys: Arc<PortalKeys>, mail: Mail) -> bool {
        self.attempt(&keys, mail).await.unwrap_or_else(|error| {
            tracing::warn!(?error, "cannot process a mail; it is retried later");
            false
        })
    }

    /// Tries one mail, unless another process has claimed it.
    async fn attempt(&self, keys: &PortalKeys, mail: Mail) -> Result<bool, DirectoryError> {
        let lease = i64::try_from(self.sender.timeout().as_secs()).unwrap_or(60).saturating_mul(2).max(2);
        let lease_end = self.directory.now().plus_seconds(lease);
        let leased =
            self.directory.update_mail(&caller_for(&mail), &mail, Some(lease_end), mail.outcome.clone(), true).await?;
        let Some(mail) = leased else { return Ok(false) };
        // A panic about one mail must not delay the others.
        let ready = AssertUnwindSafe(self.prepare(keys, &mail)).catch_unwind().await;
        let ready = ready.unwrap_or_else(|_| Ok(Preparation::Unsendable("it could not be composed".into())));
        let (due, outcome) = match ready? {
            Preparation::Withdrawn => (None, DeliveryOutcome::Withdrawn),
            Preparation::Unsendable(cause) => (None, DeliveryOutcome::Failed(cause)),
            Preparation::Send(composed, until) => match self.send(&composed).await {
                SendResult::Sent => (None, DeliveryOutcome::Sent),
                SendResult::Permanent(cause) => (None, DeliveryOutcome::Failed(cause)),
                SendResult::PossiblyPermanent(cause) if mail.attempts >= MAX_REJECTIONS => {
                    (None, DeliveryOutcome::Failed(cause))
                }
                SendResult::Temporary(cause) | SendResult::PossiblyPermanent(cause) => {
                    let next = self
                        .directory
                        .now()
                        .plus_seconds(self.retry_policy.delay(mail.attempts, mail.id.as_bytes()[15]));
                    if next < until {
                        (Some(next), DeliveryOutcome::Delayed(cause))
                    } else {
                        (
                            None,
                            DeliveryOutcome::Failed(format!(
                                "the link would expire before the next attempt; last error: {cause}"
                            )),
                        )
                    }
                }
            },
        };
        match &outcome {
            // The cause can contain an email address, so it is not logged; `muster mail list` shows it.
            DeliveryOutcome::Failed(_) => tracing::warn!(mail = %mail.id, "mail failed (see `muster mail list`)"),
            DeliveryOutcome::Delayed(_) => tracing::info!(mail = %mail.id, "mail delayed; it is retried later"),
            DeliveryOutcome::Sent | DeliveryOutcome::Withdrawn => {
                tracing::debug!(mail = %mail.id, "mail sent or withdrawn");
            }
        }
        (self.on_outcome)(mail.purpose, &outcome);
        self.record_outcome(&mail, due, outcome).await?;
        Ok(true)
    }

    async fn send(&self, composed: &OutgoingMail) -> SendResult {
        let sent = AssertUnwindSafe(self.sender.send(composed)).catch_unwind().await;
        sent.unwrap_or_else(|_| SendResult::Temporary("internal error while sending".into()))
    }

    /// Records an outcome. Retries for a while, since losing the record of a sent mail would send it twice.
    async fn record_outcome(
        &self,
        mail: &Mail,
        due: Option<Time>,
        outcome: DeliveryOutcome,
    ) -> Result<(), DirectoryError> {
        let caller = caller_for(mail);
        let note = || self.directory.update_mail(&caller, mail, due, Some(outcome.clone()), false);
        note.retry(RECORD_RETRY).await.map(drop)
    }

    async fn prepare(&self, keys: &PortalKeys, mail: &Mail) -> Result<Preparation, DirectoryError> {
        let caller = caller_for(mail);
        let tenant = match self.directory.tenant(&caller).await {
            Err(DirectoryError::NoSuchTenant) => return Ok(Preparation::Withdrawn),
            found => found?,
        };
        let until = mail.queued.plus_seconds(tenant.settings.link_lifetime_seconds(mail.purpose));
        let link = directory::PasswordLink { user: mail.user, id: mail.id, purpose: mail.purpose };
        match self.directory.user_by_link(&caller, &link).await {
            Ok(_) => {}
            Err(DirectoryError::SignIn(SignInError::LinkExpired)) => {
                return Ok(Preparation::Unsendable("its link expired before it could be sent".into()));
            }
            Err(DirectoryError::SignIn(_)) => return Ok(Preparation::Withdrawn),
            Err(refusal) => return Err(refusal),
        }
        let user = match self.directory.user(&caller, UserKey::Id(mail.user)).await {
            Ok(user) => user,
            Err(DirectoryError::NoSuchUser) => return Ok(Preparation::Withdrawn),
            Err(refusal) => return Err(refusal),
        };
        match compose((keys, &self.base_url, self.sender.from()), mail, &tenant, &user) {
            Ok(Ok(composed)) => Ok(Preparation::Send(Box::new(composed), until)),
            Ok(Err(unsendable)) => Ok(Preparation::Unsendable(unsendable.0)),
            // An internal error would probably recur, so fail instead of delaying other mails.
            Err(DirectoryError::Internal(text)) => Ok(Preparation::Unsendable(text)),
            Err(refusal) => Err(refusal),
        }
    }
}

fn caller_for(mail: &Mail) -> Caller {
    Caller::system(Purpose::Mails, mail.tenant)
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
                DEFAULT_RETRY_POLICY.delay(mail.attempts, mail.id.as_bytes()[15])
            })
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        mail.id = Uuid::from_u128(u128::MAX);
        assert!((3600..4600).contains(&DEFAULT_RETRY_POLICY.delay(mail.attempts, mail.id.as_bytes()[15])));
    }
}
