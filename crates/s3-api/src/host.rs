use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The domain whose sub-domains name a bucket. Every machine resolves names under it to itself (RFC 6761, section 6.3).
const DOMAIN: &str = "localhost";

/// The bucket in a `Host` header such as `staging.localhost:9000`; none where the path names the bucket.
pub(crate) fn virtual_bucket(host: &str) -> Option<&str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix(DOMAIN)?.strip_suffix('.')
}

/// Tells s3s what [`virtual_bucket`] finds.
pub(crate) struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(DOMAIN);
        Ok(match virtual_bucket(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::virtual_bucket;

    #[test]
    fn only_names_under_localhost_carry_a_bucket() {
        assert_eq!(virtual_bucket("staging.localhost:9000"), Some("staging"));
        assert_eq!(virtual_bucket("a.b.localhost"), Some("a.b"));
        for path_style in [
            "localhost",
            "localhost:9000",
            "127.0.0.1:9000",
            "s3.example.com",
            "[::1]:9000",
        ] {
            assert_eq!(virtual_bucket(path_style), None, "{path_style}");
        }
    }
}
