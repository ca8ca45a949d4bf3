//! How much one tenant, and one of its connections, may have under way at a time, so that others find room.

use super::Fault;
use directory::{Caller, ConnectionId, TenantNumber};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The bounds of a share.
#[derive(Clone, Copy, Debug)]
pub struct ShareLimits {
    /// Requests of a connection.
    pub per_connection: usize,
    /// Requests of a tenant.
    pub per_tenant: usize,
    /// Exports of a tenant.
    pub exports: usize,
    /// Answers of a tenant that are larger than [`LARGE_ANSWER`], until the client has read them.
    pub large_answers: usize,
}

impl Default for ShareLimits {
    fn default() -> Self {
        Self { per_connection: 256, per_tenant: 512, exports: 4, large_answers: 8 }
    }
}

/// Answers of more bytes than this are counted.
pub const LARGE_ANSWER: usize = 1024 * 1024;
/// Seconds after which a client is told to come again.
const RETRY_AFTER: u32 = 1;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    OfConnection(ConnectionId),
    OfTenant(TenantNumber),
    Export(TenantNumber),
    LargeAnswer(TenantNumber),
}

/// What is under way.
#[derive(Default)]
pub struct Shares {
    limits: ShareLimits,
    counts: Arc<Mutex<HashMap<Kind, usize>>>,
}

/// Something that is under way for as long as this is.
#[derive(Debug)]
pub struct Share {
    kind: Kind,
    counts: Arc<Mutex<HashMap<Kind, usize>>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.kind) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.kind);
            }
        }
    }
}

impl Shares {
    /// Shares within these bounds.
    pub fn new(limits: ShareLimits) -> Self {
        Self { limits, counts: Arc::default() }
    }

    /// A request of a caller.
    pub(crate) fn request(&self, caller: &Caller) -> Result<Vec<Share>, Fault> {
        let mut shares = vec![self.take(Kind::OfTenant(caller.tenant), self.limits.per_tenant)?];
        if let Some(connection) = caller.connection {
            shares.push(self.take(Kind::OfConnection(connection), self.limits.per_connection)?);
        }
        Ok(shares)
    }

    /// An export for a tenant.
    pub(crate) fn export(&self, tenant: TenantNumber) -> Result<Share, Fault> {
        self.take(Kind::Export(tenant), self.limits.exports)
    }

    /// A large answer to a tenant.
    pub(crate) fn large_answer(&self, tenant: TenantNumber) -> Result<Share, Fault> {
        self.take(Kind::LargeAnswer(tenant), self.limits.large_answers)
    }

    fn take(&self, kind: Kind, limit: usize) -> Result<Share, Fault> {
        let mut counts = self.counts.lock();
        let count = counts.entry(kind).or_default();
        if *count >= limit {
            return Err(Fault::TooMuchAtOnce { retry_after: RETRY_AFTER });
        }
        *count += 1;
        Ok(Share { kind, counts: Arc::clone(&self.counts) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bounded_and_given_back() {
        let shares =
            Shares::new(ShareLimits { per_connection: 2, per_tenant: 3, exports: 1, large_answers: 1 });
        let caller = |tenant, connection: u128| Caller {
            connection: Some(ConnectionId(uuid::Uuid::from_u128(connection))),
            ..Caller::terminal(TenantNumber(tenant))
        };
        let full = Fault::TooMuchAtOnce { retry_after: RETRY_AFTER };
        let held: Vec<_> = (0..2).map(|_| shares.request(&caller(1, 1)).unwrap()).collect();
        assert_eq!(shares.request(&caller(1, 1)).unwrap_err(), full, "the connection's share is used");
        let other = shares.request(&caller(1, 2)).unwrap();
        assert_eq!(shares.request(&caller(1, 3)).unwrap_err(), full, "the tenant's share is used");
        let elsewhere = shares.request(&caller(2, 4)).unwrap();
        drop(held);
        assert!(shares.request(&caller(1, 1)).is_ok());
        let export = shares.export(TenantNumber(1)).unwrap();
        assert_eq!(shares.export(TenantNumber(1)).unwrap_err(), full);
        assert!(shares.export(TenantNumber(2)).is_ok() && shares.large_answer(TenantNumber(1)).is_ok());
        drop((other, elsewhere, export));
        assert!(shares.counts.lock().is_empty());
    }
}
