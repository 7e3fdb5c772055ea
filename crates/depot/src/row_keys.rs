//! Where a row is within its table.
//!
//! Names that may hold any byte are escaped so that their byte order is kept and no key's rows lie within another's:
//! a NUL byte becomes `00 FF`, and `00 00` ends the name. Hence all rows of a prefix, of a key, or behind a key are one
//! range each, and a list can jump over them by one seek.

use two_buckets_objects::{BucketName, Key};

use crate::{Error, Result};

/// The place of a version among all versions of the store. Taken from the engine's sequence when its upload was
/// initiated, so a higher order means initiated later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Order(pub(crate) u64);

const NUL: u8 = 0x00;
const ESCAPED_NUL: u8 = 0xFF;
const END: [u8; 2] = [NUL, 0x00];
/// Sorts behind everything that begins with [`END`] and before every longer name.
const BEHIND_END: [u8; 2] = [NUL, 0x01];
const ORDER_LENGTH: usize = 8;

fn push_escaped(to: &mut Vec<u8>, name: &[u8]) {
    for &byte in name {
        to.push(byte);
        if byte == NUL {
            to.push(ESCAPED_NUL);
        }
    }
}

/// The beginning of all rows of this bucket.
pub(crate) fn of_bucket(bucket: &BucketName) -> Vec<u8> {
    let mut row = Vec::new();
    push_escaped(&mut row, bucket.as_str().as_bytes());
    row.extend_from_slice(&END);
    row
}

/// The beginning of the rows of all keys that begin with `prefix`.
pub(crate) fn of_prefix(bucket: &BucketName, prefix: &str) -> Vec<u8> {
    let mut row = of_bucket(bucket);
    push_escaped(&mut row, prefix.as_bytes());
    row
}

/// The beginning of the rows of exactly this key. The key is text here since a list may begin behind any text.
pub(crate) fn of_key(bucket: &BucketName, key: &str) -> Vec<u8> {
    let mut row = of_prefix(bucket, key);
    row.extend_from_slice(&END);
    row
}

/// The first place behind all rows of exactly this key; rows of longer keys lie behind it.
pub(crate) fn behind_key(bucket: &BucketName, key: &str) -> Vec<u8> {
    let mut row = of_prefix(bucket, key);
    row.extend_from_slice(&BEHIND_END);
    row
}

/// The first place behind every row that begins with `beginning`; none if there can be no such place.
pub(crate) fn behind(mut beginning: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = beginning.last_mut() {
        if *last == u8::MAX {
            beginning.pop();
        } else {
            *last += 1;
            return Some(beginning);
        }
    }
    None
}

/// The row of a version: within a key the newest first, so the order is written inverted.
pub(crate) fn of_version(bucket: &BucketName, key: &Key, order: Order) -> Vec<u8> {
    let mut row = of_key(bucket, key.as_str());
    row.extend_from_slice(&(!order.0).to_be_bytes());
    row
}

/// The key and order a version's row is of.
pub(crate) fn version_of(bucket: &BucketName, row: &[u8]) -> Result<(Key, Order)> {
    let (key, order) = key_and_number(bucket, row).ok_or_else(|| corrupt("version"))?;
    Ok((key, Order(!order)))
}

/// The row of an unfinished upload: within a key the oldest first.
pub(crate) fn of_upload(bucket: &BucketName, key: &Key, order: Order) -> Vec<u8> {
    let mut row = of_key(bucket, key.as_str());
    row.extend_from_slice(&order.0.to_be_bytes());
    row
}

/// The key and order an upload's row is of.
pub(crate) fn upload_of(bucket: &BucketName, row: &[u8]) -> Result<(Key, Order)> {
    let (key, order) = key_and_number(bucket, row).ok_or_else(|| corrupt("upload"))?;
    Ok((key, Order(order)))
}

/// A row named by an order alone; with a number behind it, the row of a part.
pub(crate) fn of_order(order: Order) -> Vec<u8> {
    order.0.to_be_bytes().to_vec()
}

/// The row of one part.
pub(crate) fn of_part(upload: Order, number: u32) -> Vec<u8> {
    let mut row = of_order(upload);
    row.extend_from_slice(&number.to_be_bytes());
    row
}

/// The number of the part whose row this is.
pub(crate) fn part_number(row: &[u8]) -> Result<u32> {
    row.split_at_checked(ORDER_LENGTH)
        .and_then(|(_, number)| number.try_into().ok())
        .map(u32::from_be_bytes)
        .ok_or_else(|| corrupt("part"))
}

fn key_and_number(bucket: &BucketName, row: &[u8]) -> Option<(Key, u64)> {
    let escaped = row.strip_prefix(of_bucket(bucket).as_slice())?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    loop {
        match *rest.next()? {
            NUL => match *rest.next()? {
                ESCAPED_NUL => key.push(NUL),
                NUL => break,
                _ => return None,
            },
            byte => key.push(byte),
        }
    }
    let number: [u8; ORDER_LENGTH] = rest.as_slice().try_into().ok()?;
    let key = String::from_utf8(key).ok()?.parse().ok()?;
    Some((key, u64::from_be_bytes(number)))
}

fn corrupt(what: &str) -> Error {
    Error::Corrupt {
        what: format!("the key of a {what} row"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use two_buckets_objects::{BucketName, Key};

    use super::{Order, behind, behind_key, of_key, of_prefix, of_version, upload_of, version_of};

    fn bucket() -> BucketName {
        "bucket".parse().unwrap()
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![
            // Few letters, so that prefixes and equal keys are common.
            "[\u{0}\u{1}ab/]{1,6}",
            "[\u{0}-\u{7f}é\u{10ffff}]{1,12}",
        ]
    }

    proptest! {
        #[test]
        fn rows_order_as_their_keys_and_then_newest_first(
            a in key(), b in key(), older in any::<u64>(), newer in any::<u64>(),
        ) {
            let row = |key: &str, order| of_version(&bucket(), &key.parse::<Key>().unwrap(), Order(order));
            prop_assert_eq!(
                row(&a, older).cmp(&row(&b, newer)),
                a.cmp(&b).then(newer.cmp(&older))
            );
        }

        #[test]
        fn a_row_gives_back_its_key_and_order(key in key(), order in any::<u64>()) {
            let key: Key = key.parse().unwrap();
            let row = of_version(&bucket(), &key, Order(order));
            prop_assert_eq!(version_of(&bucket(), &row).unwrap(), (key, Order(order)));
        }

        #[test]
        fn the_rows_of_a_prefix_are_one_range(prefix in key(), key in key(), order in any::<u64>()) {
            let row = of_version(&bucket(), &key.parse().unwrap(), Order(order));
            let from = of_prefix(&bucket(), &prefix);
            let to = behind(from.clone()).unwrap();
            prop_assert_eq!(from <= row && row < to, key.starts_with(&prefix));
        }

        #[test]
        fn the_rows_of_a_key_are_one_range_without_those_of_longer_keys(
            key in key(), other in key(), order in any::<u64>(),
        ) {
            let row = of_version(&bucket(), &other.parse().unwrap(), Order(order));
            let from = of_key(&bucket(), &key);
            let to = behind_key(&bucket(), &key);
            prop_assert_eq!(from <= row && row < to, key == other);
        }
    }

    #[test]
    fn what_is_no_row_is_corrupt_and_never_a_panic() {
        let whole = of_version(&bucket(), &"a\0b".parse().unwrap(), Order(7));
        for length in 0..whole.len() {
            assert!(version_of(&bucket(), &whole[..length]).is_err());
        }
        assert!(upload_of(&"bucket2".parse().unwrap(), &whole).is_err());
    }
}
