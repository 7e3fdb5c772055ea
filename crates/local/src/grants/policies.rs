//! What session policies of grants allow, by the engine that decides it here.

use two_buckets_s3_api::policy::{Context, Decision, Policy, Question, Value};
use two_buckets_uploads::CredentialScope;

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

fn of(scope: &CredentialScope) -> Policy {
    let staging = "staging".parse().expect("a name");
    let text = scope
        .session_policy(&staging, "aws", None)
        .expect("it fits");
    text.parse().expect("a policy")
}

fn one(key: &str, must_be_new: bool) -> Policy {
    let key = key.parse().expect("a key");
    let scope = CredentialScope::Key { key, must_be_new };
    of(&scope)
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
    let policy = of(&CredentialScope::Below(prefix));
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
