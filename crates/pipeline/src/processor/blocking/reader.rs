use std::io::{self, BufRead, Read};

use bytes::{Buf as _, Bytes};
use futures::channel::mpsc;
use futures::executor::block_on;
use futures::{SinkExt as _, StreamExt as _};

use super::failures::{Failures, as_io, not_wanted};
use super::tasks::Tasks;
use crate::{Content, ProcessError};

/// How many pieces wait to be read.
const PIECES_AHEAD: usize = 1;

/// A piece, or the end, which says that all of it was right.
type Piece = Result<Option<Bytes>, ProcessError>;

/// The bytes of an upload, in order, as [`Read`] and [`BufRead`].
///
/// It ends only if all of it was read and is what came; otherwise the last read is an error, and each one after it. So
/// what a library takes for the end may be trusted, but one that stops before has been checked in nothing: let
/// [`Self::finish`] read the rest.
#[derive(Debug)]
pub struct Reader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    state: State,
    failures: Failures,
}

#[derive(Debug)]
enum State {
    Reading,
    Ended,
    Failed(ProcessError),
}

impl Reader {
    pub(super) fn begin(content: &Content, tasks: &Tasks, failures: &Failures) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        tasks.begin(send(content.clone(), sender));
        Self {
            pieces,
            current: Bytes::new(),
            state: State::Reading,
            failures: failures.clone(),
        }
    }

    /// Reads the rest and says whether all of it is what came.
    pub fn finish(mut self) -> Result<(), ProcessError> {
        loop {
            let length = self.fill_buf()?.len();
            if length == 0 {
                return Ok(());
            }
            self.consume(length);
        }
    }

    fn failed(&mut self, failure: ProcessError) -> io::Error {
        self.failures.note(&failure);
        self.state = State::Failed(failure.clone());
        as_io(failure)
    }
}

/// Hands over the pieces as there is room for them.
async fn send(content: Content, mut pieces: mpsc::Sender<Piece>) {
    let mut body = match content.stream().await {
        Ok(body) => body,
        Err(error) => {
            // Where the reader is gone nobody needs to know.
            _ = pieces.send(Err(error.into())).await;
            return;
        }
    };
    while let Some(piece) = body.next().await {
        let is_last = piece.is_err();
        let piece = piece.map(Some).map_err(ProcessError::from);
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
    _ = pieces.send(Ok(None)).await;
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match &self.state {
                State::Reading => {}
                State::Ended => break,
                State::Failed(failure) => return Err(as_io(failure.clone())),
            }
            match block_on(self.pieces.next()) {
                Some(Ok(Some(piece))) => self.current = piece,
                Some(Ok(None)) => self.state = State::Ended,
                Some(Err(failure)) => return Err(self.failed(failure)),
                // Without the end it was cut off: nobody waits any more.
                None => return Err(self.failed(not_wanted())),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, length: usize) {
        self.current.advance(length);
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}
