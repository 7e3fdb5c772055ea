use std::fmt;
use std::future::Future;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use two_buckets_objects::Timestamp;

use crate::{Result, UploadKey};

/// Makes permissions to upload to the staging bucket.
///
/// What a permission is bound to is decided here, in this crate; an implementation signs all of it or fails.
pub trait Grants: Send + Sync + 'static {
    /// Signs a PUT of exactly this key. Nothing is written: a grant nobody uses leaves no trace.
    fn sign_put(&self, put: PutToSign) -> impl Future<Output = Result<SignedPut>> + Send;
}

/// A PUT to be signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PutToSign {
    /// The key in the staging bucket.
    pub key: UploadKey,
    /// The headers that must be covered by the signature, beside `host`: a request without one of them, or with
    /// another value, must be refused. Names are unique.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long after now the PUT may be begun.
    pub life: Duration,
}

/// A signed PUT. Who has the URL may upload, so it is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedPut {
    /// The URL with its signature.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for SignedPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedPut")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
