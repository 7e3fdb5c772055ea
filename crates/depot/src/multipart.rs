use two_buckets_objects::{
    Algorithm, BucketName, Checksum, ChecksumKind, ETag, Key, Metadata, ObjectRef, Tags, Timestamp,
    WriteCondition, Written,
};

use crate::{Body, Depot, FoundObject, Result};

/// The opaque name of a multipart upload.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UploadId(pub String);

/// How to begin a multipart upload.
#[derive(Clone, Debug, Default)]
pub struct CreateUpload {
    /// What is kept beside the bytes.
    pub metadata: Metadata,
    /// The tags.
    pub tags: Tags,
    /// The algorithm and kind of the checksum the object shall have. S3's rules for which go together apply
    /// (S3 User Guide, "Checking object integrity"); default CRC64NVME over the full object.
    pub checksum: Option<(Algorithm, Option<ChecksumKind>)>,
}

/// A part as the client names it on completion.
#[derive(Clone, Debug)]
pub struct CompletePart {
    /// The number.
    pub number: u32,
    /// The tag the upload of the part answered.
    pub etag: ETag,
    /// The checksum the client believes it has.
    pub checksum: Option<Checksum>,
}

/// A part that was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartInfo {
    /// The number.
    pub number: u32,
    /// The tag.
    pub etag: ETag,
    /// The size.
    pub size_bytes: u64,
    /// When it was received.
    pub last_modified: Timestamp,
    /// Its checksum by the upload's algorithm.
    pub checksum: Option<Checksum>,
}

/// A multipart upload that is not completed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadInfo {
    /// The key it will become.
    pub key: Key,
    /// Its id.
    pub id: UploadId,
    /// When it was begun; the object's Last-Modified in the end.
    pub initiated_at: Timestamp,
    /// The algorithm and kind of its checksum.
    pub checksum: (Algorithm, ChecksumKind),
}

/// Which uploads to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListUploads {
    /// Only keys that begin so.
    pub prefix: String,
    /// As in [`ListObjects`](crate::ListObjects).
    pub delimiter: Option<String>,
    /// Begin behind this key.
    pub after_key: Option<String>,
    /// With `after_key`, begin behind this upload of that key.
    pub after_upload: Option<UploadId>,
    /// The most entries; at most and by default 1,000.
    pub limit: Option<usize>,
}

/// A page of uploads: by key, within a key by the moment they were begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<UploadInfo>,
    /// The common prefixes in order.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins, if this one was cut.
    pub next: Option<(String, Option<UploadId>)>,
}

/// Which parts to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListParts {
    /// Begin behind this number.
    pub after: u32,
    /// The most entries; at most and by default 1,000.
    pub limit: Option<usize>,
}

/// A page of parts by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartPage {
    /// The upload.
    pub upload: UploadInfo,
    /// The parts.
    pub parts: Vec<PartInfo>,
    /// The last number shown, if the page was cut.
    pub next: Option<u32>,
}

impl Depot {
    /// Begins a multipart upload. Its place among the key's versions is taken now.
    pub fn create_upload(&self, to: &ObjectRef, options: CreateUpload) -> Result<UploadInfo> {
        let _ = (to, options);
        unimplemented!()
    }

    /// Which checksum algorithm the parts of an upload need, so that the caller can have it computed as bytes come.
    pub fn upload(&self, to: &ObjectRef, id: &UploadId) -> Result<UploadInfo> {
        let _ = (to, id);
        unimplemented!()
    }

    /// Takes a part, in place of one sent before under the same number.
    pub fn put_part(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        number: u32,
        body: Body,
    ) -> Result<PartInfo> {
        let _ = (to, id, number, body);
        unimplemented!()
    }

    /// Lists the parts received.
    pub fn list_parts(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        options: &ListParts,
    ) -> Result<PartPage> {
        let _ = (to, id, options);
        unimplemented!()
    }

    /// Lists the uploads of a bucket that are not completed.
    pub fn list_uploads(&self, bucket: &BucketName, options: &ListUploads) -> Result<UploadPage> {
        let _ = (bucket, options);
        unimplemented!()
    }

    /// Makes the object of these parts; parts not named are dropped. Takes no time for their bytes: they stay where
    /// they are. Repeating a completion that succeeded gives the same answer for as long as the object is there.
    pub fn complete_upload(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        parts: &[CompletePart],
        condition: &WriteCondition,
        expected: Option<&Checksum>,
    ) -> Result<(FoundObject, Written)> {
        let _ = (to, id, parts, condition, expected);
        unimplemented!()
    }

    /// Ends an upload without an object and frees its parts.
    pub fn abort_upload(&self, to: &ObjectRef, id: &UploadId) -> Result<()> {
        let _ = (to, id);
        unimplemented!()
    }
}
