use two_buckets_objects::{Metadata, SINGLE_PUT_SIZE_BYTES_MAX, Tags};

use crate::{Error, Result};

/// The most bytes kept beside a version's bytes, names and values together. Far above S3's own limits, which the
/// caller holds clients to: here it only bounds what a row can become.
const BESIDE_BYTES_MAX: usize = 64 << 10;

/// Refuses a body that is too large to be sent in one piece, as an object or as a part: 5 GiB.
pub(crate) fn check_single_put(size_bytes: u64) -> Result<()> {
    if size_bytes > SINGLE_PUT_SIZE_BYTES_MAX {
        return Err(Error::EntityTooLarge {
            size_bytes_max: SINGLE_PUT_SIZE_BYTES_MAX,
        });
    }
    Ok(())
}

/// Refuses metadata and tags that would make a row unreasonable.
pub(crate) fn check_size_beside(metadata: &Metadata, tags: &Tags) -> Result<()> {
    let texts = [
        &metadata.content_type,
        &metadata.content_encoding,
        &metadata.content_disposition,
        &metadata.content_language,
        &metadata.cache_control,
        &metadata.expires,
        &metadata.website_redirect_location,
    ];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let tags: usize = tags
        .0
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if texts + metadata.user_bytes() + tags > BESIDE_BYTES_MAX {
        return Err(Error::InvalidArgument(format!(
            "metadata and tags together have more than {BESIDE_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::SINGLE_PUT_SIZE_BYTES_MAX;

    use super::check_single_put;
    use crate::Error;

    #[test]
    fn a_single_put_carries_5_gib_and_not_a_byte_more() {
        assert!(check_single_put(SINGLE_PUT_SIZE_BYTES_MAX).is_ok());
        assert!(matches!(
            check_single_put(SINGLE_PUT_SIZE_BYTES_MAX + 1),
            Err(Error::EntityTooLarge { size_bytes_max }) if size_bytes_max == 5 << 30
        ));
    }
}
