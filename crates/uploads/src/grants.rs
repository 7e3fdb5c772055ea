//! Permissions to upload, and the multipart calls that a server makes for its clients.

mod form_policy;
mod session_policy;

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::RangeInclusive;
use std::time::Duration;
use std::{fmt, str};

use http::{HeaderName, HeaderValue, Method};
use two_buckets_objects::{ETag, PARTS_MAX, Timestamp};

use crate::{ContentType, KeyPrefix, Result, UploadKey};

pub use form_policy::{FormSigner, UnsignedForm};
pub use session_policy::scope_does_not_fit;

/// Makes permissions to upload to the staging bucket, and carries multipart uploads for clients that ask the server to.
///
/// What a permission is bound to is decided here, in this crate; an implementation signs all of it or fails.
/// How long it lasts is decided here as well, and `life` is the most: a permission ends no later than whatever it was
/// signed with, and its `expires_at` is the truth.
/// Dropping a future of the first three leaves no trace; a multipart call that was begun may or may not have taken
/// effect, and calling it again is harmless, except that `create_multipart` begins another one.
pub trait Grants: Send + Sync + 'static {
    /// Signs one request of one key. Nothing is written: a grant nobody uses leaves no trace.
    fn sign(&self, request: RequestToSign) -> impl Future<Output = Result<SignedRequest>> + Send;

    /// Signs a form that a browser posts to the bucket. Nothing is written.
    fn form(&self, form: FormToSign) -> impl Future<Output = Result<SignedForm>> + Send;

    /// Makes temporary credentials that can upload what the scope says and do nothing else: not read, list, delete,
    /// tag or copy. A scope that cannot be written down is [`Error::Refused`](crate::Error::Refused), and so is a life
    /// shorter than 15 minutes where no session is as short.
    fn credentials(
        &self,
        scope: CredentialScope,
        life: Duration,
    ) -> impl Future<Output = Result<UploadCredentials>> + Send;

    /// Begins a multipart upload whose object shall have a CRC64NVME over all its bytes.
    fn create_multipart(
        &self,
        create: CreateMultipart,
    ) -> impl Future<Output = Result<MultipartId>> + Send;

    /// Every part that was received, by number. An upload that is completed, aborted or another key's is
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn list_parts(
        &self,
        at: &MultipartRef,
    ) -> impl Future<Output = Result<Vec<ReceivedPart>>> + Send;

    /// Makes the object of its parts. Asked again for an upload that is completed it gives the same answer for as long
    /// as it remembers, then [`Error::NotFound`](crate::Error::NotFound), as for one that was aborted or never begun.
    /// Something else under a key that must be new is [`Error::Conflict`](crate::Error::Conflict).
    fn complete_multipart(
        &self,
        complete: CompleteMultipart,
    ) -> impl Future<Output = Result<Completed>> + Send;

    /// Ends the upload and removes its parts. One that is gone already is no error: it is what the caller wants.
    fn abort_multipart(&self, at: &MultipartRef) -> impl Future<Output = Result<()>> + Send;
}

/// One thing that can be asked of the S3 endpoint with a signed URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// The whole object in one request.
    PutObject,
    /// Begins a multipart upload.
    CreateMultipart,
    /// Sends one part.
    PutPart {
        /// Of which upload.
        upload: MultipartId,
        /// Which one.
        number: PartNumber,
    },
    /// Lists the parts that were received.
    ListParts {
        /// Of which upload.
        upload: MultipartId,
    },
    /// Makes the object of its parts.
    CompleteMultipart {
        /// Of which upload.
        upload: MultipartId,
    },
    /// Ends an upload and removes its parts.
    AbortMultipart {
        /// Which one.
        upload: MultipartId,
    },
}

impl Operation {
    /// The method of the request.
    pub fn method(&self) -> Method {
        match self {
            Self::PutObject | Self::PutPart { .. } => Method::PUT,
            Self::CreateMultipart | Self::CompleteMultipart { .. } => Method::POST,
            Self::ListParts { .. } => Method::GET,
            Self::AbortMultipart { .. } => Method::DELETE,
        }
    }

    /// The query of the request, decoded.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::PutObject => Vec::new(),
            Self::CreateMultipart => vec![("uploads", String::new())],
            Self::PutPart { upload, number } => vec![
                ("partNumber", number.to_string()),
                ("uploadId", upload.as_str().to_owned()),
            ],
            // Uppy reads the first page of a list and sends again what is not on it, so all of them must be on it.
            Self::ListParts { upload } => vec![
                ("max-parts", PARTS_MAX.to_string()),
                ("uploadId", upload.as_str().to_owned()),
            ],
            Self::CompleteMultipart { upload } | Self::AbortMultipart { upload } => {
                vec![("uploadId", upload.as_str().to_owned())]
            }
        }
    }
}

/// A request to be signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestToSign {
    /// What it does.
    pub operation: Operation,
    /// The key in the staging bucket.
    pub key: UploadKey,
    /// The headers that must be covered by the signature, beside `host`: a request without one of them, or with
    /// another value, must be refused. Names are unique, values visible ASCII.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long after now the request may be begun, at most.
    pub life: Duration,
}

/// A signed request. Who has the URL may upload, so it is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// The URL with its signature.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A form to be signed (S3 API, "POST Object" and "Creating an HTML form"). S3 has no condition for forms: until it ends
/// one may be posted again, and each time makes a version of its own, which is an upload of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormToSign {
    /// Where its file goes.
    pub to: FormTarget,
    /// The sizes its file may have, in bytes.
    pub size_bytes: RangeInclusive<u64>,
    /// What `Content-Type` must be; none: whatever the form says.
    pub content_type: Option<ContentType>,
    /// The user's metadata that it must have: names in lower case without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// How long after now it may be posted, at most.
    pub life: Duration,
}

/// Where the file of a form goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FormTarget {
    /// To exactly this key.
    Key(UploadKey),
    /// Below this prefix, under the name the browser gives: for a page that cannot know it.
    Below(KeyPrefix),
}

/// A signed form. Who has its fields may upload, so they are not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedForm {
    /// Where to post it: the bucket.
    pub url: String,
    /// Its fields, to be sent before the one called `file`.
    pub fields: BTreeMap<String, String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for SignedForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedForm")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What temporary credentials may upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialScope {
    /// One object, in one piece or in parts.
    Key {
        /// Its key.
        key: UploadKey,
        /// Whether nothing may be under the key yet: the object is then only made with `If-None-Match: *`.
        must_be_new: bool,
    },
    /// Every object below a prefix.
    Below(KeyPrefix),
}

/// Temporary credentials. Secrets are not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadCredentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The session token, to be sent with every request.
    pub session_token: String,
    /// When they end.
    pub expires_at: Timestamp,
}

impl fmt::Debug for UploadCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadCredentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The store's opaque name of a multipart upload: 1 to [`MultipartId::LENGTH_MAX`] visible ASCII characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MultipartId(Box<str>);

/// A text that is no multipart upload's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an upload id is what creating a multipart upload answered")]
pub struct InvalidMultipartId;

impl MultipartId {
    /// The longest one; S3's have about 130 characters and no promised length.
    pub const LENGTH_MAX: usize = 1_024;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl str::FromStr for MultipartId {
    type Err = InvalidMultipartId;

    fn from_str(id: &str) -> Result<Self, InvalidMultipartId> {
        let visible = id.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=Self::LENGTH_MAX).contains(&id.len()) {
            Ok(Self(id.into()))
        } else {
            Err(InvalidMultipartId)
        }
    }
}

/// The number of a part, 1 to [`PARTS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartNumber(u32);

/// A number that no part has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a part's number is 1 to {PARTS_MAX}")]
pub struct InvalidPartNumber;

impl PartNumber {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u64> for PartNumber {
    type Error = InvalidPartNumber;

    fn try_from(number: u64) -> Result<Self, InvalidPartNumber> {
        match u32::try_from(number) {
            Ok(number @ 1..=PARTS_MAX) => Ok(Self(number)),
            _ => Err(InvalidPartNumber),
        }
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A multipart upload of a key in the staging bucket.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MultipartRef {
    /// The key.
    pub key: UploadKey,
    /// Which of its uploads.
    pub upload: MultipartId,
}

/// A multipart upload to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateMultipart {
    /// The key.
    pub key: UploadKey,
    /// The object's `Content-Type`.
    pub content_type: Option<ContentType>,
    /// The user's metadata: names in lower case without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// A part that was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceivedPart {
    /// Its number.
    pub number: u32,
    /// Its entity tag.
    pub etag: ETag,
    /// Its size.
    pub size_bytes: u64,
}

/// A multipart upload to complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompleteMultipart {
    /// Which.
    pub at: MultipartRef,
    /// Its parts with their tags, by ascending number.
    pub parts: Vec<(PartNumber, ETag)>,
    /// Whether nothing may be under the key yet.
    pub must_be_new: bool,
}

/// A multipart upload that is an object now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completed {
    /// The object's entity tag; none where only the ledger still knows of it.
    pub etag: Option<ETag>,
}
