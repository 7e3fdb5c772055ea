//! The release program, started on a data folder of its own and ended with it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::client::{ACCESS_KEY_ID, Connection, Events, SECRET_ACCESS_KEY, STAGING};
use crate::{clock, process};

/// How long a server may take to start.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long a round may take until everything is archived.
const ARCHIVED_WITHIN: Duration = Duration::from_hours(1);

/// The latencies of files that were put one at a time.
#[derive(Default)]
pub(crate) struct OneByOne {
    /// From a PUT to its answer.
    pub(crate) puts: Vec<Duration>,
    /// From a PUT's answer until the API says archived.
    pub(crate) archived: Vec<Duration>,
}

/// A running server; dropping it kills it and removes its data.
pub(crate) struct Server {
    record: Value,
    process: Child,
    api: Mutex<Connection>,
    command: Start,
    folder: TempDir,
}

/// How it is started.
struct Start {
    program: PathBuf,
    flags: Vec<OsString>,
    variables: Vec<(String, String)>,
    data: PathBuf,
    log: PathBuf,
}

impl Start {
    /// Starts it and waits for the addresses that it leaves.
    async fn run(&self) -> Result<(Child, Value)> {
        let file = self.data.join("server.json");
        // One that was killed left its own.
        if file.exists() {
            fs::remove_file(&file)?;
        }
        let process = Command::new(&self.program)
            .args([
                "serve",
                "--s3",
                "127.0.0.1:0",
                "--web",
                "127.0.0.1:0",
                "--log",
                "warn",
                "--data",
            ])
            .arg(&self.data)
            .args(&self.flags)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("TWO_BUCKETS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("TWO_BUCKETS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&self.log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        let began = clock::now();
        loop {
            // It may be there and not yet whole.
            if let Ok(text) = fs::read_to_string(&file)
                && let Ok(record) = serde_json::from_str(&text)
            {
                return Ok((process, record));
            }
            if began.elapsed() > START_WITHIN {
                bail!(
                    "the server left no {} within {START_WITHIN:?}: {}",
                    file.display(),
                    fs::read_to_string(&self.log).unwrap_or_default()
                );
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Server {
    /// Starts the program on free ports, with these flags and variables beside the usual ones.
    pub(crate) async fn start(
        program: &Path,
        flags: &[OsString],
        variables: &[(&str, String)],
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("two-buckets-bench-")
            .tempdir()?;
        let at = folder.path().canonicalize()?;
        let command = Start {
            program: program.to_owned(),
            flags: flags.to_vec(),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            data: at.join("data"),
            log: at.join("server.log"),
        };
        let (process, record) = command.run().await?;
        let api = Mutex::new(Connection::open(address(&record, "web")?).await?);
        Ok(Self {
            record,
            process,
            api,
            command,
            folder,
        })
    }

    /// Kills it, starts it on the same data, and says how long it was until the first answer of S3 from then.
    pub(crate) async fn kill_and_start(&mut self) -> Result<Duration> {
        self.process.kill().await?;
        let began = clock::now();
        (self.process, self.record) = self.command.run().await?;
        let mut connection = Connection::open(self.s3()).await?;
        connection.list(STAGING, "", 1).await?;
        let took = began.elapsed();
        self.api = Mutex::new(Connection::open(address(&self.record, "web")?).await?);
        Ok(took)
    }

    /// The folder that holds its data and nothing else of anybody.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where S3 is, as host and port.
    pub(crate) fn s3(&self) -> String {
        address(&self.record, "s3").expect("it was read at the start")
    }

    /// Waits until this many uploads are archived, asking again after each pause. No more are counted than are remembered.
    pub(crate) async fn until_archived(&self, wanted: u64, pause: Duration) -> Result<()> {
        let began = clock::now();
        while self.counted_archived(began).await? < wanted {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Waits until staging is empty, however many uploads that were, asking again after each pause.
    pub(crate) async fn until_staging_is_empty(&self, pause: Duration) -> Result<()> {
        let mut connection = Connection::open(self.s3()).await?;
        let began = clock::now();
        loop {
            let page = connection.list(STAGING, "", 1).await?;
            self.counted_archived(began).await?;
            if String::from_utf8_lossy(&page).contains("<KeyCount>0</KeyCount>") {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// How many uploads are archived; an error once one has failed, or a wait that began then takes too long.
    async fn counted_archived(&self, began: Instant) -> Result<u64> {
        let token = self.record["admin_token"]
            .as_str()
            .context("no admin token")?;
        // The counts are of all uploads whatever is listed, and one that is archived is found without a search.
        let path = "/api/uploads?limit=1&state=archived";
        let page = self.api.lock().await.get(path, token).await?;
        let counts = &serde_json::from_slice::<Value>(&page)?["counts"];
        if began.elapsed() > ARCHIVED_WITHIN || counts["failed"].as_u64() > Some(0) {
            bail!("all files should be archived: {counts}");
        }
        counts["archived"].as_u64().context("no counts")
    }

    /// What becomes of its uploads from now on, as the page hears it.
    pub(crate) async fn events(&self) -> Result<Events> {
        let token = self.record["admin_token"]
            .as_str()
            .context("no admin token")?;
        let web = Connection::open(address(&self.record, "web")?).await?;
        web.listen(token).await
    }

    /// Puts files one at a time, each when the one before is archived, which is heard as the page hears it.
    pub(crate) async fn one_by_one(&self, numbers: Range<u32>, size: usize) -> Result<OneByOne> {
        let mut latencies = OneByOne::default();
        let mut events = self.events().await?;
        let mut connection = Connection::open(self.s3()).await?;
        for number in numbers {
            let key = format!("idle/{number}");
            let put = connection.put((STAGING, &key), size).await?;
            let answered = clock::now();
            events.until_archived(&key).await?;
            latencies.puts.push(put);
            latencies.archived.push(answered.elapsed());
        }
        Ok(latencies)
    }

    /// What the processes of one of its functions' environments have resident, on average: those whose temporary folder
    /// is below its data folder.
    pub(crate) fn functions_memory_bytes(&self) -> Result<u64> {
        let mut mark = OsString::from("TMPDIR=");
        mark.push(&self.command.data);
        let (mut bytes, mut environments) = (0, HashSet::new());
        for process in fs::read_dir("/proc")?.flatten() {
            // What is no process, or has ended, has no variables.
            let variables = fs::read(process.path().join("environ")).unwrap_or_default();
            let of = variables
                .split(|byte| *byte == 0)
                .find(|it| it.starts_with(mark.as_encoded_bytes()));
            if let Some(of) = of
                && let Some(pid) = process.file_name().to_str().and_then(|it| it.parse().ok())
            {
                bytes += process::memory_bytes(pid).unwrap_or(0);
                environments.insert(of.to_vec());
            }
        }
        Ok(bytes / environments.len().max(1) as u64)
    }

    /// The processor time it has used, its own and the kernel's for it.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        process::cpu(self.pid()?)
    }

    /// Calls an operator's route that takes no parameters.
    pub(crate) async fn post(&self, path: &str) -> Result<()> {
        let token = self.record["admin_token"]
            .as_str()
            .context("no admin token")?;
        self.api.lock().await.post(path, token).await
    }

    /// What it has resident now.
    pub(crate) fn memory_bytes(&self) -> Result<u64> {
        process::memory_bytes(self.pid()?)
    }

    /// The most memory it ever held.
    pub(crate) fn peak_memory_bytes(&self) -> Result<u64> {
        process::peak_memory_bytes(self.pid()?)
    }

    fn pid(&self) -> Result<u32> {
        self.process.id().context("the server has ended")
    }
}

fn address(record: &Value, name: &str) -> Result<String> {
    let url = record[name]
        .as_str()
        .with_context(|| format!("server.json has no {name}"))?;
    Ok(url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned())
}
