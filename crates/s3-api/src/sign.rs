//! AWS Signature Version 4, for our own clients and for checking what others signed.
//!
//! Everything here is a pure function of its arguments; the time is one of them. The canonical form is that of
//! the S3 API, "Signature Calculations for the Authorization Header" and "Using Query Parameters": paths are encoded
//! once and never normalised.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use ring::digest::{SHA256, digest};
use ring::hmac;
use two_buckets_objects::Timestamp;

use crate::Credentials;

/// The algorithm's name in headers and URLs.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What stands for the payload's hash where the payload is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The header that carries a session token.
pub(crate) const SESSION_TOKEN: &str = "x-amz-security-token";
/// How long a presigned URL may be valid: 7 days (S3 API, "Authenticating Requests: Using Query Parameters").
pub const PRESIGNED_VALID_MAX: Duration = Duration::from_hours(7 * 24);

/// A request as its signer sees it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// Host and port, as the client will send them in `Host`.
    pub host: &'a str,
    /// The bucket; none for a request to the service itself.
    pub bucket: Option<&'a str>,
    /// The key, decoded; none for a request to the bucket.
    pub key: Option<&'a str>,
    /// Query parameters, decoded; a sub-resource has an empty value.
    pub query: &'a [(&'a str, &'a str)],
    /// Headers beside `Host` that are signed and must then be sent as they are here.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Request<'_> {
    /// The path and query in path style, encoded as the signature needs it.
    pub fn target(&self) -> String {
        let mut target = self.path();
        let query = canonical_query(&self.decoded_query());
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query);
        }
        target
    }

    fn path(&self) -> String {
        let mut path = String::from("/");
        if let Some(bucket) = self.bucket {
            encode_into(&mut path, bucket.as_bytes(), true);
            if let Some(key) = self.key {
                path.push('/');
                encode_into(&mut path, key.as_bytes(), true);
            }
        }
        path
    }

    fn decoded_query(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.query
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    fn canonical_headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), trimmed(value.as_bytes())))
            .chain([("host".to_owned(), self.host.as_bytes().to_vec())])
            .collect();
        headers.sort();
        headers
    }
}

/// Makes a URL that carries its signature and is valid for `valid_for`, at most [`PRESIGNED_VALID_MAX`]; one of a
/// session ends with it. The payload is not signed. `scheme` is `http` or `https`.
pub fn presign(
    credentials: &Credentials,
    session_token: Option<&str>,
    region: &str,
    scheme: &str,
    request: &Request<'_>,
    valid_for: Duration,
    now: Timestamp,
) -> String {
    let moment = Moment::of(now);
    let scope = Scope::new(&moment.date, region);
    let headers = request.canonical_headers();
    let mut query = request.decoded_query();
    for (name, value) in [
        ("X-Amz-Algorithm", ALGORITHM.to_owned()),
        (
            "X-Amz-Credential",
            format!("{}/{scope}", credentials.access_key_id),
        ),
        ("X-Amz-Date", moment.stamp.clone()),
        (
            "X-Amz-Expires",
            valid_for.min(PRESIGNED_VALID_MAX).as_secs().to_string(),
        ),
        ("X-Amz-SignedHeaders", signed_names(&headers)),
    ] {
        query.push((name.as_bytes().to_vec(), value.into_bytes()));
    }
    if let Some(token) = session_token {
        query.push((b"X-Amz-Security-Token".to_vec(), token.as_bytes().to_vec()));
    }
    let path = request.path();
    let query = canonical_query(&query);
    let canonical = canonical_request(request.method, &path, &query, &headers, UNSIGNED_PAYLOAD);
    let signature = sign(
        &signing_key(&credentials.secret_access_key, &scope),
        &string_to_sign(&moment.stamp, &scope, &canonical),
    );
    format!(
        "{scheme}://{}{path}?{query}&X-Amz-Signature={signature}",
        request.host
    )
}

/// Gives the headers that sign a request: `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token` for a session,
/// and `Authorization`. `payload_sha256` is the lower-case hex SHA-256 of the body, [`UNSIGNED_PAYLOAD`], or one of
/// S3's `STREAMING-` names.
pub fn sign_headers(
    credentials: &Credentials,
    session_token: Option<&str>,
    region: &str,
    request: &Request<'_>,
    payload_sha256: &str,
    now: Timestamp,
) -> Vec<(HeaderName, HeaderValue)> {
    sign_headers_for(
        Service::S3,
        credentials,
        session_token,
        region,
        request,
        payload_sha256,
        now,
    )
}

/// As [`sign_headers`], for any service. Its path is written as a bucket and a key.
pub fn sign_headers_for(
    service: Service,
    credentials: &Credentials,
    session_token: Option<&str>,
    region: &str,
    request: &Request<'_>,
    payload_sha256: &str,
    now: Timestamp,
) -> Vec<(HeaderName, HeaderValue)> {
    let moment = Moment::of(now);
    let scope = Scope {
        service,
        ..Scope::new(&moment.date, region)
    };
    let mut headers = request.canonical_headers();
    headers.push(("x-amz-date".to_owned(), moment.stamp.clone().into_bytes()));
    headers.push((
        "x-amz-content-sha256".to_owned(),
        payload_sha256.as_bytes().to_vec(),
    ));
    if let Some(token) = session_token {
        headers.push((SESSION_TOKEN.to_owned(), token.as_bytes().to_vec()));
    }
    headers.sort();
    let canonical = canonical_request(
        request.method,
        &request.path(),
        &canonical_query(&request.decoded_query()),
        &headers,
        payload_sha256,
    );
    let signature = sign(
        &signing_key(&credentials.secret_access_key, &scope),
        &string_to_sign(&moment.stamp, &scope, &canonical),
    );
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope},SignedHeaders={},Signature={signature}",
        credentials.access_key_id,
        signed_names(&headers),
    );
    let value = |text: String| {
        HeaderValue::try_from(text).expect("dates, hashes and scopes are printable ASCII")
    };
    let mut headers = vec![
        (HeaderName::from_static("x-amz-date"), value(moment.stamp)),
        (
            HeaderName::from_static("x-amz-content-sha256"),
            value(payload_sha256.to_owned()),
        ),
        (http::header::AUTHORIZATION, value(authorization)),
    ];
    // A token that is no header's value is none of ours; without it the request is refused.
    if let Some(Ok(mut token)) = session_token.map(HeaderValue::try_from) {
        token.set_sensitive(true);
        headers.push((HeaderName::from_static(SESSION_TOKEN), token));
    }
    headers
}

/// Signs a text for S3 in a region, with the key of the day: the policy of a form in base64 (S3 API, "POST Policy").
/// Gives lower-case hexadecimal digits.
pub fn sign_text(credentials: &Credentials, region: &str, text: &str, now: Timestamp) -> String {
    let moment = Moment::of(now);
    let scope = Scope::new(&moment.date, region);
    sign(&signing_key(&credentials.secret_access_key, &scope), text)
}

/// The lower-case hex SHA-256 of a body, as [`sign_headers`] takes it.
pub fn sha256_hex(body: &[u8]) -> String {
    hex::encode(digest(&SHA256, body))
}

/// A moment in the two forms a signature uses.
pub(crate) struct Moment {
    /// `20261123T105050Z`.
    pub(crate) stamp: String,
    /// `20261123`.
    pub(crate) date: String,
}

impl Moment {
    pub(crate) fn of(now: Timestamp) -> Self {
        let text = now.to_string();
        let stamp: String = text
            .chars()
            .take_while(|c| *c != '.')
            .filter(|c| *c != '-' && *c != ':')
            .chain(['Z'])
            .collect();
        let date = stamp.chars().take_while(|c| *c != 'T').collect();
        Self { stamp, date }
    }
}

/// A service a signature can be for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Buckets and objects.
    S3,
    /// Sessions.
    Sts,
    /// Queues.
    Sqs,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Sts => "sts",
            Self::Sqs => "sqs",
        }
    }
}

/// A credential scope: `20261123/us-east-1/s3/aws4_request`.
pub(crate) struct Scope<'a> {
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: Service,
}

impl<'a> Scope<'a> {
    /// A scope of S3.
    pub(crate) fn new(date: &'a str, region: &'a str) -> Self {
        Self {
            date,
            region,
            service: Service::S3,
        }
    }
}

impl std::fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let service = self.service.name();
        write!(f, "{}/{}/{service}/aws4_request", self.date, self.region)
    }
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    mac.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The key derived from the secret for one day and region.
pub(crate) fn signing_key(secret_access_key: &str, scope: &Scope<'_>) -> [u8; 32] {
    let secret = format!("AWS4{secret_access_key}");
    let date = hmac_sha256(secret.as_bytes(), scope.date.as_bytes());
    let region = hmac_sha256(&date, scope.region.as_bytes());
    let service = hmac_sha256(&region, scope.service.name().as_bytes());
    hmac_sha256(&service, b"aws4_request")
}

pub(crate) fn string_to_sign(stamp: &str, scope: &Scope<'_>, canonical_request: &[u8]) -> String {
    format!(
        "{ALGORITHM}\n{stamp}\n{scope}\n{}",
        sha256_hex(canonical_request)
    )
}

pub(crate) fn sign(signing_key: &[u8; 32], string_to_sign: &str) -> String {
    hex::encode(hmac_sha256(signing_key, string_to_sign.as_bytes()))
}

/// The canonical request. Headers come with lower-case names, sorted, and trimmed values; values are bytes because a
/// header need not be UTF-8.
pub(crate) fn canonical_request(
    method: &Method,
    canonical_path: &str,
    canonical_query: &str,
    headers: &[(String, Vec<u8>)],
    payload_sha256: &str,
) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(512);
    canonical.extend_from_slice(method.as_str().as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(canonical_path.as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(canonical_query.as_bytes());
    canonical.push(b'\n');
    for (name, value) in headers {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        canonical.extend_from_slice(value);
        canonical.push(b'\n');
    }
    canonical.push(b'\n');
    canonical.extend_from_slice(signed_names(headers).as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(payload_sha256.as_bytes());
    canonical
}

fn signed_names(headers: &[(String, Vec<u8>)]) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.join(";")
}

/// A header's value with the space around it gone and each run of spaces within made one.
pub(crate) fn trimmed(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for word in value
        .split(|byte| *byte == b' ' || *byte == b'\t')
        .filter(|word| !word.is_empty())
    {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
    out
}

/// The canonical query: names and values encoded, then sorted.
pub(crate) fn canonical_query(decoded: &[(Vec<u8>, Vec<u8>)]) -> String {
    let mut pairs: Vec<(String, String)> = decoded
        .iter()
        .map(|(name, value)| (encoded(name, false), encoded(value, false)))
        .collect();
    pairs.sort();
    let mut query = String::new();
    for (name, value) in &pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        query.push_str(value);
    }
    query
}

/// Percent-encodes all but RFC 3986's unreserved characters, and `/` if it is to be kept.
pub(crate) fn encoded(bytes: &[u8], keep_slash: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    encode_into(&mut out, bytes, keep_slash);
    out
}

fn encode_into(out: &mut String, bytes: &[u8], keep_slash: bool) {
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if keep_slash => out.push('/'),
            _ => write!(out, "%{byte:02X}").expect("a String takes every write"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The keys and expected values are those printed in the S3 API reference, "Signature Calculations for the
    // Authorization Header" and "Authenticating Requests: Using Query Parameters".
    fn example_credentials() -> Credentials {
        Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        }
    }

    const FRIDAY_2013_05_24: Timestamp = Timestamp::from_millis(1_369_353_600_000);

    fn virtual_host_signature(
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        payload: &str,
    ) -> String {
        let moment = Moment::of(FRIDAY_2013_05_24);
        let scope = Scope::new(&moment.date, "us-east-1");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), trimmed(value.as_bytes())))
            .collect();
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        let canonical =
            canonical_request(method, path, &canonical_query(&query), &headers, payload);
        sign(
            &signing_key(&example_credentials().secret_access_key, &scope),
            &string_to_sign(&moment.stamp, &scope, &canonical),
        )
    }

    #[test]
    fn signatures_are_the_ones_amazon_publishes() {
        let empty = sha256_hex(b"");
        assert_eq!(
            virtual_host_signature(
                &Method::GET,
                "/test.txt",
                &[],
                &[
                    ("host", "examplebucket.s3.amazonaws.com"),
                    ("range", "bytes=0-9"),
                    ("x-amz-content-sha256", &empty),
                    ("x-amz-date", "20130524T000000Z"),
                ],
                &empty,
            ),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let hello = sha256_hex(b"Welcome to Amazon S3.");
        assert_eq!(
            virtual_host_signature(
                &Method::PUT,
                "/test%24file.text",
                &[],
                &[
                    ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                    ("host", "examplebucket.s3.amazonaws.com"),
                    ("x-amz-content-sha256", &hello),
                    ("x-amz-date", "20130524T000000Z"),
                    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ],
                &hello,
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        assert_eq!(
            virtual_host_signature(
                &Method::GET,
                "/",
                &[("prefix", "J"), ("max-keys", "2")],
                &[
                    ("host", "examplebucket.s3.amazonaws.com"),
                    ("x-amz-content-sha256", &empty),
                    ("x-amz-date", "20130524T000000Z"),
                ],
                &empty,
            ),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
        assert_eq!(
            virtual_host_signature(
                &Method::GET,
                "/test.txt",
                &[
                    ("X-Amz-Algorithm", ALGORITHM),
                    (
                        "X-Amz-Credential",
                        "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
                    ),
                    ("X-Amz-Date", "20130524T000000Z"),
                    ("X-Amz-Expires", "86400"),
                    ("X-Amz-SignedHeaders", "host"),
                ],
                &[("host", "examplebucket.s3.amazonaws.com")],
                UNSIGNED_PAYLOAD,
            ),
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn awkward_keys_are_encoded_once_and_never_normalised() {
        let request = |key| {
            Request {
                method: &Method::GET,
                host: "localhost:9000",
                bucket: Some("b-1"),
                key: Some(key),
                query: &[],
                headers: &[],
            }
            .target()
        };
        assert_eq!(request("a b+c%2F/ä"), "/b-1/a%20b%2Bc%252F/%C3%A4");
        assert_eq!(request("/x//../y/"), "/b-1//x//../y/");
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let shown = format!("{:?}", example_credentials());
        assert!(shown.contains("AKIAIOSFODNN7EXAMPLE"));
        assert!(!shown.contains("wJalrX"));
    }
}
