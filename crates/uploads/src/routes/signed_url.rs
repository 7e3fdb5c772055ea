use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderName, HeaderValue, Request};
use two_buckets_objects::SINGLE_PUT_SIZE_BYTES_MAX;

use super::{Answer, answer, json_body};
use crate::problem::Problem;
use crate::wire::{SignedPutJson, SignedUrlRequest};
use crate::{
    ContentType, Grants, Operation, RequestToSign, SIGNED_PUT_LIFE, Tracker, UploadApi, UploadKey,
};

const CHECKSUM_SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");

/// Signs a PUT. Whatever is known of the file is signed with it, so that nothing else can be sent in its place.
pub(crate) async fn sign<T: Tracker, G: Grants>(
    State(api): State<Arc<UploadApi<T, G>>>,
    request: Request<Body>,
) -> Answer {
    let request: SignedUrlRequest = json_body(request).await?;
    let mut headers = Vec::new();
    let key: UploadKey = match (&request.key, &request.filename) {
        (Some(key), None) => key
            .parse()
            .map_err(|error: crate::InvalidUploadKey| Problem::BadRequest(error.to_string()))?,
        (None, Some(filename)) => {
            // A minted key is written once: a second write of it would be another file's.
            headers.push((IF_NONE_MATCH, HeaderValue::from_static("*")));
            let (now, random) = ((api.sources.now)(), (api.sources.random)());
            api.key_template.mint(filename, now, random)
        }
        _ => {
            return Err(Problem::BadRequest(
                "say where the file goes, by one of \"filename\" (a unique key is made for it) or \"key\" (exactly that key)".into(),
            ));
        }
    };
    headers.extend(bound_headers(&request)?);
    let shown = headers
        .iter()
        // Every client sends the length by itself, and a browser's page may not set it.
        .filter(|(name, _)| name != CONTENT_LENGTH)
        .map(|(name, value)| {
            let value = value.to_str().expect("built from visible ASCII");
            (name.to_string(), value.to_owned())
        })
        .collect::<BTreeMap<_, _>>();
    let signed = api
        .grants
        .sign(RequestToSign {
            operation: Operation::PutObject,
            key: key.clone(),
            headers,
            life: SIGNED_PUT_LIFE,
        })
        .await?;
    Ok(answer(SignedPutJson::new(&key, signed, shown)))
}

/// The headers that bind the grant to what is known of the file.
fn bound_headers(request: &SignedUrlRequest) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
    let mut headers = Vec::new();
    // Browsers send an empty type for files they do not know.
    if let Some(media_type) = request
        .media_type
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        let media_type: ContentType = media_type
            .parse()
            .map_err(|error: crate::InvalidContentType| Problem::BadRequest(error.to_string()))?;
        headers.push((CONTENT_TYPE, media_type.as_header().clone()));
    }
    if let Some(size) = request.size {
        if size > SINGLE_PUT_SIZE_BYTES_MAX {
            return Err(Problem::BadRequest(format!(
                "the file has {size} bytes, one signed PUT carries at most {SINGLE_PUT_SIZE_BYTES_MAX} (5 GiB); \
                 send it in parts with an S3 client"
            )));
        }
        headers.push((CONTENT_LENGTH, HeaderValue::from(size)));
    }
    if let Some(sha256) = &request.sha256 {
        let digest = from_hex(sha256).ok_or_else(|| {
            Problem::BadRequest("the sha256 must have 64 hexadecimal digits".into())
        })?;
        let value =
            HeaderValue::from_str(&BASE64.encode(digest)).expect("base64 is a header value");
        headers.push((CHECKSUM_SHA256, value));
    }
    Ok(headers)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = (*byte << 4) | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}
