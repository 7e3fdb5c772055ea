//! Standard input, of which nobody knows how long it is: a few parts at a time are in memory.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use two_buckets_objects::PARTS_MAX;

use super::accepted::Accepted;
use super::bars::FileBar;
use super::content::Content;
use super::multipart::{Multipart, SentPart, begin};
use super::part_size::{stream_part_size, stream_size_max};
use super::source::Destination;
use super::{Uploader, single};
use crate::cli::print;
use crate::cli::s3::Heard;
use crate::cli::trouble::Trouble;

/// How many parts are on their way at once. While there are fewer, one more is being filled; some pieces wait beside.
const PARALLEL_PARTS: usize = 2;
/// How much is read at a time.
const PIECE_SIZE_BYTES: usize = 256 << 10;
/// How many pieces wait.
const PIECES_MAX: usize = 4;

/// Uploads standard input to its end: in one piece if it ends within the first part, else in parts. It cannot be read
/// again, so what fails is aborted.
pub(super) async fn upload(
    uploader: &Uploader<'_>,
    destination: &Destination,
    bar: &FileBar<'_>,
) -> Result<Accepted, Trouble> {
    let mut input = Input::open()?;
    let first = input.part(stream_part_size(1)).await?;
    let tell = |bytes| bar.sent(bytes);
    if (first.len() as u64) < stream_part_size(1) {
        bar.grow(first.len() as u64);
        let content = Content::Memory(first);
        return single::upload(uploader, destination, &content, &Heard::new(&tell)).await;
    }
    let staging = uploader.staging(destination).await?;
    let upload_id = begin(&staging, uploader.media_type.as_deref()).await?;
    let multipart = Multipart {
        staging: &staging,
        upload_id: &upload_id,
    };
    let sent = match send(&multipart, &mut input, first, bar).await {
        Ok((parts, size_bytes)) => {
            multipart
                .complete(&parts, size_bytes, destination.is_minted())
                .await
        }
        Err(trouble) => Err(trouble),
    };
    match sent {
        Ok(accepted) => Ok(accepted),
        Err(trouble) => Err(match multipart.abort().await {
            Ok(()) => trouble,
            Err(second) if second.is("NoSuchUpload") => trouble,
            Err(second) => trouble.and(&format!(
                "; its parts stay until the server removes them: {}",
                crate::failure::Failure::from(second)
            )),
        }),
    }
}

async fn send(
    multipart: &Multipart<'_>,
    input: &mut Input,
    first: Bytes,
    bar: &FileBar<'_>,
) -> Result<(BTreeMap<u32, SentPart>, u64), Trouble> {
    let mut sent = BTreeMap::new();
    let mut size_bytes = 0;
    let mut under_way = FuturesUnordered::new();
    let mut number = 0;
    let mut next = Some(first);
    let mut is_at_end = false;
    loop {
        if let Some(part) = next.take() {
            number += 1;
            if number > PARTS_MAX {
                return Err(Trouble::last(format!(
                    "standard input has more than {}, which is the most where the length is not known; write it into a file",
                    print::size(stream_size_max())
                )));
            }
            size_bytes += part.len() as u64;
            bar.grow(part.len() as u64);
            let content = Content::Memory(part);
            under_way.push(async move {
                let tell = |bytes| bar.sent(bytes);
                let part = multipart.send(number, &content, &Heard::new(&tell)).await?;
                Ok::<_, Trouble>((number, part))
            });
        }
        // Both at once: whoever writes may be slow, and what is under way must go on meanwhile.
        tokio::select! {
            part = input.part(stream_part_size(number + 1)),
                if !is_at_end && under_way.len() < PARALLEL_PARTS =>
            {
                let part = part?;
                is_at_end = part.is_empty();
                next = (!is_at_end).then_some(part);
            }
            Some(done) = under_way.next() => {
                let (number, part) = done?;
                sent.insert(number, part);
            }
            else => return Ok((sent, size_bytes)),
        }
    }
}

/// Standard input, read on a thread of its own that nobody waits for: it may hang in a read for ever.
struct Input {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    /// What was read of the piece before and belongs to the next part.
    rest: Bytes,
    /// The part that is being filled.
    part: BytesMut,
}

impl Input {
    fn open() -> Result<Self, Trouble> {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        std::thread::Builder::new()
            .name("standard input".to_owned())
            .spawn(move || {
                let mut input = io::stdin().lock();
                loop {
                    let mut piece = vec![0; PIECE_SIZE_BYTES];
                    let read = match input.read(&mut piece) {
                        Ok(0) => return,
                        Ok(size) => {
                            piece.truncate(size);
                            Ok(piece.into())
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => Err(error),
                    };
                    let is_last = read.is_err();
                    if sender.blocking_send(read).is_err() || is_last {
                        return;
                    }
                }
            })
            .map_err(|error| Trouble::last(format!("no thread to read with: {error}")))?;
        Ok(Self {
            pieces,
            rest: Bytes::new(),
            part: BytesMut::new(),
        })
    }

    /// The next part: as many bytes as wanted, or fewer at the end. Memory is taken as bytes come. Dropped midway it
    /// keeps what it read for the next call.
    async fn part(&mut self, size_bytes: u64) -> Result<Bytes, Trouble> {
        let wanted = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        while self.part.len() < wanted {
            if self.rest.is_empty() {
                match self.pieces.recv().await {
                    None => break,
                    Some(Err(error)) => {
                        return Err(Trouble::last(format!("it cannot be read: {error}")));
                    }
                    Some(Ok(piece)) => self.rest = piece,
                }
            }
            let room = wanted - self.part.len();
            let taken = self.rest.split_to(self.rest.len().min(room));
            self.part.extend_from_slice(&taken);
        }
        Ok(self.part.split().freeze())
    }
}
