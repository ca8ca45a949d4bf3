//! A lease that is renewed while its task runs, and ends by the clock of this process even if the process was paused.

use directory::{Caller, Directory, DirectoryError, Lease, RowWrite};
use outbound::SendWindow;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Seconds that a lease lasts without renewal.
const MIN_SECONDS: i64 = 15;
/// How often it is renewed.
pub(crate) const RENEWAL: Duration = Duration::from_secs(5);

pub(crate) struct HeldLease {
    lease: Lease,
    seconds: i64,
    deadline: Instant,
    window: SendWindow,
}

impl HeldLease {
    /// Acquires a lease that lasts longer than a request with this time limit; `None` if another process holds it.
    pub(crate) async fn acquire(
        directory: &Directory,
        caller: &Caller,
        (name, holder): (&str, Uuid),
        request_timeout: Duration,
        window: SendWindow,
    ) -> Result<Option<Self>, DirectoryError> {
        let timeout = i64::try_from(request_timeout.as_secs()).unwrap_or(MIN_SECONDS);
        // A request that begins between two renewals must end before the lease does.
        let seconds = MIN_SECONDS.max(timeout + 2 * RENEWAL.as_secs().cast_signed() + 1);
        // The time is taken before the lease is stored, so that it ends here first.
        let start = Instant::now();
        let Some(lease) = directory.acquire_lease(caller, (name, holder), seconds).await? else { return Ok(None) };
        let mut held = Self { lease, seconds, deadline: start, window };
        held.extend(start);
        Ok(Some(held))
    }

    fn extend(&mut self, start: Instant) {
        self.deadline = start + Duration::from_secs(self.seconds.unsigned_abs());
        self.window.set_end(self.deadline);
    }

    /// Renews it. Returns whether it is still held.
    pub(crate) async fn renew(&mut self, directory: &Directory, caller: &Caller) -> bool {
        if !self.is_held() {
            return false;
        }
        let start = Instant::now();
        let held = (self.lease.name.as_str(), self.lease.holder);
        match directory.acquire_lease(caller, held, self.seconds).await {
            Ok(Some(lease)) if lease.epoch == self.lease.epoch => {
                self.lease = lease;
                self.extend(start);
                true
            }
            Ok(_) => {
                self.window.close();
                self.deadline = start;
                false
            }
            // The store is unavailable: it lasts until its end.
            Err(_) => self.is_held(),
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        Instant::now() < self.deadline && !self.window.remaining().is_zero()
    }

    /// Fails the change that includes it once another process has the lease.
    pub(crate) fn guard(&self) -> RowWrite {
        self.lease.guard()
    }

    pub(crate) async fn release(self, directory: &Directory, caller: &Caller) {
        self.window.close();
        if let Err(error) = directory.release_lease(caller, &self.lease).await {
            tracing::debug!(?error, lease = self.lease.name, "cannot release a lease; it ends by itself");
        }
    }
}
