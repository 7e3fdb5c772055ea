//! The bytes of a transaction in the log; `docs/format.md` has them field by field.

use bytes::Bytes;
use two_buckets_objects::Algorithm;

use super::body::{BodyId, Fields};

/// The bytes before a record's payload.
pub(super) const HEADER_BYTES: usize = 48;
/// The most bytes of a payload. A transaction is held in memory whole, and so is each record that is read back.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

const MAGIC: u32 = u32::from_le_bytes(*b"2Brc");
/// Where the checksum begins to cover the header: behind itself.
const CHECKED_FROM: usize = 16;

const SET_ROW: u8 = 1;
const DELETE_ROW: u8 = 2;
const ADD_BODY: u8 = 3;
const ADD_BLOB: u8 = 4;
const FREE_BODY: u8 = 5;

/// What a record says beside its changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// The record's number; each is one more than the one before.
    pub(super) sequence: u64,
    /// The number of the first record of its group, which one write and one sync made durable.
    pub(super) group: u64,
    /// No id from here on was given when the transaction ended.
    pub(super) next_id: u64,
    /// The time of the transaction in milliseconds.
    pub(super) timestamp: i64,
}

/// One change of a record, as it is read back.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Change<'a> {
    SetRow {
        key: &'a [u8],
        value: &'a [u8],
    },
    DeleteRow {
        key: &'a [u8],
    },
    AddBody {
        id: BodyId,
        crc: u64,
        /// Where the bytes begin, counted from the beginning of the record.
        offset: u64,
        size_bytes: u32,
    },
    AddBlob {
        id: BodyId,
        size_bytes: u64,
    },
    FreeBody {
        id: BodyId,
    },
}

/// Writes records one behind the other into one buffer, which becomes one write.
pub(super) struct Encoder {
    store: u64,
    buffer: Vec<u8>,
    record: usize,
}

impl Encoder {
    /// An encoder of records of this store.
    pub(super) fn new(store: u64) -> Self {
        Self {
            store,
            buffer: Vec::new(),
            record: 0,
        }
    }

    /// Begins a record; what was begun before must be ended.
    pub(super) fn begin(&mut self) {
        self.record = self.buffer.len();
        self.buffer.resize(self.record + HEADER_BYTES, 0);
    }

    pub(super) fn row(&mut self, key: &[u8], value: Option<&Bytes>) {
        self.buffer
            .push(if value.is_some() { SET_ROW } else { DELETE_ROW });
        self.length(key.len());
        if let Some(value) = value {
            self.length(value.len());
        }
        self.buffer.extend_from_slice(key);
        if let Some(value) = value {
            self.buffer.extend_from_slice(value);
        }
    }

    /// Adds a body and says where in the buffer its bytes begin.
    pub(super) fn body(&mut self, id: BodyId, crc: u64, bytes: &[u8]) -> usize {
        self.buffer.push(ADD_BODY);
        self.number(id.number());
        self.number(crc);
        self.length(bytes.len());
        let offset = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        offset
    }

    pub(super) fn blob(&mut self, id: BodyId, size_bytes: u64) {
        self.buffer.push(ADD_BLOB);
        self.number(id.number());
        self.number(size_bytes);
    }

    pub(super) fn free(&mut self, id: BodyId) {
        self.buffer.push(FREE_BODY);
        self.number(id.number());
    }

    /// Ends the record that was begun.
    pub(super) fn end(&mut self, head: Head) {
        let record = self
            .buffer
            .get_mut(self.record..)
            .expect("a record begins inside the buffer");
        let payload = record.len() - HEADER_BYTES;
        let length = u32::try_from(payload).expect("a transaction is bounded below 4 GiB");
        let fields: [&[u8]; 4] = [
            &head.sequence.to_le_bytes(),
            &head.group.to_le_bytes(),
            &head.next_id.to_le_bytes(),
            &head.timestamp.to_le_bytes(),
        ];
        let mut at = CHECKED_FROM;
        for field in fields {
            put(record, at, field);
            at += field.len();
        }
        put(record, 0, &MAGIC.to_le_bytes());
        put(record, 4, &length.to_le_bytes());
        let checked = record.get(CHECKED_FROM..).unwrap_or_default();
        let crc = checksum(self.store, length, checked);
        put(record, 8, &crc.to_le_bytes());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets the records and keeps the memory, unless one group made it unusually large.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES_MAX);
    }

    fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        let length = u32::try_from(length).expect("a transaction is bounded below 4 GiB");
        self.buffer.extend_from_slice(&length.to_le_bytes());
    }
}

/// The most memory an [`Encoder`] keeps between groups.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// How many payload bytes a row takes beside its key and value.
pub(super) const ROW_OVERHEAD_BYTES: usize = 9;
/// How many payload bytes a body takes beside its own.
pub(super) const BODY_OVERHEAD_BYTES: usize = 21;

fn put(record: &mut [u8], at: usize, field: &[u8]) {
    record
        .get_mut(at..at + field.len())
        .expect("the header was made with its full length")
        .copy_from_slice(field);
}

/// The store is part of the checksum, so that bytes of another store, though inside a body, are no record of this one.
fn checksum(store: u64, length: u32, rest: &[u8]) -> u64 {
    crc64(&[&store.to_le_bytes(), &length.to_le_bytes(), rest])
}

/// CRC64NVME over pieces one behind the other.
pub(super) fn crc64(pieces: &[&[u8]]) -> u64 {
    let mut hasher = Algorithm::Crc64Nvme.hasher();
    for piece in pieces {
        hasher.update(piece);
    }
    crc64_value(&hasher.finish().value)
}

/// The number behind a CRC64NVME checksum's bytes.
pub(super) fn crc64_value(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().expect("a CRC64NVME value has eight bytes"))
}

/// A record read back, whole and with the right checksum.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) head: Head,
    payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// Whether a record ends where these bytes do. It may be damaged, but was written to its end: behind one that was not
    /// there are zeros.
    pub(super) fn ends(store: u64, bytes: &[u8]) -> bool {
        let first = bytes.len().saturating_sub(HEADER_BYTES + PAYLOAD_BYTES_MAX);
        let last = bytes.len().saturating_sub(HEADER_BYTES);
        let begins = (first..=last).rev().find(|at| {
            let mut fields = Fields(bytes.get(*at..).unwrap_or_default());
            fields.u32() == Some(MAGIC)
                && fields.u32().and_then(|length| usize::try_from(length).ok())
                    == Some(bytes.len() - at - HEADER_BYTES)
        });
        let record = begins.and_then(|at| bytes.get(at..)).unwrap_or_default();
        let end = record
            .get(HEADER_BYTES..)
            .and_then(|rest| rest.last_chunk::<16>());
        end.is_some_and(|end| *end != [0; 16]) || Record::read(store, record).is_some()
    }

    /// The record at the beginning of the bytes, or none if there is no whole one of this store.
    pub(super) fn read(store: u64, bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        if fields.u32()? != MAGIC {
            return None;
        }
        let length = fields.u32()?;
        let payload_bytes = usize::try_from(length).ok()?;
        if payload_bytes > PAYLOAD_BYTES_MAX {
            return None;
        }
        let crc = fields.u64()?;
        let checked = fields
            .0
            .get(..HEADER_BYTES - CHECKED_FROM + payload_bytes)?;
        if checksum(store, length, checked) != crc {
            return None;
        }
        let head = Head {
            sequence: fields.u64()?,
            group: fields.u64()?,
            next_id: fields.u64()?,
            timestamp: fields.i64()?,
        };
        let payload = fields.bytes(payload_bytes)?;
        Some(Self { head, payload })
    }

    /// The length of the record.
    pub(super) fn size_bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// The changes in their order; none if they are not such as this program writes.
    pub(super) fn changes(&self) -> Option<Vec<Change<'a>>> {
        let mut fields = Fields(self.payload);
        let mut changes = Vec::new();
        while let Some(kind) = fields.u8() {
            changes.push(match kind {
                SET_ROW => {
                    let key_bytes = length(&mut fields)?;
                    let value_bytes = length(&mut fields)?;
                    Change::SetRow {
                        key: fields.bytes(key_bytes)?,
                        value: fields.bytes(value_bytes)?,
                    }
                }
                DELETE_ROW => {
                    let key_bytes = length(&mut fields)?;
                    Change::DeleteRow {
                        key: fields.bytes(key_bytes)?,
                    }
                }
                ADD_BODY => {
                    let id = BodyId::new(fields.u64()?);
                    let crc = fields.u64()?;
                    let size_bytes = fields.u32()?;
                    let offset = self.size_bytes() - fields.0.len();
                    fields.bytes(usize::try_from(size_bytes).ok()?)?;
                    Change::AddBody {
                        id,
                        crc,
                        offset: offset as u64,
                        size_bytes,
                    }
                }
                ADD_BLOB => Change::AddBlob {
                    id: BodyId::new(fields.u64()?),
                    size_bytes: fields.u64()?,
                },
                FREE_BODY => Change::FreeBody {
                    id: BodyId::new(fields.u64()?),
                },
                _ => return None,
            });
        }
        Some(changes)
    }
}

fn length(fields: &mut Fields<'_>) -> Option<usize> {
    usize::try_from(fields.u32()?).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Change, Encoder, HEADER_BYTES, Head, Record};
    use crate::engine::body::BodyId;

    const STORE: u64 = 17;
    const HEAD: Head = Head {
        sequence: 7,
        group: 6,
        next_id: 99,
        timestamp: -5,
    };

    fn sample() -> (Encoder, usize) {
        let mut encoder = Encoder::new(STORE);
        encoder.begin();
        encoder.row(b"key", Some(&Bytes::from_static(b"value")));
        encoder.row(b"gone", None);
        let body = encoder.body(BodyId::new(3), 0x1234, b"bytes");
        encoder.blob(BodyId::new(4), 1 << 40);
        encoder.free(BodyId::new(2));
        encoder.end(HEAD);
        (encoder, body)
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let (encoder, body) = sample();
        let record = Record::read(STORE, encoder.bytes()).unwrap();
        assert_eq!(record.head, HEAD);
        assert_eq!(record.size_bytes(), encoder.bytes().len());
        assert_eq!(
            record.changes().unwrap(),
            [
                Change::SetRow {
                    key: b"key",
                    value: b"value"
                },
                Change::DeleteRow { key: b"gone" },
                Change::AddBody {
                    id: BodyId::new(3),
                    crc: 0x1234,
                    offset: body as u64,
                    size_bytes: 5
                },
                Change::AddBlob {
                    id: BodyId::new(4),
                    size_bytes: 1 << 40
                },
                Change::FreeBody { id: BodyId::new(2) },
            ]
        );
    }

    #[test]
    fn a_record_cut_anywhere_or_with_any_bit_flipped_is_none() {
        let (encoder, _) = sample();
        let bytes = encoder.bytes();
        for end in 0..bytes.len() {
            assert!(Record::read(STORE, &bytes[..end]).is_none(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                assert!(
                    Record::read(STORE, &flipped).is_none(),
                    "bit {bit} of byte {at}"
                );
            }
        }
        assert!(Record::read(STORE, &[0; 4 * HEADER_BYTES]).is_none());
        assert!(Record::read(STORE + 1, bytes).is_none(), "another store's");
    }
}
