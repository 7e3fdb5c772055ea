use bytes::Bytes;
use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{mpsc, oneshot};
use two_buckets_objects::{Body, Error};
use two_buckets_pipeline::{Outputs, ProcessError, Report};

use super::Settings;
use super::output::UNKNOWN_TYPE;
use super::result::{Written, report_of};

/// The name of the output that what is too long for a report becomes.
const NAME: &str = "stdout";
/// How much is read at a time.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces wait for the store.
const PIECES_MAX: usize = 4;

/// Reads a program's standard output to its end. What is small is kept in memory, unless it is named as an output; what
/// is larger goes to the archive as it comes, and is there only if `succeeded` says so once the program has ended.
pub(super) async fn read(
    mut pipe: impl AsyncRead + Unpin,
    settings: &Settings,
    outputs: &Outputs,
    succeeded: oneshot::Receiver<bool>,
) -> Result<Written, ProcessError> {
    let (bytes_max, named) = (settings.stdout_bytes_max, settings.output.clone());
    let mut small = Vec::new();
    loop {
        let is_whole = (&mut pipe)
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut small)
            .await
            .map_err(unreadable)?
            == 0;
        if small.len() as u64 > bytes_max {
            return Err(too_much(bytes_max));
        }
        let may_be_report = small.is_empty() || named.is_none();
        if is_whole && may_be_report && report_of(&small).is_some() {
            return Ok(Written::Small(small));
        }
        if is_whole || !may_be_report || small.len() > Report::BYTES_MAX {
            break;
        }
    }
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let (name, media_type) = match &named {
        Some(output) => (output.name(), output.media_type()),
        None => (NAME, UNKNOWN_TYPE),
    };
    let put = outputs.put(name, media_type, body(receiver, succeeded));
    let send = async {
        let mut size_bytes = small.len() as u64;
        let mut next = Bytes::from(small);
        while !next.is_empty() {
            if sender.send(next).await.is_err() {
                // The store gave up; what it says is the reason.
                return Ok(size_bytes);
            }
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            pipe.read_buf(&mut piece).await.map_err(unreadable)?;
            size_bytes += piece.len() as u64;
            if size_bytes > bytes_max {
                return Err(too_much(bytes_max));
            }
            next = piece.into();
        }
        drop(sender);
        Ok(size_bytes)
    };
    let put = async { put.await.map_err(ProcessError::from) };
    let (at, size_bytes) = futures::future::try_join(put, send)
        .await
        .map_err(|error| error.context("its standard output was not kept"))?;
    Ok(Written::Output {
        named,
        at,
        size_bytes,
    })
}

/// The pieces as a body that is whole only if the program succeeded.
fn body(pieces: mpsc::Receiver<Bytes>, succeeded: oneshot::Receiver<bool>) -> Body {
    let pieces = futures::stream::unfold(pieces, |mut pieces| async {
        pieces.recv().await.map(|piece| (Ok(piece), pieces))
    });
    let end = futures::stream::once(async {
        match succeeded.await {
            Ok(true) => None,
            _ => Some(Err(Error::Refused {
                reason: "the program did not succeed".into(),
            })),
        }
    });
    Box::pin(pieces.chain(end.filter_map(std::future::ready)))
}

fn unreadable(error: std::io::Error) -> ProcessError {
    ProcessError::transient(error).context("its standard output cannot be read")
}

fn too_much(bytes_max: u64) -> ProcessError {
    ProcessError::Permanent(format!(
        "the program wrote more than {bytes_max} bytes on standard output"
    ))
}
