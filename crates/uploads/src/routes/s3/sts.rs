use std::sync::Arc;

use axum::extract::State;

use super::super::{Answer, From, answer};
use crate::admission::count;
use crate::mint::folder;
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::grants::StsJson;
use crate::{CREDENTIALS_LIFE, CredentialScope, Grants, Tracker};

/// Makes credentials for a client that asks once for many files: they can upload below a folder made for them alone,
/// which nobody can guess and in which nothing is yet, and do nothing else.
pub(crate) async fn credentials<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
) -> Answer {
    caller.limits.allow_unbound()?;
    let now = (api.sources.now)();
    count(&api, &caller, now)?;
    let folder = folder(caller.prefix.as_ref(), now, (api.sources.random)())
        .map_err(|error| Problem::BadRequest(error.to_string()))?;
    let server = api.tracker.server().await?;
    let scope = CredentialScope::Below(folder.clone());
    let made = api.grants.credentials(scope, CREDENTIALS_LIFE).await?;
    Ok(answer(StsJson {
        credentials: made.into(),
        bucket: server.staging.to_string(),
        region: server.s3.region,
        endpoint: server.s3.endpoint,
        prefix: folder.to_string(),
    }))
}
