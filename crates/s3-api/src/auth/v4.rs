//! Signature Version 4, in the Authorization header and in presigned URLs
//! (S3 API, "Authenticating Requests (AWS Signature Version 4)").

use std::time::Duration;

use http::request::Parts;
use percent_encoding::percent_decode_str;
use s3s::S3ErrorCode;
use subtle::ConstantTimeEq as _;
use two_buckets_objects::Timestamp;

use super::{Authenticated, Signed, Version, Way, unique};
use crate::payload::PayloadKind;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::sign::{self, SESSION_TOKEN, Scope, Service};
use crate::sts::{Identity, Sts, Who};

/// How far a client's clock may be from ours, either way (S3 API, `RequestTimeTooSkewed`).
pub(crate) const CLOCK_SKEW_MAX: Duration = Duration::from_mins(15);

/// Checks a signature in the Authorization header.
pub(super) fn header(
    parts: &Parts,
    query: &Query,
    sts: &Sts,
    now: Timestamp,
) -> Result<Authenticated, Refusal> {
    let read = ReadHeader::of(parts, Service::S3, sts, now)?;
    let Some(payload) = unique(&parts.headers, "x-amz-content-sha256")? else {
        return Err(Refusal::invalid_request(
            "a signed request needs the header x-amz-content-sha256",
        ));
    };
    let key = read.verify(parts, query, payload)?;
    let signer = ChunkSigner {
        key,
        stamp: read.stamp.to_owned(),
        scope: read.scope.to_string(),
        previous: read.signature.to_owned(),
    };
    let kind = match PayloadKind::of_header(&parts.headers)?.expect("the header was there above") {
        PayloadKind::SignedChunks { trailer, .. } => PayloadKind::SignedChunks {
            trailer,
            signer: Some(signer),
        },
        kind => kind,
    };
    Ok(Authenticated {
        payload: kind,
        who: read.identity.who,
        signed: Signed {
            way: Way::Header,
            version: Version::V4,
            at: Some(read.signed_at),
            content_sha256: Some(payload.to_owned()),
        },
    })
}

/// Checks the signature of a request to STS, whose body is at hand. Its hash need not be in a header there.
pub(crate) fn sts_header(
    parts: &Parts,
    query: &Query,
    body: &[u8],
    sts: &Sts,
    now: Timestamp,
) -> Result<(Who, Signed), Refusal> {
    let read = ReadHeader::of(parts, Service::Sts, sts, now)?;
    let payload = sign::sha256_hex(body);
    let said = unique(&parts.headers, "x-amz-content-sha256")?;
    if said.is_some_and(|said| said != payload) {
        return Err(Refusal::content_sha256_mismatch());
    }
    read.verify(parts, query, &payload)?;
    let signed = Signed {
        way: Way::Header,
        version: Version::V4,
        at: Some(read.signed_at),
        content_sha256: said.map(str::to_owned),
    };
    Ok((read.identity.who, signed))
}

/// An Authorization header, read and not yet verified.
struct ReadHeader<'a> {
    scope: Scope<'a>,
    identity: Identity,
    signed: &'a str,
    signature: &'a str,
    stamp: &'a str,
    signed_at: Timestamp,
}

impl<'a> ReadHeader<'a> {
    fn of(parts: &'a Parts, service: Service, sts: &Sts, now: Timestamp) -> Result<Self, Refusal> {
        let authorization = unique(&parts.headers, "authorization")?.unwrap_or_default();
        let malformed = |message: &str| {
            Refusal::new(
                S3ErrorCode::AuthorizationHeaderMalformed,
                format!("the Authorization header {message}"),
            )
        };
        if authorization.starts_with("AWS ") {
            return Err(Refusal::invalid_request(
                "signature version 2 is not accepted in the Authorization header; use AWS4-HMAC-SHA256",
            ));
        }
        let Some(fields) = authorization.strip_prefix(sign::ALGORITHM) else {
            return Err(Refusal::invalid_argument(
                "the authorization type is not supported; use AWS4-HMAC-SHA256",
            ));
        };
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field
                .trim()
                .split_once('=')
                .ok_or_else(|| malformed("has a field without a value"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(malformed("has a field that is not known")),
            };
            if slot.replace(value).is_some() {
                return Err(malformed("has a field twice"));
            }
        }
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature)
        else {
            return Err(malformed("lacks Credential, SignedHeaders or Signature"));
        };
        let stamp = unique(&parts.headers, "x-amz-date")?.ok_or_else(|| {
            Refusal::access_denied("a signed request needs the header x-amz-date")
        })?;
        let signed_at =
            parse_stamp(stamp).ok_or_else(|| Refusal::access_denied("x-amz-date is not a date"))?;
        let (access_key_id, scope) = parse_credential(credential, stamp, service, &malformed)?;
        // That it is signed is seen to with all other `x-amz-*` headers.
        let token = unique(&parts.headers, SESSION_TOKEN)?;
        let identity = sts.identify(access_key_id, token, now)?;
        if now.since(signed_at) > CLOCK_SKEW_MAX || signed_at.since(now) > CLOCK_SKEW_MAX {
            return Err(Refusal::new(
                S3ErrorCode::RequestTimeTooSkewed,
                format!("the request was signed for {signed_at}, and here it is {now}"),
            ));
        }
        Ok(Self {
            scope,
            identity,
            signed,
            signature,
            stamp,
            signed_at,
        })
    }

    /// Gives the key the signature was made with.
    fn verify(&self, parts: &Parts, query: &Query, payload: &str) -> Result<[u8; 32], Refusal> {
        let headers = signed_headers(parts, self.signed)?;
        let canonical = sign::canonical_request(
            &parts.method,
            &canonical_path(parts),
            &query.canonical(|_| true),
            &headers,
            payload,
        );
        let key = sign::signing_key(&self.identity.secret, &self.scope);
        verify(&key, self.stamp, &self.scope, &canonical, self.signature)?;
        Ok(key)
    }
}

/// Checks a presigned URL.
pub(super) fn presigned(
    parts: &Parts,
    query: &Query,
    sts: &Sts,
    now: Timestamp,
) -> Result<Authenticated, Refusal> {
    let malformed = |message: &str| {
        Refusal::new(
            S3ErrorCode::AuthorizationQueryParametersError,
            format!("the presigned URL {message}"),
        )
    };
    let parameter = |name: &str| {
        query
            .unique(name)
            .ok_or_else(|| malformed(&format!("needs {name} exactly once")))
    };
    if parameter("X-Amz-Algorithm")? != sign::ALGORITHM {
        return Err(malformed("must use AWS4-HMAC-SHA256"));
    }
    let credential = parameter("X-Amz-Credential")?;
    let stamp = parameter("X-Amz-Date")?;
    let signed_at =
        parse_stamp(stamp).ok_or_else(|| malformed("has an X-Amz-Date that is no date"))?;
    let valid_s: u64 = parameter("X-Amz-Expires")?
        .parse()
        .map_err(|_| malformed("has an X-Amz-Expires that is no number of seconds"))?;
    let valid_max_s = sign::PRESIGNED_VALID_MAX.as_secs();
    if !(1..=valid_max_s).contains(&valid_s) {
        return Err(malformed(&format!(
            "has an X-Amz-Expires that is not within 1 and {valid_max_s} seconds"
        )));
    }
    let signed = parameter("X-Amz-SignedHeaders")?;
    let signature = parameter("X-Amz-Signature")?;
    let (access_key_id, scope) = parse_credential(credential, stamp, Service::S3, &malformed)?;
    let token = query.unique("X-Amz-Security-Token");
    if token.is_none() && query.has_ignoring_case(SESSION_TOKEN) {
        return Err(malformed("needs X-Amz-Security-Token at most once"));
    }
    let identity = sts.identify(access_key_id, token, now)?;
    if signed_at.since(now) > CLOCK_SKEW_MAX {
        return Err(Refusal::access_denied("the presigned URL is not valid yet"));
    }
    if now > signed_at.after(Duration::from_secs(valid_s)) {
        return Err(Refusal::access_denied("the presigned URL has expired"));
    }
    let in_query = query.unique("X-Amz-Content-Sha256");
    let said = match (in_query, unique(&parts.headers, "x-amz-content-sha256")?) {
        (Some(a), Some(b)) if a != b => {
            return Err(malformed(
                "and its headers disagree about x-amz-content-sha256",
            ));
        }
        (Some(payload), _) | (None, Some(payload)) => Some(payload),
        (None, None) => None,
    };
    let payload = said.unwrap_or(sign::UNSIGNED_PAYLOAD);
    let headers = signed_headers(parts, signed)?;
    let canonical = sign::canonical_request(
        &parts.method,
        &canonical_path(parts),
        &query.canonical(|name| name != "X-Amz-Signature"),
        &headers,
        payload,
    );
    let key = sign::signing_key(&identity.secret, &scope);
    verify(&key, stamp, &scope, &canonical, signature)?;
    let kind = match PayloadKind::parse(payload)? {
        PayloadKind::SignedChunks { .. } => {
            return Err(Refusal::invalid_request(
                "chunk signatures need the signature in the Authorization header",
            ));
        }
        kind => kind,
    };
    Ok(Authenticated {
        payload: kind,
        who: identity.who,
        signed: Signed {
            way: Way::Query,
            version: Version::V4,
            at: Some(signed_at),
            content_sha256: said.map(str::to_owned),
        },
    })
}

fn verify(
    key: &[u8; 32],
    stamp: &str,
    scope: &Scope<'_>,
    canonical: &[u8],
    signature: &str,
) -> Result<(), Refusal> {
    let expected = sign::sign(key, &sign::string_to_sign(stamp, scope, canonical));
    if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        Ok(())
    } else {
        Err(mismatch())
    }
}

pub(super) fn mismatch() -> Refusal {
    Refusal::new(
        S3ErrorCode::SignatureDoesNotMatch,
        "the signature is not the one this request has with the secret of its access key",
    )
}

/// Any region is taken: a client's configuration names one that only matters on AWS.
pub(super) fn parse_credential<'a>(
    credential: &'a str,
    stamp: &str,
    service: Service,
    malformed: &dyn Fn(&str) -> Refusal,
) -> Result<(&'a str, Scope<'a>), Refusal> {
    // From the right, because an access key id may have slashes.
    let mut fields = credential.rsplitn(5, '/');
    let (Some(terminator), Some(for_service), Some(region), Some(date), Some(access_key_id)) = (
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
    ) else {
        return Err(malformed(
            "has a credential that is not key/date/region/s3/aws4_request",
        ));
    };
    if terminator != "aws4_request" || region.is_empty() {
        return Err(malformed(
            "has a credential that is not key/date/region/s3/aws4_request",
        ));
    }
    if for_service != service.name() {
        return Err(malformed(&format!(
            "is signed for another service than {}",
            service.name()
        )));
    }
    if !stamp.starts_with(date) || date.len() != "20261123".len() {
        return Err(malformed(
            "has another day in its credential than in its date",
        ));
    }
    let scope = Scope {
        date,
        region,
        service,
    };
    Ok((access_key_id, scope))
}

/// The headers that were signed, in canonical form. `host` must be among them and every `x-amz-*` that is there:
/// one that is not could have been added by anybody on the way.
fn signed_headers(parts: &Parts, signed: &str) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let names: Vec<&str> = signed.split(';').collect();
    if names.iter().any(|name| *name != name.to_ascii_lowercase()) {
        return Err(Refusal::access_denied(
            "signed headers are named in lower case",
        ));
    }
    if !names.contains(&"host") {
        return Err(Refusal::access_denied("the header host must be signed"));
    }
    if let Some(unsigned) = parts
        .headers
        .keys()
        .find(|name| name.as_str().starts_with("x-amz-") && !names.contains(&name.as_str()))
    {
        return Err(Refusal::access_denied(format!(
            "the header {unsigned} was sent but not signed"
        )));
    }
    let mut headers = Vec::with_capacity(names.len());
    for name in names {
        let mut value = Vec::new();
        let mut found = false;
        for one in parts.headers.get_all(name) {
            if found {
                value.push(b',');
            }
            value.extend(sign::trimmed(one.as_bytes()));
            found = true;
        }
        if !found {
            return Err(Refusal::access_denied(format!(
                "the header {name} was signed but not sent"
            )));
        }
        headers.push((name.to_owned(), value));
    }
    headers.sort();
    headers.dedup();
    Ok(headers)
}

/// The path decoded and encoded again, so that it does not matter what a client chose to escape.
fn canonical_path(parts: &Parts) -> String {
    let decoded: Vec<u8> = percent_decode_str(parts.uri.path()).collect();
    sign::encoded(&decoded, true)
}

/// `20261123T105050Z`.
pub(super) fn parse_stamp(stamp: &str) -> Option<Timestamp> {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let moment = time::PrimitiveDateTime::parse(stamp, format).ok()?;
    let millis = moment.assume_utc().unix_timestamp().checked_mul(1000)?;
    Some(Timestamp::from_millis(millis))
}

/// Checks the signatures of an aws-chunked body, each of which covers the one before
/// (S3 API, "Transferring Payload in Multiple Chunks").
pub(crate) struct ChunkSigner {
    key: [u8; 32],
    stamp: String,
    scope: String,
    previous: String,
}

impl ChunkSigner {
    /// Checks the signature of a chunk whose bytes have this SHA-256.
    pub(crate) fn check_chunk(
        &mut self,
        chunk_sha256: &str,
        signature: &str,
    ) -> Result<(), Refusal> {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{chunk_sha256}",
            self.stamp,
            self.scope,
            self.previous,
            sign::sha256_hex(b""),
        );
        self.check(&text, signature)
    }

    /// Checks the signature of the trailing headers, given as `name:value\n` each.
    pub(crate) fn check_trailer(&mut self, trailer: &[u8], signature: &str) -> Result<(), Refusal> {
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}",
            self.stamp,
            self.scope,
            self.previous,
            sign::sha256_hex(trailer),
        );
        self.check(&text, signature)
    }

    fn check(&mut self, string_to_sign: &str, signature: &str) -> Result<(), Refusal> {
        let expected = sign::sign(&self.key, string_to_sign);
        if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
            return Err(mismatch());
        }
        self.previous = expected;
        Ok(())
    }
}
