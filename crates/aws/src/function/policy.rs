//! What the credentials of one invocation are good for.

use serde_json::json;
use two_buckets_objects::policy::{SESSION_POLICY_CHARS_MAX, literal, within_sts};
use two_buckets_objects::{BucketName, VersionRef};
use two_buckets_pipeline::archive::{RESULTS_PREFIX, results_prefix};

/// What the credentials of an invocation are to be good for.
pub(super) struct Scope<'a> {
    /// The version.
    pub(super) source: &'a VersionRef,
    /// The bucket its results go into.
    pub(super) archive: &'a BucketName,
    /// The key that both buckets are encrypted with, if it is not S3's own: S3 uses it in the name of whoever calls.
    pub(super) kms_key_arn: Option<&'a str>,
    /// `aws`, or what stands there in China and for the government.
    pub(super) partition: &'a str,
}

impl Scope<'_> {
    /// The session policy: read exactly this version, write below its place among the results, and nothing else.
    ///
    /// Where a long key does not fit into a policy, it is cut and the rest is a `*`; the version's id stays whole on both
    /// sides, and on S3 no two versions share one. None if not even that fits.
    pub(super) fn policy(&self) -> Option<String> {
        let key = self.source.key.as_str();
        let whole = self.written(&literal(key));
        if fits(&whole) {
            return Some(whole);
        }
        let ends = key.char_indices().map(|(at, _)| at).rev();
        ends.map(|end| self.written(&format!("{}*", literal(&key[..end]))))
            .find(|cut| fits(cut))
    }

    /// The shortest policy that is as good on S3: the version's id alone says which it is.
    pub(super) fn shortest_policy(&self) -> String {
        self.written("*")
    }

    /// The policy with this pattern in the key's place.
    fn written(&self, key: &str) -> String {
        let Scope {
            source,
            archive,
            kms_key_arn,
            partition,
        } = self;
        let version_id = literal(source.version_id.as_str());
        let results = results_prefix(source);
        let with_key = format!("{RESULTS_PREFIX}{}/", source.key);
        // Of a key that is too long for its place its digest is there, which is short.
        let results = match results.strip_prefix(&with_key) {
            Some(rest) => format!("{RESULTS_PREFIX}{key}/{}", literal(rest)),
            None => literal(&results),
        };
        let mut statements = vec![
            json!({
                "Effect": "Allow",
                "Action": "s3:GetObjectVersion",
                "Resource": format!("arn:{partition}:s3:::{}/{key}", source.bucket),
                "Condition": { "StringEquals": { "s3:VersionId": version_id } },
            }),
            json!({
                "Effect": "Allow",
                // Parts are put by the same permission as objects; who breaks off takes its parts away.
                "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
                "Resource": format!("arn:{partition}:s3:::{archive}/{results}*"),
            }),
        ];
        if let Some(key_arn) = kms_key_arn {
            statements.push(json!({
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": literal(key_arn),
            }));
        }
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        within_sts(&policy.to_string())
    }
}

fn fits(policy: &str) -> bool {
    policy.chars().count() <= SESSION_POLICY_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use two_buckets_objects::VersionId;

    fn of_key(key: &str, version_id: &str) -> Option<String> {
        let source = VersionRef {
            bucket: "staging".parse().unwrap(),
            key: key.parse().unwrap(),
            version_id: VersionId::new(version_id),
        };
        let scope = Scope {
            source: &source,
            archive: &"archive".parse().unwrap(),
            kms_key_arn: None,
            partition: "aws",
        };
        scope.policy()
    }

    #[test]
    fn it_names_one_version_and_its_results_and_no_more() {
        let policy: Value = serde_json::from_str(&of_key("in/a*.pdf", "v1").unwrap()).unwrap();
        assert_eq!(
            policy,
            json!({
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "s3:GetObjectVersion",
                        "Resource": "arn:aws:s3:::staging/in/a${*}.pdf",
                        "Condition": { "StringEquals": { "s3:VersionId": "v1" } },
                    },
                    {
                        "Effect": "Allow",
                        "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
                        "Resource": "arn:aws:s3:::archive/_results/in/a${*}.pdf/v1/*",
                    },
                ],
            })
        );
    }

    #[test]
    fn the_key_of_encryption_is_named_where_there_is_one_and_the_shortest_still_names_the_version()
    {
        let source = VersionRef {
            bucket: "staging".parse().unwrap(),
            key: "a".parse().unwrap(),
            version_id: VersionId::new("v1"),
        };
        let scope = Scope {
            source: &source,
            archive: &"archive".parse().unwrap(),
            kms_key_arn: Some("arn:aws-cn:kms:r:1:key/k"),
            partition: "aws-cn",
        };
        let policy: Value = serde_json::from_str(&scope.shortest_policy()).unwrap();
        assert_eq!(
            policy["Statement"],
            json!([
                {
                    "Effect": "Allow",
                    "Action": "s3:GetObjectVersion",
                    "Resource": "arn:aws-cn:s3:::staging/*",
                    "Condition": { "StringEquals": { "s3:VersionId": "v1" } },
                },
                {
                    "Effect": "Allow",
                    "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
                    "Resource": "arn:aws-cn:s3:::archive/_results/*/v1/*",
                },
                {
                    "Effect": "Allow",
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                    "Resource": "arn:aws-cn:kms:r:1:key/k",
                },
            ])
        );
    }

    #[test]
    fn a_key_that_is_too_long_is_cut_and_the_version_is_not() {
        let version_id = "v".repeat(32);
        for key in [
            "k".repeat(1_024),
            "ä".repeat(512),
            "文".repeat(341),
            "*".repeat(500),
        ] {
            let text = of_key(&key, &version_id).unwrap();
            let chars = text.chars().count();
            assert!(chars <= SESSION_POLICY_CHARS_MAX);
            let policy: Value = serde_json::from_str(&text).unwrap();
            // As narrow as it can be: whole, or not one character more would fit.
            let is_whole = policy["Statement"][0]["Resource"]
                == format!("arn:aws:s3:::staging/{}", literal(&key));
            assert!(is_whole || chars > SESSION_POLICY_CHARS_MAX - 16);
            let condition = &policy["Statement"][0]["Condition"];
            assert_eq!(condition["StringEquals"]["s3:VersionId"], *version_id);
            let results = policy["Statement"][1]["Resource"].as_str().unwrap();
            assert!(results.contains(&format!("/{version_id}/*")), "{results}");
        }
        // Each takes four characters.
        assert_eq!(of_key("a", &"*".repeat(500)), None);
    }
}
