use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a request came from. [`serve`](crate::serve) puts it into the request's extensions, and so must everybody else
/// who accepts connections; without it `aws:SourceIp` is missing and `aws:SecureTransport` is false.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The client's address; behind a proxy that is trusted, the one the proxy names.
    pub address: IpAddr,
    /// Whether the client used TLS, with us or with that proxy.
    pub over_tls: bool,
}

impl Peer {
    pub(super) fn of(
        address: IpAddr,
        is_tls: bool,
        proxies: &TrustedProxies,
        headers: &HeaderMap,
    ) -> Self {
        let address = address.to_canonical();
        if !proxies.contains(address) {
            return Self {
                address,
                over_tls: is_tls,
            };
        }
        Self {
            address: proxies.client(address, headers),
            over_tls: last(headers, &FORWARDED_PROTO)
                .map_or(is_tls, |protocol| protocol.eq_ignore_ascii_case("https")),
        }
    }
}

/// The proxies in front of us: what they say of their clients is believed, from anybody else it is not.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    /// Trusts these.
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client a proxy speaks for. Each hop adds behind what it was told, so the list is read from its end, and the
    /// first address that is no proxy of ours is the client: what stands before it is the client's own invention.
    fn client(&self, proxy: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = proxy;
        let mut values = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
        values.reverse();
        for hop in values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.rsplit(','))
        {
            let Some(address) = hop_address(hop.trim()) else {
                return client;
            };
            client = address;
            if !self.contains(address) {
                return client;
            }
        }
        client
    }
}

/// An address, with or without a port; IPv6 perhaps in brackets.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(hop);
    bare.parse()
        .or_else(|_| hop.parse().map(|socket: SocketAddr| socket.ip()))
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// A network, as `10.0.0.0/8`; an address alone is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

/// A text that is no network.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no address or network; write it as 10.0.0.5 or 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl Network {
    /// Whether the address lies in it. An IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let refused = || InvalidNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => bits_max,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= bits_max)
                .ok_or_else(refused)?,
            Some(_) => return Err(refused()),
        };
        Ok(Self {
            address,
            prefix_bits,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits_max = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix_bits == bits_max {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix_bits)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Network, Peer, TrustedProxies};

    fn peer(from: &str, is_tls: bool, headers: &[(&'static str, &'static str)]) -> Peer {
        let networks = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"];
        let proxies = TrustedProxies::new(networks.map(|network| network.parse().unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        Peer::of(from.parse().unwrap(), is_tls, &proxies, &map)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let told = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
        ];
        for (from, address, is_secure) in [
            ("10.1.2.3", "203.0.113.9", true),
            ("::ffff:10.1.2.3", "203.0.113.9", true),
            ("192.0.2.7", "203.0.113.9", true),
            ("fd12::1", "203.0.113.9", true),
            ("192.0.2.8", "192.0.2.8", false),
            ("127.0.0.1", "127.0.0.1", false),
            ("fe80::1", "fe80::1", false),
        ] {
            let found = peer(from, false, &told);
            assert_eq!(found.address, address.parse::<IpAddr>().unwrap(), "{from}");
            assert_eq!(found.over_tls, is_secure, "{from}");
        }
        assert!(peer("192.0.2.8", true, &told).over_tls);
    }

    #[test]
    fn what_a_client_invents_in_front_of_its_own_address_is_not_believed() {
        for (list, address) in [
            ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
            ("127.0.0.1,203.0.113.9, 10.9.9.9", "203.0.113.9"),
            ("203.0.113.9:55555", "203.0.113.9"),
            ("[2001:db8::9]:443, 10.0.0.2", "2001:db8::9"),
            ("[2001:db8::9]", "2001:db8::9"),
            ("1.1.1.1, unknown", "10.1.2.3"),
            ("1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("", "10.1.2.3"),
        ] {
            let found = peer("10.1.2.3", false, &[("x-forwarded-for", list)]);
            assert_eq!(found.address, address.parse::<IpAddr>().unwrap(), "{list}");
        }
        let twice = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        let found = peer("10.1.2.3", false, &twice);
        assert_eq!(found.address, "203.0.113.9".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn the_last_word_on_the_protocol_is_the_nearest_proxys() {
        for (told, is_secure) in [
            ("https", true),
            ("HTTPS", true),
            ("http, https", true),
            ("https, http", false),
            ("", false),
        ] {
            let found = peer("10.1.2.3", true, &[("x-forwarded-proto", told)]);
            assert_eq!(found.over_tls, is_secure, "{told}");
        }
        assert!(peer("10.1.2.3", true, &[]).over_tls);
    }

    #[test]
    fn networks_are_read_and_compared_bit_by_bit() {
        let holds = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(holds("0.0.0.0/0", "8.8.8.8"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("192.0.2.128/25", "192.0.2.200"));
        assert!(!holds("192.0.2.128/25", "192.0.2.100"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(!holds("10.0.0.5", "10.0.0.6"));
        for wrong in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "example.org",
            "10.0.0.0/8/8",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        for text in ["10.0.0.0/8", "10.0.0.5", "fd00::/8"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
