//! Parts on their way in, and the list of those received.

use two_buckets_objects::{
    Algorithm, ByteRange, Checksum, LIST_PAGE_MAX, ObjectRef, PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX,
};

use super::{ListParts, PartInfo, PartPage, UploadId, find, shown};
use crate::engine::{BodyId, Table};
use crate::objects::{READ_BYTES, check_single_put, no_checksum, versions};
use crate::records::{Content, ObjectRecord, PartRecord, beside};
use crate::row_keys::{self, Order};
use crate::view::View;
use crate::{Body, Depot, Error, FoundObject, Reader, Result, Selector, Transaction};

impl Depot {
    /// Takes a part, in place of one sent before under the same number (S3 API, `UploadPart`). Numbers go from 1 to
    /// 10,000. The body must have been begun with the upload's checksum algorithm, which [`Self::upload`] tells.
    pub fn put_part(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        number: u32,
        body: Body,
    ) -> Result<PartInfo> {
        check_number(number)?;
        check_single_put(body.size_bytes())?;
        self.transaction(|tx| {
            let (upload, record) = find(&*tx.engine, &tx.state.store, to, id)?;
            let algorithm = record.algorithm;
            let checksum = body
                .checksum(algorithm)
                .cloned()
                .ok_or_else(|| no_checksum(algorithm))?;
            let part = PartRecord {
                last_modified: tx.engine.now(),
                size_bytes: body.size_bytes(),
                md5: body.md5(),
                crc64: beside(&checksum, body.checksum(Algorithm::Crc64Nvme).cloned()),
                checksum,
                body: tx.engine.add_body(body),
            };
            tx.set_part(upload, number, &part)
        })
    }

    /// Takes a range of a version as a part (S3 API, `UploadPartCopy`); at most 5 GiB.
    ///
    /// A whole version that was sent in one piece and has the upload's checksum shares its body with the part;
    /// anything else is read and written again, in bounded memory.
    pub fn put_part_copy(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        number: u32,
        from: &ObjectRef,
        version: &Selector,
        range: Option<ByteRange>,
    ) -> Result<(FoundObject, PartInfo)> {
        check_number(number)?;
        let algorithm = self.upload(to, id)?.checksum.0;
        if range.is_none()
            && let Some(shared) = self.share_as_part(to, id, number, from, version, algorithm)?
        {
            return Ok(shared);
        }
        let (found, mut reader) = self.read(from, version, range)?;
        let body = self.copy_of(&mut reader, algorithm)?;
        let part = self.put_part(to, id, number, body)?;
        Ok((found, part))
    }

    /// Lists the parts received, by number (S3 API, `ListParts`).
    pub fn list_parts(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        options: &ListParts,
    ) -> Result<PartPage> {
        let engine = &self.inner.engine;
        let store = &self.inner.state.store;
        let (order, record) = find(engine, store, to, id)?;
        let mut page = PartPage {
            upload: shown(store, to.key.clone(), order, &record),
            parts: Vec::new(),
            next: None,
        };
        let limit = options
            .limit
            .unwrap_or(LIST_PAGE_MAX)
            .min(PARTS_MAX as usize);
        if limit == 0 {
            return Ok(page);
        }
        let from = row_keys::of_part(order, options.after.saturating_add(1));
        let to = row_keys::behind(row_keys::of_order(order));
        for (row, record) in engine.scan(Table::PARTS, &from, to.as_deref(), limit + 1)? {
            if page.parts.len() == limit {
                page.next = page.parts.last().map(|part| part.number);
                break;
            }
            let number = row_keys::part_number(&row)?;
            page.parts
                .push(part_shown(number, &PartRecord::decode(&record)?));
        }
        Ok(page)
    }

    /// Lets a part share the body of a version, where nothing needs to be read for it.
    fn share_as_part(
        &self,
        to: &ObjectRef,
        id: &UploadId,
        number: u32,
        from: &ObjectRef,
        version: &Selector,
        algorithm: Algorithm,
    ) -> Result<Option<(FoundObject, PartInfo)>> {
        self.transaction(|tx| {
            let (upload, _) = find(&*tx.engine, &tx.state.store, to, id)?;
            let Ok((order, source)) = tx.select(from, version) else {
                // Perhaps it was just moved; reading it will tell.
                return Ok(None);
            };
            let Some(object) = source.object() else {
                return Ok(None);
            };
            let Some((body, md5, checksum)) = shareable(object, algorithm) else {
                return Ok(None);
            };
            let part = PartRecord {
                last_modified: tx.engine.now(),
                size_bytes: object.size_bytes,
                md5,
                crc64: beside(
                    &checksum,
                    object.full_checksum(Algorithm::Crc64Nvme).cloned(),
                ),
                checksum,
                body,
            };
            let found = versions::found(&*tx.engine, &tx.state.store, from, order, source.clone())?;
            tx.engine.retain_body(body)?;
            let part = tx.set_part(upload, number, &part)?;
            Ok(Some((found, part)))
        })
    }

    /// Writes what a reader reads as a new body.
    fn copy_of(&self, reader: &mut Reader, algorithm: Algorithm) -> Result<Body> {
        check_single_put(reader.remaining_bytes())?;
        let mut writer = self.body_writer(&[algorithm], SINGLE_PUT_SIZE_BYTES_MAX);
        loop {
            let piece = reader.next_piece(READ_BYTES)?;
            if piece.is_empty() {
                return writer.finish();
            }
            writer.write(&piece)?;
        }
    }
}

impl Transaction<'_> {
    /// Sets a part's row and lets go of the body of the part it replaces.
    fn set_part(&mut self, upload: Order, number: u32, part: &PartRecord) -> Result<PartInfo> {
        let row = row_keys::of_part(upload, number);
        if let Some(replaced) = self.engine.get(Table::PARTS, &row)? {
            let replaced = PartRecord::decode(&replaced)?;
            self.engine.release_body(replaced.body)?;
        }
        self.engine.put(Table::PARTS, &row, part.encode());
        Ok(part_shown(number, part))
    }
}

/// The body, MD5 and checksum of a version that a part can share.
fn shareable(object: &ObjectRecord, algorithm: Algorithm) -> Option<(BodyId, [u8; 16], Checksum)> {
    let Content::Body(body) = object.content else {
        return None;
    };
    let checksum = object.full_checksum(algorithm)?;
    check_single_put(object.size_bytes).ok()?;
    Some((body, md5_of(object.etag.as_str())?, checksum.clone()))
}

/// The MD5 that the tag of an object in one piece is.
pub(super) fn md5_of(tag: &str) -> Option<[u8; 16]> {
    if tag.len() != 32 || !tag.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(tag, 16).ok().map(u128::to_be_bytes)
}

fn check_number(number: u32) -> Result<()> {
    if (1..=PARTS_MAX).contains(&number) {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "part number {number} is not between 1 and {PARTS_MAX}"
    )))
}

fn part_shown(number: u32, part: &PartRecord) -> PartInfo {
    PartInfo {
        number,
        etag: part.etag(),
        size_bytes: part.size_bytes,
        last_modified: part.last_modified,
        checksum: Some(part.checksum.clone()),
    }
}
