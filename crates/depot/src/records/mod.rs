//! What the rows of the store's own tables say, and how that is written (`docs/format.md`, "Rows").

mod bucket;
mod upload;
mod version;

pub(crate) use bucket::BucketRecord;
pub(crate) use upload::{CompletedRecord, Manifest, ManifestPart, PartRecord, UploadRecord};
pub(crate) use version::{Content, ObjectRecord, VersionRecord, VersionState, beside};

use two_buckets_objects::{Algorithm, Checksum, ChecksumKind, Metadata, Tags};

use crate::Result;
use crate::encoding::{Decoder, Encoder};

fn algorithm_code(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Crc32 => 1,
        Algorithm::Crc32c => 2,
        Algorithm::Crc64Nvme => 3,
        Algorithm::Sha1 => 4,
        Algorithm::Sha256 => 5,
    }
}

fn put_algorithm(to: &mut Encoder, algorithm: Algorithm) {
    to.u8(algorithm_code(algorithm));
}

fn take_algorithm(from: &mut Decoder<'_>) -> Result<Algorithm> {
    let code = from.u8()?;
    Algorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm_code(*algorithm) == code)
        .ok_or_else(|| from.corrupt())
}

fn put_kind(to: &mut Encoder, kind: ChecksumKind) {
    match kind {
        ChecksumKind::FullObject => to.u32(0),
        // One more than the count, since an upload's kind is known before any part is.
        ChecksumKind::Composite { parts } => to.u32(parts + 1),
    }
}

fn take_kind(from: &mut Decoder<'_>) -> Result<ChecksumKind> {
    Ok(match from.u32()?.checked_sub(1) {
        None => ChecksumKind::FullObject,
        Some(parts) => ChecksumKind::Composite { parts },
    })
}

fn put_checksum(to: &mut Encoder, checksum: &Checksum) {
    assert_eq!(
        checksum.value.len(),
        checksum.algorithm.length_bytes(),
        "a checksum has the length of its algorithm"
    );
    put_algorithm(to, checksum.algorithm);
    put_kind(to, checksum.kind);
    to.fixed(&checksum.value);
}

fn take_checksum(from: &mut Decoder<'_>) -> Result<Checksum> {
    let algorithm = take_algorithm(from)?;
    let kind = take_kind(from)?;
    let value = from.fixed(algorithm.length_bytes())?.into();
    Ok(Checksum {
        algorithm,
        kind,
        value,
    })
}

fn put_optional_checksum(to: &mut Encoder, checksum: Option<&Checksum>) {
    match checksum {
        None => to.u8(0),
        Some(checksum) => {
            to.u8(1);
            put_checksum(to, checksum);
        }
    }
}

fn take_optional_checksum(from: &mut Decoder<'_>) -> Result<Option<Checksum>> {
    match from.u8()? {
        0 => Ok(None),
        1 => take_checksum(from).map(Some),
        _ => Err(from.corrupt()),
    }
}

fn put_metadata(to: &mut Encoder, metadata: &Metadata) {
    for text in [
        &metadata.content_type,
        &metadata.content_encoding,
        &metadata.content_disposition,
        &metadata.content_language,
        &metadata.cache_control,
        &metadata.expires,
        &metadata.website_redirect_location,
    ] {
        to.optional_text(text.as_deref());
    }
    put_pairs(to, &metadata.user);
}

fn take_metadata(from: &mut Decoder<'_>) -> Result<Metadata> {
    let mut text = || -> Result<_> { Ok(from.optional_text()?.map(str::to_owned)) };
    Ok(Metadata {
        content_type: text()?,
        content_encoding: text()?,
        content_disposition: text()?,
        content_language: text()?,
        cache_control: text()?,
        expires: text()?,
        website_redirect_location: text()?,
        user: take_pairs(from)?,
    })
}

fn put_tags(to: &mut Encoder, tags: &Tags) {
    put_pairs(to, &tags.0);
}

fn take_tags(from: &mut Decoder<'_>) -> Result<Tags> {
    take_pairs(from).map(Tags)
}

type Pairs = std::collections::BTreeMap<String, String>;

fn put_pairs(to: &mut Encoder, pairs: &Pairs) {
    to.count(pairs.len());
    for (name, value) in pairs {
        to.text(name);
        to.text(value);
    }
}

fn take_pairs(from: &mut Decoder<'_>) -> Result<Pairs> {
    let count = from.count()?;
    let mut pairs = Pairs::new();
    for _ in 0..count {
        let name = from.text()?.to_owned();
        pairs.insert(name, from.text()?.to_owned());
    }
    if pairs.len() == count {
        Ok(pairs)
    } else {
        Err(from.corrupt())
    }
}

#[cfg(test)]
mod tests;
