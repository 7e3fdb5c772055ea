use std::ops::Range;

/// A byte range as asked for in a `Range` header (RFC 9110, section 14.1.2). One range only: S3 serves no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByteRange {
    /// `bytes=first-last`, both ends included; `last` may lie behind the end of the object.
    FromTo {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// `bytes=first-`: from here to the end.
    From {
        /// The first byte.
        first: u64,
    },
    /// `bytes=-length`: so many bytes at the end, or all there are.
    Last {
        /// How many bytes.
        length: u64,
    },
}

/// A range that no byte of the object lies in (S3: 416 `InvalidRange`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no byte of the object lies in the range; it has {size_bytes} bytes")]
pub struct UnsatisfiableRange {
    /// The object's size.
    pub size_bytes: u64,
}

impl ByteRange {
    /// The half-open range of an object of this size. Never empty.
    pub fn within(self, size_bytes: u64) -> Result<Range<u64>, UnsatisfiableRange> {
        let (start, end) = match self {
            Self::FromTo { first, last } => (first, last.saturating_add(1).min(size_bytes)),
            Self::From { first } => (first, size_bytes),
            Self::Last { length } => (size_bytes.saturating_sub(length), size_bytes),
        };
        if start < end {
            Ok(start..end)
        } else {
            Err(UnsatisfiableRange { size_bytes })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ByteRange::{From, FromTo, Last};

    #[test]
    fn ranges_are_cut_to_the_object_and_never_empty() {
        assert_eq!(FromTo { first: 0, last: 0 }.within(10), Ok(0..1));
        assert_eq!(FromTo { first: 9, last: 99 }.within(10), Ok(9..10));
        assert_eq!(
            FromTo {
                first: 0,
                last: u64::MAX
            }
            .within(10),
            Ok(0..10)
        );
        assert_eq!(From { first: 3 }.within(10), Ok(3..10));
        assert_eq!(Last { length: 3 }.within(10), Ok(7..10));
        assert_eq!(Last { length: 30 }.within(10), Ok(0..10));
        for empty in [
            FromTo {
                first: 10,
                last: 12,
            },
            FromTo { first: 3, last: 2 },
            From { first: 10 },
            Last { length: 0 },
        ] {
            assert!(empty.within(10).is_err(), "{empty:?}");
        }
        assert!(From { first: 0 }.within(0).is_err());
    }
}
