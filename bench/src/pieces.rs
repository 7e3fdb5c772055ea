//! A body of many bytes that is never whole in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The bytes of one piece.
const PIECE_BYTES: u64 = 1 << 18;

/// So many bytes: one piece again and again, which no disk or network here packs.
pub(crate) struct Pieces {
    piece: Bytes,
    left: u64,
}

impl Pieces {
    /// A piece to make bodies of.
    pub(crate) fn piece() -> Bytes {
        // A linear congruential generator (Knuth, MMIX): no byte tells of the next.
        let mut state = 1_u64;
        (0..PIECE_BYTES / 8)
            .flat_map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                state.to_le_bytes()
            })
            .collect()
    }

    /// A body of this size.
    pub(crate) fn of(piece: &Bytes, size_bytes: u64) -> Self {
        Self {
            piece: piece.clone(),
            left: size_bytes,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let size = self.left.min(PIECE_BYTES);
        self.left -= size;
        let piece = self
            .piece
            .slice(..usize::try_from(size).expect("a piece is small"));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
