//! Completing a multipart upload.

use std::collections::BTreeMap;
use std::time::Duration;

use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ETag, OBJECT_SIZE_BYTES_MAX, ObjectRef, PART_SIZE_BYTES_MIN,
    PARTS_MAX, Timestamp, VersionId, WriteCondition, Written,
};

use super::{CompletePart, UploadId, checksums, find, parts_of};
use crate::engine::Table;
use crate::ids;
use crate::objects::versions;
use crate::records::{
    CompletedRecord, Content, Manifest, ManifestPart, ObjectRecord, PartRecord, VersionRecord,
    VersionState, beside,
};
use crate::row_keys::{self, Order};
use crate::view::{View as _, successor};
use crate::{ChangeKind, Depot, Error, PartOfObject, Result, Transaction};

/// How long a completion can be repeated. An answer that was lost is asked for again within minutes; a day lets also a
/// page do so that was closed meanwhile and remembers its uploads for as long.
pub const COMPLETED_KEPT: Duration = Duration::from_hours(24);
/// How many kept completions are looked at at once.
const FORGET_ROWS: usize = 1000;

/// What a completed upload has become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completed {
    /// The object's checksum by the upload's algorithm.
    pub checksum: Checksum,
    /// The object's size.
    pub size_bytes: u64,
}

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
    /// Repeating a completion that succeeded gives the same answer for [`COMPLETED_KEPT`], whatever the condition and
    /// whatever has become of the object; longer for as long as the object is there. With other parts it is
    /// [`Error::NoSuchUpload`], because the upload is over.
    pub fn complete_upload(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        parts: &[CompletePart],
        condition: &WriteCondition,
        expected: Option<&Checksum>,
    ) -> Result<(Completed, Written)> {
        check_order(parts)?;
        self.transaction(|tx| match find(&*tx.engine, &tx.state.store, to, id) {
            Ok((order, upload)) => tx.complete(to, order, upload, parts, condition, expected),
            Err(Error::NoSuchUpload) => tx.completed_before(to, id, parts, expected),
            Err(error) => Err(error),
        })
    }

    /// Forgets the completions that are older than [`COMPLETED_KEPT`] and cannot be repeated any more; gives how many.
    /// Nothing else removes them, so whoever has the clock calls this now and then.
    pub fn forget_completions(&self) -> Result<u64> {
        let mut forgotten = 0;
        let mut from = Vec::new();
        loop {
            let rows = self
                .inner
                .engine
                .scan(Table::COMPLETED, &from, None, FORGET_ROWS)?;
            let Some((last, _)) = rows.last() else {
                return Ok(forgotten);
            };
            from = successor(last);
            let now = self.now();
            let mut over = Vec::new();
            for (row, record) in &rows {
                if is_over(&CompletedRecord::decode(record)?, now) {
                    over.push(row);
                }
            }
            if over.is_empty() {
                continue;
            }
            forgotten += over.len() as u64;
            self.transaction(|tx| {
                for row in over {
                    tx.engine.delete(Table::COMPLETED, row);
                }
                Ok::<_, Error>(())
            })?;
        }
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
    ) -> Result<(Completed, Written)> {
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
        let parts_sha256 = digest(chosen.iter().map(|(number, part)| (*number, part.md5)));
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
                etag: etag.clone(),
                crc64: beside(&checksum, crc64),
                checksum: Some(checksum.clone()),
                metadata: upload.metadata,
                tags: upload.tags,
                content: Content::Parts(order),
            })),
        };
        self.insert(to, order, &record)?;
        let newest = versions::newest(&*self.engine, to)?;
        let is_latest = newest.is_some_and(|(newest, _)| newest == order);
        let written = self.announce(to, order, &record, is_latest, ChangeKind::Completed)?;
        let completed = CompletedRecord {
            completed_at: self.engine.now(),
            is_null,
            last_modified: record.last_modified,
            size_bytes,
            etag,
            checksum: checksum.clone(),
            parts_sha256,
        };
        self.engine.put(
            Table::COMPLETED,
            &row_keys::of_upload(&to.bucket, &to.key, order),
            completed.encode(),
        );
        let completed = Completed {
            checksum,
            size_bytes,
        };
        Ok((completed, written))
    }

    /// Answers a completion of an upload that is not there as the one before, if that is why.
    fn completed_before(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        named: &[CompletePart],
        expected: Option<&Checksum>,
    ) -> Result<(Completed, Written)> {
        let order = ids::upload_order(&self.state.store, id).ok_or(Error::NoSuchUpload)?;
        if let Some(record) = self.kept_completion(to, order)? {
            let are_the_same =
                md5s_of(named).is_some_and(|md5s| digest(md5s.into_iter()) == record.parts_sha256);
            if !are_the_same {
                return Err(Error::NoSuchUpload);
            }
            check_expected(&record.checksum, expected)?;
            let version_id = if record.is_null {
                VersionId::new(VersionId::NULL)
            } else {
                ids::version_id(&self.state.store, order)
            };
            let written = Written {
                version_id,
                etag: record.etag,
                last_modified: record.last_modified,
            };
            let completed = Completed {
                checksum: record.checksum,
                size_bytes: record.size_bytes,
            };
            return Ok((completed, written));
        }
        self.object_there(to, order, named, expected)
    }

    /// What is kept of a completion, if it may still be repeated. A bucket of the same name that was there before is
    /// another one.
    fn kept_completion(&self, to: &ObjectRef, order: Order) -> Result<Option<CompletedRecord>> {
        let row = row_keys::of_upload(&to.bucket, &to.key, order);
        let Some(row) = self.engine.get(Table::COMPLETED, &row)? else {
            return Ok(None);
        };
        let record = CompletedRecord::decode(&row)?;
        let bucket = versions::bucket(&*self.engine, &to.bucket)?;
        let counts =
            !is_over(&record, self.engine.now()) && record.completed_at >= bucket.created_at;
        Ok(counts.then_some(record))
    }

    /// The completion as the object itself tells it, where nothing is kept of it (any more) and the object is still
    /// there, or was moved away just now.
    fn object_there(
        &self,
        to: &ObjectRef,
        order: Order,
        named: &[CompletePart],
        expected: Option<&Checksum>,
    ) -> Result<(Completed, Written)> {
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
        let size_bytes = object.size_bytes;
        let found = versions::found(&*self.engine, &self.state.store, to, order, record)?;
        let are_the_same = found.parts.len() == named.len()
            && found
                .parts
                .iter()
                .zip(named)
                .all(|(part, named)| part.number == named.number)
            && md5s_of(named).is_some_and(|md5s| {
                ETag::of_parts(md5s.into_iter().map(|(_, md5)| md5)) == found.info.etag
            });
        if !are_the_same {
            return Err(Error::NoSuchUpload);
        }
        check_expected(&checksum, expected)?;
        let written = Written {
            version_id: found.info.at.version_id.clone(),
            etag: found.info.etag.clone(),
            last_modified: found.info.last_modified,
        };
        let completed = Completed {
            checksum,
            size_bytes,
        };
        Ok((completed, written))
    }
}

fn is_over(record: &CompletedRecord, now: Timestamp) -> bool {
    now.since(record.completed_at) >= COMPLETED_KEPT
}

/// Numbers and MD5s of parts in one value.
fn digest(parts: impl Iterator<Item = (u32, [u8; 16])>) -> [u8; 32] {
    let mut hasher = Algorithm::Sha256.hasher();
    for (number, md5) in parts {
        hasher.update(&number.to_le_bytes());
        hasher.update(&md5);
    }
    *hasher
        .finish()
        .value
        .first_chunk()
        .expect("SHA-256 gives 32 bytes")
}

fn is_as_named(part: &PartRecord, named: &CompletePart) -> bool {
    part.etag() == named.etag
        && named
            .checksum
            .as_ref()
            .is_none_or(|checksum| *checksum == part.checksum)
}

/// The numbers and MD5s of parts as they are named; none if a tag is that of no part.
fn md5s_of(named: &[CompletePart]) -> Option<Vec<(u32, [u8; 16])>> {
    named
        .iter()
        .map(|part| Some((part.number, super::parts::md5_of(part.etag.as_str())?)))
        .collect()
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
