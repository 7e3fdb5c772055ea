//! Copying.

use two_buckets_objects::{Algorithm, Checksum, ETag, Metadata, ObjectRef, VersionRef, Written};

use super::{CopyMetadata, CopyObject, FoundObject, Selector, check_size_beside, versions};
use crate::records::{Content, ObjectRecord, VersionRecord, VersionState};
use crate::row_keys::Order;
use crate::{ChangeKind, Depot, Error, Reader, Result, Transaction};

/// How many bytes are read at a time where bytes must be read.
pub(crate) const READ_BYTES: usize = 1 << 20;
/// How often a copy whose checksum had to be computed begins again because the source was replaced meanwhile.
const COPIES_MAX: usize = 4;

impl Depot {
    /// Copies a version, in any bucket, in time that does not depend on its size: both share one immutable body
    /// (S3 API, `CopyObject`). Only a checksum that the source does not have makes the bytes be read.
    ///
    /// Unlike on S3 a copy of a multipart object keeps its parts and so its `ETag`, and any size can be copied.
    /// A condition that does not hold is [`Error::ConditionFailed`] in every case, so that `NoSuchKey` says that the
    /// source is not there.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "like every other write it takes its options by value"
    )]
    pub fn copy(
        &self,
        from: &ObjectRef,
        version: &Selector,
        to: &ObjectRef,
        options: CopyObject,
    ) -> Result<(FoundObject, Written)> {
        let Some(algorithm) = options.checksum else {
            return self.transaction(|tx| tx.copy(from, version, to, &options, None));
        };
        for _ in 0..COPIES_MAX {
            let computed = self.full_checksum(from, version, algorithm)?;
            let copied = self.transaction(|tx| {
                let (order, record) = tx.select(from, version)?;
                if (order, content(&record)) != (computed.order, Some(computed.content)) {
                    return Ok::<_, Error>(None);
                }
                tx.copy(from, version, to, &options, Some(computed.checksum))
                    .map(Some)
            })?;
            if let Some(copied) = copied {
                return Ok(copied);
            }
        }
        Err(Error::ConditionFailed)
    }

    /// The checksum of a version's whole bytes, from its row or by reading them.
    fn full_checksum(
        &self,
        at: &ObjectRef,
        version: &Selector,
        algorithm: Algorithm,
    ) -> Result<Computed> {
        let (mut computed, reader) = self.with_version(at, version, |looked| {
            let Some(object) = looked.record.object() else {
                return Err(Error::NoSuchVersion);
            };
            let kept = object.full_checksum(algorithm).cloned();
            let reader = match kept {
                Some(_) => None,
                None => match self.reader(object, &(0..object.size_bytes))? {
                    None => return Ok(None),
                    reader => reader,
                },
            };
            let computed = Computed {
                order: looked.order,
                content: object.content,
                checksum: kept.unwrap_or_else(|| algorithm.hasher().finish()),
            };
            Ok(Some((computed, reader)))
        })?;
        if let Some(reader) = reader {
            computed.checksum = checksum_of(reader, algorithm)?;
        }
        Ok(computed)
    }
}

/// A checksum and what it is of.
struct Computed {
    order: Order,
    content: Content,
    checksum: Checksum,
}

fn content(record: &VersionRecord) -> Option<Content> {
    record.object().map(|object| object.content)
}

fn checksum_of(mut reader: Reader, algorithm: Algorithm) -> Result<Checksum> {
    let mut hasher = algorithm.hasher();
    loop {
        let piece = reader.next_piece(READ_BYTES)?;
        if piece.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.update(&piece);
    }
}

impl Transaction<'_> {
    /// Copies one version as [`Depot::copy`] does, together with whatever else this transaction does. Both share one
    /// body; the copy has the source's checksums, whatever [`CopyObject::checksum`] says.
    pub fn copy_version(
        &mut self,
        from: &VersionRef,
        to: &ObjectRef,
        options: &CopyObject,
    ) -> Result<Written> {
        let version = Selector::Version(from.version_id.clone());
        let (_, written) = self.copy(&from.object(), &version, to, options, None)?;
        Ok(written)
    }

    fn copy(
        &mut self,
        from: &ObjectRef,
        version: &Selector,
        to: &ObjectRef,
        options: &CopyObject,
        checksum: Option<Checksum>,
    ) -> Result<(FoundObject, Written)> {
        let (source_order, source) = self.select(from, version)?;
        let found = versions::found(
            &*self.engine,
            &self.state.store,
            from,
            source_order,
            source.clone(),
        )?;
        let VersionState::Object(mut object) = source.state else {
            return Err(Error::NoSuchVersion);
        };
        check_source(&object, options.source_etag.as_ref())?;
        let is_null = self.writes_null(to)?;
        self.check(to, &options.condition)
            .map_err(missing_target_fails_the_condition)?;
        match &options.metadata {
            CopyMetadata::Keep(pairs) => set_user_pairs(&mut object.metadata, pairs),
            CopyMetadata::Replace(metadata) => object.metadata = metadata.clone(),
        }
        if let Some(tags) = &options.tags {
            object.tags = tags.clone();
        }
        if let Some(checksum) = checksum {
            object.show_checksum(checksum);
        }
        check_size_beside(&object.metadata, &object.tags)?;
        self.takes_room();
        // Before the insert, which may let go of the same bytes where a version `null` is copied onto itself.
        self.retain(object.content)?;
        let order = self.next_order();
        let record = VersionRecord {
            is_null,
            last_modified: self.engine.now(),
            state: VersionState::Object(object),
        };
        self.insert(to, order, &record)?;
        let written = self.announce(to, order, &record, true, ChangeKind::Copied)?;
        Ok((found, written))
    }
}

fn check_source(object: &ObjectRecord, asked: Option<&ETag>) -> Result<()> {
    match asked {
        Some(tag) if !versions::matches(tag, &object.etag) => Err(Error::ConditionFailed),
        _ => Ok(()),
    }
}

pub(crate) fn set_user_pairs(metadata: &mut Metadata, pairs: &[(String, String)]) {
    metadata.user.extend(pairs.iter().cloned());
}

/// Where a call names two places, "not found" speaks of the source only.
fn missing_target_fails_the_condition(error: Error) -> Error {
    match error {
        Error::NoSuchKey { .. } => Error::ConditionFailed,
        other => other,
    }
}
