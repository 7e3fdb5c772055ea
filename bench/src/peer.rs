//! A program of others beside ours: on a free port, with a folder of its own, ended with it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::{clock, process};

/// How long it may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(5);

/// A running peer; dropping it kills it and removes its folder.
pub(crate) struct Peer {
    name: &'static str,
    address: String,
    process: Child,
    _folder: TempDir,
}

impl Peer {
    /// Starts the command that is made for a new folder and a free address, and waits until it listens there.
    ///
    /// It must be one process: only that one is killed.
    pub(crate) async fn start(
        name: &'static str,
        command: impl FnOnce(&Path, SocketAddr) -> Result<Command>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("two-buckets-bench-{name}-"))
            .tempdir()?;
        // It can only be told a number; nobody else takes one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut process = command(folder.path(), address)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let began = clock::now();
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = process.try_wait()? {
                bail!("{name} ended before it listened: {status}");
            }
            if began.elapsed() > LISTENS_WITHIN {
                bail!("{name} does not listen within {LISTENS_WITHIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self {
            name,
            address: address.to_string(),
            process,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// The processor time it has used, its own and the kernel's for it.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let pid = self.process.id();
        process::cpu(pid.with_context(|| format!("{} has ended", self.name))?)
    }
}
