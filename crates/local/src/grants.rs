use std::fmt;
use std::sync::Arc;

use http::Method;
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::{Credentials, sign};
use two_buckets_uploads::{Error, Grants, PutToSign, Result, SignedPut};

/// Grants as presigned S3 URLs for the staging bucket, signed with the root key pair.
///
/// Such a URL allows one PUT of one key with exactly the headers that were signed, until it ends.
/// It needs no call and writes nothing.
#[derive(Clone)]
pub struct SignedUrls {
    /// Who signs.
    pub credentials: Credentials,
    /// The region of the signature's scope.
    pub region: String,
    /// Host and port of the S3 endpoint, as clients send them in `Host`; reached without TLS, on this machine.
    pub host: String,
    /// The staging bucket.
    pub staging: BucketName,
    /// Where the time comes from.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Grants for SignedUrls {
    async fn sign_put(&self, put: PutToSign) -> Result<SignedPut> {
        let mut headers = Vec::with_capacity(put.headers.len());
        for (name, value) in &put.headers {
            let value = value.to_str().map_err(|_| Error::Refused {
                reason: format!("the header {name} must be visible ASCII"),
            })?;
            headers.push((name.as_str(), value));
        }
        let now = (self.clock)();
        let url = sign::presign(
            &self.credentials,
            None,
            &self.region,
            "http",
            &sign::Request {
                method: &Method::PUT,
                host: &self.host,
                bucket: Some(self.staging.as_str()),
                key: Some(put.key.as_str()),
                query: &[],
                headers: &headers,
            },
            put.life,
            now,
        );
        // A signature counts from the whole second it names.
        let signed_at = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(1_000));
        Ok(SignedPut {
            url,
            expires_at: signed_at.after(put.life.min(sign::PRESIGNED_VALID_MAX)),
        })
    }
}

impl fmt::Debug for SignedUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedUrls")
            .field("credentials", &self.credentials)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
