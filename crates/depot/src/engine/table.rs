use std::ops::Bound;

use crate::RowTable;

/// A table of the index: the first two bytes of its rows' keys, big-endian, so that each table is one range of keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Table(u16);

impl Table {
    /// The engine's own place: how far the log has been applied.
    pub(super) const POSITION: Self = Self(0x0001);
    /// The bytes of live bodies in each log segment, by segment.
    pub(super) const SEGMENTS: Self = Self(0x0002);
    /// Where a body's bytes are, by body.
    pub(super) const BODIES: Self = Self(0x0003);
    /// How many rows hold a body, by body; a body without a row here is held once.
    pub(super) const BODY_HOLDS: Self = Self(0x0004);

    /// Buckets by name.
    pub(crate) const BUCKETS: Self = Self(0x0010);
    /// Configurations of buckets.
    pub(crate) const CONFIGS: Self = Self(0x0011);
    /// Versions of objects.
    pub(crate) const VERSIONS: Self = Self(0x0012);
    /// Multipart uploads that are not completed.
    pub(crate) const UPLOADS: Self = Self(0x0013);
    /// Parts of those uploads.
    pub(crate) const PARTS: Self = Self(0x0014);
    /// Where the version `null` of a key is.
    pub(crate) const NULLS: Self = Self(0x0015);
    /// The lists of parts of completed uploads.
    pub(crate) const MANIFESTS: Self = Self(0x0016);
    /// How many versions have a list of parts; one without a row here is had once.
    pub(crate) const MANIFEST_USES: Self = Self(0x0017);
    /// What is known of the store as a whole.
    pub(crate) const STORE: Self = Self(0x0018);

    /// Uploads completed not long ago, so that a completion can be repeated.
    pub(crate) const COMPLETED: Self = Self(0x0019);

    const USER_ROWS: u16 = 0x0100;

    /// The table behind a user's [`RowTable`].
    pub(crate) const fn rows(table: RowTable) -> Self {
        Self(Self::USER_ROWS | table.0 as u16)
    }

    /// The key of a row in the index.
    pub(super) fn key(self, row: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(PREFIX_BYTES + row.len());
        key.extend_from_slice(&self.0.to_be_bytes());
        key.extend_from_slice(row);
        key
    }

    /// Whether a key of the index is a row of this table.
    pub(super) fn holds(self, key: &[u8]) -> bool {
        key.starts_with(&self.0.to_be_bytes())
    }

    /// A range of rows as a range of the index's keys that cannot leave the table.
    pub(super) fn range(
        self,
        (from, to): (Bound<&[u8]>, Bound<&[u8]>),
    ) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        let from = match from {
            Bound::Included(row) => Bound::Included(self.key(row)),
            Bound::Excluded(row) => Bound::Excluded(self.key(row)),
            Bound::Unbounded => Bound::Included(self.key(&[])),
        };
        let to = match to {
            Bound::Included(row) => Bound::Included(self.key(row)),
            Bound::Excluded(row) => Bound::Excluded(self.key(row)),
            Bound::Unbounded => Bound::Excluded(Self(self.0 + 1).key(&[])),
        };
        (from, to)
    }
}

/// The length of a table's prefix.
pub(super) const PREFIX_BYTES: usize = 2;
