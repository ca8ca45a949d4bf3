//! Who is connected: so many at a time, so many of them from one address, and a few more that are kept for health probes.

use crate::Peer;
use directory::network;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// How many may be connected.
#[derive(Clone, Debug)]
pub struct PlaceLimits {
    /// Connections at a time.
    pub all: usize,
    /// Connections of one address (IPv6: of one /64). Loopback and trusted proxies speak for many, and may have all.
    pub per_address: usize,
    /// Proxies that others are behind.
    pub trusted_proxies: Vec<IpAddr>,
}

impl PlaceLimits {
    /// Connections beyond the others, for health probes alone.
    pub(crate) const RESERVED: usize = 64;
}

/// Who has which place.
pub(crate) struct Places {
    limits: PlaceLimits,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    ordinary: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    pub(crate) peer: Peer,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.ordinary -= usize::from(!self.peer.is_for_health_alone);
        let network = network(self.peer.address);
        if let Some(count) = taken.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}

impl Places {
    pub(crate) fn new(limits: PlaceLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// A place for a connection; `None` if its address has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let peer = address.to_canonical();
        let speaks_for_many = peer.is_loopback() || self.limits.trusted_proxies.contains(&peer);
        let mut taken = self.taken.lock();
        let count = taken.by_network.entry(network(address)).or_default();
        if *count >= self.limits.per_address && !speaks_for_many {
            return None;
        }
        *count += 1;
        let is_for_health_alone = taken.ordinary >= self.limits.all;
        taken.ordinary += usize::from(!is_for_health_alone);
        Some(Place { places: Arc::clone(self), peer: Peer { address, is_for_health_alone } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_takes_so_many_places_and_probes_find_theirs() {
        let proxy: IpAddr = "10.0.0.9".parse().unwrap();
        let places = Places::new(PlaceLimits { all: 6, per_address: 3, trusted_proxies: vec![proxy] });
        let take = |address: &str| places.take(address.parse().unwrap());
        let mut held: Vec<_> = (0..3).map(|_| take("192.0.2.1").unwrap()).collect();
        assert!(take("192.0.2.1").is_none() && take("::ffff:192.0.2.1").is_none());
        held.extend((0..3).map(|n| take(&format!("2001:db8::{n}")).unwrap()));
        assert!(take("2001:db8::9").is_none(), "an IPv6 network counts as one");
        assert!(held.iter().all(|place| !place.peer.is_for_health_alone));
        for address in ["127.0.0.1", "10.0.0.9", "198.51.100.7"] {
            let more: Vec<_> = (0..3).map(|_| take(address).unwrap()).collect();
            assert!(more.iter().all(|place| place.peer.is_for_health_alone), "{address}");
        }
        let many: Vec<_> = (0..20).map(|_| take("127.0.0.1").unwrap()).collect();
        drop(held.pop());
        assert!(take("2001:db8::9").is_some_and(|place| !place.peer.is_for_health_alone));
        drop((held, many));
        let taken = places.taken.lock();
        assert_eq!((taken.ordinary, taken.by_network.len()), (0, 0));
    }
}
