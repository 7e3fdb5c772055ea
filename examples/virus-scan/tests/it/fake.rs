//! A clamd that speaks the protocol and says what it is told to.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What it does with each file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    /// It reads all of it and answers this.
    Answer(&'static [u8]),
    /// It reads so many bytes, answers this and hangs up, as clamd does past `StreamMaxLength`.
    AnswerAfter(usize, &'static [u8]),
    /// It reads all of it and is silent.
    Nothing,
}

/// It listens until the test ends.
pub(crate) struct Fake {
    pub(crate) address: String,
    files: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Where nobody listens yet.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it listens").to_string()
}

impl Fake {
    pub(crate) fn start(says: Says) -> Self {
        Self::start_at("127.0.0.1:0", says)
    }

    pub(crate) fn start_at(address: &str, says: Says) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("it listens").to_string();
        let files = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&files);
        std::thread::spawn(move || {
            // Kept open, so that silence is silence.
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut file = Vec::new();
                // A client may hang up whenever it likes.
                _ = answer(&mut stream, says, &mut file);
                seen.lock().expect("no thread panicked").push(file);
                if matches!(says, Says::Nothing) {
                    open.push(stream);
                }
            }
        });
        Self { address, files }
    }

    /// How many files it was given.
    pub(crate) fn scans(&self) -> usize {
        self.files.lock().expect("no thread panicked").len()
    }

    /// The last one.
    pub(crate) fn last_file(&self) -> Vec<u8> {
        self.files
            .lock()
            .expect("no thread panicked")
            .last()
            .expect("a file")
            .clone()
    }
}

fn answer(stream: &mut TcpStream, says: Says, file: &mut Vec<u8>) -> io::Result<()> {
    let mut command = [0; 10];
    stream.read_exact(&mut command)?;
    assert_eq!(&command, b"zINSTREAM\0");
    loop {
        if let Says::AnswerAfter(bytes, said) = says
            && file.len() >= bytes
        {
            return stream.write_all(said);
        }
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            break;
        }
        let begin = file.len();
        file.resize(begin + length, 0);
        stream.read_exact(&mut file[begin..])?;
    }
    match says {
        Says::Answer(said) => stream.write_all(said),
        Says::AnswerAfter(..) | Says::Nothing => Ok(()),
    }
}
