//! The issuer of callers' tokens, and how its documents are fetched.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use two_buckets_uploads::{ClaimRules, FetchDocument, Issuer, KeysAddress, TokenRules, WebOrigin};

use crate::clock;
use crate::config::CallerSettings;
use crate::failure::{Failure, causes};
use crate::tls_client::{self, Connector};

/// The longest wait for a document of the issuer. A caller may be waiting for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest document of an issuer; key sets of large ones have some 20 KiB.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// The issuer that the settings name, if they do.
pub(super) fn of(settings: &CallerSettings) -> Result<Option<Issuer>, Failure> {
    let (Some(issuer), Some(audience)) = (
        settings.oidc_issuer.value.clone(),
        settings.oidc_audience.value.clone(),
    ) else {
        return Ok(None);
    };
    Ok(Some(Issuer::new(
        TokenRules {
            issuer,
            audience,
            claims: ClaimRules {
                prefix_claim: settings.oidc_prefix_claim.value.clone(),
                admin_claim: settings.oidc_admin_claim.value.clone(),
                limits: settings.limits(),
            },
        },
        settings.oidc_algorithms.value.clone(),
        match settings.oidc_jwks_url.value.clone() {
            Some(url) => KeysAddress::Url(url),
            None => KeysAddress::Discovered,
        },
        fetcher().map_err(Failure::failed)?,
    )))
}

/// Keeps the issuer's keys fresh until `stop` ends, so that no caller waits for them.
pub(super) async fn keep_fresh(issuer: Option<Issuer>, stop: impl Future<Output = ()>) {
    let Some(issuer) = issuer else { return };
    tokio::pin!(stop);
    loop {
        let asking = issuer.prepare(clock::now());
        tokio::select! {
            asked = asking => if let Err(reason) = asked {
                tracing::warn!("the keys of the issuer of tokens cannot be had: {reason}");
            },
            () = &mut stop => return,
        }
        tokio::select! {
            () = tokio::time::sleep(Issuer::PREPARE_EVERY) => {}
            () = &mut stop => return,
        }
    }
}

fn fetcher() -> Result<FetchDocument, String> {
    let connector = tls_client::connector(Box::new(|| None))?;
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Ok(Arc::new(move |url| {
        let client = client.clone();
        Box::pin(async move {
            tokio::time::timeout(FETCH_TIMEOUT, fetch(&client, &url))
                .await
                .unwrap_or_else(|_| {
                    Err(format!("nothing came within {} s", FETCH_TIMEOUT.as_secs()))
                })
        })
    }))
}

async fn fetch(client: &Client<Connector, Empty<Bytes>>, url: &str) -> Result<Bytes, String> {
    let uri: Uri = url.parse().map_err(|_| "is no URL".to_owned())?;
    let origin = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or_default(),
        uri.authority().map_or("", http::uri::Authority::as_str)
    );
    // A discovery document says where the keys are; what it says is held to the same rule as the settings.
    let is_safe = origin
        .parse::<WebOrigin>()
        .is_ok_and(|origin| origin.is_https() || origin.is_loopback());
    if !is_safe {
        return Err("is not behind https".to_owned());
    }
    let request = Request::get(uri)
        .header(header::ACCEPT, "application/json")
        .header(
            header::USER_AGENT,
            concat!("two-buckets/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let answer = client
        .request(request)
        .await
        .map_err(|error| causes(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("answered {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| format!("the answer broke off: {error}"))?;
    Ok(body.to_bytes())
}
