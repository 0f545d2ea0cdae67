//! Which addresses may be fetched from.

use super::{FetchError, Reach};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use url::{Host, Url};

/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the addresses that a request to `url` may connect to, all of them checked.
pub(super) async fn resolve(url: &Url, reach: &Reach) -> Result<Vec<SocketAddr>, FetchError> {
    let refused = |reason: &str| FetchError::Refused { url: url.to_string(), reason: reason.to_owned() };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("only http and https are fetched"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("a name or password in the address is not accepted"));
    }
    let port = url.port_or_known_default().ok_or_else(|| refused("it has no port"))?;
    let addresses: Vec<SocketAddr> = match url.host().ok_or_else(|| refused("it has no host"))? {
        Host::Ipv4(address) => vec![SocketAddr::new(address.into(), port)],
        Host::Ipv6(address) => vec![SocketAddr::new(address.into(), port)],
        Host::Domain(name) => {
            let lookup = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((name, port))).await;
            lookup.map_err(|_| refused("its name did not resolve in time"))?.map_err(|_| refused("its name does not resolve"))?.collect()
        }
    };
    if addresses.is_empty() {
        return Err(refused("its name does not resolve"));
    }
    // One private address among public ones is an attack too.
    if addresses.iter().all(|address| reach.allows(*address)) { Ok(addresses) } else { Err(refused("it is not a public internet address")) }
}

impl Reach {
    fn allows(&self, address: SocketAddr) -> bool {
        match self {
            Self::Public => is_public(address.ip()),
            Self::PublicAnd(also) => is_public(address.ip()) || also.contains(&address),
            Self::Anywhere => true,
        }
    }
}

/// Tells whether an address is on the public internet: not of this machine, this network, or a special purpose (IANA's registries).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0 // this network
        || a >= 224 // multicast, reserved, broadcast
        || (a, b & 0xc0) == (100, 64) // carrier-grade NAT
        || (a, b, c) == (192, 0, 0) // protocol assignments
        || (a, b, c) == (192, 88, 99) // 6to4 relays
        || (a, b & 0xfe) == (198, 18); // benchmarks
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        // Addresses that carry an IPv4 address are as public as that.
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => v4(g, h),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => v4(g, h),
        (0x2002, _) => v4(b, c),
        // Teredo, ORCHID and other protocol assignments; documentation.
        (0x2001, 0..0x200 | 0xdb8) | (0x3fff, 0..0x1000) => false,
        // Global unicast is all there is; loopback, local and multicast addresses are outside.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_public() {
        for text in ["1.1.1.1", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:0101:0101::1", "2001:4860::8888"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn all_other_addresses_are_not() {
        let v4 = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254 172.16.0.1 172.31.255.255 \
                  192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255";
        let v6 = ":: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:10::1 \
                  2001:20::1 2001:db8::1 2002:7f00:1::1 2002:0a00:1::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1";
        for text in v4.split_whitespace().chain(v6.split_whitespace()) {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }
}
