//! Uploads in parts of a session to the archive key of a version it is bound to. See [`crate::pins`].

use s3s::{S3Error, S3ErrorCode, S3Result};
use two_buckets_depot::{
    Body, CompletePart, Completed, CreateUpload, Depot, Error, FoundObject, PartInfo, UploadId,
    UploadInfo,
};
use two_buckets_objects::{Algorithm, Checksum, ChecksumKind, ETag, WriteCondition, Written};

use super::own::{self, Beside};
use super::{convert, multipart};
use crate::error::of_depot;
use crate::pins::{Completion, Own, OwnPart, PartBytes};

/// How many random bytes an upload's name has.
const ID_BYTES: usize = 16;

/// Begins an upload.
pub(super) fn begin(depot: &Depot, own: &Own, options: &CreateUpload) -> S3Result<UploadInfo> {
    let failed = |error| of_depot(&error);
    let found = own.find(depot).map_err(failed)?;
    own::check_beside(own, &found, &Beside::Said(&options.metadata))?;
    if !options.tags.0.is_empty() {
        own::check_tags(own, &found, &options.tags)?;
    }
    let mut name = [0; ID_BYTES];
    getrandom::fill(&mut name).map_err(|_| {
        S3Error::with_message(
            S3ErrorCode::InternalError,
            "the system gave no random bytes",
        )
    })?;
    let id = UploadId(format!("own-{}", hex::encode(name)));
    let checksum = options.checksum().map_err(failed)?;
    own.begin_upload(id, checksum, depot.now()).map_err(failed)
}

/// Takes a part that was sent.
pub(super) fn put_part(
    depot: &Depot,
    own: &Own,
    id: &UploadId,
    number: u32,
    body: &Body,
) -> two_buckets_depot::Result<PartInfo> {
    let algorithm = own.upload(id)?.checksum.0;
    let sum = |algorithm| body.checksum(algorithm).cloned();
    let crc64 = sum(Algorithm::Crc64Nvme).expect("a writer always computes it");
    let part = OwnPart {
        info: PartInfo {
            number,
            etag: ETag::of_md5(body.md5()),
            size_bytes: body.size_bytes(),
            last_modified: depot.now(),
            checksum: sum(algorithm),
        },
        checksums: Algorithm::ALL.into_iter().filter_map(sum).collect(),
        bytes: PartBytes::Sent(crc64),
    };
    own.put_part(id, part)
}

/// Takes a part that was copied. Its bytes are read only if the client asked for a checksum of another kind than
/// is needed to compare them. Blocks on the disk then.
pub(super) fn put_copied_part(
    depot: &Depot,
    own: &Own,
    id: &UploadId,
    number: u32,
    source: &FoundObject,
    first: u64,
    size_bytes: u64,
) -> S3Result<PartInfo> {
    own::check_source(own, source)?;
    let algorithm = own.upload(id).map_err(|e| of_depot(&e))?.checksum.0;
    let checksum = match algorithm {
        Algorithm::Crc64Nvme => None,
        other => Some(own::checksum_of(depot, own, first, size_bytes, other)?),
    };
    // A tag is no digest; this one says which bytes of which version.
    let named = format!("{}/{first}+{size_bytes}", source.info.at.version_id);
    let tag: String = crate::sign::sha256_hex(named.as_bytes())
        .chars()
        .take(32)
        .collect();
    let part = OwnPart {
        info: PartInfo {
            number,
            etag: ETag::new(&tag),
            size_bytes,
            last_modified: depot.now(),
            checksum: checksum.clone(),
        },
        checksums: checksum.into_iter().collect(),
        bytes: PartBytes::Pinned { first },
    };
    own.put_part(id, part).map_err(|e| of_depot(&e))
}

/// Notes the copy, if the parts are the pinned bytes. Reads those that were sent where they must be compared; blocks
/// on the disk for that.
pub(super) fn complete(
    depot: &Depot,
    own: &Own,
    id: &UploadId,
    named: &[CompletePart],
    condition: &WriteCondition,
    expected: Option<&Checksum>,
    size_claimed: Option<u64>,
) -> S3Result<(Completed, Written)> {
    let failed = |error| of_depot(&error);
    let found = own.find(depot).map_err(failed)?;
    let shown = match convert::shown_checksum(&found) {
        Some(checksum) => checksum.clone(),
        None => own::full_checksum(depot, own, &found, Algorithm::Crc64Nvme)?,
    };
    let completed = Completed {
        checksum: shown,
        size_bytes: found.info.size_bytes,
    };
    let parts = match own.plan_completion(id, named).map_err(failed)? {
        Completion::Repeated => return Ok((completed, own::written(&found))),
        Completion::Compare(parts) => parts,
    };
    let size_bytes: u64 = parts.iter().map(|(_, size_bytes, _)| size_bytes).sum();
    if let Some(claimed) = size_claimed {
        multipart::check_claimed_size(size_bytes, claimed)?;
    }
    if size_bytes != found.info.size_bytes {
        return Err(own::other_bytes(own));
    }
    for (begin, size_bytes, bytes) in &parts {
        let are_equal = match bytes {
            PartBytes::Pinned { first } => first == begin,
            PartBytes::Sent(crc64) => {
                *crc64 == own::checksum_of(depot, own, *begin, *size_bytes, crc64.algorithm)?
            }
        };
        if !are_equal {
            return Err(own::other_bytes(own));
        }
    }
    if let Some(expected) = expected {
        check_expected(depot, own, &found, expected)?;
    }
    own::check_condition(depot, own, &found, condition)?;
    own.complete_upload(id, named);
    Ok((completed, own::written(&found)))
}

/// The checksum that the client says the whole has.
fn check_expected(
    depot: &Depot,
    own: &Own,
    found: &FoundObject,
    expected: &Checksum,
) -> S3Result<()> {
    let algorithm = expected.algorithm;
    if expected.kind != ChecksumKind::FullObject {
        return Err(convert::not_implemented(
            "a checksum of checksums cannot be compared with the upload, which had other parts; send one of the full object",
        ));
    }
    if *expected == own::full_checksum(depot, own, found, algorithm)? {
        return Ok(());
    }
    Err(of_depot(&Error::BadDigest { algorithm }))
}
