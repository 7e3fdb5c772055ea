//! Random operations. Keys, versions and uploads are named by small numbers, so that they meet often.

use proptest::prelude::*;
use proptest::sample::select;
use two_buckets_depot::Versioning;
use two_buckets_objects::{Algorithm, ChecksumKind};

pub(crate) const BUCKETS: [&str; 3] = ["staging", "archive", "plain"];
/// Keys that are traps for prefixes, escapes and delimiters.
pub(crate) const KEYS: [&str; 10] = [
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "ab",
    "a\0",
    "a\0/b",
    "b",
    "é/x",
    "\u{10ffff}",
];

#[derive(Clone, Debug)]
pub(crate) struct At {
    pub(crate) bucket: &'static str,
    pub(crate) key: &'static str,
}

/// Which version: the current one, or one of those there (the n-th, or one long gone).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Current,
    Nth(usize),
    Gone(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum If {
    Always,
    Absent,
    Current,
    Any,
    Other,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Put(At, u64, If),
    Delete(At, Which, If),
    DeleteMany(&'static str, Vec<(&'static str, Which)>),
    Copy(At, Which, At, If, bool, Option<Algorithm>),
    Move(At, usize, At),
    SetTags(At, Which, u8),
    CreateUpload(At, Option<(Algorithm, Option<ChecksumKind>)>),
    PutPart(usize, u32, u64),
    PutPartCopy(usize, u32, At, Which, Option<(u64, u64)>),
    Complete(usize, Vec<(u32, bool)>, If),
    /// Of all parts received, in order.
    CompleteAll(usize, If),
    /// Of the last part received alone.
    CompleteLast(usize, If),
    CompleteAgain(usize),
    Abort(usize),
    SetVersioning(&'static str, Versioning),
    CreateBucket(&'static str),
    DeleteBucket(&'static str),
    SetRow(u8, Option<u8>),
    ListObjects(List),
    ListVersions(List),
    ListUploads(List),
    Reopen,
}

#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) bucket: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) delimiter: Option<&'static str>,
    pub(crate) limit: usize,
}

fn bucket() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("staging"), 2 => Just("archive"), 3 => Just("plain")]
}

fn at() -> impl Strategy<Value = At> {
    // The first keys more often, so that versions pile up.
    let key = prop_oneof![2 => select(&KEYS[..3]), 1 => select(&KEYS[..])];
    (bucket(), key).prop_map(|(bucket, key)| At { bucket, key })
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        3 => Just(Which::Current),
        4 => (0..4_usize).prop_map(Which::Nth),
        1 => (0..8_usize).prop_map(Which::Gone),
    ]
}

fn condition() -> impl Strategy<Value = If> {
    prop_oneof![
        6 => Just(If::Always),
        1 => Just(If::Absent),
        1 => Just(If::Current),
        1 => Just(If::Any),
        1 => Just(If::Other),
    ]
}

fn size() -> impl Strategy<Value = u64> {
    select(vec![0, 1, 100, 127, 128, 129, 300])
}

fn part_size() -> impl Strategy<Value = u64> {
    prop_oneof![8 => size(), 1 => Just(5 << 20), 1 => Just((5 << 20) - 1)]
}

fn list() -> impl Strategy<Value = List> {
    let prefix = select(vec!["", "", "a", "a/", "a\0", "a/b", "z", "é"]);
    let delimiter = select(vec![None, Some("/"), Some("b"), Some("\0"), Some("")]);
    (bucket(), prefix, delimiter, 1..6_usize).prop_map(|(bucket, prefix, delimiter, limit)| List {
        bucket,
        prefix,
        delimiter,
        limit,
    })
}

fn algorithm() -> impl Strategy<Value = Option<(Algorithm, Option<ChecksumKind>)>> {
    select(vec![
        None,
        Some((Algorithm::Crc32c, Some(ChecksumKind::FullObject))),
        Some((Algorithm::Crc32, None)),
        Some((Algorithm::Sha256, None)),
    ])
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    use Operation as Op;
    let upload = || 0..4_usize;
    let number = || 1..4_u32;
    prop_oneof![
        14 => (at(), size(), condition()).prop_map(|(at, size, c)| Op::Put(at, size, c)),
        8 => (at(), which(), condition()).prop_map(|(at, which, c)| Op::Delete(at, which, c)),
        2 => (bucket(), prop::collection::vec((select(&KEYS[..]), which()), 0..5))
            .prop_map(|(bucket, which)| Op::DeleteMany(bucket, which)),
        5 => (at(), which(), at(), condition(), any::<bool>(),
              select(vec![None, None, Some(Algorithm::Sha256), Some(Algorithm::Crc64Nvme)]))
            .prop_map(|(from, which, to, c, keep, sum)| Op::Copy(from, which, to, c, keep, sum)),
        6 => (at(), 0..3_usize, at()).prop_map(|(from, nth, to)| Op::Move(from, nth, to)),
        2 => (at(), which(), any::<u8>()).prop_map(|(at, which, tag)| Op::SetTags(at, which, tag)),
        6 => (at(), algorithm()).prop_map(|(at, algorithm)| Op::CreateUpload(at, algorithm)),
        10 => (upload(), number(), part_size()).prop_map(|(u, n, size)| Op::PutPart(u, n, size)),
        4 => (upload(), number(), at(), which(), prop::option::of((0..200_u64, 0..300_u64)))
            .prop_map(|(u, n, at, which, range)| Op::PutPartCopy(u, n, at, which, range)),
        2 => (upload(), prop::collection::vec((number(), prop::bool::weighted(0.9)), 0..3),
              condition())
            .prop_map(|(u, parts, c)| Op::Complete(u, parts, c)),
        7 => (upload(), condition()).prop_map(|(u, c)| Op::CompleteAll(u, c)),
        2 => (upload(), condition()).prop_map(|(u, c)| Op::CompleteLast(u, c)),
        2 => upload().prop_map(Op::CompleteAgain),
        2 => upload().prop_map(Op::Abort),
        2 => (bucket(), select(vec![Versioning::Enabled, Versioning::Suspended]))
            .prop_map(|(bucket, versioning)| Op::SetVersioning(bucket, versioning)),
        1 => bucket().prop_map(Op::CreateBucket),
        1 => bucket().prop_map(Op::DeleteBucket),
        2 => (0..4_u8, prop::option::of(any::<u8>())).prop_map(|(k, v)| Op::SetRow(k, v)),
        4 => list().prop_map(Op::ListObjects),
        5 => list().prop_map(Op::ListVersions),
        3 => list().prop_map(Op::ListUploads),
        1 => Just(Op::Reopen),
    ]
}
