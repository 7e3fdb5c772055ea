//! Rules as they are written, and what they strike.

use serde_json::{Value, json};
use two_buckets_s3_api::Fault;
use two_buckets_s3_api::faults::Code;
use two_buckets_uploads::Faults as _;

use super::kind::{EventKind, OF_CALLS};
use super::rule::{Facts, Rule};
use super::{Switch, read};

fn written(toml: &str) -> Value {
    serde_json::to_value(toml.parse::<toml::Table>().unwrap()).unwrap()
}

fn rules(toml: &str) -> Vec<Rule> {
    read::rules(&written(toml), || 99).unwrap()
}

fn rule(fields: &str) -> Rule {
    rules(&format!("[[fault]]\n{fields}")).pop().unwrap()
}

fn refused(toml: &str) -> String {
    read::rules(&written(toml), || 99).unwrap_err()
}

fn call<'a>(operation: &'static str, bucket: &'a str, key: &'a str) -> Facts<'a> {
    Facts {
        operation,
        bucket: Some(bucket),
        key: (!key.is_empty()).then_some(key),
        is_conditional: false,
    }
}

#[test]
fn a_rule_strikes_what_it_is_about_and_counts_both() {
    let rule = rule(
        "operation = ['PutObject', 'CopyObject']\nbucket = 'archive'\nkey = ['photos/**', '*.jpg']\nfault = 'SlowDown'\nevery = 2",
    );
    for (operation, bucket, key, struck) in [
        ("PutObject", "archive", "photos/a/b", false),
        ("CopyObject", "archive", "a.jpg", true),
        ("GetObject", "archive", "a.jpg", false),
        ("PutObject", "staging", "a.jpg", false),
        ("PutObject", "archive", "b/a.jpg", false),
        ("PutObject", "archive", "", false),
        ("PutObject", "archive", "a.jpg", false),
        ("PutObject", "archive", "a.jpg", true),
    ] {
        let fault = rule.on_call(&call(operation, bucket, key));
        let wanted = struck.then_some(Fault::Refused(Code::SlowDown));
        assert_eq!(fault, wanted, "{operation} {bucket} {key}");
    }
    let shown = rule.shown();
    assert_eq!((shown.matched, shown.struck), (4, 2));
    assert_eq!(
        shown.words,
        "503 SlowDown to PutObject, CopyObject in archive, keys photos/** or *.jpg, every 2nd time"
    );
    assert_eq!(shown.operations, ["PutObject", "CopyObject"]);
}

#[test]
fn the_same_seed_strikes_the_same_calls() {
    let run = |seed: u64| -> Vec<bool> {
        let rule = rule(&format!(
            "operation = '*'\nfault = 'InternalError'\nprobability = 0.3\nseed = {seed}"
        ));
        let calls = (0..200).map(|_| rule.on_call(&call("GetObject", "b", "k")).is_some());
        calls.collect()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let struck = run(7).iter().filter(|it| **it).count();
    assert!((40..80).contains(&struck), "{struck}");
}

#[test]
fn a_rule_without_a_seed_shows_the_one_it_took() {
    let rule = rule("operation = '*'\nfault = 'SlowDown'\nprobability = 0.5");
    assert!(rule.words().contains("(seed 99)"), "{}", rule.words());
}

#[test]
fn the_first_rule_that_strikes_decides_and_those_behind_it_are_not_asked() {
    let switch = Switch::default();
    switch
        .set(&written(
            "[[fault]]\nname = 'a'\noperation = 'event'\nfault = 'lost'\nnth = 1\n\
             [[fault]]\nname = 'b'\noperation = 'event'\nfault = 'delayed'\ndelay_ms = 5\nkey = 'x/*'",
        ))
        .unwrap();
    let strike = |key: &str| switch.find(|rule| rule.on_event("staging", key));
    assert_eq!(strike("x/1").unwrap().1, EventKind::Lost);
    assert_eq!(&*strike("x/2").unwrap().0, "b");
    assert!(strike("y/3").is_none());
    let counts: Vec<_> = switch
        .rules()
        .iter()
        .map(|it| (it.matched, it.struck))
        .collect();
    assert_eq!(counts, [(3, 1), (1, 1)]);
    switch.clear();
    assert!(strike("x/4").is_none());
    assert_eq!(switch.rules(), []);
}

#[test]
fn rules_that_are_refused_leave_those_that_are_on() {
    let switch = Switch::default();
    let one = |fault: &str| json!({"fault": [{"operation": "PutObject", "fault": fault}]});
    switch.set(&one("SlowDown")).unwrap();
    switch.set(&one("SlowUp")).unwrap_err();
    assert_eq!(switch.rules()[0].fault, "SlowDown");
}

#[test]
fn a_condition_is_failed_only_where_there_is_one() {
    for fault in ["PreconditionFailed", "ConditionalRequestConflict"] {
        let rule = rule(&format!("operation = 'PutObject'\nfault = '{fault}'"));
        let plain = call("PutObject", "b", "k");
        assert_eq!(rule.on_call(&plain), None);
        let conditional = Facts {
            is_conditional: true,
            ..plain
        };
        assert!(rule.on_call(&conditional).is_some());
        assert_eq!(rule.shown().matched, 1);
    }
}

#[test]
fn took_effect_makes_another_fault_of_the_same_word() {
    let of = |more: &str| {
        let rule = rule(&format!("operation = 'PutObject'\n{more}"));
        (
            rule.on_call(&call("PutObject", "b", "k")).unwrap(),
            rule.shown().took_effect,
        )
    };
    assert_eq!(
        of("fault = 'InternalError'"),
        (Fault::Refused(Code::InternalError), false)
    );
    assert_eq!(
        of("fault = 'InternalError'\ntook_effect = true"),
        (Fault::AnswerLost, true)
    );
    assert_eq!(
        of("fault = 'cut'"),
        (Fault::Cut { took_effect: false }, false)
    );
    assert_eq!(
        of("fault = 'cut'\ntook_effect = true"),
        (Fault::Cut { took_effect: true }, true)
    );
}

#[test]
fn a_star_means_every_operation_that_can_be_struck() {
    for word in OF_CALLS {
        let more = match word {
            "delay" => "delay_ms = 1",
            "slow-request" | "slow-answer" => "bytes_per_s = 1",
            _ => "",
        };
        let rule = rule(&format!("operation = '*'\nfault = '{word}'\n{more}"));
        assert!(!rule.operations.is_empty(), "{word}");
    }
    let early = rule("operation = '*'\nfault = 'error-in-200'");
    let mut names = early.operations.clone();
    names.sort_unstable();
    assert_eq!(
        names,
        ["CompleteMultipartUpload", "CopyObject", "UploadPartCopy"]
    );
    let lists = rule("operation = '*'\nfault = 'SlowDown'\nkey = 'a'");
    assert!(!lists.operations.contains(&"ListObjectsV2"));
}

#[test]
fn whatever_is_wrong_is_said_with_the_rule_and_the_field() {
    let fault = |fields: &str| format!("[[fault]]\noperation = 'PutObject'\n{fields}");
    for (toml, words) in [
        ("x = 1".to_owned(), "x means nothing; there is [[fault]]"),
        ("[[faults]]".to_owned(), "did you mean [[fault]]?"),
        (String::new(), "there is no rule"),
        ("fault = 1".to_owned(), "[[fault]]"),
        ("[[fault]]\nfault = 'cut'".to_owned(), "fault 1: operation: is missing"),
        (fault(""), "fault 1: fault: is missing"),
        (
            fault("name = 'busy'\nfault = 'SlowDow'"),
            "fault 1 (busy): fault: there is no SlowDow; did you mean SlowDown?",
        ),
        (fault("fault = '503'"), "there are SlowDown, InternalError"),
        (
            fault("fault = 'cut'\nprobabilty = 0.5"),
            "fault 1: probabilty means nothing; did you mean probability?",
        ),
        (
            "[[fault]]\noperation = 'putobject'\nfault = 'cut'".to_owned(),
            "operation: there is no putobject; did you mean PutObject?",
        ),
        (
            "[[fault]]\noperation = ['event', 'PutObject']\nfault = 'lost'".to_owned(),
            "stands alone",
        ),
        (fault("fault = 'lost'"), "happens to events"),
        (
            "[[fault]]\noperation = 'event'\nfault = 'SlowDown'".to_owned(),
            "not to events",
        ),
        (fault("fault = 'cut'\nprobability = 1.5"), "probability: is 1.5"),
        (fault("fault = 'cut'\nprobability = 0"), "probability: is 0"),
        (fault("fault = 'cut'\nnth = 0"), "nth: is 0"),
        (fault("fault = 'cut'\nnth = 1\nevery = 2"), "nth says already when"),
        (fault("fault = 'cut'\nseed = 1"), "seed: means nothing without"),
        (fault("fault = 'delay'"), "delay_ms: is missing"),
        (fault("fault = 'delay'\ndelay_ms = 600001"), "from 1 to 600000"),
        (fault("fault = 'slow-request'"), "bytes_per_s: is missing"),
        (
            fault("fault = 'SlowDown'\ndelay_ms = 5"),
            "delay_ms: means nothing for SlowDown",
        ),
        (
            fault("fault = 'SlowDown'\ntook_effect = true"),
            "took_effect: means nothing for SlowDown",
        ),
        (fault("fault = 'cut'\nkey = 'a['"), "key: \"a[\" is no pattern"),
        (fault("fault = 'cut'\nkey = []"), "key: is no text"),
        (fault("fault = 'error-in-200'"), "cannot strike PutObject"),
        (fault("fault = 'cut-answer'"), "its answer has no body"),
        (
            "[[fault]]\noperation = 'GetObject'\nfault = 'cut-request'".to_owned(),
            "cannot strike GetObject: its request carries no file",
        ),
        (
            "[[fault]]\noperation = 'GetObject'\nfault = 'InternalError'\ntook_effect = true".to_owned(),
            "leave took_effect out",
        ),
        (
            "[[fault]]\noperation = 'ListObjectsV2'\nfault = 'PreconditionFailed'".to_owned(),
            "takes no condition",
        ),
        (
            "[[fault]]\noperation = 'GetObject'\nfault = 'OperationAborted'".to_owned(),
            "nothing can be in conflict",
        ),
        (
            "[[fault]]\noperation = 'DeleteObjects'\nkey = 'a'\nfault = 'SlowDown'".to_owned(),
            "names no key",
        ),
        (
            "[[fault]]\nname = 'a'\noperation = '*'\nfault = 'cut'\n[[fault]]\nname = 'a'\noperation = '*'\nfault = 'cut'".to_owned(),
            "fault 2 (a): name: there is another",
        ),
    ] {
        let problem = refused(&toml);
        assert!(problem.contains(words), "{toml}\n{problem}");
    }
}

#[test]
fn every_fault_is_said_in_words() {
    let said = |fields: &str| rule(fields).words();
    for (fields, words) in [
        (
            "operation = '*'\nfault = 'InternalError'\nfirst = 3",
            "500 InternalError before it took effect to every operation, the first 3 times",
        ),
        (
            "operation = 'PutObject'\nfault = 'InternalError'\ntook_effect = true",
            "500 InternalError after it took effect to PutObject, always",
        ),
        (
            "operation = 'GetObject'\nfault = 'cut-answer'\nafter_bytes = 7\nnth = 2",
            "connection cut within the answer, after 7 bytes to GetObject, the 2nd time",
        ),
        (
            "operation = 'event'\nfault = 'reordered'\nkey = 'a/*'",
            "events come behind the next one, or 1000 ms late, keys a/*, always",
        ),
    ] {
        assert_eq!(said(fields), words);
    }
}
