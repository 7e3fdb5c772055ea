//! What an environment's processes write to stdout and stderr, and whose it is.
//!
//! Both go into one pipe, so their order is kept. The pipe is always read, so a function that floods it is slowed by
//! nothing but its own deadline; what is over the bound is counted and dropped. A runtime writes before it answers, so when
//! an answer is there the pipe is read empty ([`Reader::catch_up`]) before the invocation is called done.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::invocation::Log;

/// Where output goes: to the invocation that runs, else kept for the next one.
pub(crate) struct Output {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    log: Option<Log>,
    /// Written while nothing ran: during the start, or between two invocations.
    waiting: Vec<u8>,
    taken: usize,
    dropped: u64,
}

impl Output {
    pub(crate) fn new(bytes_max: usize) -> Arc<Output> {
        Arc::new(Output {
            bytes_max,
            inner: Mutex::default(),
        })
    }

    /// From here on output is this invocation's, and what was written since the one before.
    pub(crate) fn begin(&self, log: Log) {
        let mut inner = self.lock();
        let waiting = std::mem::take(&mut inner.waiting);
        if !waiting.is_empty() {
            log(&waiting);
        }
        inner.log = Some(log);
    }

    /// The invocation is over; says how much was dropped, if anything was.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        let dropped = std::mem::take(&mut inner.dropped);
        inner.taken = 0;
        if let Some(log) = inner.log.take()
            && dropped > 0
        {
            log(format!("\n({dropped} more bytes of output were dropped)\n").as_bytes());
        }
    }

    /// What was written while nothing ran.
    pub(crate) fn take_waiting(&self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.lock().waiting))
    }

    fn write(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        let room = self.bytes_max.saturating_sub(inner.taken);
        let (kept, dropped) = bytes.split_at(bytes.len().min(room));
        inner.taken += kept.len();
        inner.dropped += dropped.len() as u64;
        match &inner.log {
            _ if kept.is_empty() => {}
            Some(log) => log(kept),
            None => inner.waiting.extend_from_slice(kept),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Poisoned when a caller's log panicked: nothing here is left half done by that.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the pipe until all its writers are gone.
#[derive(Debug)]
pub(crate) struct Reader {
    catch_up: mpsc::Sender<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// How much is read at once; a pipe's usual capacity.
const CHUNK_BYTES: usize = 64 * 1024;

/// The most that can lie in a pipe (`/proc/sys/fs/pipe-max-size` as delivered). After that much has been read, all that
/// was written before has been, though others go on writing.
const PIPE_BYTES_MAX: usize = 1024 * 1024;

impl Reader {
    pub(crate) fn start(pipe: OwnedFd, output: Arc<Output>) -> io::Result<Reader> {
        let pipe = pipe::Receiver::from_owned_fd(pipe)?;
        let (catch_up, asked) = mpsc::channel(1);
        let task = tokio::spawn(read(pipe, output, asked));
        Ok(Reader { catch_up, task })
    }

    /// Returns when everything that was written before has been passed on.
    pub(crate) async fn catch_up(&self) {
        let (done, is_done) = oneshot::channel();
        // Either fails when the reader has ended, and then it has read everything.
        if self.catch_up.send(done).await.is_ok() {
            is_done.await.ok();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(
    pipe: pipe::Receiver,
    output: Arc<Output>,
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        tokio::select! {
            ready = pipe.readable() => {
                if ready.is_err() {
                    return;
                }
                match pipe.try_read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => output.write(&buffer[..length]),
                    Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                    Err(_) => return,
                }
            }
            Some(done) = asked.recv() => {
                // Not by readiness, which tokio may know of only later, but until the pipe itself says that it is empty.
                let mut total = 0;
                while total < PIPE_BYTES_MAX {
                    match rustix::io::read(&pipe, &mut buffer[..]) {
                        Ok(0) | Err(_) => break,
                        Ok(length) => {
                            output.write(&buffer[..length]);
                            total += length;
                        }
                    }
                }
                // The asker may have given up.
                done.send(()).ok();
            }
        }
    }
}
