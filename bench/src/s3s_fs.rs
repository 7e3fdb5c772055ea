//! s3s-fs, a server of S3 on a file system, made with the library that ours speaks S3 with.
//!
//! A PUT is three new files there, each renamed into its place. None is synced, before or after the answer.

use std::fs;
use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use crate::client::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, STAGING};
use crate::peer::Peer;

/// Starts it with the key pair and the bucket that our server has, so that both get the same requests.
pub(crate) async fn start(program: &Path) -> Result<Peer> {
    Peer::start("s3s-fs", |folder, address| {
        // A bucket is a folder.
        fs::create_dir(folder.join(STAGING))?;
        let mut command = Command::new(program);
        command
            .args(["--host", &address.ip().to_string()])
            .args(["--port", &address.port().to_string()])
            .args(["--access-key", ACCESS_KEY_ID])
            .args(["--secret-key", SECRET_ACCESS_KEY])
            .arg(folder)
            // It logs errors only, unless this says otherwise.
            .env_remove("RUST_LOG");
        Ok(command)
    })
    .await
}
