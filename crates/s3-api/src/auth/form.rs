//! The signature of an upload by HTML form: of the policy document, in a field beside it
//! (S3 API, "Authenticating Requests in Browser-Based Uploads Using POST"). boto3 still makes version 2 by default in
//! us-east-1; the policy is held to the same rules whichever version signs it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use s3s::S3ErrorCode;
use subtle::ConstantTimeEq as _;
use two_buckets_objects::Timestamp;

use super::v4::{CLOCK_SKEW_MAX, mismatch, parse_credential, parse_stamp};
use super::{Signed, Version, Way};
use crate::form::fields::Fields;
use crate::refusal::Refusal;
use crate::sign::{self, PRESIGNED_VALID_MAX, SESSION_TOKEN, Service};
use crate::sts::{Sts, Who};

/// A form whose signature holds.
pub(crate) struct SignedForm {
    /// The document that was signed.
    pub(crate) policy: Vec<u8>,
    /// Who signed it.
    pub(crate) who: Who,
    /// How, for conditions.
    pub(crate) signed: Signed,
}

/// Checks the signature.
pub(crate) fn form(fields: &Fields, sts: &Sts, now: Timestamp) -> Result<SignedForm, Refusal> {
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
    let (who, version, at) = match (by_v4, by_v2) {
        (true, false) => {
            let (who, at) = version_4(fields, policy, sts, now)?;
            (who, Version::V4, Some(at))
        }
        (false, true) => (version_2(fields, policy, sts, now)?, Version::V2, None),
        (false, false) => return Err(Refusal::access_denied("the form is not signed")),
        (true, true) => {
            return Err(Refusal::invalid_argument(
                "a form is signed by version 4 or by version 2, not by both",
            ));
        }
    };
    let policy = BASE64_STANDARD.decode(policy).map_err(|_| {
        Refusal::new(
            S3ErrorCode::InvalidPolicyDocument,
            "the policy is invalid: the field is not base64",
        )
    })?;
    Ok(SignedForm {
        policy,
        who,
        signed: Signed {
            way: Way::Form,
            version,
            at,
            content_sha256: None,
        },
    })
}

fn version_4(
    fields: &Fields,
    policy: &str,
    sts: &Sts,
    now: Timestamp,
) -> Result<(Who, Timestamp), Refusal> {
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
    let (access_key_id, scope) = parse_credential(credential, stamp, Service::S3, &malformed)?;
    let identity = sts.identify(access_key_id, fields.get(SESSION_TOKEN), now)?;
    if signed_at.since(now) > CLOCK_SKEW_MAX {
        return Err(Refusal::access_denied("the form is not valid yet"));
    }
    if now.since(signed_at) > PRESIGNED_VALID_MAX {
        return Err(Refusal::access_denied(
            "the form was signed more than 7 days ago",
        ));
    }
    let key = sign::signing_key(&identity.secret, &scope);
    let expected = sign::sign(&key, policy);
    if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        Ok((identity.who, signed_at))
    } else {
        Err(mismatch())
    }
}

fn version_2(fields: &Fields, policy: &str, sts: &Sts, now: Timestamp) -> Result<Who, Refusal> {
    let access_key_id = needed(fields, "awsaccesskeyid")?;
    let signature = needed(fields, "signature")?;
    let identity = sts.identify(access_key_id, fields.get(SESSION_TOKEN), now)?;
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(identity.secret.as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(policy.as_bytes());
    let expected = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        Ok(identity.who)
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
