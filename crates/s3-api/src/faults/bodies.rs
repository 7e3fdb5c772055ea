//! Bodies that are slow, or break off.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::payload::BoxError;

/// Pieces of a slow body take about so long each.
const PIECE_TIME_MILLIS: u64 = 50;
/// A piece is never larger, however fast the body is.
const PIECE_BYTES_MAX: u64 = 64 << 10;
/// What comes before the end of an answer that S3 began early: a declaration, which must be first, and white space.
const BEGUN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n   \n";

/// The body in pieces, so that no more than this comes in a second.
pub(super) fn slow(body: s3s::Body, bytes_per_s: NonZeroU64) -> s3s::Body {
    let rate = bytes_per_s.get();
    let piece_max = (rate.saturating_mul(PIECE_TIME_MILLIS) / 1000).clamp(1, PIECE_BYTES_MAX);
    let piece_max = usize::try_from(piece_max).expect("64 KiB are within every address space");
    let pieces = stream::try_unfold(
        (body, Bytes::new()),
        move |(mut body, mut left)| async move {
            while left.is_empty() {
                match body.next().await {
                    None => return Ok(None),
                    Some(more) => left = more?,
                }
            }
            let piece = left.split_to(piece_max.min(left.len()));
            let nanos = u128::from(piece.len() as u64) * 1_000_000_000 / u128::from(rate);
            let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            tokio::time::sleep(wait).await;
            Ok::<_, BoxError>(Some((piece, (body, left))))
        },
    );
    whole(pieces)
}

/// The body's first bytes, and then an error, at its end at the latest.
pub(super) fn cut(body: s3s::Body, after_bytes: u64) -> s3s::Body {
    let pieces = stream::try_unfold(Some((body, after_bytes)), |state| async move {
        let Some((mut body, left)) = state else {
            return Ok(None);
        };
        if left > 0
            && let Some(piece) = body.next().await
        {
            let mut piece = piece?;
            let wanted = usize::try_from(left).unwrap_or(usize::MAX);
            piece.truncate(wanted);
            let left = left - piece.len() as u64;
            return Ok(Some((piece, Some((body, left)))));
        }
        // Whoever writes the pieces out gets to do so before it hears of the end.
        tokio::task::yield_now().await;
        Err::<_, BoxError>("a fault cut the connection".into())
    });
    whole(pieces)
}

/// A document that begins before its end is known.
pub(super) fn after_whitespace(end: String) -> s3s::Body {
    let pieces = [Bytes::from_static(BEGUN.as_bytes()), Bytes::from(end)];
    whole(stream::iter(pieces.map(Ok::<_, BoxError>)))
}

fn whole(pieces: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static) -> s3s::Body {
    s3s::Body::http_body_unsync(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}
