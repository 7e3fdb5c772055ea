//! Grants on one machine: signatures made here, and multipart uploads carried straight into the store.
//!
//! Whatever is signed is signed by a session of the role that may only upload to staging
//! ([`uploader_role`](two_buckets_s3_api::uploader_role)), so that a mistake here cannot open more than that. Sessions
//! end when the root key is rotated, and with them every grant.

mod multipart;
#[cfg(test)]
mod policies;
mod session;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_depot::Depot;
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::{Sts, sign};
use two_buckets_uploads::{
    CompleteMultipart, Completed, CreateMultipart, CredentialScope, Error, FormSigner, FormToSign,
    Grants, MultipartId, MultipartRef, ReceivedPart, RequestToSign, Result, SignedForm,
    SignedRequest, UploadCredentials,
};

use session::UploaderSession;

/// What [`DepotGrants`] is made of.
pub struct GrantOptions {
    /// Who gives out sessions of the uploader role.
    pub sts: Sts,
    /// The region of the signatures' scope.
    pub region: String,
    /// The URL of the S3 endpoint: `http` or `https`, and host and port as clients send them in `Host`.
    pub endpoint: String,
    /// The staging bucket.
    pub staging: BucketName,
    /// Where it is.
    pub depot: Depot,
    /// Where the time comes from.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Grants for the staging bucket of the embedded store. Cheap to clone.
///
/// A signed URL allows one request with exactly the headers that were signed, until it ends. It needs no call and
/// writes nothing.
#[derive(Clone)]
pub struct DepotGrants {
    options: Arc<GrantOptions>,
    session: Arc<UploaderSession>,
}

impl DepotGrants {
    /// Puts them together.
    pub fn new(options: GrantOptions) -> Self {
        Self {
            session: Arc::new(UploaderSession::new(options.sts.clone())),
            options: Arc::new(options),
        }
    }

    /// Scheme and host of the endpoint.
    fn scheme_and_host(&self) -> (&str, &str) {
        let endpoint = self.options.endpoint.trim_end_matches('/');
        endpoint.split_once("://").unwrap_or(("http", endpoint))
    }
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
        let now = (self.options.clock)();
        let life = request.life.min(sign::PRESIGNED_VALID_MAX);
        let session = self.session.lasting(life, now)?;
        let (scheme, host) = self.scheme_and_host();
        let url = sign::presign(
            &session.credentials,
            Some(&session.session_token),
            &self.options.region,
            scheme,
            &sign::Request {
                method: &request.operation.method(),
                host,
                bucket: Some(self.options.staging.as_str()),
                key: Some(request.key.as_str()),
                query: &query,
                headers: &headers,
            },
            life,
            now,
        );
        Ok(SignedRequest {
            url,
            expires_at: whole_second(now).after(life),
        })
    }

    async fn form(&self, form: FormToSign) -> Result<SignedForm> {
        let now = (self.options.clock)();
        let life = form.life.min(sign::PRESIGNED_VALID_MAX);
        let session = self.session.lasting(life, now)?;
        let expires_at = now.after(life);
        let signer = FormSigner {
            access_key_id: &session.credentials.access_key_id,
            session_token: Some(&session.session_token),
            region: &self.options.region,
            now,
        };
        let form = form.unsigned(&self.options.staging, &signer, expires_at);
        let region = &self.options.region;
        let signature = sign::sign_text(&session.credentials, region, form.text_to_sign(), now);
        Ok(SignedForm {
            url: format!(
                "{}/{}",
                self.options.endpoint.trim_end_matches('/'),
                self.options.staging
            ),
            fields: form.signed(signature),
            expires_at,
        })
    }

    async fn credentials(
        &self,
        scope: CredentialScope,
        life: Duration,
    ) -> Result<UploadCredentials> {
        let policy = scope.session_policy(&self.options.staging, "aws", None)?;
        let made = session::assume(
            &self.options.sts,
            Some(policy),
            life,
            (self.options.clock)(),
        )?;
        Ok(UploadCredentials {
            access_key_id: made.credentials.access_key_id,
            secret_access_key: made.credentials.secret_access_key,
            session_token: made.session_token,
            expires_at: made.expires_at,
        })
    }

    async fn create_multipart(&self, create: CreateMultipart) -> Result<MultipartId> {
        multipart::create(&self.options.depot, &self.options.staging, create).await
    }

    async fn list_parts(&self, at: &MultipartRef) -> Result<Vec<ReceivedPart>> {
        multipart::list_parts(&self.options.depot, &self.options.staging, at).await
    }

    async fn complete_multipart(&self, complete: CompleteMultipart) -> Result<Completed> {
        multipart::complete(&self.options.depot, &self.options.staging, complete).await
    }

    async fn abort_multipart(&self, at: &MultipartRef) -> Result<()> {
        multipart::abort(&self.options.depot, &self.options.staging, at).await
    }
}

/// The moment a signature made now counts from: it names whole seconds.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.millis() - now.millis().rem_euclid(1_000))
}

impl fmt::Debug for DepotGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DepotGrants")
            .field("endpoint", &self.options.endpoint)
            .field("staging", &self.options.staging)
            .finish_non_exhaustive()
    }
}
