//! Which of a target's credentials is used: a new one replaces the current one after its first success, and the previous
//! one comes back if the target rejects the current one within a day.

use crate::held_lease::HeldLease;
use crate::sender::{Outcome, Sender};
use crate::shared::Shared;
use dialects::kit::{Operation, Verdict};
use directory::{Caller, DirectoryError, SealedSecret, SecretUse, Target, Time};
use outbound::SendWindow;
use std::sync::Arc;

/// How long the previous credential is kept, in seconds.
const PREVIOUS_SECONDS: i64 = 24 * 60 * 60;
/// Days before the end of a credential at which the log warns.
const WARNING_DAYS: [i64; 4] = [1, 3, 14, 30];
const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// A sender and when its credential ends.
pub(crate) struct Ready {
    pub(crate) sender: Sender,
    pub(crate) expires: Option<Time>,
    /// Whether there is a next or previous credential, which may work when this one does not.
    pub(crate) has_other: bool,
}

impl Shared {
    /// A target, ready to be sent to, or why it is not.
    pub(crate) async fn sender(
        &self,
        target: &Arc<Target>,
        lease: &HeldLease,
        window: &SendWindow,
    ) -> Result<Result<Ready, String>, DirectoryError> {
        let caller = Caller::system(directory::Purpose::Gateway, target.tenant);
        let query = SealedSecret::of_owner(target.tenant, target.secret_owner());
        let secrets: Vec<SealedSecret> = self.directory.target_records(&caller, query).await?;
        let with_use = |use_| secrets.iter().find(|secret| secret.use_ == use_);
        let Some(current) = with_use(SecretUse::Current) else {
            return Ok(Err("the target has no credential (set one with `muster target key`)".into()));
        };
        let now = self.directory.now();
        let next = with_use(SecretUse::Next);
        if let Some(next) = next {
            match self.build(target, next, window) {
                Ok(sender) if accepts(&sender).await == Some(true) => {
                    // Since when it is not used any more.
                    let previous = SealedSecret { last_success: Some(now), ..with(current, SecretUse::Previous) };
                    let writes = [with(next, SecretUse::Current), previous];
                    self.replace(&caller, lease, (current, next), writes).await?;
                    tracing::info!(
                        name = target.name,
                        tenant = target.tenant.0,
                        "the new credential replaces the current one"
                    );
                    return Ok(Ok(Ready { sender, expires: next.expires, has_other: true }));
                }
                _ => {
                    tracing::warn!(
                        name = target.name,
                        tenant = target.tenant.0,
                        "the new credential does not work yet"
                    );
                }
            }
        }
        let previous = with_use(SecretUse::Previous);
        let is_old =
            |secret: &&SealedSecret| secret.last_success.is_none_or(|time| time.plus_seconds(PREVIOUS_SECONDS) < now);
        let sender = match self.build(target, current, window) {
            Ok(sender) => sender,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Some(previous) = previous {
            if is_old(&previous) {
                let deletion = SealedSecret::deletion_of(target.tenant, target.secret_owner(), SecretUse::Previous);
                self.directory.commit_task_rows(&caller, vec![deletion]).await?;
            } else if accepts(&sender).await == Some(false)
                && let Ok(former) = self.build(target, previous, window)
                && accepts(&former).await == Some(true)
            {
                let rejected = with(current, SecretUse::Next);
                let writes = [with(previous, SecretUse::Current), rejected];
                self.replace(&caller, lease, (current, previous), writes).await?;
                tracing::warn!(
                    name = target.name,
                    tenant = target.tenant.0,
                    "the target rejects the new credential; the previous one is used again"
                );
                return Ok(Ok(Ready { sender: former, expires: previous.expires, has_other: true }));
            }
        }
        let has_other = next.is_some() || previous.is_some_and(|previous| !is_old(&previous));
        Ok(Ok(Ready { sender, expires: current.expires, has_other }))
    }

    fn build(&self, target: &Arc<Target>, secret: &SealedSecret, window: &SendWindow) -> Result<Sender, String> {
        let keys = self.keys.load().map_err(|error| format!("the credential cannot be decrypted: {error}"))?;
        let secret = keys.open(secret).map_err(|error| error.to_string())?;
        Sender::new(Arc::clone(target), secret, window.clone()).map_err(|error| error.to_string())
    }

    /// Stores two credentials with their new uses in place of those that were read. Fails if others were set meanwhile.
    async fn replace(
        &self,
        caller: &Caller,
        lease: &HeldLease,
        (current, other): (&SealedSecret, &SealedSecret),
        secrets: [SealedSecret; 2],
    ) -> Result<(), DirectoryError> {
        let mut writes = vec![lease.guard(), current.guard()];
        let is_kept = secrets.iter().any(|secret| secret.use_ == other.use_);
        writes.push(if is_kept { other.guard() } else { other.deletion() });
        for secret in &secrets {
            writes.push(secret.put().map_err(|error| DirectoryError::Internal(error.to_string()))?);
        }
        self.directory.commit_task_rows(caller, writes).await
    }
}

fn with(secret: &SealedSecret, use_: SecretUse) -> SealedSecret {
    SealedSecret { use_, ..secret.clone() }
}

/// Whether the target accepts the credential; `None` if it does not say.
async fn accepts(sender: &Sender) -> Option<bool> {
    match sender.send(&Operation::List { offset: 0, limit: 1 }).await.outcome {
        Outcome::Answered(Verdict::Found(_) | Verdict::Unsupported) => Some(true),
        Outcome::Answered(Verdict::Denied) | Outcome::NoCredential(_) => Some(false),
        _ => None,
    }
}

/// Days until a credential ends.
pub(crate) fn days_left(expires: Time, now: Time) -> i64 {
    (expires.0 - now.0).div_euclid(MICROS_PER_DAY)
}

/// The smallest of the days at which the log warns, among those that are not over.
pub(crate) fn warning(days_left: i64) -> Option<i64> {
    WARNING_DAYS.into_iter().find(|days| days_left < *days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_earlier_and_once() {
        let day = |days: i64| Time(days * MICROS_PER_DAY);
        assert_eq!(days_left(day(31), day(0)), 31);
        assert_eq!(
            [40, 30, 29, 14, 13, 3, 2, 1, 0, -5].map(warning),
            [None, None, Some(30), Some(30), Some(14), Some(14), Some(3), Some(3), Some(1), Some(1)]
        );
    }
}
