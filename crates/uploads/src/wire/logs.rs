//! Logs as JSON: bytes become text here, and a character that is not whole yet waits for its rest.

use serde::Serialize;

use crate::AttemptLog;

#[derive(Serialize)]
pub(crate) struct LogsJson {
    pub(crate) logs: Vec<LogJson>,
}

#[derive(Serialize)]
pub(crate) struct LogJson {
    attempt: u32,
    written_bytes: u64,
    dropped_bytes: u64,
    pieces: Vec<PieceJson>,
    next_from: u64,
}

#[derive(Serialize)]
struct PieceJson {
    from: u64,
    text: String,
}

impl LogJson {
    /// What is behind the first `from` bytes. Of a log that is not whole, a character that was cut at its end is left
    /// for the next time.
    pub(crate) fn of(log: &AttemptLog, from: u64, is_whole: bool) -> Self {
        let last_from = log.first.len() as u64 + log.dropped_bytes;
        let written_bytes = last_from + log.last.len() as u64;
        let mut parts: Vec<(u64, Vec<u8>)> = if log.dropped_bytes == 0 {
            vec![(0, [&log.first[..], &log.last[..]].concat())]
        } else {
            vec![(0, log.first.to_vec()), (last_from, log.last.to_vec())]
        };
        if !is_whole && let Some((_, end)) = parts.last_mut() {
            end.truncate(whole_characters(end));
        }
        let next_from = parts
            .last()
            .map_or(0, |(at, bytes)| at + bytes.len() as u64)
            .max(from);
        let pieces = parts
            .into_iter()
            .filter_map(|(at, bytes)| {
                let skip = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
                let rest = bytes.get(skip..).filter(|rest| !rest.is_empty())?;
                Some(PieceJson {
                    from: at + skip as u64,
                    text: String::from_utf8_lossy(rest).into_owned(),
                })
            })
            .collect();
        Self {
            attempt: log.attempt,
            written_bytes,
            dropped_bytes: log.dropped_bytes,
            pieces,
            next_from,
        }
    }
}

/// The length without the beginning of a character at the end. What is no UTF-8 anyway stays.
fn whole_characters(bytes: &[u8]) -> usize {
    let mut end = 0;
    for chunk in bytes.utf8_chunks() {
        let valid = end + chunk.valid().len();
        end = valid + chunk.invalid().len();
        let is_cut = end == bytes.len()
            && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
        if is_cut {
            return valid;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn log(first: &[u8], dropped_bytes: u64, last: &[u8]) -> AttemptLog {
        AttemptLog {
            attempt: 1,
            first: Bytes::copy_from_slice(first),
            dropped_bytes,
            last: Bytes::copy_from_slice(last),
        }
    }

    fn pieces(log: &LogJson) -> Vec<(u64, &str)> {
        let all = log.pieces.iter();
        all.map(|piece| (piece.from, piece.text.as_str())).collect()
    }

    #[test]
    fn a_log_is_read_on_from_where_one_was_also_over_what_was_dropped() {
        let short = log(b"one\n", 0, b"two\n");
        assert_eq!(pieces(&LogJson::of(&short, 0, true)), [(0, "one\ntwo\n")]);
        assert_eq!(pieces(&LogJson::of(&short, 6, true)), [(6, "o\n")]);
        assert_eq!(pieces(&LogJson::of(&short, 8, true)), []);
        assert_eq!(LogJson::of(&short, 99, true).next_from, 99);
        let long = log(b"one\n", 100, b"two\n");
        let read = LogJson::of(&long, 2, true);
        assert_eq!(pieces(&read), [(2, "e\n"), (104, "two\n")]);
        assert_eq!((read.next_from, read.written_bytes), (108, 108));
        assert_eq!(pieces(&LogJson::of(&long, 50, true)), [(104, "two\n")]);
    }

    #[test]
    fn a_character_that_was_cut_waits_for_its_rest_unless_none_will_come() {
        let cut = log("a\u{e4}".as_bytes().split_last().unwrap().1, 0, b"");
        let read = LogJson::of(&cut, 0, false);
        assert_eq!((pieces(&read), read.next_from), (vec![(0, "a")], 1));
        let whole = LogJson::of(&cut, 0, true);
        assert_eq!(pieces(&whole), [(0, "a\u{fffd}")]);
        let garbage = LogJson::of(&log(b"a\xff", 0, b""), 0, false);
        assert_eq!(
            pieces(&garbage),
            [(0, "a\u{fffd}")],
            "it will never be more"
        );
        let spread = LogJson::of(&log(b"a\xc3", 0, b"\xa4"), 0, false);
        assert_eq!(pieces(&spread), [(0, "a\u{e4}")]);
    }
}
