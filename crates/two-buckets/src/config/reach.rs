//! From where the listeners can be reached, and what that asks for.

use std::net::SocketAddr;
use std::path::PathBuf;

use two_buckets_s3_api::Network;
use two_buckets_uploads::WebOrigin;

use super::Setting;

/// The most connections of one client address where others can reach the listener.
const CONNECTIONS_PER_CLIENT: usize = 128;

/// How the listeners are reached.
#[derive(Debug)]
pub(crate) struct Reach {
    /// Where clients find S3; none for the address it listens on.
    pub(crate) s3_url: Setting<Option<WebOrigin>>,
    /// Where clients find the page and its API; none for the address it listens on.
    pub(crate) web_url: Setting<Option<WebOrigin>>,
    /// The certificate's file, with its chain; TLS if there is one.
    pub(crate) tls_cert: Setting<Option<PathBuf>>,
    /// The file of its key; there is one if there is a certificate.
    pub(crate) tls_key: Setting<Option<PathBuf>>,
    /// The proxies in front, which have TLS and are believed.
    pub(crate) behind_proxy: Setting<Vec<Network>>,
    /// Pages beside our own that may call.
    pub(crate) allow_origin: Setting<Vec<WebOrigin>>,
    /// The most connections of one client address; none for what fits the listener.
    pub(crate) connections_per_client: Setting<Option<usize>>,
}

impl Reach {
    /// Whether the listeners have TLS of their own.
    pub(crate) fn has_tls(&self) -> bool {
        self.tls_cert.value.is_some()
    }

    /// Where clients find S3 that listens here.
    pub(crate) fn s3_origin(&self, bound: SocketAddr) -> WebOrigin {
        self.origin(self.s3_url.value.as_ref(), bound)
    }

    /// Where clients find the page and API that listen here.
    pub(crate) fn web_origin(&self, bound: SocketAddr) -> WebOrigin {
        self.origin(self.web_url.value.as_ref(), bound)
    }

    fn origin(&self, public: Option<&WebOrigin>, bound: SocketAddr) -> WebOrigin {
        public.cloned().unwrap_or_else(|| self.local_origin(bound))
    }

    /// How this machine itself reaches what listens here.
    pub(crate) fn local_origin(&self, bound: SocketAddr) -> WebOrigin {
        let ip = match bound.ip() {
            std::net::IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
            // An IPv6 socket for all addresses takes IPv4 as well only where the system says so.
            std::net::IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        WebOrigin::of_address(self.has_tls(), SocketAddr::new(ip, bound.port()))
    }

    /// The most connections of one client address to what listens here.
    pub(crate) fn connections_per_client_max(&self, bound: SocketAddr, all_max: usize) -> usize {
        match self.connections_per_client.value {
            Some(max) => max,
            None if bound.ip().is_loopback() => all_max,
            None => CONNECTIONS_PER_CLIENT,
        }
    }
}

/// What decides whether the server may start as it is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exposure<'a> {
    pub(crate) s3: SocketAddr,
    pub(crate) web: SocketAddr,
    pub(crate) s3_url: Option<&'a WebOrigin>,
    pub(crate) web_url: Option<&'a WebOrigin>,
    pub(crate) has_tls: bool,
    pub(crate) is_behind_proxy: bool,
    pub(crate) knows_callers: bool,
}

impl Exposure<'_> {
    /// Everything that makes it unsafe or contradictory, each with what to do about it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let listeners = [
            ("S3", "s3", self.s3, self.s3_url),
            ("the page", "web", self.web, self.web_url),
        ];
        let is_reached_by_others = !self.web.ip().is_loopback()
            || self.is_behind_proxy
            || self.web_url.is_some_and(|url| !url.is_loopback());
        if is_reached_by_others && !self.knows_callers {
            let how = if !self.web.ip().is_loopback() {
                format!(
                    "the page would listen at {}, which other machines reach",
                    self.web
                )
            } else if self.is_behind_proxy {
                "whoever reaches the proxy of --behind-proxy would reach the page".to_owned()
            } else {
                "--web-url names the page to other machines".to_owned()
            };
            problems.push(format!(
                "{how}, and nobody would be asked who they are; name the callers by --token-file or --oidc-issuer, or stay on this machine with --web 127.0.0.1:8080"
            ));
        }
        for (name, flag, address, url) in listeners {
            let is_loopback = address.ip().is_loopback();
            if !is_loopback && !self.has_tls && !self.is_behind_proxy {
                problems.push(format!(
                    "{name} would listen at {address} without TLS, so that files and tokens could be read on their way; give --tls-cert and --tls-key, or --behind-proxy with the address of a proxy that has TLS, or listen at 127.0.0.1"
                ));
            }
            if address.ip().is_unspecified() && url.is_none() {
                problems.push(format!(
                    "{name} would listen at every address of this machine; say by --{flag}-url under which one clients reach it, as https://{flag}.example.com"
                ));
            }
            let Some(url) = url else { continue };
            if !url.is_https() && !url.is_loopback() {
                problems.push(format!(
                    "--{flag}-url {url} would have files and tokens sent in the clear; it must begin with https"
                ));
            } else if url.is_https() && !self.has_tls && !self.is_behind_proxy {
                problems.push(format!(
                    "--{flag}-url {url} speaks of TLS, and nothing here has it; give --tls-cert and --tls-key, or --behind-proxy with the address of a proxy that has it"
                ));
            } else if !url.is_https() && self.has_tls {
                problems.push(format!(
                    "--{flag}-url {url} speaks of no TLS, and the listener has it; it must begin with https"
                ));
            }
        }
        if let (Some(s3), Some(web)) = (self.s3_url, self.web_url)
            && s3 == web
        {
            problems.push(format!(
                "S3 and the page would both be {s3}; give each a name or a port of its own"
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use two_buckets_uploads::WebOrigin;

    use super::Exposure;

    const HERE: (&str, &str) = ("127.0.0.1:9000", "127.0.0.1:8080");
    const EVERYWHERE: (&str, &str) = ("0.0.0.0:9000", "0.0.0.0:8080");
    const NAMES: (&str, &str) = ("https://s3.example.com", "https://files.example.com");

    #[derive(Clone, Copy)]
    enum With {
        Nothing,
        Tls,
        Proxy,
    }

    fn problems(
        (s3, web): (&str, &str),
        (s3_url, web_url): (&str, &str),
        with: With,
        knows_callers: bool,
    ) -> String {
        let url = |text: &str| (!text.is_empty()).then(|| text.parse::<WebOrigin>().unwrap());
        let (s3_url, web_url) = (url(s3_url), url(web_url));
        Exposure {
            s3: s3.parse().unwrap(),
            web: web.parse().unwrap(),
            s3_url: s3_url.as_ref(),
            web_url: web_url.as_ref(),
            has_tls: matches!(with, With::Tls),
            is_behind_proxy: matches!(with, With::Proxy),
            knows_callers,
        }
        .problems()
        .join("\n")
    }

    #[test]
    fn what_is_safe_starts() {
        for (addresses, urls, with, knows_callers) in [
            (HERE, ("", ""), With::Nothing, false),
            (HERE, ("", ""), With::Nothing, true),
            (HERE, ("", ""), With::Tls, false),
            (("[::1]:1", "127.9.9.9:2"), ("", ""), With::Nothing, false),
            (
                HERE,
                ("http://s3.localhost:9000", "http://localhost:8080"),
                With::Nothing,
                false,
            ),
            (HERE, NAMES, With::Proxy, true),
            (HERE, NAMES, With::Tls, true),
            (EVERYWHERE, NAMES, With::Tls, true),
            (EVERYWHERE, NAMES, With::Proxy, true),
            (
                ("192.0.2.1:9000", "192.0.2.1:8080"),
                ("", ""),
                With::Tls,
                true,
            ),
            // S3 asks everybody for a signature, whoever the page knows.
            (
                ("192.0.2.1:9000", "127.0.0.1:8080"),
                ("", ""),
                With::Tls,
                false,
            ),
        ] {
            let found = problems(addresses, urls, with, knows_callers);
            assert!(found.is_empty(), "{addresses:?} {urls:?}: {found}");
        }
    }

    #[test]
    fn what_is_not_safe_is_refused_with_what_to_do() {
        let nobody_asked = "--token-file";
        let no_tls = "without TLS";
        for (addresses, urls, with, knows_callers, words) in [
            (EVERYWHERE, NAMES, With::Tls, false, nobody_asked),
            (
                ("127.0.0.1:1", "192.0.2.1:2"),
                ("", ""),
                With::Tls,
                false,
                nobody_asked,
            ),
            (
                ("127.0.0.1:1", "[2001:db8::1]:2"),
                ("", ""),
                With::Tls,
                false,
                nobody_asked,
            ),
            // A proxy on this machine makes loopback public.
            (HERE, NAMES, With::Proxy, false, nobody_asked),
            (HERE, ("", ""), With::Proxy, false, nobody_asked),
            (HERE, NAMES, With::Tls, false, nobody_asked),
            (EVERYWHERE, ("", ""), With::Nothing, true, no_tls),
            (
                ("192.0.2.1:1", "127.0.0.1:2"),
                ("", ""),
                With::Nothing,
                false,
                no_tls,
            ),
            (
                ("127.0.0.1:1", "192.0.2.1:2"),
                ("", ""),
                With::Nothing,
                true,
                no_tls,
            ),
            (EVERYWHERE, ("", ""), With::Tls, true, "--s3-url"),
            (
                EVERYWHERE,
                ("https://s3.example.com", ""),
                With::Tls,
                true,
                "--web-url",
            ),
            (
                HERE,
                ("http://s3.example.com", ""),
                With::Proxy,
                true,
                "in the clear",
            ),
            (
                HERE,
                ("", "http://files.example.com"),
                With::Proxy,
                true,
                "in the clear",
            ),
            (HERE, NAMES, With::Nothing, true, "nothing here has it"),
            (
                HERE,
                ("http://localhost:9000", ""),
                With::Tls,
                true,
                "must begin with https",
            ),
            (
                HERE,
                ("https://a.example", "https://a.example"),
                With::Tls,
                true,
                "of its own",
            ),
        ] {
            let found = problems(addresses, urls, with, knows_callers);
            assert!(found.contains(words), "{addresses:?} {urls:?}: {found}");
        }
        let all = problems(EVERYWHERE, ("", ""), With::Nothing, false);
        assert_eq!(all.lines().count(), 5, "{all}");
    }
}
