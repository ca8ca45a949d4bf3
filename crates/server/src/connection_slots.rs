//! Limits open connections, in total and by address, and reserves some for health probes.

use crate::Peer;
use directory::rate_limit_network;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Limits on open connections.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// In total, not counting the reserved ones.
    pub total: usize,
    /// Per address (IPv6: per /64). Loopback and trusted proxies are exempt, since they represent many clients.
    pub per_address: usize,
    /// Exempt from the limit by address.
    pub trusted_proxies: Vec<IpAddr>,
}

impl ConnectionLimits {
    /// Connections beyond the total that serve only health probes.
    pub(crate) const RESERVED: usize = 64;
}

pub(crate) struct ConnectionSlots {
    limits: ConnectionLimits,
    open: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    regular: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// Holds a slot until it is dropped.
pub(crate) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    pub(crate) peer: Peer,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.slots.open.lock();
        open.regular -= usize::from(!self.peer.is_health_only);
        let network = rate_limit_network(self.peer.address);
        if let Some(count) = open.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.by_network.remove(&network);
            }
        }
    }
}

impl ConnectionSlots {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// A slot for a new connection; `None` if its address is at its limit.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionSlot> {
        let peer = address.to_canonical();
        let is_exempt = peer.is_loopback() || self.limits.trusted_proxies.contains(&peer);
        let mut open = self.open.lock();
        let count = open.by_network.entry(rate_limit_network(address)).or_default();
        if *count >= self.limits.per_address && !is_exempt {
            return None;
        }
        *count += 1;
        let is_health_only = open.regular >= self.limits.total;
        open.regular += usize::from(!is_health_only);
        Some(ConnectionSlot { slots: Arc::clone(self), peer: Peer { address, is_health_only } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_limited_and_health_probes_have_slots() {
        let proxy: IpAddr = "10.0.0.9".parse().unwrap();
        let slots = ConnectionSlots::new(ConnectionLimits { total: 6, per_address: 3, trusted_proxies: vec![proxy] });
        let take = |address: &str| slots.take(address.parse().unwrap());
        let mut held: Vec<_> = (0..3).map(|_| take("192.0.2.1").unwrap()).collect();
        assert!(take("192.0.2.1").is_none() && take("::ffff:192.0.2.1").is_none());
        held.extend((0..3).map(|n| take(&format!("2001:db8::{n}")).unwrap()));
        assert!(take("2001:db8::9").is_none(), "an IPv6 network counts as one");
        assert!(held.iter().all(|slot| !slot.peer.is_health_only));
        for address in ["127.0.0.1", "10.0.0.9", "198.51.100.7"] {
            let more: Vec<_> = (0..3).map(|_| take(address).unwrap()).collect();
            assert!(more.iter().all(|slot| slot.peer.is_health_only), "{address}");
        }
        let many: Vec<_> = (0..20).map(|_| take("127.0.0.1").unwrap()).collect();
        drop(held.pop());
        assert!(take("2001:db8::9").is_some_and(|slot| !slot.peer.is_health_only));
        drop((held, many));
        let open = slots.open.lock();
        assert_eq!((open.regular, open.by_network.len()), (0, 0));
    }
}
