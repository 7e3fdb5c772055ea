//! `Grants` on S3 and STS.

mod failure;
mod multipart;
mod role;
mod signer;
mod signing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_objects::policy::partition_of;
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_uploads::{
    CompleteMultipart, Completed, CreateMultipart, CredentialScope, Error, FormSigner, FormToSign,
    Grants, MultipartId, MultipartRef, ReceivedPart, RequestToSign, Result, SESSION_LIFE_MIN,
    SIGNATURE_LIFE_MAX, SignedForm, SignedRequest, UploadCredentials,
};

use crate::clients::{Clients, NoBucketUrl};
use role::{CHAINED_LIFE_MAX, UploaderRole};
use signer::{Signer, Source};

/// What [`S3Grants`] is made of, beside clients.
pub struct S3GrantOptions {
    /// The staging bucket.
    pub staging: BucketName,
    /// The ARN of the role that may put to the staging bucket and do nothing else. Its sessions sign, and are given away
    /// narrowed to a key or a prefix. Without it whoever calls signs with credentials of its own, and none are given away.
    pub uploader_role_arn: Option<String>,
    /// The ARN of the KMS key with which the staging bucket encrypts by default, if that is its owner's own.
    pub kms_key_arn: Option<String>,
    /// Where the time comes from.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Grants for a staging bucket on S3. Cheap to clone.
///
/// # Calls
///
/// | method | calls | permissions |
/// |---|---|---|
/// | `sign`, `form` | `AssumeRole` once or twice an hour, without a policy | `sts:AssumeRole` of the uploader role; the session that signs needs what is done with the grant: `s3:PutObject`, `s3:AbortMultipartUpload`, `s3:ListMultipartUploadParts` |
/// | `credentials` | `AssumeRole` each time, with a session policy | `sts:AssumeRole` of the uploader role |
/// | `create_multipart` | `CreateMultipartUpload` | `s3:PutObject` |
/// | `list_parts` | `ListParts` for each 1,000 | `s3:ListMultipartUploadParts` |
/// | `complete_multipart` | `CompleteMultipartUpload`, after a 412 `ListParts` | `s3:PutObject`, `s3:ListMultipartUploadParts` |
/// | `abort_multipart` | `AbortMultipartUpload` | `s3:AbortMultipartUpload` |
///
/// Multipart calls are made with the caller's own credentials, everything that leaves the house is made with the role's.
///
/// # How long a grant lasts
///
/// A signature ends with the credentials it was made with (S3 User Guide, "Download and upload objects with presigned
/// URLs"), and a session of a role that was taken by a role, as a Lambda function is one, with an hour (IAM User Guide,
/// "Role chaining"). So each grant lasts an hour at most, a form at least half of one, and `expires_at` says what is
/// true. Without the role it ends with the caller's own credentials, as far as those say when that is: the ones that a
/// Lambda function finds in its environment do not.
///
/// # What is signed
///
/// Requests are signed here and not by the SDK's `presigned`: that one puts a CRC32 of nothing into the URL of a PUT, by
/// which S3 refuses every body, and knows four of the six calls not at all. Every header of a
/// [`RequestToSign`] is covered, or nothing is signed.
///
/// # Buckets with a KMS key
///
/// A bucket's default encryption with a KMS key (SSE-KMS) needs nothing of a client: no header, in no grant. S3 asks KMS in
/// the name of whoever signed, so the uploader role, and the caller for multipart calls, need `kms:GenerateDataKey` and
/// `kms:Decrypt` of that key by way of S3; credentials that are given away need it in their session policy as well, which
/// is what [`S3GrantOptions::kms_key_arn`] is for. Grants name no key: one that a client chooses (`x-amz-server-side-encryption-*`),
/// or a customer's own (SSE-C), is refused by the signature of a URL, which covers every such header, and by the policy of a
/// form; by credentials a client may choose among the keys that its role may use, which is that one.
/// The entity tag of an object that is encrypted so is no MD5; nothing here takes it for one.
#[derive(Clone)]
pub struct S3Grants(Arc<Inner>);

struct Inner {
    s3: aws_sdk_s3::Client,
    role: Option<UploaderRole>,
    signer: Signer,
    region: String,
    bucket_url: String,
    options: S3GrantOptions,
}

impl S3Grants {
    /// Puts them together. Calls nobody.
    pub async fn new(clients: &Clients, options: S3GrantOptions) -> Result<Self, NoBucketUrl> {
        let role = options
            .uploader_role_arn
            .clone()
            .map(|arn| UploaderRole::new(clients.sts(), arn));
        let source = match &role {
            Some(role) => Source::Role(role.clone()),
            None => Source::Own(clients.sdk().credentials_provider()),
        };
        Ok(Self(Arc::new(Inner {
            s3: clients.s3(),
            role,
            signer: Signer::new(source),
            region: clients.region().to_owned(),
            bucket_url: clients.bucket_url(&options.staging).await?,
            options,
        })))
    }

    /// A signature names whole seconds, and counts from one.
    fn now(&self) -> Timestamp {
        let now = (self.0.options.clock)().millis();
        Timestamp::from_millis(now - now.rem_euclid(1_000))
    }
}

impl Grants for S3Grants {
    async fn sign(&self, request: RequestToSign) -> Result<SignedRequest> {
        let now = self.now();
        let signing = self.0.signer.lasting(request.life, now).await?;
        let life = signing.left(request.life.min(SIGNATURE_LIFE_MAX), now)?;
        let scope = signing::Scope {
            credentials: &signing.credentials,
            region: &self.0.region,
            now,
        };
        Ok(SignedRequest {
            url: signing::presign(&scope, &self.0.bucket_url, &request, life)?,
            expires_at: now.after(life),
        })
    }

    async fn form(&self, form: FormToSign) -> Result<SignedForm> {
        let now = self.now();
        let signing = self.0.signer.lasting(form.life, now).await?;
        let life = signing.left(form.life.min(SIGNATURE_LIFE_MAX), now)?;
        let expires_at = now.after(life);
        let signer = FormSigner {
            access_key_id: signing.credentials.access_key_id(),
            session_token: signing.credentials.session_token(),
            region: &self.0.region,
            now,
        };
        let form = form.unsigned(&self.0.options.staging, &signer, expires_at);
        let scope = signing::Scope {
            credentials: &signing.credentials,
            region: &self.0.region,
            now,
        };
        let signature = signing::sign_text(&scope, form.text_to_sign());
        Ok(SignedForm {
            url: self.0.bucket_url.clone(),
            fields: form.signed(signature),
            expires_at,
        })
    }

    async fn credentials(
        &self,
        scope: CredentialScope,
        life: Duration,
    ) -> Result<UploadCredentials> {
        let Inner { role, options, .. } = &*self.0;
        let refused = |reason: &str| Error::Refused {
            reason: reason.into(),
        };
        let role = role.as_ref().ok_or_else(|| {
            refused("credentials cannot be given away without an uploader role; ask for a signed URL or a form")
        })?;
        if life < SESSION_LIFE_MIN {
            return Err(refused("credentials last at least 15 minutes"));
        }
        let partition = partition_of(role.arn());
        let policy =
            scope.session_policy(&options.staging, partition, options.kms_key_arn.as_deref())?;
        let made = role
            .assume(Some(policy), life.min(CHAINED_LIFE_MAX))
            .await?;
        Ok(UploadCredentials {
            access_key_id: made.access_key_id().to_owned(),
            secret_access_key: made.secret_access_key().to_owned(),
            session_token: made.session_token().to_owned(),
            expires_at: role::end_of(&made),
        })
    }

    async fn create_multipart(&self, create: CreateMultipart) -> Result<MultipartId> {
        multipart::create(&self.0.s3, &self.0.options.staging, create).await
    }

    async fn list_parts(&self, at: &MultipartRef) -> Result<Vec<ReceivedPart>> {
        multipart::list_parts(&self.0.s3, &self.0.options.staging, at).await
    }

    async fn complete_multipart(&self, complete: CompleteMultipart) -> Result<Completed> {
        multipart::complete(&self.0.s3, &self.0.options.staging, complete).await
    }

    async fn abort_multipart(&self, at: &MultipartRef) -> Result<()> {
        multipart::abort(&self.0.s3, &self.0.options.staging, at).await
    }
}

impl fmt::Debug for S3Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Grants")
            .field("bucket_url", &self.0.bucket_url)
            .field("uploader_role_arn", &self.0.options.uploader_role_arn)
            .finish_non_exhaustive()
    }
}
