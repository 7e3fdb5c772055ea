//! A function that leaves the decision to another program: for each file it connects to the address in `ASK_ADDR`,
//! says `key version attempt`, and waits for a line: `accept`, `later REASON` or `refuse REASON`. Before it there may be
//! lines of `progress DONE TOTAL WORDS`, which it passes on.
//!
//! The tests hold files in work with it for as long as they like.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;

use two_buckets::{Incoming, ProcessError, Processor, Report};

struct Ask {
    address: String,
}

impl Processor for Ask {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let address = self.address.clone();
        // Asking blocks, so it gets a thread of its own.
        let answer = tokio::task::spawn_blocking(move || ask(&address, &upload));
        let answer = answer
            .await
            .map_err(|error| ProcessError::Crashed(error.to_string()))?
            .map_err(|error| ProcessError::Transient(format!("nobody to ask: {error}")))?;
        match answer.split_once(' ').unwrap_or((&answer, "")) {
            ("accept", _) => Ok(Report::default()),
            ("later", reason) => Err(ProcessError::Transient(reason.to_owned())),
            ("refuse", reason) => Err(ProcessError::Permanent(reason.to_owned())),
            (other, _) => Err(ProcessError::Crashed(format!("no answer but {other:?}"))),
        }
    }
}

fn ask(address: &str, upload: &Incoming) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let at = &upload.source.at;
    writeln!(stream, "{} {} {}", at.key, at.version_id, upload.attempt)?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let line = lines.next().unwrap_or(Ok(String::new()))?;
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["progress", done, total, words] => {
                let number = |word: &str| word.parse().map_err(io::Error::other);
                upload
                    .progress
                    .say(number(done)?, Some(number(total)?), words);
            }
            _ => return Ok(line),
        }
    }
}

fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program of its own reads its own environment"
    )]
    let address = std::env::var("ASK_ADDR").unwrap_or_else(|_| "127.0.0.1:7000".to_owned());
    two_buckets::run(Ask { address })
}
