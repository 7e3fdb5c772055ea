use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::WebOrigin;

/// The names this listener answers to.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    pub(super) bound: SocketAddr,
    pub(super) is_tls: bool,
    pub(super) public: Option<WebOrigin>,
}

impl Hosts {
    /// Says whether `host`, from a `Host` header, is the public name, or a name of this machine that no DNS decides,
    /// with our port.
    pub(super) fn are_ours(&self, host: &str) -> bool {
        self.public
            .as_ref()
            .is_some_and(|public| public.is_host(host))
            || self.is_local(host)
    }

    fn is_local(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (host, None),
        };
        let usual_port = if self.is_tls { 443 } else { 80 };
        let port_is_ours = match port {
            Some(port) => !port.starts_with('+') && port.parse() == Ok(self.bound.port()),
            None => self.bound.port() == usual_port,
        };
        let address = match name.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')) {
            Some(v6) => v6.parse().ok().map(IpAddr::V6),
            None => name.parse().ok().map(IpAddr::V4),
        };
        port_is_ours
            && match address {
                Some(address) => {
                    (address == self.bound.ip() && !address.is_unspecified())
                        || address == IpAddr::V4(Ipv4Addr::LOCALHOST)
                        || address == IpAddr::V6(Ipv6Addr::LOCALHOST)
                }
                None => name.eq_ignore_ascii_case("localhost"),
            }
    }

    /// Says whether this `Origin` is of the page that we serve under this `Host`.
    pub(super) fn is_our_page(&self, origin: &str, host: &str) -> bool {
        // Browsers write both in lower case.
        let scheme = if self.is_tls { "https://" } else { "http://" };
        origin.strip_prefix(scheme) == Some(&host.to_ascii_lowercase())
    }
}
