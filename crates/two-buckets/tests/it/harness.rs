//! A server of its own for each test, with a data folder of its own and free ports, and the command line beside it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::Credentials;
use two_buckets_s3_api::sign::{self, sign_headers};

/// The longest wait for something that should happen at once, on a machine that is busy with other tests.
pub(crate) const WAIT_MAX: Duration = Duration::from_mins(1);
/// How often a state is asked for before a test gives up; each time starts a process, so this is about a minute.
pub(crate) const TRIES_MAX: u32 = 3000;

/// The program. The examples use this file too, with programs of their own.
#[expect(
    clippy::option_env_unwrap,
    reason = "the variable is there for the tests of the crate two-buckets, and only they ask"
)]
pub(crate) fn program() -> PathBuf {
    option_env!("CARGO_BIN_EXE_two-buckets")
        .expect("cargo names the program to its own crate's tests")
        .into()
}

/// The program with the function of `examples/ask.rs`.
pub(crate) fn asking_program() -> PathBuf {
    example("ask")
}

/// A program of the folder `examples`.
pub(crate) fn example(name: &str) -> PathBuf {
    let path = program()
        .parent()
        .expect("the program is in a folder")
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is not built; cargo test -p two-buckets builds it, or cargo build --examples",
        path.display()
    );
    path
}

/// A command with nothing of the tester's own settings.
pub(crate) fn bare(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let is_ours = name
            .to_str()
            .is_some_and(|name| name.starts_with("TWO_BUCKETS_"));
        if is_ours {
            command.env_remove(name);
        }
    }
    command
        .env("XDG_CONFIG_HOME", data)
        .env("XDG_STATE_HOME", data.join("state"))
        .env("TWO_BUCKETS_DATA", data)
        .stdin(Stdio::null());
    command
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    program: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) record: Value,
    log: mpsc::Receiver<String>,
    /// What it wrote until it was ready.
    pub(crate) beginning: String,
}

impl Server {
    /// Starts the program on this data folder and waits until it says that it is ready.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(&program(), data, |_| {})
    }

    /// The same for another program, or one with other flags or environment.
    pub(crate) fn start_with(
        program: &Path,
        data: &Path,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = bare(program, data);
        command
            .args(["serve", "--s3", "127.0.0.1:0", "--web", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut said = Vec::new();
        loop {
            match log.recv_timeout(WAIT_MAX) {
                Ok(line) if line.contains("is ready") => break,
                Ok(line) => said.push(line),
                Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("the server did not become ready: {said:#?}")
                }
            }
        }
        let record = std::fs::read(data.join("server.json")).expect("the server left its record");
        Self {
            child,
            program: program.to_owned(),
            data: data.to_owned(),
            record: serde_json::from_slice(&record).expect("its record is JSON"),
            log,
            beginning: said.join("\n"),
        }
    }

    /// What it wrote on standard error since it was ready, until it ended; call [`Self::terminate`] or kill it first.
    pub(crate) fn rest_of_log(&self) -> String {
        let mut rest = String::new();
        while let Ok(line) = self.log.recv_timeout(WAIT_MAX) {
            rest.push_str(&line);
            rest.push('\n');
        }
        rest
    }

    /// Waits until it writes a line that has this in it.
    pub(crate) fn wait_for_log(&self, words: &str) {
        loop {
            let line = self.log.recv_timeout(WAIT_MAX).expect("it says something");
            if line.contains(words) {
                return;
            }
        }
    }

    /// Runs a command beside it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        bare(&self.program, &self.data)
            .args(arguments)
            .output()
            .expect("the program starts")
    }

    /// Runs a command that must succeed, and reads its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).expect("it prints JSON")
    }

    /// Runs a command that must succeed, and reads its lines of JSON.
    pub(crate) fn json_lines(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        lines_of(&output)
    }

    /// Makes the commands beside it find S3 at another address.
    pub(crate) fn move_s3(&self, address: &str) {
        let path = self.data.join("server.json");
        let mut record = self.record.clone();
        record["s3"] = format!("http://{address}").into();
        // Whole or not at all: a command may be reading it.
        let new = self.data.join("server.json.test");
        std::fs::write(&new, record.to_string()).expect("the record is written");
        std::fs::rename(new, path).expect("the record is replaced");
    }

    /// Waits until there are uploads of this key and all have the states given, newest first.
    pub(crate) fn wait_for(&self, key: &str, states: &[&str]) -> Vec<Value> {
        let mut last = Value::Null;
        for _ in 0..TRIES_MAX {
            last = self.json(&["status", "--json", "--", key]);
            let uploads = last["uploads"].as_array().expect("a list");
            let found: Vec<_> = uploads.iter().map(|upload| &upload["state"]).collect();
            if found == states {
                return uploads.clone();
            }
        }
        panic!("{key} did not become {states:?}: {last:#}");
    }

    /// An address of the record as `host:port`.
    pub(crate) fn address(&self, name: &str) -> &str {
        let url = self.record[name].as_str().expect("an address");
        let (_, address) = url.split_once("://").expect("a URL");
        address
    }

    /// Sends a request to S3 signed with the root key pair.
    pub(crate) fn s3(
        &self,
        method: &str,
        bucket: &str,
        key: Option<&str>,
        query: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let kept: Value = serde_json::from_slice(
            &std::fs::read(self.data.join("root-key.json")).expect("the root key pair"),
        )
        .expect("JSON");
        let text = |name: &str| kept[name].as_str().expect("text").to_owned();
        let credentials = Credentials {
            access_key_id: text("access_key_id"),
            secret_access_key: text("secret_access_key"),
        };
        let host = self.address("s3");
        let request = sign::Request {
            method: &method.parse().expect("a method"),
            host,
            bucket: Some(bucket),
            key,
            query,
            headers: &[],
        };
        let headers = sign_headers(
            &credentials,
            None,
            "us-east-1",
            &request,
            &sign::sha256_hex(body),
            now(),
        );
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
            .chain([("host", host)])
            .collect();
        ask(host, method, &request.target(), &headers, body)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success());
    }

    /// Kills it as the kernel would for want of memory: it gets no chance to say anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Waits for its end and gives its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is what was wanted.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The head of a request with exactly these headers, its length and what becomes of the connection beside.
pub(crate) fn request_head(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    length: usize,
    connection: &str,
) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let length = length.to_string();
    head.extend([
        "content-length: ",
        &length,
        "\r\nconnection: ",
        connection,
        "\r\n\r\n",
    ]);
    head
}

/// Sends one request with exactly these headers, a length and `connection: close` beside.
pub(crate) fn ask(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a time-out");
    let head = request_head(method, target, headers, body.len(), "close");
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.write_all(body).expect("the body is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer ends");
    read_answer(&answer)
}

/// Takes an answer apart.
pub(crate) fn read_answer(answer: &[u8]) -> Answer {
    let split = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("the answer has a head");
    let head = String::from_utf8(answer[..split].to_vec()).expect("the head is text");
    let is_chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = &answer[split + 4..];
    Answer {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status"),
        body: if is_chunked {
            unchunked(body)
        } else {
            body.to_vec()
        },
        head,
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = body
            .windows(2)
            .position(|window| window == b"\r\n")
            .expect("a chunk has a head");
        let size = std::str::from_utf8(&body[..line])
            .ok()
            .and_then(|text| usize::from_str_radix(text.split(';').next()?, 16).ok())
            .expect("a chunk has a size");
        let chunk = &body[line + 2..];
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&chunk[..size]);
        body = &chunk[size + 2..];
    }
}

/// The other end of `examples/ask.rs`.
pub(crate) struct Asked {
    listener: TcpListener,
}

/// A file in work, until it is answered.
pub(crate) struct InWork {
    pub(crate) key: String,
    pub(crate) version_id: String,
    pub(crate) attempt: u32,
    stream: TcpStream,
}

impl Asked {
    /// Listens on a free port.
    pub(crate) fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").expect("a free port"),
        }
    }

    /// Starts a server whose function asks here.
    pub(crate) fn start(&self, data: &Path) -> Server {
        self.start_with(data, |_| {})
    }

    /// The same with other flags or environment.
    pub(crate) fn start_with(&self, data: &Path, change: impl FnOnce(&mut Command)) -> Server {
        let address = self.listener.local_addr().expect("it listens").to_string();
        Server::start_with(&asking_program(), data, |command| {
            command.env("ASK_ADDR", address);
            change(command);
        })
    }

    /// Waits until a file is in work.
    pub(crate) fn next(&self) -> InWork {
        let (stream, _) = self.listener.accept().expect("somebody asks");
        let mut line = String::new();
        BufReader::new(stream.try_clone().expect("a second handle"))
            .read_line(&mut line)
            .expect("a line");
        let mut words = line.trim_end().rsplitn(3, ' ');
        let attempt = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("an attempt");
        let version_id = words.next().expect("a version").to_owned();
        let key = words.next().expect("a key").to_owned();
        InWork {
            key,
            version_id,
            attempt,
            stream,
        }
    }
}

impl InWork {
    /// Says how far it is, and has it go on.
    pub(crate) fn progress(&mut self, done: u64, total: u64, words: &str) {
        writeln!(self.stream, "progress {done} {total} {words}").expect("somebody listens");
    }

    /// Waits until whoever had it in work is gone.
    pub(crate) fn ended(mut self) {
        let mut rest = Vec::new();
        // A process that was killed may break the connection rather than close it.
        drop(self.stream.read_to_end(&mut rest));
    }

    /// Answers: `accept`, `later REASON` or `refuse REASON`.
    pub(crate) fn answer(mut self, answer: &str) {
        writeln!(self.stream, "{answer}").expect("somebody listens");
    }
}

#[expect(clippy::disallowed_methods, reason = "signatures need the true time")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is later than 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("a date of ours"))
}

/// The lines of JSON that a command wrote on standard output.
pub(crate) fn lines_of(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone())
        .expect("it prints text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

/// What a command wrote on standard error.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
