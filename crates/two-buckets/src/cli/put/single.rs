use http::header::CONTENT_LENGTH;
use http::{Method, Request};
use serde_json::Value;

use super::source::Source;
use super::{Accepted, Uploader};
use crate::cli::s3::{self, Sent};
use crate::cli::wire::{Grant, read};
use crate::failure::Failure;

/// Uploads a file in one PUT by a URL that the server signs for exactly this file: its size and its SHA-256.
pub(super) async fn upload(
    uploader: &Uploader<'_>,
    source: &Source,
    sent: &(dyn Fn(u64) + Sync),
) -> Result<Accepted, Failure> {
    let mut wanted = uploader.wanted(source)?;
    wanted["size"] = source.size_bytes.into();
    wanted["sha256"] = Value::String(source.sha256(0, source.size_bytes).await?);
    let grant: Grant = read(uploader.api.post("/api/signedurl", &wanted).await?)?;
    let answer = s3::send(uploader.api, sent, |progress| {
        // Signed, so it must be sent, for an empty file as well, where the client would leave it out.
        let mut request = Request::builder()
            .method(Method::PUT)
            .uri(&grant.url)
            .header(CONTENT_LENGTH, source.size_bytes);
        for (name, value) in &grant.headers {
            request = request.header(name, value);
        }
        request.body(source.body(0, source.size_bytes, progress))
    })
    .await?;
    accepted(grant.key, &answer)
}

/// What the answer to a write says.
pub(super) fn accepted(key: String, answer: &Sent) -> Result<Accepted, Failure> {
    Ok(Accepted {
        key,
        version_id: answer.header("x-amz-version-id").map(str::to_owned),
        etag: answer
            .header("etag")
            .ok_or_else(|| Failure::failed("S3 accepted the file and gave no tag"))?
            .trim_matches('"')
            .to_owned(),
    })
}
