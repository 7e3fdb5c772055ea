use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Request;

use super::{Answer, From, answer, json_body, signing};
use crate::admission::{Place, admit};
use crate::file_facts::FileFacts;
use crate::lives::Coming;
use crate::service::Api;
use crate::wire::grants::{CredentialsJson, FileRequest};
use crate::{CREDENTIALS_LIFE, CredentialScope, Grants, Tracker};

/// Makes credentials that can upload one file, in one piece or in parts, and do nothing else.
pub(crate) async fn make<T: Tracker, G: Grants>(
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
    signing::fits_s3(&facts)?;
    caller.limits.allow_unbound()?;
    let admitted = admit(&api, &caller, place, &facts, Coming::InParts).await?;
    let server = api.tracker.server().await?;
    let scope = CredentialScope::Key {
        key: admitted.key.clone(),
        must_be_new: admitted.must_be_new(),
    };
    let made = api.grants.credentials(scope, CREDENTIALS_LIFE).await?;
    Ok(answer(CredentialsJson {
        access_key: made.access_key_id,
        secret_key: made.secret_access_key,
        session_token: made.session_token,
        region: server.s3.region,
        bucket: server.staging.to_string(),
        key: admitted.key.to_string(),
        endpoint: server.s3.endpoint,
        expires_at: made.expires_at.to_string(),
        id: admitted.shown_id(),
    }))
}
