//! Signatures of URLs and forms, by AWS's own signer.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use two_buckets_objects::Timestamp;
use two_buckets_uploads::{Error, RequestToSign, Result};

use crate::store::names::NOT_IN_PATH;

const SERVICE: &str = "s3";

/// By whom, where and when is signed.
pub(super) struct Scope<'a> {
    pub(super) credentials: &'a Credentials,
    pub(super) region: &'a str,
    pub(super) now: Timestamp,
}

impl Scope<'_> {
    fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(self.now.millis()).unwrap_or(0))
    }
}

/// Makes the URL of a request, with its signature over the host, all headers of the request and the query; not over the
/// body (S3 API, "Authenticating Requests: Using Query Parameters"). Keys are encoded once and never normalised.
pub(super) fn presign(
    scope: &Scope<'_>,
    bucket_url: &str,
    request: &RequestToSign,
    life: Duration,
) -> Result<String> {
    let key = utf8_percent_encode(request.key.as_str(), NOT_IN_PATH);
    let mut url = format!("{bucket_url}/{key}");
    for (name, value) in request.operation.query() {
        add_parameter(&mut url, name, &value);
    }
    let mut headers = Vec::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        let value = value.to_str().map_err(|_| Error::Refused {
            reason: format!("the header {name} must be visible ASCII"),
        })?;
        headers.push((name.as_str(), value));
    }
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(life);
    settings.excluded_headers = None;
    let identity = scope.credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(SERVICE)
        .time(scope.time())
        .settings(settings)
        .build()
        .map_err(not_signed)?
        .into();
    let method = request.operation.method();
    let signable = SignableRequest::new(
        method.as_str(),
        url.as_str(),
        headers.into_iter(),
        SignableBody::UnsignedPayload,
    )
    .map_err(not_signed)?;
    let (instructions, _) = sign(signable, &params).map_err(not_signed)?.into_parts();
    let (_, parameters) = instructions.into_parts();
    let covered = parameters
        .iter()
        .find(|(name, _)| *name == "X-Amz-SignedHeaders")
        .map_or("", |(_, names)| names.as_ref());
    // The signer leaves some headers out, whatever it is told.
    for (name, _) in &request.headers {
        if !covered.split(';').any(|it| it == name.as_str()) {
            return Err(Error::Refused {
                reason: format!("the header {name} cannot be bound to a signed URL"),
            });
        }
    }
    for (name, value) in &parameters {
        add_parameter(&mut url, name, value);
    }
    Ok(url)
}

/// Signs the policy of a form (S3 API, "POST Policy"). Gives lower-case hexadecimal digits.
pub(super) fn sign_text(scope: &Scope<'_>, text: &str) -> String {
    let secret = scope.credentials.secret_access_key();
    let key = v4::generate_signing_key(secret, scope.time(), scope.region, SERVICE);
    v4::calculate_signature(key, text.as_bytes())
}

fn add_parameter(url: &mut String, name: &str, value: &str) {
    let separator = if url.contains('?') { '&' } else { '?' };
    let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
    // Names of parameters are ours or S3's and need no encoding.
    write!(url, "{separator}{name}={value}").expect("a String takes every write");
}

/// Its cause may quote the request, but nothing of the secret.
fn not_signed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Broken {
        reason: "a request cannot be signed".into(),
        source: Some(Box::new(error)),
    }
}
