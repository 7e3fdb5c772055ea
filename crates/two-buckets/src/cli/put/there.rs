//! Which parts of an upload the server has, and which of them are this file's.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;

use super::multipart::SentPart;
use super::part_size::Part;
use super::source::Source;
use crate::cli::s3::{Ask, Staging};
use crate::cli::trouble::Trouble;
use crate::cli::xml;

/// How many parts are read at once to compare them.
const PARALLEL_CHECKS: usize = 2;

/// A part that the server has.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    size_bytes: u64,
    etag: String,
    crc64: Option<String>,
}

/// The parts that need not be sent again: those of which the server has as many bytes as the file there, with the same
/// checksum. A part without a checksum is not trusted.
pub(super) async fn parts_there(
    staging: &Staging<'_>,
    upload_id: &str,
    source: &Source,
    parts: &[Part],
) -> Result<BTreeMap<u32, SentPart>, Trouble> {
    let listed = list(staging, upload_id).await?;
    let checks = parts.iter().filter_map(|part| {
        let there = listed.get(&part.number)?;
        (there.size_bytes == part.size_bytes).then_some((part, there))
    });
    futures::stream::iter(checks)
        .map(async |(part, there)| {
            let crc64 = source.content(part.offset, part.size_bytes).crc64().await?;
            Ok::<_, Trouble>((there.crc64.as_ref() == Some(&crc64.text())).then(|| {
                let sent = SentPart {
                    etag: there.etag.clone(),
                    crc64,
                };
                (part.number, sent)
            }))
        })
        .buffer_unordered(PARALLEL_CHECKS)
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await
}

/// All pages.
async fn list(staging: &Staging<'_>, upload_id: &str) -> Result<BTreeMap<u32, Listed>, Trouble> {
    let mut found = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("uploadId", upload_id)];
        if let Some(after) = &after {
            query.push(("part-number-marker", after));
        }
        let ask = Ask {
            method: Method::GET,
            query: &query,
            headers: &[],
        };
        let page = staging.call(&ask, Bytes::new()).await?;
        let before = found.len();
        found.extend(listed(&page.body));
        let next = page.element("NextPartNumberMarker");
        // A page that brings nothing new would be asked for for ever.
        if page.element("IsTruncated").as_deref() != Some("true")
            || next.is_none()
            || next == after
            || found.len() == before
        {
            return Ok(found);
        }
        after = next;
    }
}

fn listed(page: &[u8]) -> impl Iterator<Item = (u32, Listed)> {
    xml::elements(page, "Part").filter_map(|part| {
        let text = |name| xml::element(part.as_bytes(), name);
        Some((
            text("PartNumber")?.parse().ok()?,
            Listed {
                size_bytes: text("Size")?.parse().ok()?,
                etag: text("ETag")?,
                crc64: text("ChecksumCRC64NVME"),
            },
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{Listed, listed};

    #[test]
    fn parts_are_read_from_a_page_and_what_is_none_is_passed_over() {
        let page = b"<ListPartsResult><PartNumberMarker>0</PartNumberMarker>\
            <Part><PartNumber>7</PartNumber><ETag>&quot;ab&quot;</ETag><Size>5</Size>\
            <ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME></Part>\
            <Part><PartNumber>8</PartNumber><ETag>\"cd\"</ETag><Size>6</Size></Part>\
            <Part><PartNumber>x</PartNumber><ETag>\"e\"</ETag><Size>6</Size></Part></ListPartsResult>";
        let found: Vec<_> = listed(page).collect();
        assert_eq!(
            found,
            [
                (
                    7,
                    Listed {
                        size_bytes: 5,
                        etag: "\"ab\"".into(),
                        crc64: Some("rosUhgp5mIg=".into()),
                    }
                ),
                (
                    8,
                    Listed {
                        size_bytes: 6,
                        etag: "\"cd\"".into(),
                        crc64: None,
                    }
                ),
            ]
        );
    }
}
