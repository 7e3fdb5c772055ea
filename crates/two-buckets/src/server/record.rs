//! `server.json`: how the other commands reach the running server.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::private_file;

/// The name of the file in the data folder.
const FILE: &str = "server.json";
/// The format written; one that is not known is not guessed at.
const FORMAT: u32 = 1;

/// What a running server leaves in its data folder, readable by the owner only.
#[derive(serde::Serialize, serde::Deserialize, Clone, PartialEq, Eq)]
pub(crate) struct ServerRecord {
    format: u32,
    /// The process.
    pub(crate) pid: u32,
    /// The program's version.
    pub(crate) version: String,
    /// Where S3 is, as `http://127.0.0.1:9000`.
    pub(crate) s3: String,
    /// Where the page and its API are, as `http://127.0.0.1:8080`.
    pub(crate) web: String,
    /// Where jobs ask, as `http://127.0.0.1:9001`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jobs: Option<String>,
    /// The region S3 says it is.
    pub(crate) region: String,
    /// The bucket that files come into.
    pub(crate) staging: String,
    /// The bucket that keeps them.
    pub(crate) archive: String,
    /// The public half of the root key pair in use.
    pub(crate) access_key_id: String,
    /// What calls that change something must carry.
    pub(crate) admin_token: String,
    /// The certificate of both addresses (DER, hexadecimal), where they have TLS: by it other commands know the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<String>,
    /// The file that certificate and chain were read from (PEM), an absolute path, where it has TLS: for other programs,
    /// which know no authority that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_file: Option<PathBuf>,
}

/// What a server says of itself when it leaves its record.
pub(crate) struct Running<'a> {
    pub(crate) s3: String,
    pub(crate) web: String,
    pub(crate) jobs: String,
    pub(crate) region: &'a str,
    pub(crate) staging: &'a str,
    pub(crate) archive: &'a str,
    pub(crate) access_key_id: &'a str,
    pub(crate) admin_token: &'a str,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) certificate_file: Option<PathBuf>,
}

impl ServerRecord {
    /// The certificate of the server that has this data folder, if it runs and has one.
    pub(crate) fn certificate_in(data: &Path) -> Option<Vec<u8>> {
        let record = Self::read(data).ok()??;
        hex::decode(record.certificate?).ok()
    }

    /// Reads the record; none if no server left one.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>, Failure> {
        let path = data.join(FILE);
        let Some(bytes) = private_file::read(&path)? else {
            return Ok(None);
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(record) if record.format == FORMAT => Ok(Some(record)),
            Ok(record) => Err(Failure::usage(format!(
                "{} has format {}, this program knows {FORMAT}; use the program that runs the server",
                path.display(),
                record.format
            ))),
            Err(error) => Err(Failure::usage(format!(
                "{} cannot be understood: {error}",
                path.display()
            ))),
        }
    }
}

/// The record of the server that runs here. Dropping it removes the file.
pub(crate) struct LeftRecord {
    path: PathBuf,
    record: ServerRecord,
}

impl LeftRecord {
    /// Leaves the record, in place of one that a killed server may have left. Only the holder of the data folder's
    /// lock may call this.
    pub(crate) fn leave(data: &Path, running: &Running<'_>) -> Result<Self, Failure> {
        let record = ServerRecord {
            format: FORMAT,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            s3: running.s3.clone(),
            web: running.web.clone(),
            jobs: Some(running.jobs.clone()),
            region: running.region.to_owned(),
            staging: running.staging.to_owned(),
            archive: running.archive.to_owned(),
            access_key_id: running.access_key_id.to_owned(),
            admin_token: running.admin_token.to_owned(),
            certificate: running.certificate.as_deref().map(hex::encode),
            certificate_file: running.certificate_file.clone(),
        };
        let left = Self {
            path: data.join(FILE),
            record,
        };
        left.write(&left.record)?;
        Ok(left)
    }

    /// Leaves it again with another certificate.
    pub(crate) fn renew(&self, certificate: Vec<u8>) -> Result<(), Failure> {
        self.write(&ServerRecord {
            certificate: Some(hex::encode(certificate)),
            ..self.record.clone()
        })
    }

    fn write(&self, record: &ServerRecord) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(record)
            .map_err(|error| Failure::failed(format!("the server's record: {error}")))?;
        private_file::write(&self.path, &bytes)
    }
}

impl Drop for LeftRecord {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "cannot remove {}", self.path.display());
        }
    }
}
