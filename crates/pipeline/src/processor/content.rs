use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use two_buckets_objects::{
    Body, ByteRange, Checksum, ChecksumKind, Error, Hasher, ObjectInfo, ObjectStore, Result,
    read_to_bytes,
};

type Reading = Pin<Box<dyn Future<Output = Result<Body>> + Send>>;
type Read = dyn Fn(Option<ByteRange>) -> Reading + Send + Sync;

/// The bytes of one immutable version, to be read as often as needed, whole or in ranges.
#[derive(Clone)]
pub struct Content {
    read: Arc<Read>,
    size_bytes: u64,
    checksum: Option<Checksum>,
}

impl Content {
    /// Reads the version a store says this of.
    pub fn of_version<S: ObjectStore>(store: Arc<S>, source: &ObjectInfo) -> Self {
        let at = source.at.clone();
        Self {
            read: Arc::new(move |range| {
                let store = Arc::clone(&store);
                let at = at.clone();
                Box::pin(async move { store.read_version(&at, range).await })
            }),
            size_bytes: source.size_bytes,
            checksum: source
                .checksums
                .iter()
                .find(|checksum| checksum.kind == ChecksumKind::FullObject)
                .cloned(),
        }
    }

    /// The version's size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads all of it or a range, as a stream of bounded memory. A range outside of it is [`Error::Refused`].
    ///
    /// What is read whole is as [`Self::stream`] gives it. A range is checked by what the store itself does, for its
    /// checksum is of the whole.
    pub async fn read(&self, range: Option<ByteRange>) -> Result<Body> {
        match range {
            None => self.stream().await,
            range => (self.read)(range).await,
        }
    }

    /// Reads all of it as a stream of bounded memory that ends with [`Error::Integrity`] where the bytes are not the
    /// version's: more or fewer than its size, or not of its checksum.
    ///
    /// Only the end of the stream says that all was right, so do nothing final before it. A version without a checksum
    /// over the full object, as one of a multipart upload with a composite one, is held to its size alone.
    pub async fn stream(&self) -> Result<Body> {
        let body = (self.read)(None).await?;
        Ok(Box::pin(Verified {
            body: Some(body),
            left_bytes: self.size_bytes,
            hasher: self.checksum.as_ref().map(|one| one.algorithm.hasher()),
            expected: self.checksum.clone(),
        }))
    }

    /// Reads all of it into memory, checked as by [`Self::stream`]. More than `size_bytes_max` bytes is
    /// [`Error::Refused`], before anything is read.
    pub async fn bytes(&self, size_bytes_max: usize) -> Result<Bytes> {
        if self.size_bytes > size_bytes_max as u64 {
            return Err(Error::Refused {
                reason: format!(
                    "the file has {} bytes, and at most {size_bytes_max} are read into memory",
                    self.size_bytes
                ),
            });
        }
        read_to_bytes(self.stream().await?, size_bytes_max).await
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

/// A body that must have this many bytes of this checksum.
struct Verified {
    /// None once it has ended, well or not.
    body: Option<Body>,
    left_bytes: u64,
    hasher: Option<Hasher>,
    expected: Option<Checksum>,
}

impl Verified {
    fn take(&mut self, piece: &Bytes) -> Result<()> {
        self.left_bytes = self
            .left_bytes
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| differs("there are more bytes than its size says"))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if self.left_bytes > 0 {
            return Err(differs(&format!(
                "it ended {} bytes before its size",
                self.left_bytes
            )));
        }
        let found = self.hasher.take().map(Hasher::finish);
        match (found, &self.expected) {
            (Some(found), Some(expected)) if found != *expected => Err(differs(&format!(
                "its {} is not that of what was uploaded",
                expected.algorithm
            ))),
            _ => Ok(()),
        }
    }
}

fn differs(how: &str) -> Error {
    Error::Integrity {
        reason: format!("what was read is not the version's bytes: {how}"),
    }
}

impl Stream for Verified {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let next = match body.as_mut().poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        let item = match next {
            Some(Ok(piece)) => match self.take(&piece) {
                Ok(()) => return Poll::Ready(Some(Ok(piece))),
                Err(error) => Some(Err(error)),
            },
            Some(Err(error)) => Some(Err(error)),
            None => self.finish().err().map(Err),
        };
        self.body = None;
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::StreamExt;
    use two_buckets_objects::{Algorithm, body_from_bytes};

    fn content(size_bytes: u64, uploaded: &[u8], read: &'static [u8]) -> Content {
        let mut hasher = Algorithm::Crc64Nvme.hasher();
        hasher.update(uploaded);
        Content {
            read: Arc::new(move |_| {
                Box::pin(std::future::ready(Ok(body_from_bytes(Bytes::from_static(
                    read,
                )))))
            }),
            size_bytes,
            checksum: Some(hasher.finish()),
        }
    }

    fn bytes(content: &Content, max: usize) -> Result<Bytes> {
        content.bytes(max).now_or_never().unwrap()
    }

    #[test]
    fn the_versions_own_bytes_are_read_and_others_end_with_an_error() {
        assert_eq!(bytes(&content(3, b"abc", b"abc"), 3).unwrap(), "abc");
        for (size, uploaded, read) in [
            (3, &b"abc"[..], &b"abd"[..]),
            (3, b"abc", b"ab"),
            (2, b"ab", b"abc"),
        ] {
            let error = bytes(&content(size, uploaded, read), 3).unwrap_err();
            assert!(matches!(error, Error::Integrity { .. }), "{error}");
        }
    }

    #[test]
    fn a_wrong_end_is_said_once_and_ends_the_stream() {
        let mut body = content(3, b"abc", b"abd")
            .stream()
            .now_or_never()
            .unwrap()
            .unwrap();
        let mut next = || body.next().now_or_never().unwrap();
        assert!(next().unwrap().is_ok());
        assert!(next().unwrap().is_err());
        assert!(next().is_none());
        assert!(next().is_none());
    }

    #[test]
    fn what_is_too_large_for_memory_is_refused_unread() {
        let error = bytes(&content(4, b"abcd", b"abcd"), 3).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
}
