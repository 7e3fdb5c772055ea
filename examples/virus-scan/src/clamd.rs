//! clamd's `INSTREAM` (clamd(8), "COMMANDS").

use std::io;
use std::time::Duration;

use futures::TryStreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use two_buckets::ProcessError;
use two_buckets::objects::Body;

/// The longest answer: a signature's name or an error in words.
const ANSWER_BYTES_MAX: u64 = 4 << 10;
/// The largest chunk that is sent.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Where clamd listens.
pub(crate) struct Clamd {
    /// A Unix socket's path, or `host:port`.
    pub(crate) address: String,
    /// The longest wait for it to take a chunk, or to answer.
    pub(crate) silence_max: Duration,
}

/// What clamd says of a whole file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing was found.
    Clean,
    /// The signature that was found.
    Infected(String),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Clamd {
    /// Has a file scanned. Everything that is not a verdict on the whole file is transient; a file that cannot be
    /// read whole gets no verdict.
    pub(crate) async fn scan(&self, mut file: Body) -> Result<Verdict, ProcessError> {
        let mut clamd = self.in_time(self.connect()).await?;
        let mut sent = self.in_time(clamd.write_all(b"zINSTREAM\0")).await;
        // Without the end of the stream clamd has no verdict, so a file that breaks off is not scanned as if it were whole.
        while sent.is_ok() {
            let Some(piece) = file.try_next().await? else {
                sent = self.in_time(clamd.write_all(&0_u32.to_be_bytes())).await;
                break;
            };
            for chunk in piece.chunks(CHUNK_BYTES_MAX) {
                sent = self.in_time(send(&mut *clamd, chunk)).await;
                if sent.is_err() {
                    break;
                }
            }
        }
        let mut answer = Vec::new();
        let mut limited = (&mut clamd).take(ANSWER_BYTES_MAX);
        let read = self.in_time(limited.read_to_end(&mut answer)).await;
        // It stops listening to a file that is too large for it and says so; that is no verdict on the file.
        if let Err(error) = sent {
            let said = String::from_utf8_lossy(&answer);
            return Err(error.context(format!("clamd did not take all of it, and said {said:?}")));
        }
        read?;
        verdict(&answer)
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(if self.address.starts_with('/') {
            Box::new(UnixStream::connect(&self.address).await?)
        } else {
            Box::new(TcpStream::connect(&self.address).await?)
        })
    }

    async fn in_time<T>(
        &self,
        step: impl Future<Output = io::Result<T>>,
    ) -> Result<T, ProcessError> {
        match timeout(self.silence_max, step).await {
            Ok(done) => done.map_err(ProcessError::transient),
            Err(_) => Err(ProcessError::transient(format!(
                "clamd was silent for {:?}",
                self.silence_max
            ))),
        }
        .map_err(|error| error.context(format!("clamd at {}", self.address)))
    }
}

/// One chunk: its length, then its bytes.
async fn send(clamd: &mut dyn Stream, chunk: &[u8]) -> io::Result<()> {
    let length = u32::try_from(chunk.len()).map_err(io::Error::other)?;
    clamd.write_all(&length.to_be_bytes()).await?;
    clamd.write_all(chunk).await
}

/// Reads an answer; only the exact ones count.
fn verdict(answer: &[u8]) -> Result<Verdict, ProcessError> {
    let said = || String::from_utf8_lossy(answer).into_owned();
    let whole = answer
        .strip_suffix(b"\0")
        .and_then(|text| std::str::from_utf8(text).ok());
    match whole.and_then(|text| text.strip_prefix("stream: ")) {
        Some("OK") => Ok(Verdict::Clean),
        Some(found) => match found.strip_suffix(" FOUND") {
            Some(signature) if !signature.is_empty() => Ok(Verdict::Infected(signature.to_owned())),
            _ => Err(ProcessError::transient(format!("clamd said {:?}", said()))),
        },
        None => Err(ProcessError::transient(format!("clamd said {:?}", said()))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, verdict};
    use two_buckets::ProcessError;

    #[test]
    fn only_the_exact_answer_is_clean() {
        assert_eq!(verdict(b"stream: OK\0"), Ok(Verdict::Clean));
        for doubt in [
            &b""[..],
            b"stream: OK",
            b"stream: OK\0stream: OK\0",
            b"OK\0",
            b"stream: ok\0",
            b"stream: OK \0",
            b"stream: FOUND\0",
            b"stream:  FOUND\0",
            b"stream: Can't allocate memory ERROR\0",
            b"INSTREAM size limit exceeded. ERROR\0",
            b"stream: \xff FOUND\0",
        ] {
            assert!(
                matches!(verdict(doubt), Err(ProcessError::Transient(_))),
                "{doubt:?}"
            );
        }
        let found = verdict(b"stream: Eicar-Test-Signature FOUND\0");
        assert_eq!(found, Ok(Verdict::Infected("Eicar-Test-Signature".into())));
    }
}
