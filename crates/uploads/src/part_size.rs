use two_buckets_objects::{PART_SIZE_BYTES_MIN, PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX};

/// The largest file that is taken: 50 TB, as S3 has it (S3 User Guide, "Amazon S3 multipart upload limits").
pub const FILE_SIZE_BYTES_MAX: u64 = 50_000_000_000_000;

const MIB: u64 = 1 << 20;
/// Below this the overhead of a request weighs; S3 asks for 5 MiB.
const PART_SIZE_BYTES_LEAST: u64 = 8 * MIB;
/// So many parts fit one page of a list, which some clients never turn.
const PARTS_WANTED: u64 = 1_000;

const _: () = assert!(PART_SIZE_BYTES_LEAST >= PART_SIZE_BYTES_MIN);
const _: () =
    assert!(FILE_SIZE_BYTES_MAX.div_ceil(PARTS_MAX as u64) <= SINGLE_PUT_SIZE_BYTES_MAX - MIB);

/// How large the parts of a file are; none if it is larger than [`FILE_SIZE_BYTES_MAX`].
///
/// The least multiple of 1 MiB that is at least 8 MiB and needs at most 1,000 parts; where that would pass S3's 5 GiB
/// for a part, the least that needs at most 10,000. A function of the size alone: who resumes an upload, here or on the
/// page or on the command line, must cut the file as it was cut before.
pub fn part_size(size_bytes: u64) -> Option<u64> {
    if size_bytes > FILE_SIZE_BYTES_MAX {
        return None;
    }
    let for_count = |parts: u64| {
        let least = size_bytes.div_ceil(parts).next_multiple_of(MIB);
        least.max(PART_SIZE_BYTES_LEAST)
    };
    match for_count(PARTS_WANTED) {
        size if size <= SINGLE_PUT_SIZE_BYTES_MAX => Some(size),
        _ => Some(for_count(u64::from(PARTS_MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE_SIZE_BYTES_MAX, MIB, PARTS_MAX, SINGLE_PUT_SIZE_BYTES_MAX, part_size};

    #[test]
    fn parts_are_as_the_page_and_the_command_line_cut_them() {
        const GIB: u64 = 1 << 30;
        for (size_bytes, expected) in [
            (0, Some(8 * MIB)),
            (1, Some(8 * MIB)),
            (8 * MIB, Some(8 * MIB)),
            (8_000 * MIB, Some(8 * MIB)),
            (8_000 * MIB + 1, Some(9 * MIB)),
            (9_000 * MIB, Some(9 * MIB)),
            (9_000 * MIB + 1, Some(10 * MIB)),
            (100 * GIB, Some(103 * MIB)),
            (1_000_000_000_000, Some(954 * MIB)),
            // 1,000 parts of 5 GiB; one byte more needs 10,000 parts.
            (5_000 * GIB, Some(5 * GIB)),
            (5_000 * GIB + 1, Some(513 * MIB)),
            (FILE_SIZE_BYTES_MAX, Some(4_769 * MIB)),
            (FILE_SIZE_BYTES_MAX + 1, None),
            (u64::MAX, None),
        ] {
            assert_eq!(part_size(size_bytes), expected, "{size_bytes}");
        }
    }

    #[test]
    fn every_file_fits_s3s_limits_in_whole_mebibytes() {
        let sizes = (0..47).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
        for size_bytes in sizes.filter(|size| *size <= FILE_SIZE_BYTES_MAX) {
            let part = part_size(size_bytes).expect("a file that is taken");
            assert!(part <= SINGLE_PUT_SIZE_BYTES_MAX && part.is_multiple_of(MIB));
            assert!(
                size_bytes.div_ceil(part) <= u64::from(PARTS_MAX),
                "{size_bytes}"
            );
        }
    }
}
