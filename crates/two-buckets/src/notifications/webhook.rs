//! A message to a webhook: a POST of its JSON.
//!
//! With a secret it carries `x-two-buckets-signature: t=SECONDS,v1=HEX`: HMAC-SHA-256 under the secret of the seconds, a
//! dot, and the body. The receiver computes the same, and refuses old seconds, so that nobody can send it again later.

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use sha2::Sha256;
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::notifications::Waiting;

use super::http::USER_AGENT;
use crate::config::{NotificationTarget, Secret};

/// The header with the signature.
const SIGNATURE: &str = "x-two-buckets-signature";
/// The header with the event's number, the same each time it is sent.
const EVENT: &str = "x-two-buckets-event";

/// The request that hands a message over.
pub(super) fn request(
    target: &NotificationTarget,
    secret: Option<&Secret>,
    bearer: Option<&Secret>,
    event: &Waiting,
    now: Timestamp,
) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::post(target.url.uri.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, USER_AGENT)
        .header(EVENT, format!("{:016X}", event.number));
    if let Some(secret) = secret {
        request = request.header(SIGNATURE, signature(secret, &event.message, now));
    }
    if let Some(Secret(token)) = bearer {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| "its bearer token is no header".to_owned())?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    request
        .body(Full::new(event.message.clone().into()))
        .map_err(|error| error.to_string())
}

fn signature(Secret(secret): &Secret, body: &[u8], now: Timestamp) -> String {
    let seconds = now.millis() / 1000;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    format!(
        "t={seconds},v1={}",
        hex::encode(mac.finalize().into_bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_the_documented_recipe_computes() {
        // hmac.new(b"secret", b"1700000000." + b'{"a":1}', "sha256").hexdigest()
        assert_eq!(
            signature(
                &Secret("secret".into()),
                br#"{"a":1}"#,
                Timestamp::from_millis(1_700_000_000_999)
            ),
            "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
        );
    }
}
