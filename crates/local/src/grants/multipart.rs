//! Multipart uploads begun, listed, completed and aborted by the server for its clients.

use two_buckets_depot::{CompletePart, CreateUpload, Depot, ListParts, UploadId};
use two_buckets_objects::{
    Algorithm, BucketName, ChecksumKind, Metadata, ObjectRef, WriteCondition,
};
use two_buckets_uploads::{
    CompleteMultipart, Completed, CreateMultipart, Error, MultipartId, MultipartRef, ReceivedPart,
    Result, UploadKey,
};

use crate::blocking::blocking;

pub(super) async fn create(
    depot: &Depot,
    staging: &BucketName,
    create: CreateMultipart,
) -> Result<MultipartId> {
    let (depot, to) = (depot.clone(), object(staging, &create.key));
    let options = CreateUpload {
        metadata: Metadata {
            content_type: create.content_type.map(|text| text.as_str().to_owned()),
            user: create.metadata,
            ..Metadata::default()
        },
        checksum: Some((Algorithm::Crc64Nvme, Some(ChecksumKind::FullObject))),
        ..CreateUpload::default()
    };
    let begun = blocking(move || depot.create_upload(&to, options)).await;
    let UploadId(id) = begun.map_err(failed)?.id;
    id.parse().map_err(|_| Error::Broken {
        reason: "the store's upload id cannot be in a URL".into(),
        source: None,
    })
}

pub(super) async fn list_parts(
    depot: &Depot,
    staging: &BucketName,
    at: &MultipartRef,
) -> Result<Vec<ReceivedPart>> {
    let (depot, to, id) = named(depot, staging, at);
    let parts = blocking(move || {
        let mut all = Vec::new();
        let mut options = ListParts::default();
        loop {
            let page = depot.list_parts(&to, &id, &options)?;
            all.extend(page.parts);
            match page.next {
                Some(after) => options.after = after,
                None => return Ok(all),
            }
        }
    });
    let received = parts.await.map_err(failed)?.into_iter();
    Ok(received
        .map(|part| ReceivedPart {
            number: part.number,
            etag: part.etag,
            size_bytes: part.size_bytes,
        })
        .collect())
}

pub(super) async fn complete(
    depot: &Depot,
    staging: &BucketName,
    complete: CompleteMultipart,
) -> Result<Completed> {
    let (depot, to, id) = named(depot, staging, &complete.at);
    let parts: Vec<CompletePart> = complete
        .parts
        .into_iter()
        .map(|(number, etag)| CompletePart {
            number: number.get(),
            etag,
            checksum: None,
        })
        .collect();
    let condition = if complete.must_be_new {
        WriteCondition::IfNoneMatch
    } else {
        WriteCondition::None
    };
    let (_, written) = blocking(move || depot.complete_upload(&to, &id, &parts, &condition, None))
        .await
        .map_err(failed)?;
    Ok(Completed {
        etag: Some(written.etag),
    })
}

pub(super) async fn abort(depot: &Depot, staging: &BucketName, at: &MultipartRef) -> Result<()> {
    let (depot, to, id) = named(depot, staging, at);
    match blocking(move || depot.abort_upload(&to, &id)).await {
        Ok(()) | Err(two_buckets_depot::Error::NoSuchUpload) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn object(staging: &BucketName, key: &UploadKey) -> ObjectRef {
    ObjectRef {
        bucket: staging.clone(),
        key: key.as_key().clone(),
    }
}

fn named(depot: &Depot, staging: &BucketName, at: &MultipartRef) -> (Depot, ObjectRef, UploadId) {
    let id = UploadId(at.upload.as_str().to_owned());
    (depot.clone(), object(staging, &at.key), id)
}

/// What the store's failures mean to a caller of the upload API.
fn failed(error: two_buckets_depot::Error) -> Error {
    use two_buckets_depot::Error as Depot;
    match error {
        Depot::NoSuchUpload => Error::NotFound {
            what: "a multipart upload of this key with this id".into(),
        },
        Depot::ConditionFailed => Error::Conflict {
            reason: "there is another file under this key already".into(),
        },
        Depot::InvalidPart(_)
        | Depot::InvalidPartOrder
        | Depot::EntityTooSmall { .. }
        | Depot::EntityTooLarge { .. }
        | Depot::BadDigest { .. }
        | Depot::InvalidArgument(_) => Error::Refused {
            reason: error.to_string(),
        },
        Depot::DiskFull | Depot::ReadOnly => Error::Unavailable {
            reason: error.to_string(),
            source: None,
        },
        error => Error::Broken {
            reason: "the store cannot carry a multipart upload".into(),
            source: Some(Box::new(error)),
        },
    }
}
