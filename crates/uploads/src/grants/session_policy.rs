//! The session policies of credentials that are given away.
//!
//! A session may do what its role allows and its policy allows: these narrow the uploader role to one key or to what
//! is below one prefix. A key goes into a policy only through [`literal`]: unescaped, a key `*` would open every object.

use two_buckets_objects::BucketName;
use two_buckets_objects::policy::{SESSION_POLICY_CHARS_MAX, literal, within_sts};

use crate::{CredentialScope, Error, Result};

/// Said action by action although the role allows no others: should the role ever allow more, these do not.
const ACTIONS: &str = r#"["s3:PutObject","s3:ListMultipartUploadParts","s3:AbortMultipartUpload"]"#;

/// A minted key is written only where nothing is: parts and the beginning of an upload carry no condition and make no
/// object (S3 User Guide, "Enforce conditional writes on Amazon S3 buckets").
const ONLY_WHERE_NOTHING_IS: &str = r#",{"Effect":"Deny","Action":"s3:PutObject","Resource":"*","Condition":{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}}"#;

impl CredentialScope {
    /// The policy that narrows a session of the uploader role, in this partition of AWS, to this scope, as short as it can
    /// be.
    ///
    /// Where the bucket encrypts with a KMS key of its owner, the session must be let use that key through S3, because
    /// S3 asks KMS in the session's name: `GenerateDataKey` for each write, `Decrypt` for the parts of an upload.
    ///
    /// A scope that does not fit into a session policy is [`Error::Refused`]: one of the characters `*`, `?`, `$` takes
    /// four, `"` and `\` two, and one beyond U+00FF six or twelve.
    pub fn session_policy(
        &self,
        staging: &BucketName,
        partition: &str,
        kms_key_arn: Option<&str>,
    ) -> Result<String> {
        let (objects, condition) = match self {
            Self::Key { key, must_be_new } => {
                let condition = if *must_be_new {
                    ONLY_WHERE_NOTHING_IS
                } else {
                    ""
                };
                (literal(key.as_str()), condition)
            }
            Self::Below(prefix) => (format!("{}*", literal(prefix.as_str())), ""),
        };
        let resource = quoted(&format!("arn:{partition}:s3:::{staging}/{objects}"));
        let key = kms_key_arn.map(for_key).unwrap_or_default();
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{ACTIONS},"Resource":{resource}}}{condition}{key}]}}"#
        );
        if policy.chars().count() > SESSION_POLICY_CHARS_MAX {
            return Err(scope_does_not_fit());
        }
        Ok(policy)
    }
}

/// Says that a scope does not fit: counted here, or by STS, which packs policies and limits that as well, in a way it
/// does not tell before (STS API, `AssumeRole`, `PackedPolicyTooLarge`).
pub fn scope_does_not_fit() -> Error {
    Error::Refused {
        reason: "credentials for this key cannot be made: it does not fit into a policy of 2,048 characters, where each \
                 of * ? $ takes four and one beyond Latin-1 six or twelve; ask for a signed URL or for parts"
            .into(),
    }
}

fn for_key(arn: &str) -> String {
    let arn = quoted(&literal(arn));
    format!(
        r#",{{"Effect":"Allow","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":{arn},"Condition":{{"StringLike":{{"kms:ViaService":"s3.*"}}}}}}"#
    )
}

/// A JSON string of the characters that a policy may have.
fn quoted(text: &str) -> String {
    within_sts(&serde_json::Value::from(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bucket: &str, key: &str, must_be_new: bool, kms: Option<&str>) -> Result<String> {
        let key = key.parse().expect("a key");
        let scope = CredentialScope::Key { key, must_be_new };
        scope.session_policy(&bucket.parse().expect("a name"), "aws", kms)
    }

    const KMS: &str =
        "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn a_key_of_any_length_fits_unless_it_is_made_of_special_characters() {
        let bucket = "b".repeat(63);
        for must_be_new in [true, false] {
            for kms in [None, Some(KMS)] {
                let fits = |key: &str| of(&bucket, key, must_be_new, kms).is_ok();
                assert!(fits(&"k".repeat(1_024)));
                assert!(fits(&"ä".repeat(512)));
                assert!(fits(&format!("{}{}", "*".repeat(100), "k".repeat(924))));
                assert!(fits(&"文".repeat(200)));
                assert!(!fits(&"*".repeat(1_024)));
                assert!(!fits(&"文".repeat(341)));
            }
        }
    }

    #[test]
    fn a_policy_has_only_characters_that_sts_takes_and_reads_as_it_was_meant() {
        for key in [
            "übersicht 🙂.csv",
            "文件/报告",
            "a\u{ff}b\u{100}c",
            "\"\\${*}?",
        ] {
            let policy = of("staging", key, true, Some(KMS)).expect("it fits");
            assert!(
                policy.chars().all(|c| (' '..='\u{ff}').contains(&c)),
                "{policy}"
            );
            let read: serde_json::Value = serde_json::from_str(&policy).expect("JSON");
            assert_eq!(
                read["Statement"][0]["Resource"],
                format!("arn:aws:s3:::staging/{}", literal(key))
            );
        }
    }

    #[test]
    fn a_policy_names_the_bucket_in_its_partition() {
        let key = "a".parse().expect("a key");
        let scope = CredentialScope::Key {
            key,
            must_be_new: false,
        };
        let staging = "staging".parse().expect("a name");
        let policy = scope
            .session_policy(&staging, "aws-cn", None)
            .expect("it fits");
        assert!(policy.contains("\"arn:aws-cn:s3:::staging/a\""), "{policy}");
    }

    #[test]
    fn what_does_not_fit_is_refused_in_words_and_without_a_policy() {
        match of("staging", &"?".repeat(1_000), false, None) {
            Err(Error::Refused { reason }) => assert!(reason.contains("signed URL"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_of_kms_is_opened_through_s3_only() {
        let policy = of("staging", "a", true, Some(KMS)).expect("it fits");
        let read: serde_json::Value = serde_json::from_str(&policy).expect("JSON");
        assert_eq!(
            read["Statement"][2],
            serde_json::json!({
                "Effect": "Allow",
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": KMS,
                "Condition": {"StringLike": {"kms:ViaService": "s3.*"}},
            })
        );
    }
}
