//! `ObjectStore` on S3.

mod checksums;
mod copy;
mod copy_parts;
mod failure;
mod list;
mod metadata;
pub(crate) mod names;
mod part_size;
mod probe;
mod put;
mod put_parts;
mod read;
pub(crate) mod retries;

use std::time::Duration;

use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use two_buckets_objects::{
    Body, BucketName, ByteRange, Capabilities, CopyOptions, ListVersions, ObjectInfo, ObjectRef,
    ObjectStore, PutOptions, Result, SINGLE_PUT_SIZE_BYTES_MAX, VersionPage, VersionRef, Written,
};

pub use probe::{Finding, Need, Report, probe_objects};
use retries::OnlyWhatDidNothing;

/// How an [`S3Store`] works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct S3StoreOptions {
    /// Whether the store honours `If-Match` and `If-None-Match` on a copy and on the completion of one in parts, as S3
    /// does since October 2025. Where it does not, the target is looked at just before the copy, which is not atomic
    /// with it: whoever writes between the two is overwritten, and [`Capabilities::conditional_copy`] says so. Versions
    /// that were overwritten are kept, so no bytes are lost by it.
    pub conditional_copy: bool,
    /// Larger objects are copied in parts; at most 5 GiB, which S3 copies at once
    /// (S3 API, `CopyObject`).
    pub single_copy_bytes_max: u64,
    /// The size of the parts of a copy; larger where an object has more than 10,000 of them, and never below S3's
    /// least of 5 MiB.
    pub copy_part_bytes: u64,
    /// How many parts are copied at once.
    pub copy_parts_at_once: usize,
    /// How long one call that copies or writes may take before its outcome counts as unknown.
    pub write_time_max: Duration,
}

impl Default for S3StoreOptions {
    fn default() -> Self {
        Self {
            conditional_copy: true,
            single_copy_bytes_max: SINGLE_PUT_SIZE_BYTES_MAX,
            copy_part_bytes: 256 << 20,
            copy_parts_at_once: 8,
            // S3 copies 5 GiB within a region in well under a minute.
            write_time_max: Duration::from_mins(5),
        }
    }
}

/// Buckets on S3, or on what speaks its protocol, as the pipeline sees them.
///
/// # Calls
///
/// | method | calls | permissions |
/// |---|---|---|
/// | `head`, `head_version` | `HeadObject` | `s3:GetObject`, `s3:GetObjectVersion`; `s3:ListBucket`, without which a 404 is a 403 |
/// | `read_version` | `GetObject` | `s3:GetObjectVersion` |
/// | `put` | `PutObject`, `HeadObject` for the time; above 8 MiB `CreateMultipartUpload`, `UploadPart` for each 8 MiB, `CompleteMultipartUpload`, `HeadObject` | `s3:PutObject`, `s3:AbortMultipartUpload`, `s3:GetObjectVersion` |
/// | `copy_version` | `HeadObject` of the source, `CopyObject`; above 5 GiB `HeadObject`, `GetObjectTagging`, `CreateMultipartUpload`, `UploadPartCopy` for each part, `CompleteMultipartUpload`, `HeadObject` | at the source `s3:GetObjectVersion`, `s3:GetObjectVersionTagging`; at the target `s3:PutObject`, `s3:PutObjectTagging`, `s3:AbortMultipartUpload`, `s3:GetObjectVersion` |
/// | `delete_version` | `DeleteObject` | `s3:DeleteObjectVersion` |
/// | `has_open_multipart` | `ListMultipartUploads` | `s3:ListBucketMultipartUploads` |
/// | `list_versions` | `ListObjectVersions` | `s3:ListBucketVersions` |
///
/// A condition adds no call, but for a copy that is answered 404 under `If-Match`: S3 says the same of a source and of a
/// target that are not there, and one `HeadObject` tells which.
///
/// # Outcomes of writes
///
/// A write is repeated by the SDK only after S3 put it off (503) or was not reached, so what comes out is the last
/// attempt's outcome. A time-out, a cut connection, 502 and 504 are `Unknown`; 409, 500, an error inside a 200 and a lost
/// upload of parts are `NotWritten`, and whoever tries again begins anew, every part again. Who believes a 500 less than
/// S3 means it is safe as well: its next write is conditional, and it looks after a 412.
///
/// # What a copy takes along
///
/// Bytes, user metadata, tags, and the system metadata that [`Metadata`](two_buckets_objects::Metadata) has. Not the
/// storage class, encryption, lock or access list: those are of the target bucket and its rules, and whoever uploads does not
/// choose what the archive costs. Metadata that S3 cannot show in headers (`x-amz-missing-meta`) is refused rather than
/// lost.
///
/// Dropping a future of `put` or `copy_version` may leave an upload of parts behind, which a lifecycle rule must remove
/// (`AbortIncompleteMultipartUpload`), and a write under way may still land.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: aws_sdk_s3::Client,
    options: S3StoreOptions,
}

impl S3Store {
    /// What this client reaches. Calls nobody.
    pub fn new(client: aws_sdk_s3::Client, options: S3StoreOptions) -> Self {
        Self { client, options }
    }

    /// The same without what is done in place of what a store lacks, so that one sees what it does itself.
    #[must_use]
    pub fn without_fallbacks(&self) -> Self {
        Self {
            client: self.client.clone(),
            options: S3StoreOptions {
                conditional_copy: true,
                ..self.options
            },
        }
    }

    /// How a call is made that makes something to be seen.
    fn for_write(&self) -> aws_sdk_s3::config::Builder {
        self.for_part().retry_classifier(OnlyWhatDidNothing)
    }

    /// How a call is made that may take as long as a copy.
    fn for_part(&self) -> aws_sdk_s3::config::Builder {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(self.options.write_time_max)
            .read_timeout(self.options.write_time_max)
            .build();
        aws_sdk_s3::config::Builder::new()
            .timeout_config(timeouts)
            // S3 begins the answer to a long copy early and is silent for as long as that takes.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
    }
}

impl ObjectStore for S3Store {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_copy: self.options.conditional_copy,
        }
    }

    async fn head(&self, at: &ObjectRef) -> Result<ObjectInfo> {
        self.head_current(at).await
    }

    async fn head_version(&self, at: &VersionRef) -> Result<ObjectInfo> {
        self.head_exactly(at).await
    }

    async fn read_version(&self, at: &VersionRef, range: Option<ByteRange>) -> Result<Body> {
        self.read(at, range).await
    }

    async fn put(&self, to: &ObjectRef, body: Body, options: PutOptions) -> Result<Written> {
        self.put_body(to, body, options).await
    }

    async fn copy_version(
        &self,
        from: &VersionRef,
        to: &ObjectRef,
        options: CopyOptions,
    ) -> Result<Written> {
        self.copy(from, to, options).await
    }

    async fn delete_version(&self, at: &VersionRef) -> Result<()> {
        self.delete(at).await
    }

    async fn has_open_multipart(&self, at: &ObjectRef) -> Result<bool> {
        self.find_open_multipart(at).await
    }

    async fn list_versions(
        &self,
        bucket: &BucketName,
        options: ListVersions,
    ) -> Result<VersionPage> {
        self.list(bucket, options).await
    }
}
