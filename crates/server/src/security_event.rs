//! Which requests are security records: those without a valid key, and those that their connection may not send.

use dialects::kit::HandledRequest;
use directory::{Caller, SecurityEvent, SecurityKind, TenantNumber};
use std::net::IpAddr;

/// The record of a rejected request; `None` for other requests, and for sign-ins, which have their own.
pub(crate) fn security_event(
    status: u16,
    reason: &str,
    served: &HandledRequest,
    address: IpAddr,
) -> Option<SecurityEvent> {
    let kind = match status {
        _ if reason.starts_with("sign_in") => return None,
        401 if served.connection.is_none() && served.denied_connection.is_none() => SecurityKind::InvalidKey,
        401 | 403 | 429 => SecurityKind::Rejected,
        _ => return None,
    };
    let connection = served.connection.as_ref().or(served.denied_connection.as_ref());
    Some(SecurityEvent {
        tenant: served.tenant.map_or(Caller::NO_TENANT, TenantNumber),
        kind,
        source: connection.map_or_else(|| address.to_string(), String::clone),
        reason: reason.to_owned(),
        user: None,
    })
}
