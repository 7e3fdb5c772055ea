//! Writes of a session to the archive key of a version it is bound to ([`crate::pins`]): compared, noted, not performed.

use s3s::{S3Error, S3Result};
use two_buckets_depot::{
    Body, CopyMetadata, CopyObject, Deleted, Depot, Error, FoundObject, PutObject, Selector,
};
use two_buckets_objects::{
    Algorithm, ByteRange, Checksum, Metadata, Tags, WriteCondition, Written,
};

use crate::error::of_depot;
use crate::pins::Own;
use crate::refusal::Refusal;

/// What is to be beside the bytes.
pub(super) enum Beside<'a> {
    /// What is said; of the rest the upload's own is kept.
    Said(&'a Metadata),
    /// Exactly this.
    Exactly(&'a Metadata),
}

/// Media types that say nothing.
const UNKNOWN_TYPES: [&str; 2] = ["application/octet-stream", "binary/octet-stream"];

/// The write that is answered: it will have the bytes and the tag of the pinned version.
pub(super) fn written(found: &FoundObject) -> Written {
    Written {
        version_id: found.info.at.version_id.clone(),
        etag: found.info.etag.clone(),
        last_modified: found.info.last_modified,
    }
}

/// Notes the copy of a version, if it is the pinned one and nothing is asked that the archive will not have; gives it
/// with the checksum asked for.
pub(super) fn copy(
    depot: &Depot,
    own: &Own,
    mut source: FoundObject,
    options: &CopyObject,
) -> S3Result<FoundObject> {
    check_source(own, &source)?;
    if let CopyMetadata::Replace(metadata) = &options.metadata {
        check_beside(own, &source, &Beside::Exactly(metadata))?;
    }
    if let Some(tags) = &options.tags {
        check_tags(own, &source, tags)?;
    }
    check_condition(depot, own, &source, &options.condition)?;
    if let Some(asked) = options.checksum
        && source.info.full_checksum(asked).is_none()
    {
        let computed = full_checksum(depot, own, &source, asked)?;
        source.info.checksums.push(computed);
    }
    own.note_copied();
    Ok(source)
}

/// Notes the upload of a body, if it has the bytes of the pinned version; gives that.
pub(super) fn put(
    depot: &Depot,
    own: &Own,
    body: &Body,
    options: &PutObject,
) -> S3Result<FoundObject> {
    let found = own.find(depot).map_err(|e| of_depot(&e))?;
    let algorithm = Algorithm::Crc64Nvme;
    if body.size_bytes() != found.info.size_bytes
        || body.checksum(algorithm) != Some(&full_checksum(depot, own, &found, algorithm)?)
    {
        return Err(other_bytes(own));
    }
    check_beside(own, &found, &Beside::Said(&options.metadata))?;
    if !options.tags.0.is_empty() {
        check_tags(own, &found, &options.tags)?;
    }
    check_condition(depot, own, &found, &options.condition)?;
    own.note_copied();
    Ok(found)
}

/// Notes a delete.
pub(super) fn delete(
    depot: &Depot,
    own: &Own,
    version: &Selector,
    condition: &WriteCondition,
) -> two_buckets_depot::Result<Deleted> {
    if let WriteCondition::IfMatch(tag) = condition {
        if own.was_deleted() {
            return Err(Error::NoSuchKey {
                delete_marker: None,
            });
        }
        if *tag != own.find(depot)?.info.etag {
            return Err(Error::ConditionFailed);
        }
    }
    own.note_deleted();
    Ok(Deleted {
        // Deleting by name would make a marker; there is none to name.
        version_id: match version {
            Selector::Current => None,
            Selector::Version(id) => Some(id.clone()),
        },
        is_delete_marker: false,
    })
}

/// Refuses a source that is not the pinned version.
pub(super) fn check_source(own: &Own, source: &FoundObject) -> S3Result<()> {
    if source.info.at == own.pin().staged {
        return Ok(());
    }
    Err(other_bytes(own))
}

/// Refuses metadata that the archive will not have.
pub(super) fn check_beside(own: &Own, found: &FoundObject, beside: &Beside<'_>) -> S3Result<()> {
    let kept = &found.info.metadata;
    let (said, is_all) = match beside {
        Beside::Said(said) => (said, false),
        Beside::Exactly(said) => (said, true),
    };
    let differs = |said: &Option<String>, kept: &Option<String>| {
        if said.is_none() && !is_all {
            false
        } else {
            said != kept
        }
    };
    let media_type = |metadata: &Metadata| {
        let media_type = metadata.content_type.clone();
        media_type.filter(|it| !UNKNOWN_TYPES.contains(&&**it))
    };
    let what = if differs(&media_type(said), &media_type(kept)) {
        "media type"
    } else if differs(&said.content_encoding, &kept.content_encoding)
        || differs(&said.content_disposition, &kept.content_disposition)
        || differs(&said.content_language, &kept.content_language)
        || differs(&said.cache_control, &kept.cache_control)
        || differs(&said.expires, &kept.expires)
        || differs(
            &said.website_redirect_location,
            &kept.website_redirect_location,
        )
    {
        "headers"
    } else if said.user != kept.user && (is_all || !said.user.is_empty()) {
        "metadata"
    } else {
        return Ok(());
    };
    Err(keeps_its_own(own, what))
}

/// Refuses tags that the archive will not have.
pub(super) fn check_tags(own: &Own, found: &FoundObject, tags: &Tags) -> S3Result<()> {
    if *tags == found.tags {
        return Ok(());
    }
    Err(keeps_its_own(own, "tags"))
}

/// A condition is about what this session sees under the archive key.
pub(super) fn check_condition(
    depot: &Depot,
    own: &Own,
    found: &FoundObject,
    condition: &WriteCondition,
) -> S3Result<()> {
    if *condition == WriteCondition::None {
        return Ok(());
    }
    let there = if own.was_copied() {
        Ok(found.info.etag.clone())
    } else {
        depot
            .head(&own.pin().archive, &Selector::Current)
            .map(|there| there.info.etag)
    };
    let holds = match (condition, there) {
        (WriteCondition::IfNoneMatch, Err(Error::NoSuchKey { .. })) => true,
        (_, Err(error)) => return Err(of_depot(&error)),
        (WriteCondition::IfMatch(tag), Ok(there)) => *tag == there,
        (_, Ok(_)) => false,
    };
    if holds {
        Ok(())
    } else {
        Err(of_depot(&Error::ConditionFailed))
    }
}

/// The checksum over all bytes of the pinned version, which is computed where none is kept. Blocks on the disk.
pub(super) fn full_checksum(
    depot: &Depot,
    own: &Own,
    found: &FoundObject,
    algorithm: Algorithm,
) -> S3Result<Checksum> {
    match found.info.full_checksum(algorithm) {
        Some(checksum) => Ok(checksum.clone()),
        None => checksum_of(depot, own, 0, found.info.size_bytes, algorithm),
    }
}

/// The checksum of some bytes of the pinned version. Blocks on the disk for as long as they take to be read.
pub(super) fn checksum_of(
    depot: &Depot,
    own: &Own,
    first: u64,
    size_bytes: u64,
    algorithm: Algorithm,
) -> S3Result<Checksum> {
    let mut hasher = algorithm.hasher();
    if size_bytes > 0 {
        let staged = &own.pin().staged;
        let version = Selector::Version(staged.version_id.clone());
        let last = first + size_bytes - 1;
        let range = Some(ByteRange::FromTo { first, last });
        let failed = |error| of_depot(&error);
        let (_, mut reader) = depot
            .read(&staged.object(), &version, range)
            .map_err(failed)?;
        loop {
            let piece = reader
                .next_piece(crate::store::PIECE_BYTES)
                .map_err(failed)?;
            if piece.is_empty() {
                break;
            }
            hasher.update(&piece);
        }
    }
    Ok(hasher.finish())
}

pub(super) fn other_bytes(own: &Own) -> S3Error {
    let at = &own.pin().archive;
    Refusal::access_denied(format!(
        "these are not the bytes that were uploaded, and {}/{} keeps those; write results under another key",
        at.bucket, at.key
    ))
    .into()
}

fn keeps_its_own(own: &Own, what: &str) -> S3Error {
    let at = &own.pin().archive;
    Refusal::access_denied(format!(
        "{}/{} keeps the {what} of the upload; leave yours away, or write under another key",
        at.bucket, at.key
    ))
    .into()
}
