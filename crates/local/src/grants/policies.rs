//! The session policies of credentials that are given away.
//!
//! A session may do what its role allows and its policy allows: these narrow the uploader role to one key or to what
//! is below one prefix. A key goes into a policy only through [`policy::literal`]: unescaped, a key `*` would open every
//! object.

use two_buckets_objects::BucketName;
use two_buckets_s3_api::policy;
use two_buckets_uploads::CredentialScope;

/// Said action by action although the role allows no others: should the role ever allow more, these do not.
const ACTIONS: &str = r#"["s3:PutObject","s3:ListMultipartUploadParts","s3:AbortMultipartUpload"]"#;

/// A minted key is written only where nothing is: parts and the beginning of an upload carry no condition and make no
/// object (S3 User Guide, "Enforce conditional writes on Amazon S3 buckets").
const ONLY_WHERE_NOTHING_IS: &str = r#",{"Effect":"Deny","Action":"s3:PutObject","Resource":"*","Condition":{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}}"#;

/// The policy, as short as it can be: the key has to fit into its 2,048 characters.
pub(super) fn of(staging: &BucketName, scope: &CredentialScope) -> String {
    let (objects, condition) = match scope {
        CredentialScope::Key { key, must_be_new } => {
            let condition = if *must_be_new {
                ONLY_WHERE_NOTHING_IS
            } else {
                ""
            };
            (policy::literal(key.as_str()), condition)
        }
        CredentialScope::Below(prefix) => (format!("{}*", policy::literal(prefix.as_str())), ""),
    };
    let resource = serde_json::Value::from(format!("arn:aws:s3:::{staging}/{objects}"));
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{ACTIONS},"Resource":{resource}}}{condition}]}}"#
    )
}

#[cfg(test)]
mod tests {
    use two_buckets_s3_api::policy::{
        Context, Decision, Policy, Question, SESSION_POLICY_CHARS_MAX, Value,
    };

    use super::*;

    const AWKWARD: [&str; 14] = [
        "*",
        "a*",
        "a?",
        "?",
        "**",
        "${aws:username}",
        "${*}",
        "$",
        "a\"b",
        "a\\b",
        "a/*/b",
        "übersicht 🙂",
        "a,b\"],\"Resource\":\"*",
        "{}",
    ];

    fn one(key: &str, must_be_new: bool) -> Policy {
        let key = key.parse().expect("a key");
        let scope = CredentialScope::Key { key, must_be_new };
        let text = of(&"staging".parse().expect("a name"), &scope);
        text.parse().expect("a policy")
    }

    fn allows(policy: &Policy, action: &str, key: &str, context: &Context) -> bool {
        let resource = format!("arn:aws:s3:::staging/{key}");
        let question = Question {
            action,
            resource: &resource,
            context,
        };
        policy.decide(&question) == Decision::Allowed
    }

    #[test]
    fn credentials_for_an_awkward_key_open_that_key_and_no_other() {
        let none = Context::default();
        for key in AWKWARD {
            let policy = one(key, false);
            assert!(allows(&policy, "s3:PutObject", key, &none), "{key}");
            let others = AWKWARD.into_iter().chain([
                "a",
                "ab",
                "aa",
                "abc",
                "other",
                "x/y",
                "",
                "aws:username",
                "somebody",
                "a/b/b",
                "a//b",
            ]);
            for other in others.filter(|other| *other != key) {
                for action in ["s3:PutObject", "s3:AbortMultipartUpload"] {
                    assert!(
                        !allows(&policy, action, other, &none),
                        "{key} opens {other}"
                    );
                }
            }
        }
    }

    #[test]
    fn credentials_put_and_resume_and_nothing_else() {
        let policy = one("a", false);
        let none = Context::default();
        for action in [
            "s3:PutObject",
            "s3:ListMultipartUploadParts",
            "s3:AbortMultipartUpload",
        ] {
            assert!(allows(&policy, action, "a", &none), "{action}");
        }
        for action in [
            "s3:GetObject",
            "s3:GetObjectAttributes",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:PutObjectTagging",
            "s3:PutObjectAcl",
            "s3:ListBucket",
            "sts:AssumeRole",
        ] {
            assert!(!allows(&policy, action, "a", &none), "{action}");
        }
        let question = Question {
            action: "s3:PutObject",
            resource: "arn:aws:s3:::archive/a",
            context: &none,
        };
        assert_ne!(
            policy.decide(&question),
            Decision::Allowed,
            "another bucket"
        );
    }

    #[test]
    fn a_minted_key_is_made_only_where_nothing_is_while_its_parts_need_no_condition() {
        let policy = one("a", true);
        let request = |creates: bool, condition: Option<&str>| {
            let mut context = Context::default();
            context.set("s3:ObjectCreationOperation", Value::Bool(creates));
            context.set_text("s3:if-none-match", condition);
            allows(&policy, "s3:PutObject", "a", &context)
        };
        assert!(request(true, Some("*")));
        assert!(!request(true, None));
        assert!(request(false, None));
    }

    #[test]
    fn credentials_for_a_prefix_open_what_is_below_it() {
        let prefix = "te*m/".parse().expect("a prefix");
        let text = of(
            &"staging".parse().expect("a name"),
            &CredentialScope::Below(prefix),
        );
        let policy: Policy = text.parse().expect("a policy");
        let none = Context::default();
        for (key, opened) in [
            ("te*m/a", true),
            ("te*m/a/b", true),
            ("te*m", false),
            ("team/a", false),
            ("a/te*m/a", false),
        ] {
            assert_eq!(allows(&policy, "s3:PutObject", key, &none), opened, "{key}");
        }
    }

    #[test]
    fn a_key_of_any_length_fits_unless_it_is_made_of_special_characters() {
        let bucket = "b".repeat(63).parse().expect("a name");
        let chars = |key: String, must_be_new| {
            let key = key.parse().expect("a key");
            of(&bucket, &CredentialScope::Key { key, must_be_new })
                .chars()
                .count()
        };
        for must_be_new in [true, false] {
            assert!(chars("k".repeat(1_024), must_be_new) <= SESSION_POLICY_CHARS_MAX);
            assert!(chars("ä".repeat(512), must_be_new) <= SESSION_POLICY_CHARS_MAX);
            let mixed = format!("{}{}", "*".repeat(200), "k".repeat(824));
            assert!(chars(mixed, must_be_new) <= SESSION_POLICY_CHARS_MAX);
            assert!(chars("*".repeat(1_024), must_be_new) > SESSION_POLICY_CHARS_MAX);
        }
    }
}
