use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Request;
use two_buckets_objects::SINGLE_PUT_SIZE_BYTES_MAX;

use super::{Answer, From, answer, json_body};
use crate::admission::{Place, admit, count};
use crate::file_facts::FileFacts;
use crate::lives::Coming;
use crate::mint::folder;
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::grants::{FormJson, FormRequest};
use crate::{Caller, FORM_LIFE, FormTarget, FormToSign, Grants, Tracker};

/// Signs a form for a plain page: one key, a type if it is known, and a size that the store holds it to.
pub(crate) async fn sign<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    request: Request<Body>,
) -> Answer {
    let asked: FormRequest = json_body(request).await?;
    let facts = FileFacts::read(asked.media_type.as_deref(), None, None)?;
    caller.limits.allow_type(facts.content_type.as_ref())?;
    let most = size_bytes_max(&caller, asked.size_max)?;
    let (to, key, id) = match (&asked.key, &asked.filename) {
        (None, None) => {
            // Its page cannot know the name: the browser fills it in, below a folder made for this form alone.
            let now = (api.sources.now)();
            count(&api, &caller, now)?;
            let folder = folder(caller.prefix.as_ref(), now, (api.sources.random)())
                .map_err(|error| Problem::BadRequest(error.to_string()))?;
            let key = format!("{folder}${{filename}}");
            (FormTarget::Below(folder), key, None)
        }
        (key, filename) => {
            let place = Place::one_of(key.as_deref(), filename.as_deref())?;
            let coming = Coming::AtOnce(FORM_LIFE);
            let admitted = admit(&api, &caller, place, &facts, coming).await?;
            let (key, id) = (admitted.key.to_string(), admitted.shown_id());
            (FormTarget::Key(admitted.key), key, id)
        }
    };
    let form = FormToSign {
        to,
        size_bytes: 0..=most,
        content_type: facts.content_type,
        metadata: BTreeMap::new(),
        life: FORM_LIFE,
    };
    let signed = api.grants.form(form).await?;
    Ok(answer(FormJson {
        method: "POST",
        url: signed.url,
        fields: signed.fields,
        key,
        expires_at: signed.expires_at.to_string(),
        id,
    }))
}

/// The largest file a form may carry: what was asked for, within what the caller may send and one request can carry.
pub(super) fn size_bytes_max(caller: &Caller, asked: Option<u64>) -> Result<u64, Problem> {
    if let Some(asked) = asked {
        caller.limits.allow_size(asked)?;
    }
    let allowed = caller.limits.size_bytes_max.unwrap_or(u64::MAX);
    Ok(asked
        .unwrap_or(allowed)
        .min(allowed)
        .min(SINGLE_PUT_SIZE_BYTES_MAX))
}
