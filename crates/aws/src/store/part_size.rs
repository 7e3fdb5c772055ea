//! Into what parts a copy is divided.

use std::ops::RangeInclusive;

use two_buckets_objects::{
    OBJECT_SIZE_BYTES_MAX, PART_SIZE_BYTES_MIN, PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX,
};

const _: () = assert!(
    OBJECT_SIZE_BYTES_MAX.div_ceil(PARTS_MAX as u64) <= SINGLE_PUT_SIZE_BYTES_MAX,
    "the largest object must fit into the most parts"
);

/// The byte ranges of the parts, in order, first and last byte included: of the wanted size at least, equal but for the
/// last, and so large that they are no more than [`PARTS_MAX`].
pub(super) fn ranges(
    size_bytes: u64,
    wanted_bytes: u64,
) -> impl Iterator<Item = RangeInclusive<u64>> {
    let needed = size_bytes.div_ceil(u64::from(PARTS_MAX));
    let part = wanted_bytes
        .clamp(PART_SIZE_BYTES_MIN, SINGLE_PUT_SIZE_BYTES_MAX)
        .max(needed);
    (0..size_bytes.div_ceil(part)).map(move |n| {
        let first = n * part;
        first..=(first + part).min(size_bytes) - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_size_without_gap_and_within_the_limits_of_s3() {
        let mib = 1 << 20;
        for (size, wanted) in [
            (1, mib),
            (PART_SIZE_BYTES_MIN, mib),
            (PART_SIZE_BYTES_MIN + 1, mib),
            (SINGLE_PUT_SIZE_BYTES_MAX + 1, 256 * mib),
            (156 << 30, 16 * mib),
            ((156 << 30) + 1_000_000_007, 16 * mib),
            (OBJECT_SIZE_BYTES_MAX - 1, 256 * mib),
            (OBJECT_SIZE_BYTES_MAX, 256 * mib),
        ] {
            let mut next = 0;
            let mut parts = 0;
            for range in ranges(size, wanted) {
                assert_eq!(*range.start(), next, "{size}");
                let length = range.end() - range.start() + 1;
                next = range.end() + 1;
                parts += 1;
                assert!(length <= SINGLE_PUT_SIZE_BYTES_MAX, "{size}");
                assert!(length >= PART_SIZE_BYTES_MIN || next == size, "{size}");
            }
            assert_eq!(next, size);
            assert!(parts <= PARTS_MAX, "{size}");
        }
    }
}
