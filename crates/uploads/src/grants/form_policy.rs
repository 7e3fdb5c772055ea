//! The policies of forms: what a form is held to, in S3's words (S3 API, "Creating an HTML form" and "POST Policy").

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use two_buckets_objects::{BucketName, Timestamp};

use crate::{FormTarget, FormToSign};

/// Who signs a form, and when. Its token lets nobody in without the secret, and is not shown by `Debug` all the same.
#[derive(Clone, Copy)]
pub struct FormSigner<'a> {
    /// The access key id.
    pub access_key_id: &'a str,
    /// The session token, if the key is a session's.
    pub session_token: Option<&'a str>,
    /// The region that is signed for.
    pub region: &'a str,
    /// The moment of the signature.
    pub now: Timestamp,
}

impl std::fmt::Debug for FormSigner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FormSigner")
            .field("access_key_id", &self.access_key_id)
            .field("region", &self.region)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// A form whose policy is written and waits for its signature.
pub struct UnsignedForm {
    fields: BTreeMap<String, String>,
    policy: String,
}

impl FormToSign {
    /// Writes the policy of this form. It names every field, so none can be added, left out or changed, and whoever
    /// signs it signs all that the form is held to.
    ///
    /// The life is not looked at: `expires_at` ends it.
    pub fn unsigned(
        &self,
        staging: &BucketName,
        signer: &FormSigner<'_>,
        expires_at: Timestamp,
    ) -> UnsignedForm {
        let stamp = stamp(signer.now);
        let date = stamp.split('T').next().unwrap_or_default();
        let FormSigner {
            access_key_id,
            region,
            ..
        } = signer;
        let (key, key_condition) = match &self.to {
            FormTarget::Key(key) => {
                let key = key.as_str();
                (key.to_owned(), json!(["eq", "$key", key]))
            }
            FormTarget::Below(prefix) => {
                let prefix = prefix.as_str();
                let condition = json!(["starts-with", "$key", prefix]);
                (format!("{prefix}${{filename}}"), condition)
            }
        };
        let mut fields: BTreeMap<String, String> = self
            .metadata
            .iter()
            .map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone()))
            .collect();
        if let Some(content_type) = &self.content_type {
            fields.insert("Content-Type".into(), content_type.as_str().into());
        }
        fields.insert("x-amz-algorithm".into(), "AWS4-HMAC-SHA256".into());
        fields.insert(
            "x-amz-credential".into(),
            format!("{access_key_id}/{date}/{region}/s3/aws4_request"),
        );
        if let Some(token) = signer.session_token {
            fields.insert("x-amz-security-token".into(), token.into());
        }
        fields.insert("x-amz-date".into(), stamp);
        let mut conditions: Vec<Value> = fields
            .iter()
            .map(|(name, value)| json!(["eq", format!("${name}"), value]))
            .collect();
        conditions.push(json!(["eq", "$bucket", staging.as_str()]));
        conditions.push(key_condition);
        conditions.push(json!([
            "content-length-range",
            self.size_bytes.start(),
            self.size_bytes.end()
        ]));
        let policy = json!({
            "expiration": expires_at.to_string(),
            "conditions": conditions,
        });
        fields.insert("key".into(), key);
        UnsignedForm {
            fields,
            policy: BASE64.encode(policy.to_string()),
        }
    }
}

impl UnsignedForm {
    /// The text to be signed, with a key for S3 in the signer's region and at its date: the policy in base64.
    pub fn text_to_sign(&self) -> &str {
        &self.policy
    }

    /// The fields to be sent, given the signature in lower-case hexadecimal digits.
    pub fn signed(self, signature: String) -> BTreeMap<String, String> {
        let Self { mut fields, policy } = self;
        fields.insert("policy".into(), policy);
        fields.insert("x-amz-signature".into(), signature);
        fields
    }
}

/// `20261123T105050Z`.
fn stamp(now: Timestamp) -> String {
    let text = now.to_string();
    text.chars()
        .take_while(|c| *c != '.')
        .filter(|c| *c != '-' && *c != ':')
        .chain(['Z'])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_field_is_bound_and_so_are_bucket_key_and_size() {
        let form = FormToSign {
            to: FormTarget::Key("a/b.png".parse().expect("a key")),
            size_bytes: 1..=9,
            content_type: Some("image/png".parse().expect("a type")),
            metadata: [("who".to_owned(), "me".to_owned())].into(),
            life: Duration::from_mins(5),
        };
        let signer = FormSigner {
            access_key_id: "ASIAEXAMPLE",
            session_token: Some("token"),
            region: "eu-central-1",
            now: Timestamp::from_millis(1_795_431_050_007),
        };
        let end = Timestamp::from_millis(1_795_431_350_000);
        let unsigned = form.unsigned(&"staging".parse().expect("a name"), &signer, end);
        let policy = BASE64.decode(unsigned.text_to_sign()).expect("base64");
        let policy: Value = serde_json::from_slice(&policy).expect("JSON");
        assert_eq!(policy["expiration"], end.to_string());
        let fields = unsigned.signed("00ff".into());
        assert_eq!(fields["x-amz-date"], "20261123T105050Z");
        assert_eq!(
            fields["x-amz-credential"],
            "ASIAEXAMPLE/20261123/eu-central-1/s3/aws4_request"
        );
        let conditions = policy["conditions"].as_array().expect("a list");
        let bound: BTreeSet<&str> = conditions
            .iter()
            .filter(|it| it[0] == "eq")
            .map(|it| it[1].as_str().expect("a name"))
            .collect();
        for (name, value) in &fields {
            if name != "policy" && name != "x-amz-signature" {
                let condition = json!(["eq", format!("${name}"), value]);
                assert!(conditions.contains(&condition), "{name}");
            }
        }
        assert!(bound.contains("$bucket"));
        assert!(conditions.contains(&json!(["content-length-range", 1, 9])));
    }

    #[test]
    fn the_token_does_not_show() {
        let signer = FormSigner {
            access_key_id: "ASIAEXAMPLE",
            session_token: Some("t0ken"),
            region: "eu-central-1",
            now: Timestamp::from_millis(0),
        };
        assert!(!format!("{signer:?}").contains("t0ken"));
    }
}
