use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where a web page or a service is, as browsers write it: `https://files.example.com`, with a port where it is not
/// the scheme's own, in lower case, without path (RFC 6454, section 6.2).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WebOrigin {
    is_https: bool,
    authority: String,
}

/// A text that is no origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "write it as https://files.example.com, with a port if it is not the usual one, and nothing behind"
)]
pub struct InvalidOrigin;

impl WebOrigin {
    /// An address of our own.
    pub fn of_address(is_https: bool, address: std::net::SocketAddr) -> Self {
        format!("{}://{address}", if is_https { "https" } else { "http" })
            .parse()
            .expect("an address is an origin")
    }

    /// Whether it is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// Host and port as clients send them in `Host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        host_and_port(&self.authority).map_or(&self.authority, |(host, _)| host)
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        host == "localhost"
            || host.ends_with(".localhost")
            || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// Whether a `Host` header names it: in any case, and perhaps with the scheme's own port.
    pub(super) fn is_host(&self, host: &str) -> bool {
        format!("{}://{host}", self.scheme())
            .parse::<Self>()
            .is_ok_and(|named| named.authority == self.authority)
    }
}

impl FromStr for WebOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let text = text.to_ascii_lowercase();
        let (is_https, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://").ok_or(InvalidOrigin)?),
        };
        let (host, port) = host_and_port(rest).ok_or(InvalidOrigin)?;
        let usual = if is_https { "443" } else { "80" };
        Ok(Self {
            is_https,
            authority: match port {
                Some(port) if port != usual => format!("{host}:{port}"),
                _ => host.to_owned(),
            },
        })
    }
}

/// Takes an authority apart; none if it is not exactly a host with or without a port.
fn host_and_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_fits =
        port.is_none_or(|port| !port.starts_with(['+', '0']) && port.parse::<u16>().is_ok());
    let host_fits = match host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            (1..=253).contains(&host.len())
                && host.split('.').all(|label| !label.is_empty())
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    (port_fits && host_fits).then_some((host, port))
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::WebOrigin;

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        for (text, kept) in [
            ("https://files.example.com", "https://files.example.com"),
            ("HTTPS://Files.Example.com:443", "https://files.example.com"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:80", "http://[::1]"),
            ("https://10.0.0.1:8443", "https://10.0.0.1:8443"),
        ] {
            assert_eq!(text.parse::<WebOrigin>().expect(text).to_string(), kept);
        }
        for wrong in [
            "",
            "null",
            "*",
            "files.example.com",
            "ftp://files.example.com",
            "https://",
            "https://*.example.com",
            "https://files.example.com/",
            "https://files.example.com/path",
            "https://user@files.example.com",
            "https://files.example.com:",
            "https://files.example.com:+443",
            "https://files.example.com:0443",
            "https://files.example.com:65536",
            "https://files..example.com",
            "https://files.example.com.",
            "https://files.example.com?x",
            "https://files.example.com https://evil.example",
            "https://bücher.example",
            "https://::1",
            "https://[::1",
            "https://a;b",
        ] {
            assert!(wrong.parse::<WebOrigin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn loopback_is_what_no_other_machine_reaches() {
        for (origin, is_loopback) in [
            ("http://localhost:8080", true),
            ("http://s3.localhost", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:1", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("https://files.example.com", false),
        ] {
            let origin: WebOrigin = origin.parse().expect(origin);
            assert_eq!(origin.is_loopback(), is_loopback, "{origin}");
        }
    }
}
