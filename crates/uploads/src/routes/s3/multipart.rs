use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use two_buckets_objects::{ETag, PARTS_MAX};

use super::super::{Answer, From, answer, json_body, json_body_within, signing};
use crate::admission::{Known, Place, admit, look_up};
use crate::file_facts::FileFacts;
use crate::lives::Coming;
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::grants::{
    CompletePart, CompleteRequest, CompletedJson, KeyQuery, MultipartJson, MultipartRequest,
    NothingJson, PartJson, PartUrlJson,
};
use crate::{
    Caller, CompleteMultipart, CreateMultipart, Error, Grants, InvalidMultipartId, MultipartId,
    MultipartRef, Operation, PartNumber, Tracker, metadata,
};

/// Room for the number and tag of every part an upload can have.
const COMPLETE_BODY_BYTES_MAX: usize = 1 << 20;
/// An entity tag of S3's has 32 characters, with the number of parts behind it 38.
const ETAG_BYTES_MAX: usize = 128;
const _: () = assert!(COMPLETE_BODY_BYTES_MAX / PARTS_MAX as usize >= 100);

/// What stands for itself in a path (RFC 3986, section 2.3), and the slash.
const NOT_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

type KeyIn = Result<Query<KeyQuery>, QueryRejection>;

/// Begins a multipart upload.
pub(crate) async fn create<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    request: Request<Body>,
) -> Answer {
    let asked: MultipartRequest = json_body(request).await?;
    let place = Place::one_of(asked.key.as_deref(), asked.filename.as_deref())?;
    let facts = FileFacts::read(asked.media_type.as_deref(), asked.size, None)?;
    let metadata = metadata::read(asked.metadata.unwrap_or_default())?;
    signing::fits_s3(&facts)?;
    // The stock client does not say the size; it is checked when the parts are made a file.
    caller.limits.allow_type(facts.content_type.as_ref())?;
    caller.limits.allow_size(facts.size_bytes.unwrap_or(0))?;
    let server = api.tracker.server().await?;
    let admitted = admit(&api, &caller, place, &facts, Coming::InParts).await?;
    let create = CreateMultipart {
        key: admitted.key.clone(),
        content_type: facts.content_type,
        metadata,
    };
    let upload = api.grants.create_multipart(create).await?;
    Ok(answer(MultipartJson {
        key: admitted.key.to_string(),
        upload_id: upload.as_str().to_owned(),
        bucket: server.staging.to_string(),
        id: admitted.shown_id(),
    }))
}

/// Signs the PUT of a part. One that has expired is signed again by asking again.
pub(crate) async fn sign_part<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    path: Result<Path<(String, String)>, PathRejection>,
    key: KeyIn,
) -> Answer {
    let Path((upload, number)) = path.map_err(|_| no_such_upload())?;
    let (known, at) = named(&api, &caller, &upload, key).await?;
    let number: Option<u64> = number.parse().ok();
    let number = PartNumber::try_from(number.unwrap_or(0))
        .map_err(|error| Problem::BadRequest(error.to_string()))?;
    if caller.limits.size_bytes_max.is_some() {
        // Parts of an upload whose size was said are signed with their own, by the other way: without it they would not
        // be held to that size.
        if let Some(id) = &known.admitted.id
            && api.tracker.get(id).await?.upload.size_bytes > 0
        {
            return Err(Problem::Forbidden(
                "you may send files of limited size only, and the size of this one was said: have its parts signed by \
                 /api/s3/sign, which takes the size of each"
                    .into(),
            ));
        }
        let received = api.grants.list_parts(&at).await?;
        let others = received.iter().filter(|part| part.number != number.get());
        let others = others.map(|part| part.size_bytes);
        caller
            .limits
            .allow_size(others.fold(0, u64::saturating_add))?;
    }
    let operation = Operation::PutPart {
        upload: at.upload,
        number,
    };
    let signed = signing::signed(&api, &known.admitted, operation, Vec::new()).await?;
    // Not what was asked for: a URL ends with whatever it was signed with.
    let now = (api.sources.now)();
    Ok(answer(PartUrlJson {
        url: signed.url,
        expires: signed.expires_at.since(now).as_secs(),
        expires_at: signed.expires_at.to_string(),
    }))
}

/// Lists every part that was received.
pub(crate) async fn list<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    path: Result<Path<String>, PathRejection>,
    key: KeyIn,
) -> Answer {
    let Path(upload) = path.map_err(|_| no_such_upload())?;
    let (_, at) = named(&api, &caller, &upload, key).await?;
    let parts = api.grants.list_parts(&at).await?.into_iter();
    let parts = parts.map(|part| PartJson {
        part_number: part.number,
        size: part.size_bytes,
        etag: part.etag.quoted(),
    });
    Ok(answer(parts.collect::<Vec<_>>()))
}

/// Makes the file of its parts. Asked again it answers the same, also when the file was archived meanwhile.
pub(crate) async fn complete<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    path: Result<Path<String>, PathRejection>,
    key: KeyIn,
    request: Request<Body>,
) -> Answer {
    let Path(upload) = path.map_err(|_| no_such_upload())?;
    let (known, at) = named(&api, &caller, &upload, key).await?;
    let asked: CompleteRequest = json_body_within(COMPLETE_BODY_BYTES_MAX, request).await?;
    let parts = parts(asked.parts)?;
    let server = api.tracker.server().await?;
    hold_to_size(&api, &caller, &at, &parts).await?;
    let completed = api.grants.complete_multipart(CompleteMultipart {
        at: at.clone(),
        parts,
        must_be_new: known.admitted.must_be_new(),
    });
    let completed = completed.await?;
    let key = at.key.as_str();
    Ok(answer(CompletedJson {
        location: format!(
            "{}/{}/{}",
            server.s3.endpoint,
            server.staging,
            utf8_percent_encode(key, NOT_IN_PATH)
        ),
        bucket: server.staging.to_string(),
        key: key.to_owned(),
        etag: completed.etag.map(|etag| etag.quoted()),
    }))
}

/// Ends a multipart upload. One that is gone already is what the caller wants.
pub(crate) async fn abort<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    path: Result<Path<String>, PathRejection>,
    key: KeyIn,
) -> Answer {
    let Path(upload) = path.map_err(|_| no_such_upload())?;
    let (_, at) = named(&api, &caller, &upload, key).await?;
    api.grants.abort_multipart(&at).await?;
    Ok(answer(NothingJson {}))
}

/// The upload that path and query name together.
async fn named<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    caller: &Caller,
    upload: &str,
    key: KeyIn,
) -> Result<(Known, MultipartRef), Problem> {
    let Query(query) = key.map_err(|error| Problem::BadRequest(error.body_text()))?;
    let key = query.key.ok_or_else(|| {
        Problem::BadRequest("say which file this is for: ?key= in the address".into())
    })?;
    let known = look_up(api, caller, &key).await?;
    let upload: MultipartId = upload
        .parse()
        .map_err(|_: InvalidMultipartId| no_such_upload())?;
    let at = MultipartRef {
        key: known.admitted.key.clone(),
        upload,
    };
    Ok((known, at))
}

fn no_such_upload() -> Problem {
    Problem::Of(Error::NotFound {
        what: "a multipart upload of this key with this id".into(),
    })
}

fn parts(sent: Vec<CompletePart>) -> Result<Vec<(PartNumber, ETag)>, Problem> {
    if sent.is_empty() || sent.len() > PARTS_MAX as usize {
        return Err(Problem::BadRequest(format!(
            "name the parts: 1 to {PARTS_MAX} of them, each with PartNumber and ETag"
        )));
    }
    sent.into_iter()
        .map(|part| {
            let number = PartNumber::try_from(part.number)
                .map_err(|error| Problem::BadRequest(error.to_string()))?;
            // Clients send them with and without the quotes they came in.
            let etag = part.etag.trim_matches('"');
            let is_etag = (1..=ETAG_BYTES_MAX).contains(&etag.len())
                && etag.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_etag {
                return Err(Problem::BadRequest(format!(
                    "the ETag of part {number} must be what sending it answered"
                )));
            }
            Ok((number, ETag::new(etag)))
        })
        .collect()
}

/// Refuses to make a file that is larger than the caller may send, and ends its upload.
async fn hold_to_size<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    caller: &Caller,
    at: &MultipartRef,
    parts: &[(PartNumber, ETag)],
) -> Result<(), Problem> {
    if caller.limits.size_bytes_max.is_none() {
        return Ok(());
    }
    let received = match api.grants.list_parts(at).await {
        Ok(received) => received,
        // Completed before, or never there: completing it says which.
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // Named with its tag, a part cannot be exchanged for a larger one before it is used.
    let named: BTreeMap<u32, &ETag> = parts
        .iter()
        .map(|(number, etag)| (number.get(), etag))
        .collect();
    let size = received
        .iter()
        .filter(|part| named.get(&part.number) == Some(&&part.etag))
        .map(|part| part.size_bytes)
        .fold(0, u64::saturating_add);
    if let Err(over) = caller.limits.allow_size(size) {
        api.grants.abort_multipart(at).await?;
        return Err(over.into());
    }
    Ok(())
}
