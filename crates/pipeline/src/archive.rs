//! What the pipeline writes to the archive beside the bytes, and where an upload belongs there.

use two_buckets_objects::{
    Algorithm, BucketName, Key, Metadata, ObjectInfo, Timestamp, VersionId, VersionRef,
    WriteCondition,
};

use crate::{Order, Outputs, UploadId};

/// User metadata of an archived version and of a result: the version id its upload had in staging.
pub const SOURCE_VERSION: &str = "two-buckets-source-version";
/// User metadata of an archived version: its upload's [`Order`], as `{milliseconds}-{number}`.
pub const ORDER: &str = "two-buckets-order";
/// User metadata of a late upload and of a result: the key it was sent under, percent-encoded; absent where it does
/// not fit.
pub const KEY: &str = "two-buckets-key";

/// User metadata of an upload that is a copy of an archived version, and of what is archived of it: its [`Replay`], as
/// `{order} {source version or -} {id or -} {bucket} {version id}`. The source version is that of the mark that the archived
/// version bears, and with it the copy: what is archived of the replay bears another, so a copy of that is no replay.
pub const REPLAY_OF: &str = "two-buckets-replay-of";

/// Where functions write.
pub const RESULTS_PREFIX: &str = "_results/";
/// Where late uploads are kept.
pub const LATE_PREFIX: &str = "_late/";

/// Says whether a key is kept for the pipeline itself; uploads under it are refused.
pub fn is_reserved(key: &Key) -> bool {
    key.as_str().starts_with(RESULTS_PREFIX) || key.as_str().starts_with(LATE_PREFIX)
}

/// Where an archived version came from, as its metadata says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mark {
    /// The version id in staging.
    pub source_version: VersionId,
    /// The upload's place among those of its key.
    pub order: Order,
}

impl Mark {
    /// Reads the mark; none if the pipeline did not write this version.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let source_version = metadata.user.get(SOURCE_VERSION)?;
        Some(Self {
            source_version: VersionId::new(source_version.as_str()),
            order: order_from(metadata.user.get(ORDER)?)?,
        })
    }

    /// The user metadata to set on the archived version.
    pub fn pairs(&self) -> Vec<(String, String)> {
        vec![
            (SOURCE_VERSION.into(), self.source_version.as_str().into()),
            (ORDER.into(), order_text(self.order)),
        ]
    }

    /// The user metadata to set on a late upload beside `own`, the metadata it brings.
    pub fn pairs_of_late(&self, key: &Key, own: &Metadata) -> Vec<(String, String)> {
        let mut pairs = self.pairs();
        add_key(&mut pairs, key, own.user_bytes());
        pairs
    }
}

/// Adds the key, where it fits beside other user metadata of so many bytes.
fn add_key(pairs: &mut Vec<(String, String)>, key: &Key, others_bytes: usize) {
    let encoded = percent_encoded(key.as_str());
    let bytes: usize = pairs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if others_bytes + bytes + KEY.len() + encoded.len() <= Metadata::USER_BYTES_MAX {
        pairs.push((KEY.into(), encoded));
    }
}

/// Where an upload comes from that was copied out of the archive to be processed again, under the same key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Replay {
    /// The archive's bucket.
    pub bucket: BucketName,
    /// Its version.
    pub version_id: VersionId,
    /// The upload that was archived as this, if the ledger has it.
    pub upload: Option<UploadId>,
    /// The place of those bytes among the uploads of the key: that of the upload they came by, or where the pipeline did
    /// not write the version, when it was written.
    pub order: Order,
}

impl Replay {
    /// Of an archived version; its upload is whoever looks it up to say.
    pub fn from_archived(archived: &ObjectInfo, upload: Option<UploadId>) -> Self {
        let order = Mark::of(&archived.metadata).map_or(
            Order {
                last_modified: archived.last_modified,
                number: 0,
            },
            |mark| mark.order,
        );
        Self {
            bucket: archived.at.bucket.clone(),
            version_id: archived.at.version_id.clone(),
            upload,
            order,
        }
    }

    /// Reads it from the metadata of a version in staging; none if that is an upload like any other.
    ///
    /// An uploader may write what it wants there. It makes its own upload older than it is by that, and no other's:
    /// [`Upload::mark`](crate::Upload::mark) takes the earlier of the two places.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let mut parts = metadata.user.get(REPLAY_OF)?.splitn(5, ' ');
        let order = order_from(parts.next()?)?;
        if parts.next()? != source_version_in(metadata) {
            return None;
        }
        Some(Self {
            order,
            upload: match parts.next()? {
                "-" => None,
                id => Some(UploadId::new(id)?),
            },
            bucket: parts.next()?.parse().ok()?,
            version_id: VersionId::new(parts.next()?),
        })
    }

    /// The user metadata to set on the copy in staging of an archived version that has this metadata.
    pub fn pairs(&self, archived: &Metadata) -> Vec<(String, String)> {
        let Self {
            bucket,
            version_id,
            upload,
            order,
        } = self;
        let order = order_text(*order);
        let source_version = source_version_in(archived);
        let upload = upload.as_ref().map_or("-", UploadId::as_str);
        vec![(
            REPLAY_OF.into(),
            format!("{order} {source_version} {upload} {bucket} {version_id}"),
        )]
    }
}

fn source_version_in(metadata: &Metadata) -> &str {
    metadata
        .user
        .get(SOURCE_VERSION)
        .map_or("-", String::as_str)
}

fn order_from(text: &str) -> Option<Order> {
    let (millis, number) = text.rsplit_once('-')?;
    Some(Order {
        last_modified: Timestamp::from_millis(millis.parse().ok()?),
        number: number.parse().ok()?,
    })
}

fn order_text(order: Order) -> String {
    format!("{}-{}", order.last_modified.millis(), order.number)
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

fn sha256_hex(text: &str) -> String {
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(text.as_bytes());
    hex(&hasher.finish().value)
}

/// Where a late upload is kept: `_late/{SHA-256 of its key}/{order}-{version id}`, so no two uploads share it and it
/// is the same in every attempt. A version id too long for a key gives way to its SHA-256.
pub fn late_key(key: &Key, mark: &Mark) -> Key {
    let place = format!(
        "{LATE_PREFIX}{}/{}-",
        sha256_hex(key.as_str()),
        order_text(mark.order)
    );
    format!("{place}{}", mark.source_version)
        .parse()
        .or_else(|_| format!("{place}{}", sha256_hex(mark.source_version.as_str())).parse())
        .expect("prefix, two digests and two numbers are shorter than a key may be")
}

/// What the keys of a version's results begin with: `_results/{key}/{version id}/`. Where the longest name behind it
/// would make a key too long, the key gives way to its SHA-256, and where that is not enough the version id as well;
/// so the prefix is the same for all names.
pub fn results_prefix(source: &VersionRef) -> String {
    let (key, version) = (source.key.as_str(), source.version_id.as_str());
    let fits = |prefix: &String| prefix.len() + Outputs::NAME_BYTES_MAX <= Key::LENGTH_BYTES_MAX;
    Some(format!("{RESULTS_PREFIX}{key}/{version}/"))
        .filter(fits)
        .or_else(|| Some(format!("{RESULTS_PREFIX}{}/{version}/", sha256_hex(key))).filter(fits))
        .unwrap_or_else(|| {
            format!(
                "{RESULTS_PREFIX}{}/{}/",
                sha256_hex(key),
                sha256_hex(version)
            )
        })
}

/// Where a version's result of this name is kept. The name is at most [`Outputs::NAME_BYTES_MAX`] bytes.
pub(crate) fn result_key(source: &VersionRef, name: &str) -> Key {
    format!("{}{name}", results_prefix(source))
        .parse()
        .expect("the prefix leaves room for the longest name")
}

/// The user metadata of a result: the version it was made of, and its key where it fits.
pub(crate) fn pairs_of_result(source: &VersionRef) -> Vec<(String, String)> {
    let mut pairs = vec![(
        SOURCE_VERSION.to_owned(),
        source.version_id.as_str().to_owned(),
    )];
    add_key(&mut pairs, &source.key, 0);
    pairs
}

/// Where an upload belongs, by what the archive has as its key's current version.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Placement {
    /// The current version is this upload already.
    AlreadyCurrent,
    /// Under its key, if the archive is still as it was seen.
    Current(WriteCondition),
    /// Beside, under its late key: a newer upload of the key is current.
    Late,
}

/// Decides where an upload belongs. An archive version without our mark counts as older than any upload.
pub fn place(mark: &Mark, current: Option<&ObjectInfo>) -> Placement {
    let Some(current) = current else {
        return Placement::Current(WriteCondition::IfNoneMatch);
    };
    match Mark::of(&current.metadata) {
        Some(theirs) if theirs.source_version == mark.source_version => Placement::AlreadyCurrent,
        Some(theirs) if theirs.order > mark.order => Placement::Late,
        _ => Placement::Current(WriteCondition::IfMatch(current.etag.clone())),
    }
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::ETag;

    use super::*;

    fn mark(version: &str, millis: i64, number: u64) -> Mark {
        Mark {
            source_version: VersionId::new(version),
            order: Order {
                last_modified: Timestamp::from_millis(millis),
                number,
            },
        }
    }

    fn archived(pairs: Vec<(String, String)>) -> ObjectInfo {
        ObjectInfo {
            at: VersionRef {
                bucket: "archive".parse().unwrap(),
                key: "a".parse().unwrap(),
                version_id: VersionId::new("x"),
            },
            size_bytes: 0,
            etag: ETag::new("e"),
            last_modified: Timestamp::default(),
            checksums: Vec::new(),
            metadata: Metadata {
                user: pairs.into_iter().collect(),
                ..Metadata::default()
            },
        }
    }

    #[test]
    fn a_mark_survives_being_metadata_also_before_1970() {
        for one in [mark("v", 5, 7), mark("v-1", -5, 7)] {
            assert_eq!(Mark::of(&archived(one.pairs()).metadata), Some(one));
        }
    }

    #[test]
    fn order_is_by_time_then_by_first_listing() {
        let ours = mark("v", 10, 5);
        let place_over = |theirs: Mark| place(&ours, Some(&archived(theirs.pairs())));
        let over = Placement::Current(WriteCondition::IfMatch(ETag::new("e")));
        assert_eq!(place_over(mark("w", 9, 9)), over);
        assert_eq!(place_over(mark("w", 10, 4)), over);
        assert_eq!(place_over(mark("w", 10, 6)), Placement::Late);
        assert_eq!(place_over(mark("w", 11, 1)), Placement::Late);
        assert_eq!(place_over(mark("v", 10, 5)), Placement::AlreadyCurrent);
    }

    #[test]
    fn an_archive_version_without_a_whole_mark_counts_as_older() {
        let over = Placement::Current(WriteCondition::IfMatch(ETag::new("e")));
        let ours = mark("v", 10, 5);
        for pairs in [
            vec![],
            vec![(SOURCE_VERSION.into(), "w".into())],
            vec![
                (SOURCE_VERSION.into(), "w".into()),
                (ORDER.into(), "x-y".into()),
            ],
        ] {
            assert_eq!(place(&ours, Some(&archived(pairs))), over);
        }
        assert_eq!(
            place(&ours, None),
            Placement::Current(WriteCondition::IfNoneMatch)
        );
    }

    #[test]
    fn late_keys_are_legal_distinct_and_reserved() {
        let key: Key = "ä".repeat(512).parse().unwrap();
        let one = late_key(&key, &mark("v1", 1, 1));
        assert!(is_reserved(&one));
        assert_ne!(one, late_key(&key, &mark("v2", 1, 2)));
        assert_ne!(one, late_key(&"b".parse().unwrap(), &mark("v1", 1, 1)));
        assert!(is_reserved(&late_key(
            &key,
            &mark(&"v".repeat(1_024), 1, 1)
        )));
    }

    #[test]
    fn the_key_of_a_late_upload_is_kept_where_it_fits() {
        let pairs = mark("v", 1, 1).pairs_of_late(&"a b/ä".parse().unwrap(), &Metadata::default());
        assert!(pairs.contains(&(KEY.into(), "a%20b/%C3%A4".into())));
        let long = "ä".repeat(512).parse().unwrap();
        assert_eq!(
            mark("v", 1, 1)
                .pairs_of_late(&long, &Metadata::default())
                .len(),
            2
        );
    }

    #[test]
    fn keys_of_results_are_legal_distinct_and_reserved_however_long_key_and_version_are() {
        let version = |key: &str, version: &str| VersionRef {
            bucket: "staging".parse().unwrap(),
            key: key.parse().unwrap(),
            version_id: VersionId::new(version),
        };
        let longest = "n".repeat(Outputs::NAME_BYTES_MAX);
        let (long, long_version) = ("k".repeat(1_024), "v".repeat(1_024));
        let all = [
            version("a", "v1"),
            version("a", "v2"),
            version("b", "v1"),
            version(&long, "v1"),
            version(&long[1..], "v1"),
            version("a", &long_version),
            version(&long, &long_version),
            version(&long, &long_version[1..]),
        ];
        let keys: std::collections::HashSet<Key> =
            all.iter().map(|one| result_key(one, &longest)).collect();
        assert_eq!(keys.len(), all.len());
        assert!(keys.iter().all(is_reserved));
        assert_eq!(result_key(&all[0], "x").as_str(), "_results/a/v1/x");
    }

    #[test]
    fn a_copy_of_what_was_archived_of_a_replay_is_no_replay() {
        let mark = |version: &str| Mark {
            source_version: VersionId::new(version),
            order: Order {
                last_modified: Timestamp::from_millis(10),
                number: 1,
            },
        };
        let with = |metadata: &Metadata, pairs: Vec<(String, String)>| {
            let mut metadata = metadata.clone();
            metadata.user.extend(pairs);
            metadata
        };
        let first = archived(mark("v1").pairs());
        for first in [first.metadata, Metadata::default()] {
            let info = ObjectInfo {
                metadata: first.clone(),
                ..archived(Vec::new())
            };
            let replay = Replay::from_archived(&info, None);
            let staged = with(&first, replay.pairs(&first));
            assert_eq!(Replay::of(&staged), Some(replay));
            let archived_again = with(&staged, mark("v2").pairs());
            assert_eq!(Replay::of(&archived_again), None);
        }
    }
}
