//! Names of uploads. An id says where its row can be, so that no second item has to find it.
//!
//! `{moment}-{noted}-{shard}{rest}`, all in hexadecimal digits of fixed length, so that ids sort by moment and then by
//! when they were made: the moment (16 digits) is when the upload was received or its key was minted, from the store's or
//! the caller's clock; `noted` (16) is this process's clock and a counter; the shard has two digits, and eight more tell
//! apart what two processes note at the same time.

use std::sync::Mutex;
use std::sync::PoisonError;

use sha2::{Digest as _, Sha256};
use two_buckets_objects::{ObjectRef, Timestamp, VersionId};
use two_buckets_pipeline::UploadId;

/// How many counts fit in a millisecond of [`Noted`].
const COUNTS: u64 = 1 << 16;
const LENGTH: usize = 16 + 1 + 16 + 1 + 2 + 8;

/// What an id says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Parts {
    /// When it was received, or its key was minted.
    pub(super) moment: Timestamp,
    /// Grows with each id this process makes.
    pub(super) noted: u64,
    pub(super) shard: u8,
}

/// Moments of noting: a clock that never gives the same twice nor goes back.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<u64>);

impl Noted {
    pub(super) fn next(&self, now: Timestamp) -> u64 {
        let clock = u64::try_from(now.millis())
            .unwrap_or(0)
            .saturating_mul(COUNTS);
        // A panic elsewhere leaves a whole number.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = clock.max(last.saturating_add(1));
        *last
    }
}

/// Makes the id of a version, or of the upload a key is minted for.
pub(super) fn make(
    key: &ObjectRef,
    version_id: Option<&VersionId>,
    moment: Timestamp,
    noted: u64,
    shards: u8,
) -> UploadId {
    let mut hash = Sha256::new();
    for part in [
        key.bucket.as_str(),
        key.key.as_str(),
        version_id.map_or("", VersionId::as_str),
    ] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let [a, b, c, d, one, ..] = <[u8; 32]>::from(hash.finalize());
    let rest = u32::from_be_bytes([a, b, c, d]);
    let shard = one % shards.max(1);
    let moment = ordered(moment);
    UploadId::new(&format!("{moment:016x}-{noted:016x}-{shard:02x}{rest:08x}"))
        .expect("digits and hyphens are an id")
}

/// What an id of ours says; none if it is not ours.
pub(super) fn parts(id: &UploadId) -> Option<Parts> {
    let text = id.as_str();
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let (bytes, mut fields) = (text.as_bytes(), text.split('-'));
    if bytes.len() != LENGTH || !bytes.iter().all(|byte| *byte == b'-' || is_digit(byte)) {
        return None;
    }
    let (moment, noted, tail) = (fields.next()?, fields.next()?, fields.next()?);
    if (moment.len(), noted.len()) != (16, 16) || fields.next().is_some() {
        return None;
    }
    Some(Parts {
        moment: moment_of(u64::from_str_radix(moment, 16).ok()?),
        noted: u64::from_str_radix(noted, 16).ok()?,
        shard: u8::from_str_radix(tail.get(..2)?, 16).ok()?,
    })
}

/// A moment as a number of the same order, also before 1970.
fn ordered(moment: Timestamp) -> u64 {
    moment.millis().cast_unsigned() ^ (1 << 63)
}

fn moment_of(ordered: u64) -> Timestamp {
    Timestamp::from_millis((ordered ^ (1 << 63)).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectRef {
        ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: name.parse().unwrap(),
        }
    }

    #[test]
    fn ids_sort_by_moment_and_then_by_when_they_were_made() {
        let noted = Noted::default();
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut ids = Vec::new();
        for moment in [i64::MIN, -1_000, -1, 0, 1, 1_000, i64::MAX] {
            for name in ["z", "a", "m"] {
                let moment = Timestamp::from_millis(moment);
                ids.push(make(&key(name), None, moment, noted.next(now), 8));
            }
        }
        assert!(ids.is_sorted());
        let back = noted.next(Timestamp::from_millis(5));
        assert!(
            back > parts(ids.last().unwrap()).unwrap().noted,
            "a clock that goes back"
        );
    }

    #[test]
    fn an_id_says_what_it_was_made_of_and_nothing_else_is_an_id() {
        let moment = Timestamp::from_millis(-5);
        let id = make(&key("a"), Some(&VersionId::new("v")), moment, 77, 16);
        let said = parts(&id).unwrap();
        assert_eq!((said.moment, said.noted), (moment, 77));
        assert!(said.shard < 16);
        let text = id.as_str();
        for odd in [
            "1".to_owned(),
            "0000000000000001".into(),
            text.to_uppercase()
                .replace(|c: char| c.is_ascii_digit(), "A"),
            text.replace('-', "0"),
            format!("{text}0"),
            format!("-{}", &text[1..]),
        ] {
            assert_eq!(UploadId::new(&odd).and_then(|id| parts(&id)), None, "{odd}");
        }
    }
}
