use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::content::Content;
use crate::cli::api::Api;
use crate::cli::patience::Patience;
use crate::cli::trouble::Trouble;
use crate::cli::wire::{Page, Upload, read};

/// A file that was accepted: it is on the server's disk.
pub(super) struct Accepted {
    pub(super) key: String,
    pub(super) version_id: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) size_bytes: u64,
    /// What the server has and we have.
    pub(super) checksum: Option<Checksum>,
}

/// A checksum of the whole file.
pub(super) struct Checksum {
    pub(super) algorithm: &'static str,
    /// As S3 writes it, in base64.
    pub(super) value: String,
}

impl Checksum {
    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({"algorithm": self.algorithm, "value": self.value, "kind": "FULL_OBJECT"})
    }
}

/// Where the server's uploads of a key are.
pub(super) fn uploads_of(key: &str) -> String {
    format!(
        "/api/uploads?limit=1000&key={}",
        utf8_percent_encode(key, NON_ALPHANUMERIC)
    )
}

/// Looks whether the server accepted these bytes under this key before, in a request whose answer was lost.
///
/// With a key made for the file alone the size is enough; else the server must tell the same checksum, for anybody may
/// have written there.
pub(super) async fn accepted_before(
    api: &Api,
    patience: &Patience,
    key: &str,
    is_minted: bool,
    content: &Content,
) -> Result<Option<Accepted>, Trouble> {
    let page: Page = read(api.get_patiently(&uploads_of(key), patience).await?)?;
    for upload in page.uploads {
        let upload: Upload = read(upload)?;
        if upload.size != Some(content.size_bytes()) || upload.version_id.is_none() {
            continue;
        }
        let checksum = match &upload.checksum {
            Some(there) if there.algorithm == "CRC64NVME" => {
                let value = content.crc64().await?.text();
                if value != there.value {
                    continue;
                }
                Some(Checksum {
                    algorithm: "CRC64NVME",
                    value,
                })
            }
            _ if is_minted => None,
            _ => continue,
        };
        return Ok(Some(Accepted {
            key: key.to_owned(),
            version_id: upload.version_id,
            etag: None,
            size_bytes: content.size_bytes(),
            checksum,
        }));
    }
    Ok(None)
}
