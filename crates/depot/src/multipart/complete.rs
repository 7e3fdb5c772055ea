//! Completing a multipart upload.

use std::collections::BTreeMap;

use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ETag, OBJECT_SIZE_BYTES_MAX, ObjectRef, PART_SIZE_BYTES_MIN,
    PARTS_MAX, WriteCondition, Written,
};

use super::{CompletePart, UploadId, checksums, find, parts_of};
use crate::engine::Table;
use crate::ids;
use crate::objects::versions;
use crate::records::{
    Content, Manifest, ManifestPart, ObjectRecord, PartRecord, VersionRecord, VersionState, beside,
};
use crate::row_keys::{self, Order};
use crate::{Depot, Error, FoundObject, PartOfObject, Result, Transaction};

impl Depot {
    /// Makes the object of these parts; parts not named are dropped (S3 API, `CompleteMultipartUpload`). Takes no time
    /// for their bytes: they stay where they are.
    ///
    /// The version's place among those of its key and its Last-Modified are of the moment the upload was begun. Where a
    /// newer version was written since, it is born non-current. In a bucket without versioning it takes the place of
    /// the version `null` whenever that was written; S3 leaves open which of the two stays.
    ///
    /// Parts must ascend ([`Error::InvalidPartOrder`]), be there with the tags and checksums named
    /// ([`Error::InvalidPart`]), have 5 MiB or more but for the last ([`Error::EntityTooSmall`]) and 48.8 TiB or less
    /// together ([`Error::EntityTooLarge`]). The condition is about the key's current version; with
    /// [`WriteCondition::IfMatch`] and no object there the answer is [`Error::NoSuchKey`]. Another checksum of the
    /// object than expected is [`Error::BadDigest`]. After each of these the upload and its parts are still there.
    ///
    /// Repeating a completion that succeeded gives the same answer for as long as the object is there, whatever the
    /// condition.
    pub fn complete_upload(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        parts: &[CompletePart],
        condition: &WriteCondition,
        expected: Option<&Checksum>,
    ) -> Result<(FoundObject, Written)> {
        check_order(parts)?;
        self.transaction(|tx| match find(&*tx.engine, &tx.state.store, to, id) {
            Ok((order, upload)) => tx.complete(to, order, upload, parts, condition, expected),
            Err(Error::NoSuchUpload) => tx.completed_before(to, id, parts, expected),
            Err(error) => Err(error),
        })
    }
}

impl Transaction<'_> {
    fn complete(
        &mut self,
        to: &ObjectRef,
        order: Order,
        upload: crate::records::UploadRecord,
        named: &[CompletePart],
        condition: &WriteCondition,
        expected: Option<&Checksum>,
    ) -> Result<(FoundObject, Written)> {
        let mut received: BTreeMap<u32, PartRecord> =
            parts_of(&*self.engine, order)?.into_iter().collect();
        let mut chosen = Vec::with_capacity(named.len());
        for part in named {
            match received.remove(&part.number) {
                Some(record) if is_as_named(&record, part) => chosen.push((part.number, record)),
                _ => return Err(Error::InvalidPart(part.number)),
            }
        }
        let size_bytes = check_sizes(
            chosen
                .iter()
                .map(|(number, part)| (*number, part.size_bytes, part.md5)),
        )?;
        let is_null = self.writes_null(to)?;
        self.check(to, condition)?;
        let checksum = checksums::of_object(
            upload.algorithm,
            upload.kind,
            chosen
                .iter()
                .map(|(_, part)| (&part.checksum, part.size_bytes)),
        );
        check_expected(&checksum, expected)?;
        let crc64s: Option<Vec<_>> = chosen
            .iter()
            .map(|(_, part)| Some((part.crc64()?, part.size_bytes)))
            .collect();
        let crc64 = crc64s.map(|parts| {
            let (algorithm, kind) = (Algorithm::Crc64Nvme, ChecksumKind::FullObject);
            checksums::of_object(algorithm, kind, parts.into_iter())
        });

        for (number, _) in &chosen {
            self.engine
                .delete(Table::PARTS, &row_keys::of_part(order, *number));
        }
        for (number, unnamed) in received {
            self.engine.release_body(unnamed.body)?;
            self.engine
                .delete(Table::PARTS, &row_keys::of_part(order, number));
        }
        self.remove_upload(to, order);
        let etag = ETag::of_parts(chosen.iter().map(|(_, part)| part.md5));
        let manifest = Manifest {
            parts: chosen
                .into_iter()
                .map(|(number, part)| ManifestPart {
                    shown: PartOfObject {
                        number,
                        size_bytes: part.size_bytes,
                        checksum: Some(part.checksum),
                    },
                    body: part.body,
                })
                .collect(),
        };
        self.engine.put(
            Table::MANIFESTS,
            &row_keys::of_order(order),
            manifest.encode(),
        );
        let record = VersionRecord {
            is_null,
            last_modified: upload.initiated_at,
            state: VersionState::Object(Box::new(ObjectRecord {
                size_bytes,
                etag,
                crc64: beside(&checksum, crc64),
                checksum: Some(checksum),
                metadata: upload.metadata,
                tags: upload.tags,
                content: Content::Parts(order),
            })),
        };
        self.insert(to, order, &record)?;
        let newest = versions::newest(&*self.engine, to)?;
        let is_latest = newest.is_some_and(|(newest, _)| newest == order);
        let written = self.announce(to, order, &record, is_latest)?;
        let found = versions::found(&*self.engine, &self.state.store, to, order, record)?;
        Ok((found, written))
    }

    /// Answers a completion of an upload that is not there as the one before, if that is why and its object still is
    /// there (or was moved away just now).
    fn completed_before(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        named: &[CompletePart],
        expected: Option<&Checksum>,
    ) -> Result<(FoundObject, Written)> {
        let order = ids::upload_order(&self.state.store, id).ok_or(Error::NoSuchUpload)?;
        let record = match versions::at_order(&*self.engine, to, order)? {
            Some(record) => record,
            None => self
                .state
                .just_moved
                .find(to, self.engine.now())
                .filter(|(moved, _)| *moved == order)
                .map(|(_, record)| record)
                .ok_or(Error::NoSuchUpload)?,
        };
        // The order is the upload's own, so a version there with a list of parts is what the upload became.
        let Some(object) = record
            .object()
            .filter(|object| object.content == Content::Parts(order))
        else {
            return Err(Error::NoSuchUpload);
        };
        let Some(checksum) = object.checksum.clone() else {
            return Err(Error::NoSuchUpload);
        };
        let found = versions::found(&*self.engine, &self.state.store, to, order, record)?;
        let are_the_same = found.parts.len() == named.len()
            && found
                .parts
                .iter()
                .zip(named)
                .all(|(part, named)| part.number == named.number)
            && tag_of_named(named).is_some_and(|tag| tag == found.info.etag);
        if !are_the_same {
            return Err(Error::NoSuchUpload);
        }
        check_expected(&checksum, expected)?;
        let written = Written {
            version_id: found.info.at.version_id.clone(),
            etag: found.info.etag.clone(),
            last_modified: found.info.last_modified,
        };
        Ok((found, written))
    }
}

fn is_as_named(part: &PartRecord, named: &CompletePart) -> bool {
    part.etag() == named.etag
        && named
            .checksum
            .as_ref()
            .is_none_or(|checksum| *checksum == part.checksum)
}

fn tag_of_named(named: &[CompletePart]) -> Option<ETag> {
    let md5s: Option<Vec<_>> = named
        .iter()
        .map(|part| super::parts::md5_of(part.etag.as_str()))
        .collect();
    md5s.map(ETag::of_parts)
}

/// At least one part, at most 10,000, each number above the one before.
fn check_order(parts: &[CompletePart]) -> Result<()> {
    if parts.is_empty() {
        return Err(Error::InvalidArgument(
            "a multipart upload needs at least one part".into(),
        ));
    }
    if parts.len() > PARTS_MAX as usize {
        return Err(Error::InvalidArgument(format!(
            "a multipart upload has at most {PARTS_MAX} parts"
        )));
    }
    if parts
        .windows(2)
        .any(|pair| pair[0].number >= pair[1].number)
    {
        return Err(Error::InvalidPartOrder);
    }
    Ok(())
}

/// The size of the object; every part but the last has the least size, and all of them together no more than the most
/// (S3 User Guide, "Amazon S3 multipart upload limits").
fn check_sizes(parts: impl ExactSizeIterator<Item = (u32, u64, [u8; 16])>) -> Result<u64> {
    let last = parts.len().saturating_sub(1);
    let mut total = 0_u64;
    for (index, (part, size_bytes, md5)) in parts.enumerate() {
        if index != last && size_bytes < PART_SIZE_BYTES_MIN {
            return Err(Error::EntityTooSmall {
                part,
                size_bytes,
                size_bytes_min: PART_SIZE_BYTES_MIN,
                etag: ETag::of_md5(md5),
            });
        }
        total = total
            .checked_add(size_bytes)
            .filter(|total| *total <= OBJECT_SIZE_BYTES_MAX)
            .ok_or(Error::EntityTooLarge {
                size_bytes_max: OBJECT_SIZE_BYTES_MAX,
            })?;
    }
    Ok(total)
}

fn check_expected(checksum: &Checksum, expected: Option<&Checksum>) -> Result<()> {
    match expected {
        None => Ok(()),
        Some(expected) if expected.algorithm != checksum.algorithm => {
            Err(Error::InvalidArgument(format!(
                "the upload has a {} checksum, not {}",
                checksum.algorithm, expected.algorithm
            )))
        }
        Some(expected) if expected == checksum => Ok(()),
        Some(_) => Err(Error::BadDigest {
            algorithm: checksum.algorithm,
        }),
    }
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::{
        OBJECT_SIZE_BYTES_MAX, PART_SIZE_BYTES_MIN, PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX,
    };

    use super::check_sizes;
    use crate::Error;

    fn check(sizes: &[u64]) -> crate::Result<u64> {
        let numbered: Vec<_> = (1..)
            .zip(sizes)
            .map(|(n, size)| (n, *size, [0; 16]))
            .collect();
        check_sizes(numbered.into_iter())
    }

    #[test]
    fn an_object_may_have_50_tb_and_not_a_byte_more() {
        let mut sizes = vec![SINGLE_PUT_SIZE_BYTES_MAX; PARTS_MAX as usize];
        assert_eq!(check(&sizes).unwrap(), OBJECT_SIZE_BYTES_MAX);
        assert_eq!(OBJECT_SIZE_BYTES_MAX, 53_687_091_200_000);
        *sizes.last_mut().unwrap() += 1;
        assert!(matches!(check(&sizes), Err(Error::EntityTooLarge { .. })));
        assert!(matches!(
            check(&[u64::MAX, u64::MAX]),
            Err(Error::EntityTooLarge { .. })
        ));
    }

    #[test]
    fn only_the_last_part_may_be_small() {
        assert_eq!(check(&[0]).unwrap(), 0);
        assert_eq!(
            check(&[PART_SIZE_BYTES_MIN, 1]).unwrap(),
            PART_SIZE_BYTES_MIN + 1
        );
        assert!(matches!(
            check(&[PART_SIZE_BYTES_MIN, PART_SIZE_BYTES_MIN - 1, 1]),
            Err(Error::EntityTooSmall { part: 2, .. })
        ));
    }
}
