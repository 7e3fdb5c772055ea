//! What records do to the index, the same for a record just written and for one read back.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::Table;
use super::body::{self, BodyId, Fields, Place};
use super::index::{Batch, Index};
use crate::{Error, Result};

/// How far the log is in the index, kept in the same batch as what was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Position {
    /// The last record applied.
    pub(super) sequence: u64,
    /// No id from here on was given.
    pub(super) next_id: u64,
    /// The time of the last transaction.
    pub(super) timestamp: i64,
    /// The segment the next record is in, unless a new one begins with it.
    pub(super) segment: u64,
    /// Where in that segment.
    pub(super) offset: u64,
}

impl Position {
    fn encode(self) -> Bytes {
        let mut row = Vec::with_capacity(40);
        row.extend_from_slice(&self.sequence.to_le_bytes());
        row.extend_from_slice(&self.next_id.to_le_bytes());
        row.extend_from_slice(&self.timestamp.to_le_bytes());
        row.extend_from_slice(&self.segment.to_le_bytes());
        row.extend_from_slice(&self.offset.to_le_bytes());
        row.into()
    }

    /// The position an index holds; none in an empty one.
    pub(super) fn load(index: &dyn Index) -> Result<Option<Self>> {
        let Some(row) = index.get(&Table::POSITION.key(&[]))? else {
            return Ok(None);
        };
        let mut fields = Fields(&row);
        let mut read = || {
            Some(Self {
                sequence: fields.u64()?,
                next_id: fields.u64()?,
                timestamp: fields.i64()?,
                segment: fields.u64()?,
                offset: fields.u64()?,
            })
        };
        match read() {
            Some(position) => Ok(Some(position)),
            None => Err(Error::Corrupt {
                what: "the index's position in the log".to_owned(),
            }),
        }
    }
}

/// The bytes of live bodies in each segment that has any.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct LiveBytes(BTreeMap<u64, u64>);

impl LiveBytes {
    pub(super) fn load(index: &dyn Index) -> Result<Self> {
        let (from, to) =
            Table::SEGMENTS.range((std::ops::Bound::Unbounded, std::ops::Bound::Unbounded));
        let mut live = BTreeMap::new();
        for row in index.range(from, to, false, usize::MAX) {
            let (key, value) = row?;
            let segment = super::overlay::strip(&key)
                .try_into()
                .map(u64::from_be_bytes);
            let bytes = value.try_into().map(u64::from_le_bytes);
            let (Ok(segment), Ok(bytes)) = (segment, bytes) else {
                return Err(Error::Corrupt {
                    what: "a row of the table of segments".to_owned(),
                });
            };
            live.insert(segment, bytes);
        }
        Ok(Self(live))
    }

    pub(super) fn of(&self, segment: u64) -> u64 {
        self.0.get(&segment).copied().unwrap_or(0)
    }
}

/// Changes on their way into the index as one batch.
#[derive(Default)]
pub(super) struct Stage {
    batch: Batch,
    /// Bodies added by this stage, which the index does not know yet.
    places: HashMap<BodyId, Place>,
    live: BTreeMap<u64, i64>,
    /// Bodies whose files can go once the batch is applied.
    pub(super) freed_blobs: Vec<BodyId>,
}

impl Stage {
    pub(super) fn row(&mut self, key: Bytes, value: Option<Bytes>) {
        self.batch.insert(key, value);
    }

    pub(super) fn add(&mut self, id: BodyId, place: Place) {
        if let Place::Log { segment, .. } = place {
            *self.live.entry(segment).or_default() += signed(place.size_bytes());
        }
        self.batch.insert(
            Table::BODIES.key(&id.to_bytes()).into(),
            Some(place.encode().into()),
        );
        self.places.insert(id, place);
    }

    /// Takes a body away. The place need not be told if the body is in this stage or in the index.
    pub(super) fn free(
        &mut self,
        id: BodyId,
        place: Option<Place>,
        index: &dyn Index,
    ) -> Result<()> {
        let key = Table::BODIES.key(&id.to_bytes());
        let place = match place.or_else(|| self.places.remove(&id)) {
            Some(place) => place,
            None => match index.get(&key)? {
                Some(row) => Place::decode(&row)?,
                None => return Err(body::missing(id)),
            },
        };
        match place {
            Place::Log { segment, .. } => {
                *self.live.entry(segment).or_default() -= signed(place.size_bytes());
            }
            Place::Blob { .. } => self.freed_blobs.push(id),
        }
        self.batch.insert(key.into(), None);
        Ok(())
    }

    /// The batch, with the position it stands for and the live bytes as they are then.
    pub(super) fn finish(&mut self, position: Position, live: &mut LiveBytes) -> Batch {
        for (segment, change) in std::mem::take(&mut self.live) {
            let bytes = live.of(segment).saturating_add_signed(change);
            let key = Table::SEGMENTS.key(&segment.to_be_bytes()).into();
            if bytes == 0 {
                live.0.remove(&segment);
                self.batch.insert(key, None);
            } else {
                live.0.insert(segment, bytes);
                self.batch
                    .insert(key, Some(bytes.to_le_bytes().to_vec().into()));
            }
        }
        self.batch
            .insert(Table::POSITION.key(&[]).into(), Some(position.encode()));
        self.places.clear();
        std::mem::take(&mut self.batch)
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("a body in the log is far below 8 EiB")
}
