use two_buckets_objects::{PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX};

/// The size of a part where that is enough: small enough to repeat, large enough for a disk.
const PART_SIZE_BYTES: u64 = 16 << 20;

const _: () = assert!(PART_SIZE_BYTES >= two_buckets_objects::PART_SIZE_BYTES_MIN);
const _: () = assert!(PART_SIZE_BYTES <= SINGLE_PUT_SIZE_BYTES_MAX);

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its number, from 1.
    pub(super) number: u32,
    /// Where it begins.
    pub(super) offset: u64,
    /// How long it is.
    pub(super) size_bytes: u64,
}

/// Cuts a file of this size, at least one byte and at most S3's largest object, into at most 10,000 parts of which
/// all but the last have the same size.
pub(super) fn parts_of(size_bytes: u64) -> impl Iterator<Item = Part> {
    let least = size_bytes.div_ceil(u64::from(PARTS_MAX));
    let part_size_bytes = least.next_multiple_of(1 << 20).max(PART_SIZE_BYTES);
    (1..=PARTS_MAX).map_while(move |number| {
        let offset = u64::from(number - 1) * part_size_bytes;
        let rest = size_bytes.checked_sub(offset).filter(|rest| *rest > 0)?;
        Some(Part {
            number,
            offset,
            size_bytes: rest.min(part_size_bytes),
        })
    })
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::{
        OBJECT_SIZE_BYTES_MAX, PART_SIZE_BYTES_MIN, PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX,
    };

    use super::{PART_SIZE_BYTES, parts_of};

    #[test]
    fn parts_cover_every_size_within_the_limits_of_s3() {
        let most = u64::from(PARTS_MAX) * PART_SIZE_BYTES;
        for size in [
            1,
            PART_SIZE_BYTES - 1,
            PART_SIZE_BYTES,
            PART_SIZE_BYTES + 1,
            most,
            most + 1,
            OBJECT_SIZE_BYTES_MAX - 1,
            OBJECT_SIZE_BYTES_MAX,
        ] {
            let mut end = 0;
            let parts: Vec<_> = parts_of(size).collect();
            for part in &parts {
                assert_eq!(part.offset, end, "{size}");
                assert!(part.size_bytes <= SINGLE_PUT_SIZE_BYTES_MAX, "{size}");
                end += part.size_bytes;
            }
            assert_eq!(end, size);
            assert!(parts.len() <= PARTS_MAX as usize);
            assert!(
                parts[..parts.len() - 1]
                    .iter()
                    .all(|part| part.size_bytes >= PART_SIZE_BYTES_MIN)
            );
        }
    }
}
