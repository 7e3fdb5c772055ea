//! How files are cut into parts. The page and the upload API cut them in the same way.

use two_buckets_objects::{PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX};

/// The largest file: S3's 50 TB.
pub(super) const FILE_SIZE_BYTES_MAX: u64 = 50_000_000_000_000;
const MIB: u64 = 1 << 20;
/// The least size of a part: small enough to send again, large enough for a disk.
const PART_SIZE_BYTES_MIN: u64 = 8 * MIB;
/// As many parts as one answer of `ListParts` has.
const PARTS_WANTED_MAX: u64 = 1000;

const _: () = assert!(PART_SIZE_BYTES_MIN >= two_buckets_objects::PART_SIZE_BYTES_MIN);
const _: () = assert!(FILE_SIZE_BYTES_MAX <= two_buckets_objects::OBJECT_SIZE_BYTES_MAX);

/// The size of the parts of a file; none if it is larger than [`FILE_SIZE_BYTES_MAX`]. The least multiple of 1 MiB that is at least
/// 8 MiB and needs at most 1,000 parts; where that would be more than a part may have, the least that needs at most
/// 10,000.
pub(super) fn part_size(file_size_bytes: u64) -> Option<u64> {
    if file_size_bytes > FILE_SIZE_BYTES_MAX {
        return None;
    }
    let least = |parts: u64| {
        file_size_bytes
            .div_ceil(parts)
            .next_multiple_of(MIB)
            .max(PART_SIZE_BYTES_MIN)
    };
    let wanted = least(PARTS_WANTED_MAX);
    Some(if wanted <= SINGLE_PUT_SIZE_BYTES_MAX {
        wanted
    } else {
        least(u64::from(PARTS_MAX))
    })
}

/// How large the part of this number, from 1, of a stream of unknown length is: small at first, so that short streams
/// need little memory, and larger each thousand parts, so that long ones fit into 10,000.
pub(super) fn stream_part_size(number: u32) -> u64 {
    const DOUBLINGS_MAX: u32 = 3;
    PART_SIZE_BYTES_MIN << ((number.max(1) - 1) / 1000).min(DOUBLINGS_MAX)
}

/// The longest stream; some 490 GiB.
pub(super) fn stream_size_max() -> u64 {
    (1..=PARTS_MAX).map(stream_part_size).sum()
}

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

/// Cuts a file of at least one byte into parts of this size; the last one has what remains.
pub(super) fn parts_of(file_size_bytes: u64, part_size_bytes: u64) -> impl Iterator<Item = Part> {
    (1..=PARTS_MAX).map_while(move |number| {
        let offset = u64::from(number - 1) * part_size_bytes;
        let rest = file_size_bytes
            .checked_sub(offset)
            .filter(|rest| *rest > 0)?;
        Some(Part {
            number,
            offset,
            size_bytes: rest.min(part_size_bytes),
        })
    })
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::{PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX};

    use super::{FILE_SIZE_BYTES_MAX, MIB, part_size, parts_of, stream_part_size, stream_size_max};

    const GIB: u64 = 1 << 30;
    const TIB: u64 = 1 << 40;

    #[test]
    fn a_part_is_as_small_as_the_number_of_parts_allows() {
        for (file, part_mib, parts) in [
            (1, 8, 1),
            (8 * MIB, 8, 1),
            (8 * MIB + 1, 8, 2),
            (8000 * MIB, 8, 1000),
            (8000 * MIB + 1, 9, 889),
            (9000 * MIB, 9, 1000),
            (100 * GIB, 103, 995),
            (1000 * 5 * GIB, 5120, 1000),
            // One more byte would need parts above 5 GiB, so there are up to 10,000.
            (1000 * 5 * GIB + 1, 513, 9981),
            (10 * TIB, 1049, 9996),
            (FILE_SIZE_BYTES_MAX, 4769, 9999),
        ] {
            let size = part_size(file).expect("no file is larger");
            assert_eq!(size, part_mib * MIB, "{file}");
            assert_eq!(parts_of(file, size).count(), parts, "{file}");
        }
        assert_eq!(part_size(FILE_SIZE_BYTES_MAX + 1), None);
    }

    #[test]
    fn parts_cover_a_file_without_a_gap() {
        for file in [
            1,
            8 * MIB - 1,
            8 * MIB,
            8 * MIB + 1,
            8000 * MIB + 1,
            5 * TIB,
            FILE_SIZE_BYTES_MAX - 1,
            FILE_SIZE_BYTES_MAX,
        ] {
            let mut end = 0;
            let size = part_size(file).expect("no file is larger");
            for (part, number) in parts_of(file, size).zip(1..) {
                assert_eq!((part.number, part.offset), (number, end), "{file}");
                assert!(part.size_bytes <= SINGLE_PUT_SIZE_BYTES_MAX, "{file}");
                end += part.size_bytes;
            }
            assert_eq!(end, file);
        }
    }

    #[test]
    fn parts_of_a_stream_grow_and_stay_small_enough_for_memory() {
        for (number, mib) in [
            (1, 8),
            (1000, 8),
            (1001, 16),
            (3000, 32),
            (3001, 64),
            (PARTS_MAX, 64),
        ] {
            assert_eq!(stream_part_size(number), mib * MIB, "{number}");
        }
        assert_eq!(stream_size_max(), (56_000 + 7000 * 64) * MIB);
    }
}
