//! Uploads in parts to a pin's own archive key.
//!
//! No part is kept: of one that was copied from the pinned version it is enough to know from where in it, and of one
//! that was sent, its checksum. On completion both say whether the parts together are the pinned bytes. So a copy in
//! parts takes no time for its bytes, and whatever becomes of the function, nothing of it is left in the store.

use std::collections::{BTreeMap, HashMap};

use two_buckets_depot::{CompletePart, Error, ListParts, PartInfo, PartPage, UploadId, UploadInfo};
use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ETag, PART_SIZE_BYTES_MIN, Timestamp,
};

use super::Own;

/// The most uploads that are begun in one invocation and not aborted. With 10,000 parts each they take some 30 MB.
const UPLOADS_MAX: usize = 16;

/// The uploads of one pin.
#[derive(Default, Debug)]
pub(super) struct Uploads(HashMap<String, Upload>);

#[derive(Debug)]
struct Upload {
    info: UploadInfo,
    parts: BTreeMap<u32, OwnPart>,
    /// Numbers and tags of the parts it was completed with, so that a completion can be repeated.
    completed: Option<Vec<(u32, ETag)>>,
}

/// A part that came in.
#[derive(Clone, Debug)]
pub(crate) struct OwnPart {
    pub(crate) info: PartInfo,
    /// Those that a completion may name beside the one shown.
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) bytes: PartBytes,
}

/// What is known of a part's bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PartBytes {
    /// They are those of the pinned version from here on.
    Pinned { first: u64 },
    /// Their CRC64NVME.
    Sent(Checksum),
}

/// What is to be done to complete an upload.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Completion {
    /// To compare these, which come one after the other: where a part begins, its size, and what is known of it.
    Compare(Vec<(u64, u64, PartBytes)>),
    /// Nothing: it was completed so before.
    Repeated,
}

impl Own {
    /// Begins an upload under this id, which nobody may guess.
    pub(crate) fn begin_upload(
        &self,
        id: UploadId,
        checksum: (Algorithm, ChecksumKind),
        now: Timestamp,
    ) -> two_buckets_depot::Result<UploadInfo> {
        let info = UploadInfo {
            key: self.pin().archive.key.clone(),
            id,
            initiated_at: now,
            checksum,
        };
        self.uploads(|Uploads(uploads)| {
            if uploads.len() >= UPLOADS_MAX {
                return Err(Error::InvalidArgument(format!(
                    "there are {UPLOADS_MAX} uploads of this key; abort one"
                )));
            }
            let upload = Upload {
                info: info.clone(),
                parts: BTreeMap::new(),
                completed: None,
            };
            uploads.insert(info.id.0.clone(), upload);
            Ok(info)
        })
    }

    /// An upload that is not completed.
    pub(crate) fn upload(&self, id: &UploadId) -> two_buckets_depot::Result<UploadInfo> {
        self.uploads(|uploads| Ok(uploads.open(id)?.info.clone()))
    }

    /// Takes a part in place of the one it had under the number.
    pub(crate) fn put_part(
        &self,
        id: &UploadId,
        part: OwnPart,
    ) -> two_buckets_depot::Result<PartInfo> {
        self.uploads(|uploads| {
            let info = part.info.clone();
            uploads.open(id)?.parts.insert(info.number, part);
            Ok(info)
        })
    }

    /// Forgets an upload.
    pub(crate) fn abort_upload(&self, id: &UploadId) -> two_buckets_depot::Result<()> {
        self.uploads(|uploads| {
            uploads.open(id)?;
            uploads.0.remove(&id.0);
            Ok(())
        })
    }

    /// The parts of an upload that is not completed.
    pub(crate) fn list_parts(
        &self,
        id: &UploadId,
        options: &ListParts,
        limit: usize,
    ) -> two_buckets_depot::Result<PartPage> {
        self.uploads(|uploads| {
            let upload = uploads.open(id)?;
            let mut later = upload.parts.range(options.after.saturating_add(1)..);
            let parts: Vec<PartInfo> = later
                .by_ref()
                .take(limit)
                .map(|(_, part)| part.info.clone())
                .collect();
            let is_cut = later.next().is_some();
            Ok(PartPage {
                upload: upload.info.clone(),
                next: parts.last().filter(|_| is_cut).map(|part| part.number),
                parts,
            })
        })
    }

    /// Looks at what a completion names, by the rules of [`Depot::complete_upload`].
    ///
    /// [`Depot::complete_upload`]: two_buckets_depot::Depot::complete_upload
    pub(crate) fn plan_completion(
        &self,
        id: &UploadId,
        named: &[CompletePart],
    ) -> two_buckets_depot::Result<Completion> {
        if named.windows(2).any(|two| two[0].number >= two[1].number) {
            return Err(Error::InvalidPartOrder);
        }
        self.uploads(|uploads| {
            let upload = uploads.0.get(&id.0).ok_or(Error::NoSuchUpload)?;
            if let Some(before) = &upload.completed {
                return if *before == numbers_and_tags(named) {
                    Ok(Completion::Repeated)
                } else {
                    Err(Error::NoSuchUpload)
                };
            }
            let mut begin = 0;
            let mut compared = Vec::with_capacity(named.len());
            for (index, part) in named.iter().enumerate() {
                let found = upload
                    .parts
                    .get(&part.number)
                    .filter(|found| found.is_as_named(part))
                    .ok_or(Error::InvalidPart(part.number))?;
                let size_bytes = found.info.size_bytes;
                if index + 1 < named.len() && size_bytes < PART_SIZE_BYTES_MIN {
                    return Err(Error::EntityTooSmall {
                        part: part.number,
                        size_bytes,
                        size_bytes_min: PART_SIZE_BYTES_MIN,
                        etag: found.info.etag.clone(),
                    });
                }
                compared.push((begin, size_bytes, found.bytes.clone()));
                // A part has at most 5 GiB and there are at most 10,000.
                begin += size_bytes;
            }
            Ok(Completion::Compare(compared))
        })
    }

    /// Ends an upload whose parts are the pinned bytes, and notes the copy.
    pub(crate) fn complete_upload(&self, id: &UploadId, named: &[CompletePart]) {
        self.uploads(|Uploads(uploads)| {
            // Aborted meanwhile, it is completed all the same: the two came at once.
            if let Some(upload) = uploads.get_mut(&id.0) {
                upload.parts.clear();
                upload.completed = Some(numbers_and_tags(named));
            }
        });
        self.note_copied();
    }
}

impl Uploads {
    fn open(&mut self, id: &UploadId) -> two_buckets_depot::Result<&mut Upload> {
        self.0
            .get_mut(&id.0)
            .filter(|upload| upload.completed.is_none())
            .ok_or(Error::NoSuchUpload)
    }
}

impl OwnPart {
    fn is_as_named(&self, named: &CompletePart) -> bool {
        self.info.etag == named.etag
            && named
                .checksum
                .as_ref()
                .is_none_or(|checksum| self.checksums.contains(checksum))
    }
}

fn numbers_and_tags(named: &[CompletePart]) -> Vec<(u32, ETag)> {
    named
        .iter()
        .map(|part| (part.number, part.etag.clone()))
        .collect()
}
