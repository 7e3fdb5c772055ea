//! The release program, started on a data folder of its own and ended with it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::client::{ACCESS_KEY_ID, Connection, SECRET_ACCESS_KEY};
use crate::clock;

/// How long a server may take to start.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long a round may take until everything is archived.
const ARCHIVED_WITHIN: Duration = Duration::from_hours(1);
/// Ticks of `/proc/PID/stat`: 100 a second on every Linux we know (`getconf CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// A running server; dropping it kills it and removes its data.
pub(crate) struct Server {
    record: Value,
    process: Child,
    api: Mutex<Connection>,
    data: PathBuf,
    _folder: TempDir,
}

impl Server {
    /// Starts the program on free ports, with these flags and variables beside the usual ones, and waits for the addresses
    /// it leaves.
    pub(crate) async fn start(
        program: &Path,
        flags: &[OsString],
        variables: &[(&str, String)],
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("two-buckets-bench-")
            .tempdir()?;
        let data = folder.path().join("data");
        let log = folder.path().join("server.log");
        let process = Command::new(program)
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
            .arg(&data)
            .args(flags)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("TWO_BUCKETS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("TWO_BUCKETS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let file = data.join("server.json");
        let began = clock::now();
        let record: Value = loop {
            // It may be there and not yet whole.
            if let Ok(text) = fs::read_to_string(&file)
                && let Ok(record) = serde_json::from_str(&text)
            {
                break record;
            }
            if began.elapsed() > START_WITHIN {
                bail!(
                    "the server left no {} within {START_WITHIN:?}: {}",
                    file.display(),
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let api = Mutex::new(Connection::open(address(&record, "web")?).await?);
        Ok(Self {
            record,
            process,
            api,
            data: data.canonicalize()?,
            _folder: folder,
        })
    }

    /// Where S3 is, as host and port.
    pub(crate) fn s3(&self) -> String {
        address(&self.record, "s3").expect("it was read at the start")
    }

    /// Waits until this many uploads are archived, asking again after each pause.
    pub(crate) async fn until_archived(&self, wanted: u64, pause: Duration) -> Result<()> {
        let token = self.record["admin_token"]
            .as_str()
            .context("no admin token")?;
        let mut api = self.api.lock().await;
        let began = clock::now();
        loop {
            // The counts are of all uploads whatever is listed, and one that is archived is found without a search.
            let page = api
                .get("/api/uploads?limit=1&state=archived", token)
                .await?;
            let counts = &serde_json::from_slice::<Value>(&page)?["counts"];
            if counts["archived"].as_u64() >= Some(wanted) {
                return Ok(());
            }
            if began.elapsed() > ARCHIVED_WITHIN || counts["failed"].as_u64() > Some(0) {
                bail!("{wanted} files should be archived: {counts}");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Puts files one at a time, each when the one before is archived: from a PUT's answer until the API says archived. The
    /// API is asked without a pause, so a figure is at most one call too long. `numbers` begins with how many files were put
    /// before.
    pub(crate) async fn one_by_one(
        &self,
        numbers: Range<u32>,
        size: usize,
    ) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let mut connection = Connection::open(self.s3()).await?;
        for number in numbers {
            connection.put(&format!("idle/{number}"), size).await?;
            let answered = clock::now();
            self.until_archived(u64::from(number + 1), Duration::ZERO)
                .await?;
            latencies.push(answered.elapsed());
        }
        Ok(latencies)
    }

    /// What the processes of one of its functions' environments have resident, on average: those whose temporary folder
    /// is below its data folder.
    pub(crate) fn functions_memory_bytes(&self) -> Result<u64> {
        let mut mark = OsString::from("TMPDIR=");
        mark.push(&self.data);
        let (mut kib, mut environments) = (0, HashSet::new());
        for process in fs::read_dir("/proc")?.flatten() {
            // What is no process, or has ended, has no variables.
            let variables = fs::read(process.path().join("environ")).unwrap_or_default();
            let of = variables
                .split(|byte| *byte == 0)
                .find(|it| it.starts_with(mark.as_encoded_bytes()));
            if let Some(of) = of
                && let Ok(status) = fs::read_to_string(process.path().join("status"))
            {
                kib += field_kib(&status, "VmRSS:").unwrap_or(0);
                environments.insert(of.to_vec());
            }
        }
        Ok((kib << 10) / environments.len().max(1) as u64)
    }

    /// The processor time it has used, its own and the kernel's for it.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        // The name stands in brackets and may hold spaces; user and system time are fields 14 and 15.
        let after_name = stat.rsplit_once(')').context("no name")?.1;
        let ticks: u32 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u32>().context("no number of ticks"))
            .sum::<Result<u32>>()?;
        Ok(TICK * ticks)
    }

    /// Calls an operator's route that takes no parameters.
    pub(crate) async fn post(&self, path: &str) -> Result<()> {
        let token = self.record["admin_token"]
            .as_str()
            .context("no admin token")?;
        self.api.lock().await.post(path, token).await
    }

    /// What it has resident now (`VmRSS`).
    pub(crate) fn memory_bytes(&self) -> Result<u64> {
        let kib = field_kib(&self.proc("status")?, "VmRSS:")
            .context("the kernel says nothing of the server's memory")?;
        Ok(kib << 10)
    }

    /// The most memory it ever held (`VmHWM`).
    pub(crate) fn peak_memory_bytes(&self) -> Result<u64> {
        let kib = field_kib(&self.proc("status")?, "VmHWM:")
            .context("the kernel says nothing of the server's memory")?;
        Ok(kib << 10)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let pid = self.process.id().context("the server has ended")?;
        Ok(fs::read_to_string(format!("/proc/{pid}/{file}"))?)
    }
}

fn field_kib(status: &str, name: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
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
