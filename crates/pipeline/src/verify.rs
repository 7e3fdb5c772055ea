//! Whether an archived version has the bytes of its source. Nothing is deleted from staging on less.

use std::future::poll_fn;

use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, Error, ObjectInfo, ObjectStore, Result, VersionRef,
};

/// What a comparison found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Same size and same checksum over the full object.
    Same(Checksum),
    /// Size or checksum differs, or the version is gone.
    Different,
    /// Same size, but no checksum over the full object that both have: the bytes must be read.
    Incomparable,
}

/// What the source is known to be.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Expected {
    /// Its size.
    pub size_bytes: u64,
    /// Its checksums.
    pub checksums: Vec<Checksum>,
}

/// Compares what two stores say. A checksum of another kind than the full object says nothing about a copy, because a
/// copy may be divided into other parts.
pub fn compare(expected: &Expected, archived: &ObjectInfo) -> Verdict {
    if expected.size_bytes != archived.size_bytes {
        return Verdict::Different;
    }
    let mut same = None;
    for ours in &expected.checksums {
        if ours.kind != ChecksumKind::FullObject {
            continue;
        }
        match archived.full_checksum(ours.algorithm) {
            Some(theirs) if theirs == ours => same = Some(ours.clone()),
            Some(_) => return Verdict::Different,
            None => {}
        }
    }
    same.map_or(Verdict::Incomparable, Verdict::Same)
}

/// Verifies an archived version against its source, reading both where their checksums do not compare.
/// Without a source, because it is gone, what is known of it must do: then equal size and a mark that the pipeline
/// wrote are the best evidence there is, and the checksum is the archive's.
pub async fn verify<S: ObjectStore>(
    store: &S,
    expected: &Expected,
    source: Option<&VersionRef>,
    archived: &VersionRef,
) -> Result<Verdict> {
    let copy = match store.head_version(archived).await {
        Ok(copy) => copy,
        Err(Error::NotFound { .. }) => return Ok(Verdict::Different),
        Err(error) => return Err(error),
    };
    let verdict = compare(expected, &copy);
    if verdict != Verdict::Incomparable {
        return Ok(verdict);
    }
    let algorithm = expected
        .checksums
        .iter()
        .find(|checksum| checksum.kind == ChecksumKind::FullObject)
        .map_or(Algorithm::Crc64Nvme, |checksum| checksum.algorithm);
    let theirs = read_checksum(store, archived, algorithm).await?;
    let ours = match expected
        .checksums
        .iter()
        .find(|checksum| checksum.kind == ChecksumKind::FullObject)
    {
        Some(known) => known.clone(),
        None => match source {
            Some(source) => read_checksum(store, source, algorithm).await?,
            None => theirs.clone(),
        },
    };
    Ok(if ours == theirs {
        Verdict::Same(theirs)
    } else {
        Verdict::Different
    })
}

async fn read_checksum<S: ObjectStore>(
    store: &S,
    at: &VersionRef,
    algorithm: Algorithm,
) -> Result<Checksum> {
    let mut body = store.read_version(at, None).await?;
    let mut hasher = algorithm.hasher();
    while let Some(piece) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        hasher.update(&piece?);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::{ETag, Metadata, Timestamp, VersionId};

    fn checksum(algorithm: Algorithm, kind: ChecksumKind, byte: u8) -> Checksum {
        Checksum {
            algorithm,
            kind,
            value: vec![byte; algorithm.length_bytes()].into(),
        }
    }

    fn verdict(ours: (u64, Vec<Checksum>), theirs: (u64, Vec<Checksum>)) -> Verdict {
        compare(
            &Expected {
                size_bytes: ours.0,
                checksums: ours.1,
            },
            &ObjectInfo {
                at: VersionRef {
                    bucket: "archive".parse().unwrap(),
                    key: "a".parse().unwrap(),
                    version_id: VersionId::new("x"),
                },
                size_bytes: theirs.0,
                etag: ETag::new("e"),
                last_modified: Timestamp::default(),
                checksums: theirs.1,
                metadata: Metadata::default(),
            },
        )
    }

    #[test]
    fn a_copy_is_the_same_only_by_size_and_a_checksum_of_all_of_it() {
        use Algorithm::{Crc32, Crc64Nvme};
        use ChecksumKind::{Composite, FullObject};
        let full = |byte| checksum(Crc64Nvme, FullObject, byte);
        let parts = |byte| checksum(Crc32, Composite { parts: 2 }, byte);
        assert_eq!(
            verdict((1, vec![full(1)]), (1, vec![full(1)])),
            Verdict::Same(full(1))
        );
        assert_eq!(
            verdict((1, vec![full(1)]), (2, vec![full(1)])),
            Verdict::Different
        );
        assert_eq!(
            verdict((1, vec![full(1)]), (1, vec![full(2)])),
            Verdict::Different
        );
        assert_eq!(
            verdict((1, vec![parts(1)]), (1, vec![parts(1)])),
            Verdict::Incomparable
        );
        assert_eq!(
            verdict((1, vec![full(1)]), (1, vec![])),
            Verdict::Incomparable
        );
        assert_eq!(
            verdict(
                (1, vec![full(1), checksum(Crc32, FullObject, 3)]),
                (1, vec![full(1), checksum(Crc32, FullObject, 4)])
            ),
            Verdict::Different
        );
    }
}
