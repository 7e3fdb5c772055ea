use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Request;

use super::{Answer, From, answer, json_body, signing};
use crate::admission::{Place, admit};
use crate::file_facts::FileFacts;
use crate::lives::Coming;
use crate::service::Api;
use crate::wire::grants::{FileRequest, SignedUrlJson, shown_headers};
use crate::{Grants, Operation, SIGNED_PUT_LIFE, Tracker};

/// Signs a PUT. Whatever is known of the file is signed with it, so that nothing else can be sent in its place.
pub(crate) async fn sign<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    request: Request<Body>,
) -> Answer {
    let asked: FileRequest = json_body(request).await?;
    let place = Place::one_of(asked.key.as_deref(), asked.filename.as_deref())?;
    let facts = FileFacts::read(
        asked.media_type.as_deref(),
        asked.size,
        asked.sha256.as_deref(),
    )?;
    signing::fits_one_request(&facts)?;
    caller
        .limits
        .allow(facts.content_type.as_ref(), facts.size_bytes)?;
    let coming = Coming::AtOnce(SIGNED_PUT_LIFE);
    let admitted = admit(&api, &caller, place, &facts, coming).await?;
    let headers = signing::put_headers(&admitted, &facts);
    let shown = shown_headers(&headers);
    let signed = signing::signed(&api, &admitted, Operation::PutObject, headers).await?;
    Ok(answer(SignedUrlJson {
        url: signed.url,
        method: "PUT",
        key: admitted.key.to_string(),
        headers: shown,
        expires_at: signed.expires_at.to_string(),
        id: admitted.shown_id(),
    }))
}
