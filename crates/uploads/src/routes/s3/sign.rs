use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request};
use two_buckets_objects::{Algorithm, SINGLE_PUT_SIZE_BYTES_MAX};

use super::super::{Answer, From, answer, json_body, signing};
use crate::admission::{Admitted, Known, Place, admit, look_up};
use crate::file_facts::FileFacts;
use crate::lives::Coming;
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::grants::{SignRequest, SignedJson, shown_headers};
use crate::{
    Caller, Grants, InvalidMultipartId, MultipartId, Operation, PartNumber, SIGNED_PUT_LIFE,
    Tracker, part_size,
};

/// Signs whichever request of an upload comes next.
pub(crate) async fn sign<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    request: Request<Body>,
) -> Answer {
    let asked: SignRequest = json_body(request).await?;
    let operation = operation(&asked)?;
    let makes_of_parts = matches!(operation, Operation::CompleteMultipart { .. });
    if asked.crc64nvme.is_some() && !makes_of_parts {
        return Err(Problem::BadRequest(
            "the crc64nvme is that of the whole file, for the request that makes it of its parts; leave it out".into(),
        ));
    }
    let facts = FileFacts::read(
        asked.content_type.as_deref(),
        asked.size,
        asked.sha256.as_deref(),
    )?;
    let (admitted, headers) = match &operation {
        Operation::PutObject | Operation::CreateMultipart => {
            begin(&api, &caller, &operation, &asked, &facts).await?
        }
        _ => go_on(&api, &caller, &operation, &asked, &facts).await?,
    };
    let shown = shown_headers(&headers);
    let signed = signing::signed(&api, &admitted, operation, headers).await?;
    Ok(answer(SignedJson {
        url: signed.url,
        key: admitted.key.to_string(),
        headers: shown,
        expires_at: signed.expires_at.to_string(),
        id: admitted.shown_id(),
    }))
}

const CHECKSUM_CRC64NVME: HeaderName = HeaderName::from_static("x-amz-checksum-crc64nvme");
const CHECKSUM_TYPE: HeaderName = HeaderName::from_static("x-amz-checksum-type");
/// The size of the file that is made of the parts.
const OBJECT_SIZE: HeaderName = HeaderName::from_static("x-amz-mp-object-size");

type Headers = Vec<(HeaderName, HeaderValue)>;

/// The first request of an upload.
async fn begin<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    caller: &Caller,
    operation: &Operation,
    asked: &SignRequest,
    facts: &FileFacts,
) -> Result<(Admitted, Headers), Problem> {
    // Uppy always proposes a key; who sends a file name too wants one made for it.
    let place = match (&asked.filename, &asked.key) {
        (Some(filename), _) => Place::MintedFor(filename),
        (None, key) => Place::one_of(key.as_deref(), None)?,
    };
    caller
        .limits
        .allow(facts.content_type.as_ref(), facts.size_bytes)?;
    if *operation == Operation::PutObject {
        signing::fits_one_request(facts)?;
        let coming = Coming::AtOnce(SIGNED_PUT_LIFE);
        let admitted = admit(api, caller, place, facts, coming).await?;
        let headers = signing::put_headers(&admitted, facts);
        return Ok((admitted, headers));
    }
    signing::fits_s3(facts)?;
    if caller.limits.size_bytes_max.is_some()
        && let Place::Key(key) = place
        && look_up(api, caller, key).await?.admitted.id.is_none()
    {
        return Err(parts_need_a_row());
    }
    let admitted = admit(api, caller, place, facts, Coming::InParts).await?;
    let content_type = facts.content_type.as_ref();
    let headers = content_type.map(|text| (CONTENT_TYPE, text.as_header().clone()));
    Ok((admitted, headers.into_iter().collect()))
}

/// A later request of a multipart upload. That its id belongs to the key, the store checks.
async fn go_on<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    caller: &Caller,
    operation: &Operation,
    asked: &SignRequest,
    facts: &FileFacts,
) -> Result<(Admitted, Headers), Problem> {
    let key = asked
        .key
        .as_deref()
        .ok_or_else(|| Problem::BadRequest("say which file this is for, by its \"key\"".into()))?;
    let Known {
        admitted,
        has_arrived,
    } = look_up(api, caller, key).await?;
    let headers = match operation {
        Operation::PutPart { number, .. } => {
            if asked.sha256.is_some() {
                return Err(Problem::BadRequest(
                    "the parts of an upload are checked by CRC64NVME; leave the sha256 out".into(),
                ));
            }
            if let Some(size) = facts.size_bytes.filter(|s| *s > SINGLE_PUT_SIZE_BYTES_MAX) {
                return Err(Problem::BadRequest(format!(
                    "the part has {size} bytes, a part has at most {SINGLE_PUT_SIZE_BYTES_MAX} (5 GiB)"
                )));
            }
            allow_part(api, caller, &admitted, *number, facts.size_bytes).await?;
            let length = facts.size_bytes.map(HeaderValue::from);
            length
                .map(|length| (CONTENT_LENGTH, length))
                .into_iter()
                .collect()
        }
        Operation::CompleteMultipart { .. } => {
            allow_completion(api, caller, &admitted, has_arrived).await?;
            let condition = signing::condition(&admitted).into_iter();
            condition.chain(whole_file(asked, facts)?).collect()
        }
        _ => Headers::new(),
    };
    Ok((admitted, headers))
}

/// The headers that let the store make a file of the parts only if it is the one that was declared: parts that an
/// earlier visit sent may be of another file of the same name.
fn whole_file(asked: &SignRequest, facts: &FileFacts) -> Result<Headers, Problem> {
    let mut headers = Headers::new();
    if let Some(text) = &asked.crc64nvme {
        let is_one = BASE64
            .decode(text)
            .is_ok_and(|value| value.len() == Algorithm::Crc64Nvme.length_bytes());
        let header = HeaderValue::from_str(text).ok().filter(|_| is_one);
        let header = header.ok_or_else(|| {
            Problem::BadRequest("the crc64nvme must be the base64 of 8 bytes".into())
        })?;
        headers.push((CHECKSUM_CRC64NVME, header));
        headers.push((CHECKSUM_TYPE, HeaderValue::from_static("FULL_OBJECT")));
    }
    if let Some(size) = facts.size_bytes {
        headers.push((OBJECT_SIZE, HeaderValue::from(size)));
    }
    Ok(headers)
}

/// Holds the parts of a caller whose files are limited within the size that was said when the upload was begun.
///
/// The completion goes straight to the store and takes whichever parts are there, so each part must stay in its place:
/// cut as [`part_size`] cuts the file, all together can never be more.
async fn allow_part<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    caller: &Caller,
    admitted: &Admitted,
    number: PartNumber,
    size_bytes: Option<u64>,
) -> Result<(), Problem> {
    let Some(most) = caller.limits.size_bytes_max else {
        return Ok(());
    };
    let id = admitted.id.as_ref().ok_or_else(parts_need_a_row)?;
    let whole = api.tracker.get(id).await?.upload.size_bytes;
    caller.limits.allow_size(whole)?;
    let place = part_size(whole).unwrap_or(most);
    let begins = place.saturating_mul(u64::from(number.get()) - 1);
    let room = whole.saturating_sub(begins).min(place);
    match size_bytes {
        Some(size) if size <= room => Ok(()),
        _ => Err(Problem::Forbidden(format!(
            "say the part's size: part {number} of this file may have at most {room} bytes, \
             for the file was said to have {whole} and you may send files of limited size only"
        ))),
    }
}

/// Holds the completion of a caller whose files are limited to uploads whose parts were all signed by [`allow_part`].
///
/// The store takes whichever parts are there and looks at no limit. Parts signed without their size belong to uploads
/// that were begun without one; those are made a file by the call that adds their sizes up.
async fn allow_completion<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    caller: &Caller,
    admitted: &Admitted,
    has_arrived: bool,
) -> Result<(), Problem> {
    if caller.limits.size_bytes_max.is_none() {
        return Ok(());
    }
    let id = admitted.id.as_ref().ok_or_else(parts_need_a_row)?;
    // The size of a file that has come says nothing of another upload's parts.
    if has_arrived || api.tracker.get(id).await?.upload.size_bytes == 0 {
        return Err(parts_need_a_row());
    }
    Ok(())
}

fn parts_need_a_row() -> Problem {
    Problem::Forbidden(
        "you may send files of limited size only, and parts are held to that when the upload is begun with \
         \"filename\" and \"size\""
            .into(),
    )
}

/// Which request of an upload it is (`PresignableRequest` of `@uppy/aws-s3`).
fn operation(asked: &SignRequest) -> Result<Operation, Problem> {
    let upload = asked
        .upload_id
        .as_deref()
        .map(str::parse::<MultipartId>)
        .transpose()
        .map_err(|error: InvalidMultipartId| Problem::BadRequest(error.to_string()))?;
    let number = asked
        .part_number
        .map(PartNumber::try_from)
        .transpose()
        .map_err(|error| Problem::BadRequest(error.to_string()))?;
    match (asked.method.as_str(), upload, number) {
        ("PUT", None, None) => Ok(Operation::PutObject),
        ("POST", None, None) => Ok(Operation::CreateMultipart),
        ("PUT", Some(upload), Some(number)) => Ok(Operation::PutPart { upload, number }),
        ("GET", Some(upload), None) => Ok(Operation::ListParts { upload }),
        ("POST", Some(upload), None) => Ok(Operation::CompleteMultipart { upload }),
        ("DELETE", Some(upload), None) => Ok(Operation::AbortMultipart { upload }),
        _ => Err(Problem::BadRequest(
            "this is no request of an upload: PUT or POST of a key, or with uploadId PUT (and partNumber), GET, POST \
             or DELETE; files are neither read nor deleted here"
                .into(),
        )),
    }
}
