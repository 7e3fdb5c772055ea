//! Logs of attempts as bytes: what is on the disk and nothing else. See `docs/format.md`, "Ledger rows".

use bytes::Bytes;
use two_buckets_pipeline::LogExcerpt;
use two_buckets_pipeline::ledger::Result;

use super::corrupt;

/// The version of these rows.
const VERSION: u8 = 1;
/// Version, bytes dropped, length of the beginning.
const HEAD_BYTES: usize = 1 + 8 + 4;

pub(super) fn log_to(log: &LogExcerpt) -> Vec<u8> {
    let first = u32::try_from(log.first.len()).expect("the beginning of a log is bounded");
    let mut row = Vec::with_capacity(HEAD_BYTES + log.first.len() + log.last.len());
    row.push(VERSION);
    row.extend(log.dropped_bytes.to_le_bytes());
    row.extend(first.to_le_bytes());
    row.extend_from_slice(&log.first);
    row.extend_from_slice(&log.last);
    row
}

pub(super) fn log_from(row: &[u8]) -> Result<LogExcerpt> {
    read(row).ok_or_else(|| corrupt("the log of an attempt"))
}

fn read(row: &[u8]) -> Option<LogExcerpt> {
    let (version, row) = row.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (dropped_bytes, row) = row.split_first_chunk()?;
    let (first, row) = row.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*first)).ok()?;
    let (first, last) = row.split_at_checked(length)?;
    Some(LogExcerpt {
        first: Bytes::copy_from_slice(first),
        dropped_bytes: u64::from_le_bytes(*dropped_bytes),
        last: Bytes::copy_from_slice(last),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_survives_being_a_row_and_a_cut_head_is_refused() {
        let log = LogExcerpt {
            first: Bytes::from_static(b"a\0\xff"),
            dropped_bytes: u64::MAX - 7,
            last: Bytes::from_static(b"the end"),
        };
        let row = log_to(&log);
        assert_eq!(log_from(&row).unwrap(), log);
        for length in 0..HEAD_BYTES + log.first.len() {
            assert!(log_from(&row[..length]).is_err(), "{length}");
        }
        assert!(log_from(&[&[VERSION + 1], &row[1..]].concat()).is_err());
    }
}
