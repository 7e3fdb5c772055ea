//! nginx, a static file server beside ours, with one file.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use bytes::Bytes;
use tokio::process::Command;

use crate::peer::Peer;

/// Writes the file and serves it as `/file`.
pub(crate) async fn start(program: &Path, piece: &Bytes, size_bytes: u64) -> Result<Peer> {
    Peer::start("nginx", |folder, address| {
        let mut file = File::create(folder.join("file"))?;
        let mut left = size_bytes;
        while left > 0 {
            let size = left.min(piece.len() as u64);
            file.write_all(&piece[..usize::try_from(size)?])?;
            left -= size;
        }
        file.sync_data()?;
        // One process, so that none is left when it is killed.
        fs::write(
            folder.join("nginx.conf"),
            format!(
                "daemon off; master_process off; pid {0}/pid; error_log stderr crit;\n\
                 events {{}}\n\
                 http {{ access_log off; sendfile on; client_body_temp_path {0}/a; proxy_temp_path {0}/b;\n\
                 fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;\n\
                 server {{ listen {address}; root {0}; }} }}\n",
                folder.display()
            ),
        )?;
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .arg("-p")
            .arg(folder);
        Ok(command)
    })
    .await
}
