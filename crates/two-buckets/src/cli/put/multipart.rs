//! The requests of an upload in parts: begin, send, complete, abort.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use http::Method;

use super::accepted::{Accepted, Checksum};
use super::content::Content;
use super::crc64::Crc64;
use crate::cli::s3::{Ask, Heard, Staging};
use crate::cli::trouble::Trouble;

/// A part that the server has.
#[derive(Clone)]
pub(super) struct SentPart {
    /// The server's tag for it.
    pub(super) etag: String,
    /// The CRC of the bytes here.
    pub(super) crc64: Crc64,
}

/// An upload in parts that was begun.
pub(super) struct Multipart<'a> {
    pub(super) staging: &'a Staging<'a>,
    pub(super) upload_id: &'a str,
}

/// Begins one, and gives the server's name for it.
pub(super) async fn begin(
    staging: &Staging<'_>,
    media_type: Option<&str>,
) -> Result<String, Trouble> {
    let mut headers = vec![
        ("x-amz-checksum-algorithm", "CRC64NVME"),
        ("x-amz-checksum-type", "FULL_OBJECT"),
    ];
    headers.extend(media_type.map(|media_type| ("content-type", media_type)));
    let ask = Ask {
        method: Method::POST,
        query: &[("uploads", "")],
        headers: &headers,
    };
    staging
        .call(&ask, Bytes::new())
        .await?
        .element("UploadId")
        .ok_or_else(|| Trouble::last("S3 began the upload and gave no id"))
}

impl Multipart<'_> {
    /// Sends a part with its checksum, which the server compares with what arrives.
    pub(super) async fn send(
        &self,
        number: u32,
        content: &Content,
        heard: &Heard<'_>,
    ) -> Result<SentPart, Trouble> {
        let crc64 = content.crc64().await?;
        let number = number.to_string();
        let ask = Ask {
            method: Method::PUT,
            query: &[("partNumber", &number), ("uploadId", self.upload_id)],
            headers: &[("x-amz-checksum-crc64nvme", &crc64.text())],
        };
        let answer = self
            .staging
            .stream(&ask, heard, |progress| content.body(progress))
            .await?;
        let etag = answer
            .header("etag")
            .ok_or_else(|| Trouble::last(format!("S3 accepted part {number} and gave no tag")))?
            .to_owned();
        Ok(SentPart { etag, crc64 })
    }

    /// Makes the object of all parts; the server compares its checksum and size with ours before, and we ours with the
    /// server's behind. `once` for a key that was made for this file alone: nothing can be there.
    pub(super) async fn complete(
        &self,
        parts: &BTreeMap<u32, SentPart>,
        size_bytes: u64,
        once: bool,
    ) -> Result<Accepted, Trouble> {
        let crc64 = Crc64::joined(parts.values().map(|part| &part.crc64));
        let size = size_bytes.to_string();
        let mut headers = vec![
            ("x-amz-checksum-crc64nvme", crc64.as_str()),
            ("x-amz-checksum-type", "FULL_OBJECT"),
            ("x-amz-mp-object-size", &size),
        ];
        if once {
            headers.push(("if-none-match", "*"));
        }
        let ask = Ask {
            method: Method::POST,
            query: &[("uploadId", self.upload_id)],
            headers: &headers,
        };
        let answer = self.staging.call(&ask, document(parts).into()).await?;
        let kept = answer.element("ChecksumCRC64NVME");
        if kept.as_deref() != Some(&crc64) {
            return Err(Trouble::last(format!(
                "S3 accepted it with the checksum {}, but the file's is {crc64}",
                kept.as_deref().unwrap_or("unknown")
            )));
        }
        Ok(Accepted {
            key: self.staging.key(),
            version_id: answer.header("x-amz-version-id").map(str::to_owned),
            etag: answer
                .element("ETag")
                .map(|tag| tag.trim_matches('"').to_owned()),
            size_bytes,
            checksum: Some(Checksum {
                algorithm: "CRC64NVME",
                value: crc64,
            }),
        })
    }

    /// Ends it; the server throws its parts away.
    pub(super) async fn abort(&self) -> Result<(), Trouble> {
        let ask = Ask {
            method: Method::DELETE,
            query: &[("uploadId", self.upload_id)],
            headers: &[],
        };
        self.staging.call(&ask, Bytes::new()).await.map(|_| ())
    }
}

fn document(parts: &BTreeMap<u32, SentPart>) -> String {
    let mut document = String::from("<CompleteMultipartUpload>");
    for (number, part) in parts {
        // A tag is hexadecimal and a hyphen in quotes, and a checksum is base64: there is nothing to escape.
        write!(
            document,
            "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag><ChecksumCRC64NVME>{}</ChecksumCRC64NVME></Part>",
            part.etag,
            part.crc64.text()
        )
        .expect("writing to a String cannot fail");
    }
    document.push_str("</CompleteMultipartUpload>");
    document
}
