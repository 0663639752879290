//! Which addresses an announcement may name: announcements are claims, and a door must not be sent to the
//! metadata service of a cloud, to itself, or to the world.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

/// Addresses with a common prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    const fn v4(a: u8, b: u8, prefix: u8) -> Self {
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), prefix }
    }

    /// Whether it holds the address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "is not ADDRESS/PREFIX, such as 10.0.0.0/8 or fc00::/7";
        let (base, prefix) = text.split_once('/').unwrap_or((text, ""));
        let base: IpAddr = base.parse().map_err(|_| wrong)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let prefix = if text.contains('/') { prefix.parse().map_err(|_| wrong)? } else { most };
        if prefix > most { Err(wrong) } else { Ok(Self { base, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a door may send requests.
#[derive(Clone, Debug)]
pub struct Fence {
    allowed: Vec<Network>,
    own: Vec<SocketAddr>,
}

impl Fence {
    /// Loopback, RFC 1918 and fc00::/7 unless `allowed` says otherwise; never the door's `own` listeners.
    #[must_use]
    pub fn new(allowed: Vec<Network>, own: Vec<SocketAddr>) -> Self {
        let local = || {
            let v6 = |base: Ipv6Addr, prefix| Network { base: IpAddr::V6(base), prefix };
            [
                Network::v4(127, 0, 8),
                Network::v4(10, 0, 8),
                Network::v4(172, 16, 12),
                Network::v4(192, 168, 16),
                v6(Ipv6Addr::LOCALHOST, 128),
                v6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
            ]
        };
        let allowed = if allowed.is_empty() { local().to_vec() } else { allowed };
        Self { allowed, own }
    }

    /// Whether requests may go there.
    ///
    /// # Errors
    /// The reason why not, for people.
    pub fn check(&self, address: SocketAddr) -> Result<(), &'static str> {
        let ip = address.ip().to_canonical();
        let link_local = match ip {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        if ip.is_unspecified() || ip.is_multicast() || link_local || address.port() == 0 {
            return Err("its address is none that a request can go to");
        }
        let is_own = |own: &SocketAddr| {
            let same = own.ip().to_canonical() == ip || (own.ip().is_unspecified() && ip.is_loopback());
            same && own.port() == address.port()
        };
        if self.own.iter().any(is_own) {
            return Err("its address is this door's own");
        }
        if !self.allowed.iter().any(|network| network.contains(ip)) {
            return Err("its address is in no network of --allow");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(fence: &Fence, address: &str) -> bool {
        fence.check(address.parse().expect("an address")).is_ok()
    }

    #[test]
    fn only_local_networks_are_allowed_unless_others_are_named() {
        let fence = Fence::new(Vec::new(), Vec::new());
        for good in
            ["127.0.0.1:80", "10.1.2.3:80", "172.31.0.1:80", "192.168.1.1:80", "[::1]:80", "[fd00::1]:80"]
        {
            assert!(admits(&fence, good), "{good}");
        }
        for bad in
            ["8.8.8.8:80", "172.32.0.1:80", "[2001:db8::1]:80", "169.254.169.254:80", "[::ffff:8.8.8.8]:80"]
        {
            assert!(!admits(&fence, bad), "{bad}");
        }
        let fence = Fence::new(["8.8.8.0/24".parse().expect("a network")].into(), Vec::new());
        assert!(admits(&fence, "8.8.8.8:80") && admits(&fence, "[::ffff:8.8.8.8]:80"));
        assert!(!admits(&fence, "10.0.0.1:80"));
    }

    #[test]
    fn some_addresses_are_never_allowed() {
        let everything = ["0.0.0.0/0".parse().expect("all"), "::/0".parse().expect("all")];
        let own = "0.0.0.0:8080".parse().expect("an address");
        let fence = Fence::new(everything.into(), [own].into());
        for bad in [
            "0.0.0.0:80",
            "224.0.0.1:80",
            "169.254.169.254:80",
            "255.255.255.255:80",
            "[::]:80",
            "[fe80::1]:80",
            "[::ffff:169.254.0.1]:80",
            "10.0.0.1:0",
            "127.0.0.1:8080",
            "[::1]:8080",
        ] {
            assert!(!admits(&fence, bad), "{bad}");
        }
        assert!(admits(&fence, "8.8.8.8:8080"));
    }

    #[test]
    fn a_network_is_an_address_and_a_prefix() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "x/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert!("10.0.0.1".parse::<Network>().expect("one address").contains([10, 0, 0, 1].into()));
    }
}
