//! Sees to it that every mail that waits is sent, or that it is known why not.
//!
//! A mail is taken by moving the moment when it is due on, which only one process can do; whoever took it and ended
//! before it was sent has lost nothing, since it is due again a little later. A mail may so be handed over twice where a
//! process ends between a server's yes and the note of it; both have the same Message-ID and the same link.

use super::compose::{Composed, compose};
use super::sender::{Attempt, Sender};
use crate::keys::Keys;
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
const LOOK: Duration = Duration::from_secs(1);
/// How many mails are sent concurrently.
const AT_ONCE: usize = 8;
/// How many due mails are read at a time.
const PAGE: u32 = 64;
/// After so many attempts a refusal that may be about us counts as one of the mail.
const REFUSALS: u32 = 3;
/// Delays while the outcome of a mail cannot be stored: twenty, from 100 ms to 2 s, about 20 s in all.
const NOTE_DELAYS: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_factor(1.25)
    .with_max_delay(Duration::from_secs(2))
    .with_max_times(20);

/// When mails that were not taken in are tried again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The wait after the first attempt, in seconds; it doubles with each.
    pub first: i64,
    /// The longest wait, in seconds.
    pub longest: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: 60, longest: 3600 }
    }
}

impl Pace {
    /// The wait after so many attempts. A part of it depends on the mail, so that not all come at once.
    fn wait(self, mail: &Mail) -> i64 {
        let doubled = self.first.saturating_mul(1 << mail.attempts.saturating_sub(1).min(16));
        let wait = doubled.min(self.longest).max(1);
        let part = i64::from(mail.id.as_bytes()[15]);
        wait + wait * part / 1024
    }
}

/// Who is told what came of each attempt.
pub type Noted = Arc<dyn Fn(LinkPurpose, &DeliveryOutcome) + Send + Sync>;

/// The worker of one process.
pub struct Worker {
    directory: Arc<Directory>,
    sender: Sender,
    /// Where people reach the pages, such as `https://people.example.com`.
    url: String,
    pace: Pace,
    noted: Noted,
}

/// A mail, ready to go; or that nobody needs it; or that it cannot be sent, and why.
enum Ready {
    Send(Box<Composed>, Time),
    Withdrawn,
    Impossible(String),
}

impl Worker {
    /// A worker that sends that way.
    pub fn new(directory: Arc<Directory>, sender: Sender, url: &str, pace: Pace, noted: Noted) -> Self {
        Self { directory, sender, url: url.trim_end_matches('/').to_owned(), pace, noted }
    }

    /// Sends mails until `stop`, then finishes those in progress. Mails do not wait for each other, so a mail server that
    /// hangs on one delays no other while fewer than [`AT_ONCE`] hang.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let (mut due, mut sending) = (VecDeque::new(), FuturesUnordered::new());
        let mut next_look = Instant::now();
        let mut stop = pin!(stop);
        loop {
            if due.is_empty() && sending.len() < AT_ONCE && Instant::now() >= next_look {
                next_look = Instant::now() + LOOK;
                match self.due().await {
                    Ok(found) => due.extend(found),
                    Err(refusal) => tracing::warn!(?refusal, "due mails could not be read"),
                }
            }
            while sending.len() < AT_ONCE
                && let Some((keys, mail)) = due.pop_front()
            {
                sending.push(self.try_to_send(keys, mail));
            }
            tokio::select! {
                biased;
                () = &mut stop => break,
                // Look again at once, unless the store failed or another process took the mail.
                Some(is_tried) = sending.next() => if is_tried { next_look = Instant::now() },
                () = tokio::time::sleep_until(next_look), if sending.len() < AT_ONCE => {}
            }
        }
        while sending.next().await.is_some() {}
    }

    /// The mails that are due, each with the keys that seal its link.
    async fn due(&self) -> Result<Vec<(Arc<Keys>, Mail)>, DirectoryError> {
        let due = self.directory.mails_due(PAGE).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let keys = Arc::new(Keys::of(&self.directory).await?);
        Ok(due.into_iter().map(|mail| (Arc::clone(&keys), mail)).collect())
    }

    /// Tries one mail. `true` if this process took it and recorded the outcome.
    async fn try_to_send(&self, keys: Arc<Keys>, mail: Mail) -> bool {
        self.attempt(&keys, mail).await.unwrap_or_else(|refusal| {
            tracing::warn!(?refusal, "a mail waits");
            false
        })
    }

    /// Tries one mail, unless another process has it in hand.
    async fn attempt(&self, keys: &Keys, mail: Mail) -> Result<bool, DirectoryError> {
        let lease = i64::try_from(self.sender.timeout().as_secs()).unwrap_or(60).saturating_mul(2).max(2);
        let again = self.directory.now().plus_seconds(lease);
        let taken = self.directory.update_mail(&mail, Some(again), mail.outcome.clone(), true).await?;
        let Some(mail) = taken else { return Ok(false) };
        // Whatever is wrong with one mail is not to hold up the others.
        let ready = AssertUnwindSafe(self.ready(keys, &mail)).catch_unwind().await;
        let ready = ready.unwrap_or_else(|_| Ok(Ready::Impossible("it could not be made".into())));
        let (due, outcome) = match ready? {
            Ready::Withdrawn => (None, DeliveryOutcome::Withdrawn),
            Ready::Impossible(cause) => (None, DeliveryOutcome::Failed(cause)),
            Ready::Send(composed, until) => match self.send(&composed).await {
                Attempt::Sent => (None, DeliveryOutcome::Sent),
                Attempt::Never(cause) => (None, DeliveryOutcome::Failed(cause)),
                Attempt::Refused(cause) if mail.attempts >= REFUSALS => {
                    (None, DeliveryOutcome::Failed(cause))
                }
                Attempt::NotNow(cause) | Attempt::Refused(cause) => {
                    let next = self.directory.now().plus_seconds(self.pace.wait(&mail));
                    if next < until {
                        (Some(next), DeliveryOutcome::Delayed(cause))
                    } else {
                        (
                            None,
                            DeliveryOutcome::Failed(format!("the link would have run out; at last: {cause}")),
                        )
                    }
                }
            },
        };
        match &outcome {
            // What the mail server said may hold somebody's address; `muster mail list` shows it.
            DeliveryOutcome::Failed(_) => tracing::warn!(mail = %mail.id, "a mail has failed"),
            DeliveryOutcome::Delayed(_) => tracing::info!(mail = %mail.id, "a mail is tried again later"),
            DeliveryOutcome::Sent | DeliveryOutcome::Withdrawn => {
                tracing::debug!(mail = %mail.id, "a mail is done with")
            }
        }
        (self.noted)(mail.purpose, &outcome);
        self.note(&mail, due, outcome).await?;
        Ok(true)
    }

    async fn send(&self, composed: &Composed) -> Attempt {
        let sent = AssertUnwindSafe(self.sender.send(composed)).catch_unwind().await;
        sent.unwrap_or_else(|_| Attempt::NotNow("sending it went wrong on our side".into()))
    }

    /// Notes what came of a mail. What was sent would be sent again if that were lost, so it is tried for a while.
    async fn note(
        &self,
        mail: &Mail,
        due: Option<Time>,
        outcome: DeliveryOutcome,
    ) -> Result<(), DirectoryError> {
        let note = || self.directory.update_mail(mail, due, Some(outcome.clone()), false);
        note.retry(NOTE_DELAYS).await.map(drop)
    }

    async fn ready(&self, keys: &Keys, mail: &Mail) -> Result<Ready, DirectoryError> {
        let tenant = match self.directory.tenant(mail.tenant).await {
            Err(DirectoryError::NoSuchTenant) => return Ok(Ready::Withdrawn),
            found => found?,
        };
        let until = mail.queued.plus_seconds(tenant.settings.link_lifetime_seconds(mail.purpose));
        let link = directory::SignInLinkRef { user: mail.user, id: mail.id, purpose: mail.purpose };
        match self.directory.user_by_link(mail.tenant, &link).await {
            Ok(_) => {}
            Err(DirectoryError::SignIn(SignInError::LinkExpired)) => {
                return Ok(Ready::Impossible("its link ran out before it could be sent".into()));
            }
            Err(DirectoryError::SignIn(_)) => return Ok(Ready::Withdrawn),
            Err(refusal) => return Err(refusal),
        }
        let caller = directory::Caller::operator(mail.tenant);
        let user = match self.directory.user(&caller, UserKey::Id(mail.user)).await {
            Ok(user) => user,
            Err(DirectoryError::NoSuchUser) => return Ok(Ready::Withdrawn),
            Err(refusal) => return Err(refusal),
        };
        match compose((keys, &self.url, &self.sender.from), mail, &tenant, &user) {
            Ok(Ok(composed)) => Ok(Ready::Send(Box::new(composed), until)),
            Ok(Err(unsendable)) => Ok(Ready::Impossible(unsendable.0)),
            // What cannot be made now can hardly be made later; it must not stop the others.
            Err(DirectoryError::Internal(text)) => Ok(Ready::Impossible(text)),
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
        let delays: Vec<Duration> = NOTE_DELAYS.build().collect();
        assert_eq!(
            (delays.len(), delays[0], delays[19]),
            (20, Duration::from_millis(100), Duration::from_secs(2))
        );
        let total: Duration = delays.iter().sum();
        assert!((20..=21).contains(&total.as_secs()), "{total:?}");
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut mail =
            Mail::new(Uuid::nil(), TenantNumber(1), UserId(Uuid::nil()), LinkPurpose::Reset, Time(0));
        let waits: Vec<i64> = (1..=9)
            .map(|attempts| {
                mail.attempts = attempts;
                Pace::default().wait(&mail)
            })
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        mail.id = Uuid::from_u128(u128::MAX);
        assert!((3600..4600).contains(&Pace::default().wait(&mail)));
    }
}
