//! Where requests may go: to public addresses, and to those that the operator allows. Otherwise, a configured URL could make
//! this machine send requests to its own network.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Addresses that are not public, by the IANA registries of special-purpose addresses (RFC 6890), with multicast and
/// reserved ones. Translated addresses (NAT64, 6to4, Teredo) are among them, since each contains an IPv4 address.
const NOT_PUBLIC: [&str; 33] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];
/// All other IPv6 addresses are not assigned (RFC 4291 section 2.4).
const GLOBAL_UNICAST_V6: &str = "2000::/3";

/// An exception of the operator: a network, or a host with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedTarget {
    Network(IpNet),
    Host(String, u16),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither a network such as 10.1.0.0/16 nor a host with a port such as forms.local:8443")]
pub struct InvalidTarget(String);

impl FromStr for AllowedTarget {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget(text.to_owned());
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !(host.chars().all(is_name) || host.parse::<Ipv6Addr>().is_ok()) {
            return Err(invalid());
        }
        Ok(Self::Host(host.to_ascii_lowercase(), port.parse().map_err(|_| invalid())?))
    }
}

/// Why a request is not sent. The texts contain no address: it would reveal to a
/// tenant how names resolve in this network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenAddress {
    #[error("the address is not public")]
    NotPublic,
    #[error("the port is not allowed: 443, 80, or 1024 and above")]
    Port,
    #[error("the URL must begin with https://")]
    NotEncrypted,
}

/// Checks the addresses that connections are made to, after host names were resolved: what a name resolves to can
/// change at any time.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allowed: Vec<AllowedTarget>,
}

impl AddressGuard {
    pub fn new(allowed: Vec<AllowedTarget>) -> Self {
        Self { allowed }
    }

    /// Checks a connection to an address, which `host` has resolved to.
    ///
    /// # Errors
    /// The connection must not be made.
    pub fn check(
        &self,
        (host, port): (&str, u16),
        address: IpAddr,
        is_encrypted: bool,
    ) -> Result<(), ForbiddenAddress> {
        let is_allowed = |target: &AllowedTarget| match target {
            AllowedTarget::Network(network) => network.contains(&address) || network.contains(&address.to_canonical()),
            AllowedTarget::Host(name, allowed_port) => {
                *allowed_port == port && name.eq_ignore_ascii_case(host.trim_end_matches('.'))
            }
        };
        if self.allowed.iter().any(is_allowed) {
            return Ok(());
        }
        if !is_encrypted {
            return Err(ForbiddenAddress::NotEncrypted);
        }
        if port < 1024 && port != 443 && port != 80 {
            return Err(ForbiddenAddress::Port);
        }
        if is_public(address) { Ok(()) } else { Err(ForbiddenAddress::NotPublic) }
    }
}

fn is_public(address: IpAddr) -> bool {
    let contains = |network: &&str| network.parse::<IpNet>().is_ok_and(|network| network.contains(&address));
    // An entry that cannot be parsed would allow everything; a test parses them all.
    (address.is_ipv4() || contains(&GLOBAL_UNICAST_V6)) && !NOT_PUBLIC.iter().any(contains)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn check(guard: &AddressGuard, address: &str) -> Result<(), ForbiddenAddress> {
        guard.check(("example.com", 443), address.parse().expect("an address"), true)
    }

    #[test]
    fn every_range_is_forbidden_from_its_first_to_its_last_address() {
        for network in NOT_PUBLIC {
            let network: IpNet = network.parse().unwrap_or_else(|_| panic!("{network} is not a network"));
            assert_eq!(network, network.trunc(), "{network} has bits outside its prefix");
            for address in [network.addr(), network.broadcast()] {
                let found = AddressGuard::default().check(("x", 443), address, true);
                assert_eq!(found, Err(ForbiddenAddress::NotPublic), "{address}");
            }
        }
    }

    #[test]
    fn neighbors_of_the_ranges_are_public() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::1",
            "2606:4700::1111",
        ] {
            assert_eq!(check(&AddressGuard::default(), address), Ok(()), "{address}");
        }
    }

    #[test]
    fn notations_of_loopback_are_forbidden() {
        for address in [
            "127.0.0.1",
            "127.255.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "::7f00:1",
            "2002:7f00:1::",
            "::ffff:0:7f00:1",
            "4000::1",
        ] {
            assert_eq!(check(&AddressGuard::default(), address), Err(ForbiddenAddress::NotPublic), "{address}");
        }
    }

    #[test]
    fn the_operator_allows_networks_and_hosts() {
        let allowed = |targets: &[&str]| {
            AddressGuard::new(targets.iter().map(|target| target.parse().expect("a target")).collect())
        };
        let network = allowed(&["10.1.0.0/16"]);
        assert_eq!(check(&network, "10.1.2.3"), Ok(()));
        assert_eq!(check(&network, "::ffff:10.1.2.3"), Ok(()));
        assert_eq!(check(&network, "10.2.0.1"), Err(ForbiddenAddress::NotPublic));
        let host = allowed(&["Forms.local:8080", "127.0.0.1:9191", "[::1]:9292"]);
        let address = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(host.check(("forms.LOCAL.", 8080), address, false), Ok(()));
        assert_eq!(host.check(("127.0.0.1", 9191), address, false), Ok(()));
        assert_eq!(host.check(("::1", 9292), IpAddr::from(Ipv6Addr::LOCALHOST), false), Ok(()));
        assert_eq!(host.check(("forms.local", 8081), address, true), Err(ForbiddenAddress::NotPublic));
        assert_eq!(host.check(("forms.local", 8081), address, false), Err(ForbiddenAddress::NotEncrypted));
        let public = IpAddr::from([1, 1, 1, 1]);
        assert_eq!(host.check(("example.com", 25), public, true), Err(ForbiddenAddress::Port));
        assert_eq!(host.check(("example.com", 8443), public, true), Ok(()));
        for bad in
            ["", "forms", "forms:", ":80", "forms:99999", "10.0.0.0/33", "a b:80", "http://forms:80", "forms:80/x"]
        {
            assert!(bad.parse::<AllowedTarget>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn mapped_addresses_are_never_public(bytes: [u8; 4]) {
            let mapped = IpAddr::from(Ipv4Addr::from(bytes).to_ipv6_mapped());
            prop_assert!(!is_public(mapped));
        }
    }
}
