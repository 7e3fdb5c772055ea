//! A connection between `put` and S3 that a test can spoil. It sees each request whole before it passes it on.

#![expect(
    clippy::unwrap_used,
    reason = "what fails while a test is prepared is a failed test"
)]

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::harness::WAIT_MAX;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is passed on, and its answer back.
    Pass,
    /// Its connection is cut before the server hears of it.
    Cut,
    /// The server answers it, and the answer is lost.
    Lose,
    /// The server never hears of it, and it is never answered.
    Hold,
    /// The server answers it, and the answer never comes.
    HoldAnswer,
    /// A bit of its body changes on its way.
    Spoil,
    /// It is answered with this status in place of the server.
    Answer(u16),
    /// The same with a word of S3's for it.
    Refuse(u16, &'static str),
}

/// A request that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    /// What became of it; known once the server answered, where it is asked.
    pub(crate) fate: Option<Fate>,
}

impl Seen {
    /// The number of the part that it sends.
    pub(crate) fn part(&self) -> Option<u32> {
        let (_, number) = self.target.split_once("partNumber=")?;
        let number = number.split('&').next()?.parse().ok()?;
        (self.method == "PUT").then_some(number)
    }

    /// Says whether it completes an upload in parts.
    pub(crate) fn is_completion(&self) -> bool {
        self.method == "POST" && self.target.contains("uploadId=")
    }
}

#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
}

/// The spoiled connection.
pub(crate) struct Proxy {
    pub(crate) address: String,
    log: Arc<Log>,
}

impl Proxy {
    /// Listens, and passes on to that address what `decide` says; it is given the request and those before.
    pub(crate) fn start(
        to: &str,
        decide: impl Fn(&Seen, &[Seen]) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let log = Arc::new(Log::default());
        let (to, decide) = (to.to_owned(), Arc::new(decide));
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (to, decide, log) = (to.clone(), Arc::clone(&decide), Arc::clone(&shared));
                std::thread::spawn(move || {
                    // Whoever hangs up early is what these tests are about.
                    _ = serve(stream, &to, &*decide, &log);
                });
            }
        });
        Self { address, log }
    }

    /// What was seen.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// The numbers of the parts that were sent, ascending.
    pub(crate) fn parts(&self) -> Vec<u32> {
        let mut parts: Vec<_> = self.seen().iter().filter_map(Seen::part).collect();
        parts.sort_unstable();
        parts
    }

    /// Waits until what was seen is so.
    pub(crate) fn wait_until(&self, is_so: impl Fn(&[Seen]) -> bool) {
        let (seen, waited) = self
            .log
            .changed
            .wait_timeout_while(self.log.seen.lock().unwrap(), WAIT_MAX, |seen| !is_so(seen))
            .unwrap();
        assert!(!waited.timed_out(), "{seen:#?}");
    }
}

fn serve(
    mut client: TcpStream,
    to: &str,
    decide: &(dyn Fn(&Seen, &[Seen]) -> Fate + Send + Sync),
    log: &Log,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = head.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let seen = Seen {
        method: word(),
        target: word(),
        head: head.clone(),
        fate: None,
    };
    let (index, fate) = {
        let mut all = log.seen.lock().unwrap();
        let fate = decide(&seen, &all);
        all.push(seen);
        (all.len() - 1, fate)
    };
    let told = |log: &Log| {
        log.seen.lock().unwrap()[index].fate = Some(fate);
        log.changed.notify_all();
    };
    if fate == Fate::Spoil {
        body[length / 2] ^= 1;
    }
    let answer = match fate {
        Fate::Cut => {
            told(log);
            return Ok(());
        }
        Fate::Hold => {
            told(log);
            // Until the client goes away.
            client.read_to_end(&mut Vec::new())?;
            return Ok(());
        }
        Fate::Answer(status) => format!(
            "HTTP/1.1 {status} Spoiled\r\ncontent-length: 0\r\nretry-after: 0\r\nconnection: close\r\n\r\n"
        )
        .into_bytes(),
        Fate::Refuse(status, code) => {
            let body = format!("<Error><Code>{code}</Code><Message>spoiled</Message></Error>");
            format!(
                "HTTP/1.1 {status} Spoiled\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        }
        Fate::Pass | Fate::Lose | Fate::HoldAnswer | Fate::Spoil => {
            let mut server = TcpStream::connect(to)?;
            server.write_all(head.as_bytes())?;
            server.write_all(b"connection: close\r\n\r\n")?;
            server.write_all(&body)?;
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            answer
        }
    };
    // The server has answered, whether the client still listens or not.
    told(log);
    match fate {
        Fate::Lose => Ok(()),
        Fate::HoldAnswer => client.read_to_end(&mut Vec::new()).map(|_| ()),
        _ => client.write_all(&answer),
    }
}
