use std::fmt;

use crate::{Error, Result};

/// The name of a body. Never given twice, not even across restarts, to bodies that became part of the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct BodyId(u64);

impl BodyId {
    /// The body of this number, as a row holds it.
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, to be kept in rows.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    /// Its key in the tables of bodies: big-endian, so that they are in the order they were made.
    pub(super) const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for BodyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where the bytes of a body are: its row in the table of bodies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In a segment of the log.
    Log {
        /// The segment.
        segment: u64,
        /// The first byte in the segment's file.
        offset: u64,
        /// The size.
        size_bytes: u32,
        /// The CRC64NVME of the bytes.
        crc: u64,
    },
    /// In a file of its own.
    Blob {
        /// The size.
        size_bytes: u64,
    },
}

const IN_LOG: u8 = 1;
const IN_BLOB: u8 = 2;

impl Place {
    /// The row.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut row = Vec::with_capacity(29);
        match self {
            Self::Log {
                segment,
                offset,
                size_bytes,
                crc,
            } => {
                row.push(IN_LOG);
                row.extend_from_slice(&segment.to_le_bytes());
                row.extend_from_slice(&offset.to_le_bytes());
                row.extend_from_slice(&size_bytes.to_le_bytes());
                row.extend_from_slice(&crc.to_le_bytes());
            }
            Self::Blob { size_bytes } => {
                row.push(IN_BLOB);
                row.extend_from_slice(&size_bytes.to_le_bytes());
            }
        }
        row
    }

    /// Reads the row back.
    pub(super) fn decode(row: &[u8]) -> Result<Self> {
        let corrupt = || Error::Corrupt {
            what: "a row of the table of bodies".to_owned(),
        };
        let (kind, rest) = row.split_first().ok_or_else(corrupt)?;
        let mut fields = Fields(rest);
        let place = match *kind {
            IN_LOG => Self::Log {
                segment: fields.u64().ok_or_else(corrupt)?,
                offset: fields.u64().ok_or_else(corrupt)?,
                size_bytes: fields.u32().ok_or_else(corrupt)?,
                crc: fields.u64().ok_or_else(corrupt)?,
            },
            IN_BLOB => Self::Blob {
                size_bytes: fields.u64().ok_or_else(corrupt)?,
            },
            _ => return Err(corrupt()),
        };
        if fields.0.is_empty() {
            Ok(place)
        } else {
            Err(corrupt())
        }
    }

    /// The same place in a write that went to this segment, beginning here.
    pub(super) fn moved(self, segment: u64, base: u64) -> Self {
        match self {
            Self::Log {
                offset,
                size_bytes,
                crc,
                ..
            } => Self::Log {
                segment,
                offset: base + offset,
                size_bytes,
                crc,
            },
            Self::Blob { .. } => self,
        }
    }

    /// The size of the body.
    pub(crate) fn size_bytes(self) -> u64 {
        match self {
            Self::Log { size_bytes, .. } => u64::from(size_bytes),
            Self::Blob { size_bytes } => size_bytes,
        }
    }
}

/// Little-endian fields one behind the other; none where they end early.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(field)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
}

/// What a row that names a body which is not there means.
pub(super) fn missing(id: BodyId) -> Error {
    Error::Corrupt {
        what: format!("body {id}, which is named and not there"),
    }
}
