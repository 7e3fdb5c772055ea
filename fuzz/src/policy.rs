use std::fmt::Write as _;

use two_buckets_s3_api::policy::{Context, Decision, Policy, Question, literal};

/// Reads any bytes as a policy and asks it: nothing panics, the same question has the same answer, and a text written
/// as a literal opens itself only.
///
/// # Panics
///
/// When one of these promises is broken.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let context = Context::default();
    if let Ok(policy) = text.parse::<Policy>() {
        for action in ["s3:PutObject", "s3:GetObject", "sts:AssumeRole", "s3:*", ""] {
            for resource in [
                "arn:aws:s3:::staging/own",
                "arn:aws:s3:::archive/own",
                "*",
                "",
            ] {
                let question = Question {
                    action,
                    resource,
                    context: &context,
                };
                assert_eq!(policy.decide(&question), policy.decide(&question));
            }
        }
    }
    opens_itself_only(text, &context);
}

/// A session policy for a key that is this text, as the upload API writes it.
fn opens_itself_only(key: &str, context: &Context) {
    let resource = format!("arn:aws:s3:::staging/{}", literal(key));
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:PutObject","Resource":{}}}}}"#,
        quoted(&resource)
    );
    let Ok(policy) = policy.parse::<Policy>() else {
        // Too long, or with a character that no resource has.
        return;
    };
    let allows = |key: &str| {
        policy.decide(&Question {
            action: "s3:PutObject",
            resource: &format!("arn:aws:s3:::staging/{key}"),
            context,
        }) == Decision::Allowed
    };
    assert!(allows(key), "a literal opens what it says: {key:?}");
    let others = [
        format!("{key}x"),
        format!("x{key}"),
        format!("{key}/own"),
        key.replace(['*', '?'], "x"),
        key.replace('*', ""),
        key.replace("${", "").replace('}', ""),
        "own".to_owned(),
        String::new(),
    ];
    for other in others.iter().filter(|other| *other != key) {
        assert!(!allows(other), "a literal {key:?} opens {other:?}");
    }
}

/// The text as JSON has it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                // No control character needs two units.
                write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes everything");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
