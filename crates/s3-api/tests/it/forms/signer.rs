//! Makes forms by which a browser uploads without a script (S3 API, "Browser-Based Uploads Using POST"), as a server that
//! gives them out would.

use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::Credentials;
use two_buckets_s3_api::sign::{PRESIGNED_VALID_MAX, sign_text};

use super::stamp;

/// What a form shall allow.
///
/// It can bind the bucket, the key, the size and every field, and how long it is valid. Within that time it can be used
/// again and again, and each upload is a new version of its key: there are no conditional forms.
#[derive(Clone, Debug)]
pub(crate) struct Form<'a> {
    /// The bucket it is sent to.
    pub(crate) bucket: &'a str,
    /// The key.
    pub(crate) key: FormKey<'a>,
    /// Further fields, which must be sent as they are here: `Content-Type`, `x-amz-meta-*`, `success_action_status`.
    pub(crate) fields: &'a [(&'a str, &'a str)],
    /// Further fields whose value must only begin so, `Content-Type` with `image/` for one. Whoever sends the form adds
    /// them, all of them: a condition on a field that is not there does not hold.
    pub(crate) free_fields: &'a [(&'a str, &'a str)],
    /// The sizes the file may have, in bytes.
    pub(crate) sizes: RangeInclusive<u64>,
}

/// Which key a form uploads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FormKey<'a> {
    /// This one.
    Exactly(&'a str),
    /// Any that begins so; unless its sender says otherwise the file's own name is put behind.
    Below(&'a str),
}

/// Makes the fields of a form that is valid for `valid_for`, at most [`PRESIGNED_VALID_MAX`]. All of them must be sent,
/// in front of the file, which goes into the field `file`. They let their holder upload, so they are secrets.
pub(crate) fn sign_form(
    credentials: &Credentials,
    session_token: Option<&str>,
    region: &str,
    form: &Form<'_>,
    valid_for: Duration,
    now: Timestamp,
) -> Vec<(String, String)> {
    let stamp = stamp(now);
    let (date, _) = stamp.split_once('T').unwrap();
    let (key, key_condition) = match form.key {
        FormKey::Exactly(key) => (key.to_owned(), json!(["eq", "$key", key])),
        FormKey::Below(prefix) => (
            format!("{prefix}${{filename}}"),
            json!(["starts-with", "$key", prefix]),
        ),
    };
    let mut fields: Vec<(String, String)> = form
        .fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let credential = format!(
        "{}/{date}/{region}/s3/aws4_request",
        credentials.access_key_id
    );
    for (name, value) in [
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", credential.as_str()),
        ("x-amz-date", stamp.as_str()),
    ]
    .into_iter()
    .chain(session_token.map(|token| ("x-amz-security-token", token)))
    {
        fields.push((name.to_owned(), value.to_owned()));
    }
    let mut conditions: Vec<Value> = fields
        .iter()
        .map(|(name, value)| json!(["eq", format!("${name}"), value]))
        .collect();
    for (name, prefix) in form.free_fields {
        conditions.push(json!(["starts-with", format!("${name}"), prefix]));
    }
    conditions.push(json!(["eq", "$bucket", form.bucket]));
    conditions.push(key_condition);
    conditions.push(json!([
        "content-length-range",
        form.sizes.start(),
        form.sizes.end()
    ]));
    let policy = json!({
        "expiration": now.after(valid_for.min(PRESIGNED_VALID_MAX)).to_string(),
        "conditions": conditions,
    });
    let policy = BASE64_STANDARD.encode(policy.to_string());
    let signature = sign_text(credentials, region, &policy, now);
    fields.push(("key".to_owned(), key));
    fields.push(("policy".to_owned(), policy));
    fields.push(("x-amz-signature".to_owned(), signature));
    fields
}
