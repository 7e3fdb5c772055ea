use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CONTENT_LENGTH, IF_NONE_MATCH};
use http::{Method, Request};
use serde_json::Value;

use super::Uploader;
use super::accepted::{Accepted, Checksum, accepted_before};
use super::content::Content;
use super::source::Destination;
use crate::cli::s3::{self, Heard};
use crate::cli::trouble::Trouble;
use crate::cli::wire::{Grant, read};

/// Uploads in one PUT by a URL that the server signs for exactly these bytes: their size and their SHA-256, which it
/// compares with what arrives.
pub(super) async fn upload(
    uploader: &Uploader<'_>,
    destination: &Destination,
    content: &Content,
    heard: &Heard<'_>,
) -> Result<Accepted, Trouble> {
    let sha256 = content.sha256().await?;
    let mut key: Option<String> = None;
    let mut granted: Option<(Grant, String)> = None;
    let sent = uploader
        .patience
        .keep_trying(async |_| {
            // A server that was started again at another address signs again, for the key it gave before.
            let s3 = uploader.api.s3().origin;
            let grant = match granted.take() {
                Some((grant, signed_for)) if signed_for == s3 => grant,
                _ => {
                    let mut wanted = match &key {
                        None => uploader.wanted(destination),
                        Some(key) => uploader.wanted(&Destination::Key(key.clone())),
                    };
                    wanted["size"] = content.size_bytes().into();
                    wanted["sha256"] = Value::String(hex::encode(sha256));
                    read(uploader.api.try_to_post("/api/signedurl", &wanted).await?)?
                }
            };
            key = Some(grant.key.clone());
            let (grant, _) = granted.insert((grant, s3));
            s3::send(uploader.api, heard, |progress| {
                // Signed, so it must be sent, for an empty file as well, where the client would leave it out.
                let mut request = Request::builder()
                    .method(Method::PUT)
                    .uri(&grant.url)
                    .header(CONTENT_LENGTH, content.size_bytes());
                for (name, value) in &grant.headers {
                    request = request.header(name, value);
                }
                // A minted key is written once: a second write of it would be another file's.
                let is_bound = grant
                    .headers
                    .keys()
                    .any(|name| name.eq_ignore_ascii_case(IF_NONE_MATCH.as_str()));
                if destination.is_minted() && !is_bound {
                    request = request.header(IF_NONE_MATCH, "*");
                }
                request.body(content.body(progress))
            })
            .await
        })
        .await;
    let key = key.unwrap_or_default();
    let answer = match sent {
        // The key was made for this file alone, so what is there came by a request whose answer was lost.
        Err(trouble) if trouble.is("PreconditionFailed") && destination.is_minted() => {
            let before =
                accepted_before(uploader.api, &uploader.patience, &key, None, content).await?;
            return before.ok_or(trouble);
        }
        sent => sent?,
    };
    let ours = BASE64.encode(sha256);
    match answer.header("x-amz-checksum-sha256") {
        Some(theirs) if theirs == ours => {}
        theirs => {
            return Err(Trouble::last(format!(
                "S3 accepted it with the SHA-256 {}, but the file's is {ours}",
                theirs.unwrap_or("unknown")
            )));
        }
    }
    Ok(Accepted {
        key,
        version_id: answer.header("x-amz-version-id").map(str::to_owned),
        etag: answer
            .header("etag")
            .map(|tag| tag.trim_matches('"').to_owned()),
        size_bytes: content.size_bytes(),
        checksum: Some(Checksum {
            algorithm: "SHA256",
            value: ours,
        }),
    })
}
