use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The domain whose sub-domains name a bucket. Every machine resolves names under it to itself (RFC 6761, section 6.3).
const LOCAL_DOMAIN: &str = "localhost";

/// Finds the bucket in a `Host` header, and tells s3s.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// The public domain whose sub-domains name a bucket as well, in lower case.
    pub(crate) domain: Option<String>,
}

/// The bucket that the `Host` of this request names; in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct BucketOfHost(pub(crate) String);

impl Hosts {
    /// The bucket in a name such as `staging.localhost:9000`; none where the path names the bucket.
    pub(crate) fn bucket<'a>(&self, host: &'a str) -> Option<&'a str> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        self.domain
            .iter()
            .map(String::as_str)
            .chain([LOCAL_DOMAIN])
            .find_map(|domain| {
                let at = name.len().checked_sub(domain.len())?;
                let (front, back) = name.split_at_checked(at)?;
                // A domain is the same in any case; a bucket is not.
                let bucket = front.strip_suffix('.')?;
                back.eq_ignore_ascii_case(domain).then_some(bucket)
            })
    }
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(self.domain.as_deref().unwrap_or(LOCAL_DOMAIN));
        Ok(match self.bucket(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Hosts;

    #[test]
    fn only_names_under_the_domains_carry_a_bucket() {
        let hosts = Hosts {
            domain: Some("s3.example.com".to_owned()),
        };
        for (host, bucket) in [
            ("staging.localhost:9000", "staging"),
            ("a.b.localhost", "a.b"),
            ("staging.s3.example.com", "staging"),
            ("staging.S3.Example.com:9000", "staging"),
        ] {
            assert_eq!(hosts.bucket(host), Some(bucket));
        }
        for path_style in [
            "localhost",
            "localhost:9000",
            "127.0.0.1:9000",
            "s3.example.com",
            "s3.example.com:443",
            "xs3.example.com",
            "example.com",
            "staging.s3.example.com.evil.example",
            "\u{e9}localhost",
            "[::1]:9000",
            "",
        ] {
            assert_eq!(hosts.bucket(path_style), None, "{path_style}");
        }
        let local = Hosts { domain: None };
        assert_eq!(local.bucket("staging.s3.example.com"), None);
    }
}
