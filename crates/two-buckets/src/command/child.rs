use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use two_buckets_pipeline::{Incoming, ProcessError};

use super::result::Written;
use super::scratch::ScratchFile;
use super::tail::Tail;
use super::{Settings, look_up, standard_output, variables};

/// How long a group that was asked to end may take before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(5);
/// How long what a program left behind may hold its pipes open once the program has ended.
const LEFT_BEHIND_MAX: Duration = Duration::from_secs(2);
/// How much of standard error is read at a time.
const PIECE_BYTES: usize = 16 << 10;

/// A program that runs. Dropping it kills its whole process group.
pub(super) struct Child {
    process: tokio::process::Child,
    group: Group,
}

/// How a program ended.
pub(super) enum Ended {
    /// By itself, with exit code 0.
    Succeeded(Written),
    /// By itself, with another one.
    Failed {
        /// The exit code.
        code: i32,
        /// The last line it wrote on standard error.
        last_words: String,
    },
    /// By a signal that we did not send.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
}

/// How far a program is whose time is up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    IsLeft,
    IsUp,
    Killed,
}

impl Child {
    /// Starts the program.
    pub(super) fn start(
        settings: &Settings,
        upload: &Incoming,
        file: Option<&ScratchFile>,
    ) -> Result<Self, ProcessError> {
        let path = file.map(ScratchFile::path);
        // By its path: with a name the standard library has to look for it in the child, which it forks for that and does
        // not spawn, and forking a server with much memory is slow.
        let program = look_up(&settings.program, &settings.variables).map_err(|missing| {
            ProcessError::Transient(format!("it cannot be started: {missing}"))
        })?;
        let mut command = tokio::process::Command::new(program);
        command
            .arg0(settings.program.program())
            .args(settings.program.arguments(path))
            .env_clear()
            .envs(variables::of(
                &settings.variables,
                &settings.scratch,
                upload,
                path,
            ))
            .stdin(if path.is_some() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let process = command.spawn().map_err(|error| {
            let what = format!("{} cannot be started", settings.program.program());
            match error.kind() {
                // A NUL in the key: it cannot be in an environment, now or later.
                io::ErrorKind::InvalidInput => ProcessError::permanent(error).context(what),
                _ => ProcessError::transient(error).context(what),
            }
        })?;
        let id = process.id().and_then(|id| id.try_into().ok());
        let group = Group(id.and_then(Pid::from_raw));
        Ok(Self { process, group })
    }

    /// Feeds it and hears it until it has ended, for at most its time-out and a little to end in.
    pub(super) async fn run(
        mut self,
        settings: &Settings,
        upload: &Incoming,
    ) -> Result<Ended, ProcessError> {
        let no_pipe = || ProcessError::Transient("the program has no pipes".into());
        let stdin = self.process.stdin.take();
        let stdout = self.process.stdout.take().ok_or_else(no_pipe)?;
        let stderr = self.process.stderr.take().ok_or_else(no_pipe)?;
        let (tell, succeeded) = oneshot::channel();
        let mut feeding = pin!(feed(stdin, upload, self.group.0));
        let mut hearing = pin!(hear(stderr, upload));
        let mut reading = pin!(standard_output::read(
            stdout,
            settings,
            &upload.outputs,
            succeeded,
        ));
        let (mut is_fed, mut last_words, mut written) = (false, None, None);
        let mut trouble = None;
        let mut time = Time::IsLeft;
        let mut time_ends = pin!(sleep(settings.timeout));
        let status = loop {
            tokio::select! {
                status = self.process.wait() => break status,
                fed = &mut feeding, if !is_fed => {
                    is_fed = true;
                    trouble = trouble.or(fed.err());
                }
                heard = &mut hearing, if last_words.is_none() => last_words = Some(heard),
                read = &mut reading, if written.is_none() => match read {
                    Ok(read) => written = Some(Ok(read)),
                    Err(error) => {
                        trouble = trouble.or(Some(error.clone()));
                        written = Some(Err(error));
                        self.group.send(Signal::KILL);
                    }
                },
                () = &mut time_ends, if time != Time::Killed => {
                    let signal = if time == Time::IsLeft {
                        time = Time::IsUp;
                        time_ends.set(sleep(KILL_AFTER));
                        Signal::TERM
                    } else {
                        time = Time::Killed;
                        Signal::KILL
                    };
                    self.group.send(signal);
                }
            }
        };
        let status = status.map_err(|error| {
            ProcessError::transient(error).context("the program's end was not seen")
        })?;
        let is_success = status.success() && trouble.is_none() && time == Time::IsLeft;
        // Who listens to this may have ended before.
        _ = tell.send(is_success);
        {
            let mut rest = pin!(async {
                if last_words.is_none() {
                    last_words = Some(hearing.await);
                }
                if written.is_none() {
                    written = Some(reading.await);
                }
            });
            // What it started and left may speak for a moment, and then must neither hold this up nor stay.
            let is_quiet = timeout(LEFT_BEHIND_MAX, &mut rest).await.is_ok();
            self.group.send(Signal::KILL);
            if !is_quiet && timeout(LEFT_BEHIND_MAX, &mut rest).await.is_err() {
                trouble = trouble.or(Some(ProcessError::Transient(
                    "a process that the program left behind keeps its output open".into(),
                )));
            }
        }
        self.group.0 = None;
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        if time != Time::IsLeft {
            return Err(ProcessError::Transient(format!(
                "the program was stopped after {} s, its time-out",
                settings.timeout.as_secs()
            )));
        }
        match (status.code(), status.signal(), written) {
            (Some(0), _, Some(written)) => Ok(Ended::Succeeded(written?)),
            (Some(code), ..) => Ok(Ended::Failed {
                code,
                last_words: last_words.unwrap_or_default(),
            }),
            (None, signal, _) => Ok(Ended::Signalled {
                signal: signal.unwrap_or_default(),
            }),
        }
    }
}

/// Writes the upload to the program's standard input, if it reads that. One that does not read to the end has seen
/// enough; bytes that are not the upload's end the program, before it could take their end for the upload's.
async fn feed(
    stdin: Option<ChildStdin>,
    upload: &Incoming,
    leader: Option<Pid>,
) -> Result<(), ProcessError> {
    let Some(mut stdin) = stdin else {
        return Ok(());
    };
    let fed = async {
        let mut body = upload.content.stream().await?;
        while let Some(piece) = body.next().await {
            match stdin.write_all(&piece?).await {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(|error| {
                    ProcessError::transient(error).context("the program cannot be given the file")
                })?,
            }
        }
        Ok(())
    }
    .await;
    if fed.is_err() {
        send(leader, Signal::KILL);
    }
    fed
}

/// Keeps what the program writes on standard error as the log; gives its last line.
async fn hear(mut stderr: ChildStderr, upload: &Incoming) -> String {
    let mut tail = Tail::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match stderr.read(&mut piece).await {
            Ok(0) => return tail.last_line(),
            Ok(length) => {
                upload.log.append(&piece[..length]);
                tail.take(&piece[..length]);
            }
            Err(error) => {
                upload
                    .log
                    .append(format!("[standard error cannot be read: {error}]\n").as_bytes());
                return tail.last_line();
            }
        }
    }
}

/// A process group, by the process that leads it; none once it has ended. Dropping it kills what is left.
struct Group(Option<Pid>);

impl Group {
    fn send(&self, signal: Signal) {
        send(self.0, signal);
    }
}

fn send(leader: Option<Pid>, signal: Signal) {
    if let Some(leader) = leader {
        // Where nobody is left to be told, that is what was wanted.
        _ = kill_process_group(leader, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::KILL);
    }
}
