//! How files and streams are cut into parts: files as the page and the upload API cut them, by
//! [`two_buckets_uploads::part_size`].

use two_buckets_objects::PARTS_MAX;

const MIB: u64 = 1 << 20;

/// How large the part of this number, from 1, of a stream of unknown length is: small at first, so that short streams
/// need little memory, and larger each thousand parts, so that long ones fit into 10,000.
pub(super) fn stream_part_size(number: u32) -> u64 {
    const DOUBLINGS_MAX: u32 = 3;
    (8 * MIB) << ((number.max(1) - 1) / 1000).min(DOUBLINGS_MAX)
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

    use two_buckets_uploads::{FILE_SIZE_BYTES_MAX, part_size};

    use super::{MIB, parts_of, stream_part_size, stream_size_max};

    #[test]
    fn parts_cover_a_file_without_a_gap() {
        for file in [
            1,
            8 * MIB - 1,
            8 * MIB,
            8 * MIB + 1,
            8000 * MIB + 1,
            5000 << 30,
            (5000 << 30) + 1,
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
