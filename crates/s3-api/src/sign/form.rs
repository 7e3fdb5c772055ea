//! Forms by which a browser uploads without a script (S3 API, "Browser-Based Uploads Using POST").

use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use two_buckets_objects::Timestamp;

use super::{ALGORITHM, Moment, PRESIGNED_VALID_MAX, Scope, sign, signing_key};
use crate::Credentials;

/// What a form shall allow.
///
/// It can bind the bucket, the key, the size and every field, and how long it is valid. Within that time it can be used
/// again and again, and each upload is a new version of its key: there are no conditional forms.
#[derive(Clone, Debug)]
pub struct Form<'a> {
    /// The bucket it is sent to.
    pub bucket: &'a str,
    /// The key.
    pub key: FormKey<'a>,
    /// Further fields, which must be sent as they are here: `Content-Type`, `x-amz-meta-*`, `success_action_status`.
    pub fields: &'a [(&'a str, &'a str)],
    /// Further fields whose value must only begin so, `Content-Type` with `image/` for one. Whoever sends the form adds
    /// them, all of them: a condition on a field that is not there does not hold.
    pub free_fields: &'a [(&'a str, &'a str)],
    /// The sizes the file may have, in bytes.
    pub sizes: RangeInclusive<u64>,
}

/// Which key a form uploads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormKey<'a> {
    /// This one.
    Exactly(&'a str),
    /// Any that begins so; unless its sender says otherwise the file's own name is put behind.
    Below(&'a str),
}

/// Makes the fields of a form that is valid for `valid_for`, at most [`PRESIGNED_VALID_MAX`]. All of them must be sent,
/// in front of the file, which goes into the field `file`. They let their holder upload, so they are secrets.
pub fn sign_form(
    credentials: &Credentials,
    session_token: Option<&str>,
    region: &str,
    form: &Form<'_>,
    valid_for: Duration,
    now: Timestamp,
) -> Vec<(String, String)> {
    let moment = Moment::of(now);
    let scope = Scope::new(&moment.date, region);
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
    let credential = format!("{}/{scope}", credentials.access_key_id);
    for (name, value) in [
        ("x-amz-algorithm", ALGORITHM),
        ("x-amz-credential", credential.as_str()),
        ("x-amz-date", moment.stamp.as_str()),
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
    let signature = sign(
        &signing_key(&credentials.secret_access_key, &scope),
        &policy,
    );
    fields.push(("key".to_owned(), key));
    fields.push(("policy".to_owned(), policy));
    fields.push(("x-amz-signature".to_owned(), signature));
    fields
}
