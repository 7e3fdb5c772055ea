use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::Value;

use super::super::form::size_bytes_max;
use super::super::{Answer, From, answer};
use crate::admission::{Place, admit};
use crate::file_facts::FileFacts;
use crate::lives::Coming;
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::grants::FormJson;
use crate::{FormTarget, FormToSign, Grants, SIGNED_PUT_LIFE, Tracker, metadata};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Signs the form by which the stock client sends a file in one piece.
pub(crate) async fn form<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Answer {
    refuse_other_sites(&headers)?;
    let Query(query) = query.map_err(|error| Problem::BadRequest(error.body_text()))?;
    let asked = asked(query)?;
    let place = Place::one_of(None, asked.one.get("filename").map(String::as_str))?;
    let facts = FileFacts::read(asked.one.get("type").map(String::as_str), None, None)?;
    caller.limits.allow_type(facts.content_type.as_ref())?;
    let most = size_bytes_max(&caller, None)?;
    let coming = Coming::AtOnce(SIGNED_PUT_LIFE);
    let admitted = admit(&api, &caller, place, &facts, coming).await?;
    let (key, id) = (admitted.key.to_string(), admitted.shown_id());
    let form = FormToSign {
        to: FormTarget::Key(admitted.key),
        size_bytes: 0..=most,
        content_type: facts.content_type,
        metadata: asked.metadata,
        // It is posted at once.
        life: SIGNED_PUT_LIFE,
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

/// A GET that makes a row: browsers send it for any page that names it as an image, and say so. Old ones say only which
/// page it was.
fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Problem> {
    let is_ours = match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(site) => matches!(site, b"same-origin" | b"none"),
        None => [ORIGIN, REFERER]
            .iter()
            .filter_map(|name| headers.get(name))
            .all(|page| is_of_host(page, headers.get(HOST))),
    };
    if is_ours {
        Ok(())
    } else {
        Err(Problem::ForeignOrigin)
    }
}

/// Whether the page's address has the host, and port, that was asked.
fn is_of_host(page: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let page = page.to_str().ok().and_then(|page| page.parse::<Uri>().ok());
    let host = host.and_then(|host| host.to_str().ok());
    match (page.as_ref().and_then(Uri::authority), host) {
        (Some(authority), Some(host)) => authority.as_str().eq_ignore_ascii_case(host),
        _ => false,
    }
}

struct Asked {
    one: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

/// Takes `metadata[name]` apart from what is there once.
fn asked(query: Vec<(String, String)>) -> Result<Asked, Problem> {
    let mut one = BTreeMap::new();
    let mut kept = Vec::new();
    for (name, value) in query {
        let bracketed = name
            .strip_prefix("metadata[")
            .and_then(|name| name.strip_suffix(']'));
        if let Some(name) = bracketed {
            kept.push((name.to_owned(), Value::String(value)));
        } else if one.insert(name.clone(), value).is_some() {
            return Err(Problem::BadRequest(format!(
                "the query may have {name:?} once only"
            )));
        }
    }
    Ok(Asked {
        one,
        metadata: metadata::read(kept)?,
    })
}
