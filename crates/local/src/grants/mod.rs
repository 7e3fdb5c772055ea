//! Grants on one machine: signatures made here, and multipart uploads carried straight into the store.

mod multipart;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_depot::Depot;
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::{Credentials, sign};
use two_buckets_uploads::{
    CompleteMultipart, Completed, CreateMultipart, CredentialScope, Error, FormToSign, Grants,
    MultipartId, MultipartRef, ReceivedPart, RequestToSign, Result, SignedForm, SignedRequest,
    UploadCredentials,
};

/// Grants for the staging bucket of the embedded store.
///
/// A signed URL allows one request with exactly the headers that were signed, until it ends. It needs no call and
/// writes nothing.
#[derive(Clone)]
pub struct DepotGrants {
    /// Who signs.
    pub credentials: Credentials,
    /// The region of the signature's scope.
    pub region: String,
    /// Host and port of the S3 endpoint, as clients send them in `Host`.
    pub host: String,
    /// How it is reached: `http` or `https`.
    pub scheme: &'static str,
    /// The staging bucket.
    pub staging: BucketName,
    /// Where it is.
    pub depot: Depot,
    /// Where the time comes from.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Grants for DepotGrants {
    async fn sign(&self, request: RequestToSign) -> Result<SignedRequest> {
        let mut headers = Vec::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            let value = value.to_str().map_err(|_| Error::Refused {
                reason: format!("the header {name} must be visible ASCII"),
            })?;
            headers.push((name.as_str(), value));
        }
        let query = request.operation.query();
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let now = (self.clock)();
        let url = sign::presign(
            &self.credentials,
            None,
            &self.region,
            self.scheme,
            &sign::Request {
                method: &request.operation.method(),
                host: &self.host,
                bucket: Some(self.staging.as_str()),
                key: Some(request.key.as_str()),
                query: &query,
                headers: &headers,
            },
            request.life,
            now,
        );
        Ok(SignedRequest {
            url,
            expires_at: whole_second(now).after(request.life.min(sign::PRESIGNED_VALID_MAX)),
        })
    }

    async fn form(&self, _form: FormToSign) -> Result<SignedForm> {
        Err(Error::Refused {
            reason: "this server cannot sign forms yet; ask for a signed URL".into(),
        })
    }

    async fn credentials(
        &self,
        _scope: CredentialScope,
        _life: Duration,
    ) -> Result<UploadCredentials> {
        Err(Error::Refused {
            reason: "this server cannot make temporary credentials yet; ask for a signed URL"
                .into(),
        })
    }

    async fn create_multipart(&self, create: CreateMultipart) -> Result<MultipartId> {
        multipart::create(&self.depot, &self.staging, create).await
    }

    async fn list_parts(&self, at: &MultipartRef) -> Result<Vec<ReceivedPart>> {
        multipart::list_parts(&self.depot, &self.staging, at).await
    }

    async fn complete_multipart(&self, complete: CompleteMultipart) -> Result<Completed> {
        multipart::complete(&self.depot, &self.staging, complete).await
    }

    async fn abort_multipart(&self, at: &MultipartRef) -> Result<()> {
        multipart::abort(&self.depot, &self.staging, at).await
    }
}

/// The moment a signature made now counts from: it names whole seconds.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.millis() - now.millis().rem_euclid(1_000))
}

impl fmt::Debug for DepotGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DepotGrants")
            .field("credentials", &self.credentials)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
