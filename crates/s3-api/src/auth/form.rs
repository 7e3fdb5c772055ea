//! The signature of an upload by HTML form: of the policy document, in a field beside it
//! (S3 API, "Authenticating Requests in Browser-Based Uploads Using POST"). boto3 still makes version 2 by default in
//! us-east-1; the policy is held to the same rules whichever version signs it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use s3s::S3ErrorCode;
use subtle::ConstantTimeEq as _;
use two_buckets_objects::Timestamp;

use super::v4::{CLOCK_SKEW_MAX, mismatch, parse_credential, parse_stamp, unknown_access_key};
use crate::Credentials;
use crate::form::fields::Fields;
use crate::refusal::Refusal;
use crate::sign::{self, PRESIGNED_VALID_MAX};

/// Checks the signature and gives the policy document that was signed.
pub(crate) fn form(
    fields: &Fields,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Vec<u8>, Refusal> {
    let by_v4 = fields.names().any(|name| {
        matches!(
            name,
            "x-amz-algorithm" | "x-amz-credential" | "x-amz-date" | "x-amz-signature"
        )
    });
    let by_v2 = fields
        .names()
        .any(|name| matches!(name, "awsaccesskeyid" | "signature"));
    let Some(policy) = fields.get("policy") else {
        return Err(Refusal::access_denied(
            "the form has no policy in front of its file, and nobody may upload without one",
        ));
    };
    match (by_v4, by_v2) {
        (true, false) => version_4(fields, policy, credentials, now)?,
        (false, true) => version_2(fields, policy, credentials)?,
        (false, false) => return Err(Refusal::access_denied("the form is not signed")),
        (true, true) => {
            return Err(Refusal::invalid_argument(
                "a form is signed by version 4 or by version 2, not by both",
            ));
        }
    }
    BASE64_STANDARD.decode(policy).map_err(|_| {
        Refusal::new(
            S3ErrorCode::InvalidPolicyDocument,
            "the policy is invalid: the field is not base64",
        )
    })
}

fn version_4(
    fields: &Fields,
    policy: &str,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<(), Refusal> {
    if needed(fields, "x-amz-algorithm")? != sign::ALGORITHM {
        return Err(Refusal::invalid_argument(
            "the form's x-amz-algorithm must be AWS4-HMAC-SHA256",
        ));
    }
    let credential = needed(fields, "x-amz-credential")?;
    let stamp = needed(fields, "x-amz-date")?;
    let signature = needed(fields, "x-amz-signature")?;
    let signed_at = parse_stamp(stamp)
        .ok_or_else(|| Refusal::invalid_argument("the form's x-amz-date is no date"))?;
    let malformed =
        |message: &str| Refusal::invalid_argument(format!("the form's x-amz-credential {message}"));
    let scope = parse_credential(credential, stamp, credentials, &malformed)?;
    if signed_at.since(now) > CLOCK_SKEW_MAX {
        return Err(Refusal::access_denied("the form is not valid yet"));
    }
    if now.since(signed_at) > PRESIGNED_VALID_MAX {
        return Err(Refusal::access_denied(
            "the form was signed more than 7 days ago",
        ));
    }
    let key = sign::signing_key(&credentials.secret_access_key, &scope);
    let expected = sign::sign(&key, policy);
    if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        Ok(())
    } else {
        Err(mismatch())
    }
}

fn version_2(fields: &Fields, policy: &str, credentials: &Credentials) -> Result<(), Refusal> {
    let access_key_id = needed(fields, "awsaccesskeyid")?;
    let signature = needed(fields, "signature")?;
    if access_key_id != credentials.access_key_id {
        return Err(unknown_access_key());
    }
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(credentials.secret_access_key.as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(policy.as_bytes());
    let expected = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        Ok(())
    } else {
        Err(mismatch())
    }
}

fn needed<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Refusal> {
    fields.get(name).ok_or_else(|| {
        Refusal::invalid_argument(format!(
            "the form needs a field named {name}, in front of the file"
        ))
    })
}
