//! A static file server beside ours, with one file.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// nginx; dropping it ends it and removes its file.
pub(crate) struct Nginx {
    address: String,
    _process: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Writes the file and serves it.
    pub(crate) async fn start(program: &Path, piece: &Bytes, size_bytes: u64) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("two-buckets-bench-nginx-")
            .tempdir()?;
        let at = folder.path();
        let mut file = File::create(at.join("file"))?;
        let mut left = size_bytes;
        while left > 0 {
            let size = left.min(piece.len() as u64);
            file.write_all(&piece[..usize::try_from(size)?])?;
            left -= size;
        }
        file.sync_data()?;
        // It can only be told a number; nobody else takes one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        // One process, so that none is left when it is killed.
        fs::write(
            at.join("nginx.conf"),
            format!(
                "daemon off; master_process off; pid {0}/pid; error_log stderr crit;\n\
                 events {{}}\n\
                 http {{ access_log off; sendfile on; client_body_temp_path {0}/a; proxy_temp_path {0}/b;\n\
                 fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;\n\
                 server {{ listen {address}; root {0}; }} }}\n",
                at.display()
            ),
        )?;
        let process = Command::new(program)
            .arg("-c")
            .arg(at.join("nginx.conf"))
            .arg("-p")
            .arg(at)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start nginx")?;
        for _ in 0..500 {
            if TcpStream::connect(&address).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self {
            address,
            _process: process,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }
}
