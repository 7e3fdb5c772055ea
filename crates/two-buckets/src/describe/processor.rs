use std::future::Future;

use futures::StreamExt as _;
use two_buckets_objects::{Body, ByteRange, Error, read_to_bytes};
use two_buckets_pipeline::{Incoming, ProcessError, Processor, Report};

use super::{Description, Examination};

/// The processor that says what a file is; see [the module](super) for its report.
///
/// Reads every upload once from beginning to end, and of a zip that is not small its directory again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Describe;

/// How many bytes are looked at before others get their turn: some 100 µs of work.
const TURN_BYTES: usize = 64 << 10;
/// It takes a megabyte and less than a millisecond for most files: their workers wait for the disk, and one sync serves all
/// that wait together.
const AT_ONCE: usize = 32;

impl Processor for Describe {
    fn concurrency(&self) -> Option<usize> {
        Some(AT_ONCE)
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let name = upload.source.at.key.as_str();
        let content = &upload.content;
        let description =
            describe(name, upload.source.size_bytes, |range| content.read(range)).await?;
        let report = Report::new(description.to_json());
        Ok(report.expect("the limits of the parts keep a report short; asserted in this module"))
    }
}

/// Describes a file that `read` reads whole or in ranges.
pub(super) async fn describe<R: Future<Output = Result<Body, Error>>>(
    name: &str,
    size: u64,
    read: impl Fn(Option<ByteRange>) -> R,
) -> Result<Description, ProcessError> {
    let mut examination = Examination::new(name, size);
    let mut body = read(None).await.map_err(unreadable)?;
    let mut since_turn = 0;
    while let Some(piece) = body.next().await {
        for part in piece.map_err(unreadable)?.chunks(TURN_BYTES) {
            examination.update(part);
            since_turn += part.len();
            if since_turn >= TURN_BYTES {
                since_turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    let mut finishing = examination
        .finish()
        .map_err(|differs| ProcessError::Transient(differs.to_string()))?;
    while let Some(range) = finishing.wants() {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let asked = ByteRange::FromTo {
            first: range.start,
            last: range.end - 1,
        };
        let body = read(Some(asked)).await.map_err(unreadable)?;
        let bytes = read_to_bytes(body, length).await.map_err(unreadable)?;
        if bytes.len() != length {
            return Err(ProcessError::Transient(format!(
                "{} bytes were read of a range of {length}",
                bytes.len()
            )));
        }
        finishing.give(&bytes);
    }
    Ok(finishing.description())
}

fn unreadable(error: Error) -> ProcessError {
    ProcessError::from(error).context("the upload cannot be read")
}
