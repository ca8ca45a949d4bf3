//! Limits on the requests in progress of a connection and of a tenant, so that no tenant can use up the server.

use crate::kit::RequestError;
use directory::{Caller, ConnectionId, TenantNumber};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct ConcurrencyLimits {
    pub per_connection: usize,
    pub per_tenant: usize,
    /// Exports and downloads of rejected rows, per tenant.
    pub exports: usize,
    pub uploads: usize,
    /// Responses larger than [`LARGE_RESPONSE`] that the client has not read yet, per tenant.
    pub large_responses: usize,
}

impl Default for ConcurrencyLimits {
    fn default() -> Self {
        Self { per_connection: 256, per_tenant: 512, exports: 4, uploads: 2, large_responses: 8 }
    }
}

/// Responses larger than this count, in bytes.
pub const LARGE_RESPONSE: usize = 1024 * 1024;
/// `Retry-After` of a rejected request, in seconds.
const RETRY_AFTER: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Resource {
    Connection(ConnectionId),
    Tenant(TenantNumber),
    Exports(TenantNumber),
    Uploads(TenantNumber),
    LargeResponses(TenantNumber),
}

type Counts = Arc<Mutex<HashMap<Resource, usize>>>;

#[derive(Default)]
pub struct ConcurrencyLimiter {
    limits: ConcurrencyLimits,
    counts: Counts,
}

/// Counts as in progress until it is dropped.
#[derive(Debug)]
pub struct Permit {
    resource: Resource,
    counts: Counts,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.resource) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.resource);
            }
        }
    }
}

impl ConcurrencyLimiter {
    pub fn new(limits: ConcurrencyLimits) -> Self {
        Self { limits, counts: Arc::default() }
    }

    pub(crate) fn request_permits(&self, caller: &Caller) -> Result<Vec<Permit>, RequestError> {
        let mut permits = vec![self.acquire(Resource::Tenant(caller.tenant), self.limits.per_tenant)?];
        if let Some(connection) = caller.actor.connection() {
            permits.push(self.acquire(Resource::Connection(connection), self.limits.per_connection)?);
        }
        Ok(permits)
    }

    pub(crate) fn export_permit(&self, tenant: TenantNumber) -> Result<Permit, RequestError> {
        self.acquire(Resource::Exports(tenant), self.limits.exports)
    }

    pub(crate) fn upload_permit(&self, tenant: TenantNumber) -> Result<Permit, RequestError> {
        self.acquire(Resource::Uploads(tenant), self.limits.uploads)
    }

    pub(crate) fn large_response_permit(&self, tenant: TenantNumber) -> Result<Permit, RequestError> {
        self.acquire(Resource::LargeResponses(tenant), self.limits.large_responses)
    }

    fn acquire(&self, resource: Resource, limit: usize) -> Result<Permit, RequestError> {
        let mut counts = self.counts.lock();
        let count = counts.entry(resource).or_default();
        if *count >= limit {
            return Err(RequestError::TooManyConcurrentRequests { retry_after: RETRY_AFTER });
        }
        *count += 1;
        Ok(Permit { resource, counts: Arc::clone(&self.counts) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::{Actor, Client};

    #[test]
    fn permits_are_limited_and_released() {
        let limiter = ConcurrencyLimiter::new(ConcurrencyLimits {
            per_connection: 2,
            per_tenant: 3,
            exports: 1,
            uploads: 1,
            large_responses: 1,
        });
        let caller = |tenant, connection: u128| {
            let client = Client {
                id: ConnectionId(uuid::Uuid::from_u128(connection)),
                name: "client".into(),
                highest_role: 2,
                user: None,
                dialect: "api".into(),
            };
            Caller::new(TenantNumber(tenant), Actor::Connection(client))
        };
        let full = RequestError::TooManyConcurrentRequests { retry_after: RETRY_AFTER };
        let held: Vec<_> = (0..2).map(|_| limiter.request_permits(&caller(1, 1)).unwrap()).collect();
        assert_eq!(limiter.request_permits(&caller(1, 1)).unwrap_err(), full, "the connection's limit");
        let other = limiter.request_permits(&caller(1, 2)).unwrap();
        assert_eq!(limiter.request_permits(&caller(1, 3)).unwrap_err(), full, "the tenant's limit");
        let elsewhere = limiter.request_permits(&caller(2, 4)).unwrap();
        drop(held);
        assert!(limiter.request_permits(&caller(1, 1)).is_ok());
        let export = limiter.export_permit(TenantNumber(1)).unwrap();
        assert_eq!(limiter.export_permit(TenantNumber(1)).unwrap_err(), full);
        assert!(
            limiter.export_permit(TenantNumber(2)).is_ok() && limiter.large_response_permit(TenantNumber(1)).is_ok()
        );
        drop((other, elsewhere, export));
        assert!(limiter.counts.lock().is_empty());
    }
}
