use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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
#[derive(Clone)]
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
/// Anybody may have written there, so the server must tell the same checksum; where it has not looked at what came, it
/// is asked again. Only what was received at `since` or later counts, a moment as the server writes it: the same
/// bytes may have been sent before on purpose. It is none for a key that was made for this file alone.
pub(super) async fn accepted_before(
    api: &Api,
    patience: &Patience,
    key: &str,
    since: Option<&str>,
    content: &Content,
) -> Result<Option<Accepted>, Trouble> {
    let path = uploads_of(key);
    let mut ours = Ours {
        content,
        known: Vec::new(),
    };
    patience
        .keep_trying(async |_| {
            let page: Page = read(api.try_to_get(&path).await?)?;
            let mut is_unknown = false;
            for upload in page.uploads {
                let upload: Upload = read(upload)?;
                if upload.size != Some(content.size_bytes())
                    || upload.version_id.is_none()
                    || is_before(&upload, since)
                {
                    continue;
                }
                let Some(there) = &upload.checksum else {
                    is_unknown |= matches!(upload.state.as_str(), "pending" | "processing");
                    continue;
                };
                if let Some(checksum) = ours.checksum(&there.algorithm).await?
                    && checksum.value == there.value
                {
                    return Ok(Some(Accepted {
                        key: key.to_owned(),
                        version_id: upload.version_id,
                        etag: None,
                        size_bytes: content.size_bytes(),
                        checksum: Some(checksum),
                    }));
                }
            }
            if is_unknown {
                return Err(Trouble::passing(
                    "something of this size has come under this key, and the server does not tell its checksum yet",
                ));
            }
            Ok(None)
        })
        .await
}

/// Whether it was received before a moment. Both are RFC 3339 in UTC with milliseconds, which order as text. What was
/// sent in parts is received when it was begun.
fn is_before(upload: &Upload, since: Option<&str>) -> bool {
    since.is_some_and(|since| {
        upload
            .received_at
            .as_deref()
            .is_none_or(|received_at| received_at < since)
    })
}

/// The checksums of the file, each counted once, when it is first needed.
struct Ours<'a> {
    content: &'a Content,
    known: Vec<Checksum>,
}

impl Ours<'_> {
    /// The one by this algorithm; none if it is no algorithm that uploads from here are sent with.
    async fn checksum(&mut self, algorithm: &str) -> Result<Option<Checksum>, Trouble> {
        if let Some(known) = self.known.iter().find(|known| known.algorithm == algorithm) {
            return Ok(Some(known.clone()));
        }
        let counted = match algorithm {
            "CRC64NVME" => Checksum {
                algorithm: "CRC64NVME",
                value: self.content.crc64().await?.text(),
            },
            "SHA256" => Checksum {
                algorithm: "SHA256",
                value: BASE64.encode(self.content.sha256().await?),
            },
            _ => return Ok(None),
        };
        self.known.push(counted.clone());
        Ok(Some(counted))
    }
}
