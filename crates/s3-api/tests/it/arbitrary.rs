//! Any text at all may be sent as a policy or a token: it is understood or refused, never a panic, and in a time that
//! grows with its length only as far as the pattern matcher's bound goes.
//!
//! The kept corpus and the random texts go through the same two functions, which a fuzzer can call as well.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::AssumeRole;
use two_buckets_s3_api::policy::{Context, Decision, Policy, Question, Value, decide_all, literal};

use crate::harness::{START_MILLIS, bucket};
use crate::sessions::sts;

const NOW: Timestamp = Timestamp::from_millis(START_MILLIS);
/// Longer than any of these texts can take by far, and short of what a quadratic reader or an exponential matcher
/// would.
const PATIENCE: Duration = Duration::from_mins(1);

/// Reads any bytes as a policy and asks it, with keys that are hard on patterns. Says whether it was understood.
fn policy_of_any(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let policy: Policy = match text.parse() {
        Ok(policy) => policy,
        Err(error) => {
            // The message says something and does not repeat the whole document.
            let message = error.to_string();
            assert!(!message.is_empty() && message.len() < 1_000, "{message}");
            return false;
        }
    };
    let mut context = Context::default();
    context.set("s3:prefix", Value::Text("a".repeat(1_024)));
    context.set("s3:max-keys", Value::Number(1_000.0));
    context.set("aws:CurrentTime", Value::Time(NOW));
    context.set("aws:SecureTransport", Value::Bool(false));
    context.set("aws:SourceIp", Value::Ip([127, 0, 0, 1].into()));
    for key in ["k", "", &"a".repeat(1_024), &"*".repeat(1_024)] {
        let resource = format!("arn:aws:s3:::b/{key}");
        for action in ["s3:PutObject", "s3:DeleteObject", "sts:AssumeRole", ""] {
            let question = Question {
                action,
                resource: &resource,
                context: &context,
            };
            let alone = policy.decide(&question);
            // With itself it says the same, and what it allows it may allow.
            assert_eq!(decide_all([&policy, &policy], &question), alone);
            assert!(alone != Decision::Allowed || policy.may_allow(action));
        }
    }
    true
}

/// Tries any bytes as a token of a session that exists.
fn token_of_any(bytes: &[u8]) -> bool {
    let token = String::from_utf8_lossy(bytes);
    ["TESTKEY", "ASIAAAAAAAAAAAAAAAAA", ""]
        .iter()
        .any(|id| sts().is_valid(id, &token, NOW))
}

/// Runs on a thread of its own, so that a test ends when the code does not.
fn within_patience(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || {
        work();
        // The waiter may be gone, which it says itself.
        let _sent = done.send(());
    });
    match wait.recv_timeout(PATIENCE) {
        Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => worker.join().unwrap(),
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it takes too long"),
    }
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() > 10, "the corpus {name} is missing");
    files
}

#[test]
fn the_kept_policies_are_understood_or_refused_as_their_names_say() {
    within_patience(|| {
        for (name, bytes) in corpus("policy") {
            assert_eq!(
                policy_of_any(&bytes),
                name.starts_with("allowed-"),
                "{name}"
            );
        }
    });
}

#[test]
fn the_kept_texts_are_no_tokens() {
    within_patience(|| {
        for (name, bytes) in corpus("token") {
            assert!(!token_of_any(&bytes), "{name}");
        }
    });
}

#[test]
fn the_longest_policies_take_no_longer_than_they_are_long() {
    let around = |resource: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/{resource}","Condition":{{"StringLike":{{"s3:prefix":"{resource}"}}}}}}}}"#
        )
    };
    within_patience(move || {
        for piece in ["a*", "*a", "?*", "*", "${*}", "a*?"] {
            let resource = piece.repeat(1_000 / piece.len());
            assert!(policy_of_any(around(&format!("{resource}b")).as_bytes()));
        }
        let many: Vec<String> = (0..1_500).map(|n| format!("\"k{n}\":0")).collect();
        assert!(!policy_of_any(format!("{{{}}}", many.join(",")).as_bytes()));
        let sids: Vec<String> = (0..140)
            .map(|n| format!(r#"{{"Sid":"S{n}","Effect":"Deny","Action":"s3:*","Resource":"*"}}"#))
            .collect();
        let document = format!(r#"{{"Statement":[{}]}}"#, sids.join(","));
        assert!(policy_of_any(document.as_bytes()));
    });
}

/// Texts that look like policies: words of the language, put together as it comes.
fn almost_a_policy() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\u0045",
        "\"Version\":\"2012-10-17\"",
        "\"Statement\":",
        "\"Effect\":\"Allow\"",
        "\"Effect\":\"Deny\"",
        "\"Action\":\"s3:*\"",
        "\"Action\":[\"s3:PutObject\"]",
        "\"Resource\":\"*\"",
        "\"Resource\":\"arn:aws:s3:::b/${*}\"",
        "\"Resource\":\"arn:aws:s3:::b/${aws:username}\"",
        "\"Condition\":{",
        "\"StringLike\":{\"s3:prefix\":\"a*\"}",
        "\"Bool\":{\"aws:SecureTransport\":true}",
        "null",
        "1e9",
        "-0",
        "${",
        "*",
        "?",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

/// Policies that are understood, of random parts.
fn policy() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec![
        "*",
        "s3:*",
        "s3:PutObject",
        "s3:Get*",
        "sts:AssumeRole",
        "s3:???Object",
    ]);
    let condition = prop::sample::select(vec![
        "",
        r#","Condition":{"StringLike":{"s3:prefix":"a*"}}"#,
        r#","Condition":{"Bool":{"aws:SecureTransport":false}}"#,
        r#","Condition":{"NumericLessThan":{"s3:max-keys":5}}"#,
        r#","Condition":{"Null":{"s3:delimiter":true}}"#,
    ]);
    let statement = (any::<bool>(), action, "[ab*?]{1,12}", condition).prop_map(|(allow, action, resource, condition)| {
        let effect = if allow { "Allow" } else { "Deny" };
        format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"arn:aws:s3:::b/{resource}"{condition}}}"#)
    });
    prop::collection::vec(statement, 1..6).prop_map(|all| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
            all.join(",")
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_policy_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        policy_of_any(&bytes);
    }

    #[test]
    fn what_looks_like_a_policy_is_one_or_none(text in almost_a_policy()) {
        policy_of_any(text.as_bytes());
    }

    #[test]
    fn policies_of_random_parts_are_understood(text in policy()) {
        prop_assert!(policy_of_any(text.as_bytes()), "{text}");
    }

    #[test]
    fn a_policy_with_a_byte_changed_is_one_or_none(text in policy(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = text.into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        policy_of_any(&bytes);
    }

    #[test]
    fn any_bytes_are_no_token(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!token_of_any(&bytes));
    }

    #[test]
    fn a_session_says_what_it_was_made_with(
        name in "[A-Za-z0-9_+=,.@-]{2,64}",
        key in "\\PC{1,100}",
        seconds in 1_u64..43_200,
        text in policy(),
    ) {
        let asked = AssumeRole {
            role_arn: two_buckets_s3_api::uploader_role(&bucket("plain")).arn(),
            session_name: name,
            policy: Some(text),
            duration: Duration::from_secs(seconds),
        };
        let made = sts().assume_role(&asked, NOW).unwrap();
        let (id, token) = (&made.credentials.access_key_id, &made.session_token);
        prop_assert_eq!(made.expires_at, NOW.after(asked.duration));
        prop_assert!(sts().is_valid(id, token, NOW));
        prop_assert!(!sts().is_valid(id, token, made.expires_at));
        prop_assert!(!sts().is_valid("TESTKEY", token, NOW));
        // A key quoted for JSON and as a literal makes a policy, whatever it is.
        let quoted = serde_json::to_string(&format!("arn:aws:s3:::plain/{}", literal(&key))).unwrap();
        let one = format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:PutObject","Resource":{quoted}}}}}"#);
        prop_assert!(one.parse::<Policy>().is_ok(), "{one}");
    }
}
