//! What AWS documents of policies, case by case. Each group names the page it is taken from; all are of the IAM User
//! Guide unless another is said.

use two_buckets_objects::Timestamp;

use super::{Context, Decision, Policy, Question, Value, decide_all, literal};
use Decision::{Allowed, Denied, NotAllowed};

const OBJECT: &str = "arn:aws:s3:::b/k";

fn policy(text: &str) -> Policy {
    text.parse()
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A policy of version 2012-10-17 with these statements.
fn statements(text: &str) -> Policy {
    policy(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{text}]}}"#
    ))
}

fn context(values: &[(&str, Value)]) -> Context {
    let mut context = Context::default();
    for (name, value) in values {
        context.set(name, value.clone());
    }
    context
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn decide(policy: &Policy, action: &str, resource: &str, values: &[(&str, Value)]) -> Decision {
    policy.decide(&Question {
        action,
        resource,
        context: &context(values),
    })
}

/// Whether a statement with this condition allows a request that says these values.
fn condition_holds(condition: &str, values: &[(&str, Value)]) -> bool {
    let policy = statements(&format!(
        r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#
    ));
    decide(&policy, "s3:GetObject", OBJECT, values) == Allowed
}

#[track_caller]
fn refused(text: &str, because: &str) {
    let error = text.parse::<Policy>().expect_err(text).to_string();
    assert!(error.contains(because), "{error:?} for {text}");
}

/// "Policy evaluation logic": "By default, all requests are implicitly denied"; "An explicit deny in any policy
/// overrides any allows".
#[test]
fn nothing_is_allowed_by_default_and_a_deny_wins_wherever_it_stands() {
    let allow = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let deny = r#"{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::b/*"}"#;
    let ask = |statements_: &str, action| decide(&statements(statements_), action, OBJECT, &[]);
    assert_eq!(ask(allow, "s3:DeleteObject"), Allowed);
    assert_eq!(ask(allow, "sts:AssumeRole"), NotAllowed);
    assert_eq!(ask(deny, "s3:GetObject"), NotAllowed);
    for both in [format!("{allow},{deny}"), format!("{deny},{allow}")] {
        assert_eq!(ask(&both, "s3:DeleteObject"), Denied);
        assert_eq!(ask(&both, "s3:GetObject"), Allowed);
    }
}

/// "Policies and permissions", "Session policies": "The permissions for a session are the intersection of the
/// identity-based policies […] and the session policies. […] An explicit deny in any of these policies overrides the
/// allow."
#[test]
fn a_session_may_do_what_both_policies_allow_and_neither_denies() {
    let put = statements(r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}"#);
    let all = statements(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#);
    let no_put = statements(
        r#"{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:PutObject","Resource":"*"}"#,
    );
    let ask = |policies: &[&Policy], action| {
        decide_all(
            policies.iter().copied(),
            &Question {
                action,
                resource: OBJECT,
                context: &Context::default(),
            },
        )
    };
    assert_eq!(ask(&[&put, &all], "s3:PutObject"), Allowed);
    assert_eq!(ask(&[&all, &put], "s3:GetObject"), NotAllowed);
    assert_eq!(ask(&[&put, &all], "s3:GetObject"), NotAllowed);
    assert_eq!(ask(&[&put, &no_put], "s3:PutObject"), Denied);
    assert_eq!(ask(&[&no_put, &put], "s3:PutObject"), Denied);
    assert_eq!(ask(&[], "s3:PutObject"), NotAllowed);
}

/// "IAM JSON policy elements: Action": "The prefix and the action name are case insensitive"; wildcards `*` and `?`.
#[test]
fn actions_have_wildcards_and_no_case() {
    for (pattern, action, allowed) in [
        ("s3:GetObject", "s3:GetObject", true),
        ("S3:getobject", "s3:GetObject", true),
        ("s3:GetObject", "s3:GetObjectVersion", false),
        ("s3:Get*", "s3:GetObjectVersion", true),
        ("s3:*Object", "s3:PutObject", true),
        ("s3:*Object", "s3:PutObjectAcl", false),
        ("s3:???Object", "s3:GetObject", true),
        ("s3:???Object", "s3:DeleteObject", false),
        ("s3:*", "sts:AssumeRole", false),
        ("*", "sts:AssumeRole", true),
    ] {
        let policy = statements(&format!(
            r#"{{"Effect":"Allow","Action":"{pattern}","Resource":"*"}}"#
        ));
        let found = decide(&policy, action, OBJECT, &[]) == Allowed;
        assert_eq!(found, allowed, "{pattern} and {action}");
    }
}

/// "IAM JSON policy elements: Resource"; "Policy elements: Variables and tags": "`${*}` - use where you need an `*`
/// (asterisk) character, `${?}` […], `${$}`".
#[test]
fn resources_have_wildcards_that_can_be_escaped_and_case() {
    for (pattern, key, allowed) in [
        ("a", "a", true),
        ("a", "A", false),
        ("a", "ab", false),
        ("a*", "ab/c", true),
        ("a?", "ab", true),
        ("a?", "a", false),
        ("a${*}", "a*", true),
        ("a${*}", "ab", false),
        ("a${?}", "a?", true),
        ("a${?}", "ab", false),
        ("${$}{aws:username}", "${aws:username}", true),
        ("${$}{aws:username}", "tester", false),
        ("${$}${*}", "$*", true),
        ("home/*/in", "home/a/b/in", true),
    ] {
        let policy = statements(&format!(
            r#"{{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/{pattern}"}}"#
        ));
        let arn = format!("arn:aws:s3:::b/{key}");
        let found = decide(&policy, "s3:GetObject", &arn, &[]) == Allowed;
        assert_eq!(found, allowed, "{pattern} and {key}");
    }
}

#[test]
fn a_literal_allows_exactly_its_key() {
    let keys = [
        "*",
        "a*",
        "a?",
        "?",
        "${aws:username}",
        "${*}",
        "${",
        "$",
        "a",
        "ab",
        "ä*",
        "",
    ];
    for allowed in keys {
        let policy = statements(&format!(
            r#"{{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/{}"}}"#,
            literal(allowed)
        ));
        for asked in keys {
            let arn = format!("arn:aws:s3:::b/{asked}");
            let found = decide(&policy, "s3:GetObject", &arn, &[]) == Allowed;
            assert_eq!(found, asked == allowed, "{allowed} and {asked}");
        }
    }
}

/// "IAM JSON policy elements: Condition operators", "String condition operators".
#[test]
fn strings_are_compared_as_they_are_without_case_or_with_wildcards() {
    for (operator, value, found, holds) in [
        ("StringEquals", "a", "a", true),
        ("StringEquals", "a", "A", false),
        ("StringEquals", "*", "a", false),
        ("StringEquals", "*", "*", true),
        ("StringEquals", "${*}", "*", true),
        ("StringEquals", "${*}", "${*}", false),
        ("StringNotEquals", "a", "a", false),
        ("StringNotEquals", "a", "b", true),
        ("StringEqualsIgnoreCase", "aÄ", "Aä", true),
        ("StringEqualsIgnoreCase", "a", "b", false),
        ("StringNotEqualsIgnoreCase", "a", "A", false),
        ("StringNotEqualsIgnoreCase", "a", "b", true),
        ("StringLike", "a*", "abc", true),
        ("StringLike", "a*", "Abc", false),
        ("StringLike", "a${*}", "abc", false),
        ("StringLike", "a?c", "abc", true),
        ("StringNotLike", "a*", "abc", false),
        ("StringNotLike", "a*", "bcd", true),
    ] {
        let condition = format!(r#"{{"{operator}":{{"s3:prefix":"{value}"}}}}"#);
        let result = condition_holds(&condition, &[("s3:prefix", text(found))]);
        assert_eq!(result, holds, "{operator} {value} of {found}");
    }
}

/// "Numeric condition operators".
#[test]
fn numbers_are_compared() {
    for (operator, value, found, holds) in [
        ("NumericEquals", "10", 10.0, true),
        ("NumericEquals", "10.5", 10.5, true),
        ("NumericEquals", "10", 11.0, false),
        ("NumericNotEquals", "10", 11.0, true),
        ("NumericNotEquals", "10", 10.0, false),
        ("NumericLessThan", "10", 9.0, true),
        ("NumericLessThan", "10", 10.0, false),
        ("NumericLessThanEquals", "10", 10.0, true),
        ("NumericLessThanEquals", "10", 11.0, false),
        ("NumericGreaterThan", "10", 11.0, true),
        ("NumericGreaterThan", "10", 10.0, false),
        ("NumericGreaterThanEquals", "10", 10.0, true),
        ("NumericGreaterThanEquals", "-1", 0.0, true),
        ("NumericGreaterThanEquals", "10", 9.0, false),
    ] {
        for quoted in [value.to_owned(), format!("\"{value}\"")] {
            let condition = format!(r#"{{"{operator}":{{"s3:max-keys":{quoted}}}}}"#);
            let result = condition_holds(&condition, &[("s3:max-keys", Value::Number(found))]);
            assert_eq!(result, holds, "{operator} {quoted} of {found}");
        }
    }
}

/// "Date condition operators": ISO 8601 as the W3C writes it, or seconds since 1970.
#[test]
fn dates_are_compared_in_every_form() {
    // 2020-07-01T00:00:00Z.
    let at = |seconds: i64| Value::Time(Timestamp::from_millis((1_593_561_600 + seconds) * 1000));
    for (operator, value, found, holds) in [
        ("DateGreaterThan", "2020-07-01T00:00:00Z", at(1), true),
        ("DateGreaterThan", "2020-07-01T00:00:00Z", at(0), false),
        ("DateGreaterThan", "2020-07-01", at(1), true),
        ("DateGreaterThanEquals", "2020-07-01T00:00Z", at(0), true),
        ("DateGreaterThanEquals", "1593561600", at(-1), false),
        ("DateLessThan", "2020-07-01T02:00:00+02:00", at(-1), true),
        ("DateLessThan", "2020-07-01T02:00:00+02:00", at(0), false),
        ("DateLessThanEquals", "2020-07-01T00:00:00Z", at(0), true),
        ("DateEquals", "1593561600", at(0), true),
        ("DateNotEquals", "1593561600", at(0), false),
        ("DateNotEquals", "1593561600", at(1), true),
    ] {
        for key in ["aws:CurrentTime", "aws:EpochTime"] {
            let condition = format!(r#"{{"{operator}":{{"{key}":"{value}"}}}}"#);
            let result = condition_holds(&condition, &[(key, found.clone())]);
            assert_eq!(result, holds, "{operator} {value} of {found:?}");
        }
    }
    let condition = r#"{"NumericLessThan":{"aws:EpochTime":"1593561600"}}"#;
    assert!(condition_holds(condition, &[("aws:EpochTime", at(-1))]));
    assert!(!condition_holds(condition, &[("aws:EpochTime", at(0))]));
}

/// "Boolean condition operators"; the "Deny if not secure" example of the S3 User Guide, "Bucket policy examples".
#[test]
fn booleans_are_compared_and_a_missing_one_is_neither() {
    for (value, found, holds) in [
        (r#""true""#, Some(true), true),
        ("true", Some(true), true),
        (r#""false""#, Some(true), false),
        (r#""false""#, Some(false), true),
        (r#""false""#, None, false),
        (r#""true""#, None, false),
    ] {
        let condition = format!(r#"{{"Bool":{{"aws:SecureTransport":{value}}}}}"#);
        let values: Vec<_> = found
            .map(|it| ("aws:SecureTransport", Value::Bool(it)))
            .into_iter()
            .collect();
        let result = condition_holds(&condition, &values);
        assert_eq!(result, holds, "{value} of {found:?}");
    }
}

/// "IP address condition operators".
#[test]
fn addresses_are_compared_by_blocks() {
    for (operator, value, found, holds) in [
        ("IpAddress", "203.0.113.0/24", "203.0.113.9", true),
        ("IpAddress", "203.0.113.0/24", "203.0.114.9", false),
        ("IpAddress", "203.0.113.9", "203.0.113.9", true),
        ("IpAddress", "203.0.113.9", "203.0.113.8", false),
        ("IpAddress", "203.0.113.77/24", "203.0.113.9", true),
        ("IpAddress", "0.0.0.0/0", "203.0.113.9", true),
        ("IpAddress", "0.0.0.0/0", "2001:db8::1", false),
        ("IpAddress", "::/0", "2001:db8::1", true),
        (
            "IpAddress",
            "2001:DB8:1234:5678::/64",
            "2001:db8:1234:5678::1",
            true,
        ),
        (
            "IpAddress",
            "2001:DB8:1234:5678::/64",
            "2001:db8:1234:5679::1",
            false,
        ),
        ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.9", true),
        ("NotIpAddress", "203.0.113.0/24", "203.0.113.9", false),
        ("NotIpAddress", "203.0.113.0/24", "198.51.100.1", true),
    ] {
        let condition = format!(r#"{{"{operator}":{{"aws:SourceIp":"{value}"}}}}"#);
        let found_ = Value::Ip(found.parse().unwrap());
        let result = condition_holds(&condition, &[("aws:SourceIp", found_)]);
        assert_eq!(result, holds, "{operator} {value} of {found}");
    }
}

/// "Condition operator to check existence of condition keys (Null)": "`true` (the key doesn't exist) or `false` (the
/// key exists and its value is not null)".
#[test]
fn null_asks_whether_the_key_is_missing() {
    for (value, found, holds) in [
        ("true", None, true),
        ("true", Some("*"), false),
        ("false", None, false),
        ("false", Some("*"), true),
    ] {
        let values: Vec<_> = found
            .map(|it| ("s3:if-none-match", text(it)))
            .into_iter()
            .collect();
        let condition = format!(r#"{{"Null":{{"s3:if-none-match":"{value}"}}}}"#);
        assert_eq!(
            condition_holds(&condition, &values),
            holds,
            "{value} {found:?}"
        );
    }
}

/// "IAM JSON policy elements: Condition operators": "If the key that you specify in a policy condition is not present
/// in the request context, the values do not match and the condition is false. If the policy condition requires that
/// the key is not matched, such as `StringNotLike` […], and the right key is not present, the condition is true."
/// "IfExists": "If the condition key is not present, evaluate the condition element as true."
#[test]
fn a_missing_key_fails_all_but_the_negated_and_the_if_exists_operators() {
    for (operator, key, value, holds) in [
        ("StringEquals", "s3:prefix", "a", false),
        ("StringEqualsIgnoreCase", "s3:prefix", "a", false),
        ("StringLike", "s3:prefix", "*", false),
        ("StringNotEquals", "s3:prefix", "a", true),
        ("StringNotEqualsIgnoreCase", "s3:prefix", "a", true),
        ("StringNotLike", "s3:prefix", "*", true),
        ("NumericEquals", "s3:max-keys", "1", false),
        ("NumericLessThan", "s3:max-keys", "1", false),
        ("NumericNotEquals", "s3:max-keys", "1", true),
        ("DateLessThan", "aws:CurrentTime", "2020-01-01", false),
        ("DateNotEquals", "aws:CurrentTime", "2020-01-01", true),
        ("Bool", "aws:SecureTransport", "true", false),
        ("IpAddress", "aws:SourceIp", "0.0.0.0/0", false),
        ("NotIpAddress", "aws:SourceIp", "0.0.0.0/0", true),
    ] {
        let condition = format!(r#"{{"{operator}":{{"{key}":"{value}"}}}}"#);
        assert_eq!(condition_holds(&condition, &[]), holds, "{operator}");
        let condition = format!(r#"{{"{operator}IfExists":{{"{key}":"{value}"}}}}"#);
        assert!(condition_holds(&condition, &[]), "{operator}IfExists");
    }
    // With the key there, `IfExists` changes nothing.
    let condition = r#"{"StringEqualsIfExists":{"s3:prefix":"a"}}"#;
    assert!(condition_holds(condition, &[("s3:prefix", text("a"))]));
    assert!(!condition_holds(condition, &[("s3:prefix", text("b"))]));
}

/// "Conditions with multiple context keys or values": operators and keys by AND, values by OR, values of a negated
/// operator by NOR.
#[test]
fn several_conditions_must_all_hold_and_of_several_values_any_or_none() {
    let prefix = |it: &str| ("s3:prefix", text(it));
    let delimiter = |it: &str| ("s3:delimiter", text(it));
    let any = r#"{"StringEquals":{"s3:prefix":["a","b"]}}"#;
    assert!(condition_holds(any, &[prefix("b")]));
    assert!(!condition_holds(any, &[prefix("c")]));
    let none = r#"{"StringNotEquals":{"s3:prefix":["a","b"]}}"#;
    assert!(!condition_holds(none, &[prefix("b")]));
    assert!(condition_holds(none, &[prefix("c")]));
    for both in [
        r#"{"StringEquals":{"s3:prefix":"a","s3:delimiter":"/"}}"#,
        r#"{"StringEquals":{"s3:prefix":"a"},"StringLike":{"s3:delimiter":"/"}}"#,
    ] {
        assert!(condition_holds(both, &[prefix("a"), delimiter("/")]));
        assert!(!condition_holds(both, &[prefix("a")]));
        assert!(!condition_holds(both, &[prefix("b"), delimiter("/")]));
        assert!(!condition_holds(both, &[prefix("a"), delimiter("-")]));
    }
}

/// "IAM JSON policy elements: Condition": "Context key names are not case-sensitive."
#[test]
fn condition_keys_have_no_case() {
    let condition = r#"{"StringEquals":{"S3:PREFIX":"a"}}"#;
    assert!(condition_holds(condition, &[("s3:Prefix", text("a"))]));
}

/// S3 User Guide, "Enforce conditional writes on Amazon S3 buckets": objects may be made only with `If-None-Match`,
/// while uploads in parts can be begun and their parts sent without.
#[test]
fn conditional_writes_can_be_enforced_as_the_guide_does() {
    let policy = statements(
        r#"{"Sid":"AllowConditionalPut","Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Condition":{"Null":{"s3:if-none-match":"false"}}},
           {"Sid":"AllowMPU","Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"s3:ObjectCreationOperation":"false"}}}"#,
    );
    let creates = |it| ("s3:ObjectCreationOperation", Value::Bool(it));
    let condition = ("s3:if-none-match", text("*"));
    let ask = |values: &[(&str, Value)]| decide(&policy, "s3:PutObject", OBJECT, values);
    assert_eq!(ask(&[creates(true)]), NotAllowed);
    assert_eq!(ask(&[creates(true), condition.clone()]), Allowed);
    assert_eq!(ask(&[creates(false)]), Allowed);
}

/// "IAM JSON policy elements: Version": the older version has no variables; without a Version it is the older.
#[test]
fn the_older_version_has_wildcards_and_no_variables() {
    for version in [r#""Version":"2008-10-17","#, ""] {
        let of = |resource: &str| {
            format!(
                r#"{{{version}"Statement":{{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/{resource}"}}}}"#
            )
        };
        assert_eq!(
            decide(&policy(&of("k*")), "s3:GetObject", OBJECT, &[]),
            Allowed
        );
        refused(&of("${*}"), "2012-10-17");
    }
}

/// "Grammar of the IAM JSON policy language", and what is left out here.
#[test]
fn what_is_not_understood_is_refused() {
    let statement = |more: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"{more}}}]}}"#
        )
    };
    assert!(statement("").parse::<Policy>().is_ok());
    for (more, because) in [
        (r#","NotAction":"s3:GetObject""#, "NotAction"),
        (r#","NotResource":"*""#, "NotResource"),
        (r#","Principal":"*""#, "Principal"),
        (r#","NotPrincipal":"*""#, "NotPrincipal"),
        (r#","effect":"Allow""#, "\"effect\""),
        (r#","Effect":"Allow""#, "stands twice"),
        (r#","Sid":"a b""#, "Sid"),
        (r#","Sid":7"#, "Sid is a string"),
        (r#","Condition":{}"#, "empty"),
        (r#","Condition":[]"#, "a list"),
        (r#","Condition":{"Bool":{}}"#, "empty"),
        (
            r#","Condition":{"Bool":{"aws:SecureTransport":[]}}"#,
            "no value",
        ),
        (
            r#","Condition":{"Bool":{"aws:SecureTransport":null}}"#,
            "null",
        ),
        (
            r#","Condition":{"Bool":{"aws:SecureTransport":"yes"}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"Bool":{"aws:SecureTransport":{"a":1}}}"#,
            "an object",
        ),
        (
            r#","Condition":{"Bool":{"aws:SecureTransport":true,"aws:securetransport":true}}"#,
            "twice",
        ),
        (
            r#","Condition":{"Bool":{"aws:SecureTransport":true},"Bool":{"aws:SecureTransport":true}}"#,
            "stands twice",
        ),
        (
            r#","Condition":{"Bool":{"aws:SecureTransport":true,"aws:SecureTransport":false}}"#,
            "stands twice",
        ),
        (
            r#","Condition":{"Bool":{"aws:MultiFactorAuthPresent":true}}"#,
            "not known",
        ),
        (
            r#","Condition":{"StringEquals":{"s3:x-amz-other":"a"}}"#,
            "not known",
        ),
        (
            r#","Condition":{"StringEquals":{"aws:username":"a"}}"#,
            "not known",
        ),
        (
            r#","Condition":{"StringEquals":{"s3:prefix":"${aws:username}"}}"#,
            "policy variable",
        ),
        (
            r#","Condition":{"StringLike":{"s3:prefix":"${aws:username}/*"}}"#,
            "policy variable",
        ),
        (
            r#","Condition":{"ForAllValues:StringEquals":{"s3:prefix":"a"}}"#,
            "ForAllValues",
        ),
        (
            r#","Condition":{"ForAnyValue:StringEquals":{"s3:prefix":"a"}}"#,
            "ForAnyValue",
        ),
        (
            r#","Condition":{"stringequals":{"s3:prefix":"a"}}"#,
            "operator",
        ),
        (
            r#","Condition":{"ArnLike":{"aws:SourceIp":"a"}}"#,
            "operator",
        ),
        (
            r#","Condition":{"NumericLike":{"s3:max-keys":"1"}}"#,
            "operator",
        ),
        (
            r#","Condition":{"NullIfExists":{"s3:prefix":"true"}}"#,
            "operator",
        ),
        (
            r#","Condition":{"Null":{"s3:prefix":["true","false"]}}"#,
            "one value",
        ),
        (
            r#","Condition":{"NumericEquals":{"s3:prefix":"1"}}"#,
            "does not fit",
        ),
        (
            r#","Condition":{"StringEquals":{"aws:SourceIp":"1.2.3.4"}}"#,
            "does not fit",
        ),
        (
            r#","Condition":{"DateEquals":{"s3:max-keys":"1"}}"#,
            "does not fit",
        ),
        (
            r#","Condition":{"Bool":{"s3:prefix":"true"}}"#,
            "does not fit",
        ),
        (
            r#","Condition":{"IpAddress":{"s3:prefix":"::/0"}}"#,
            "does not fit",
        ),
        (
            r#","Condition":{"NumericEquals":{"s3:max-keys":"1e3"}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"NumericEquals":{"s3:max-keys":"NaN"}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"NumericEquals":{"s3:max-keys":"1.2.3"}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"NumericEquals":{"s3:max-keys":""}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"DateEquals":{"aws:CurrentTime":"today"}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"DateEquals":{"aws:CurrentTime":""}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/33"}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/+8"}}"#,
            "cannot be read",
        ),
        (
            r#","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113"}}"#,
            "cannot be read",
        ),
    ] {
        refused(&statement(more), because);
    }
    let allow = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#;
    for (document, because) in [
        ("", "not JSON"),
        ("null", "null"),
        ("[]", "a list"),
        ("{}", "no Statement"),
        (r#"{"Version":"2012-10-17"}"#, "no Statement"),
        (r#"{"Version":"2012-10-17","Statement":[]}"#, "no Statement"),
        (r#"{"Version":"2012-10-17","Statement":"a"}"#, "a string"),
        (
            &format!(r#"{{"Version":"2020-01-01","Statement":{allow}}}"#),
            "Version",
        ),
        (
            &format!(r#"{{"Version":20121017,"Statement":{allow}}}"#),
            "Version",
        ),
        (
            &format!(r#"{{"Statement":{allow},"Statement":{allow}}}"#),
            "stands twice",
        ),
        (&format!(r#"{{"Statement":{allow},"Id":"a"}}"#), "Id"),
        (&format!(r#"{{"Statement":{allow}}} x"#), "not JSON"),
        (
            r#"{"Statement":{"Action":"s3:*","Resource":"*"}}"#,
            "no Effect",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#,
            "no Action",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*"}}"#,
            "no Resource",
        ),
        (
            r#"{"Statement":{"Effect":"allow","Action":"s3:*","Resource":"*"}}"#,
            "Effect",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}"#,
            "empty",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":[]}}"#,
            "empty",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:PutObjct","Resource":"*"}}"#,
            "does not exist",
        ),
        (
            r#"{"Statement":{"Effect":"Deny","Action":"ec2:*","Resource":"*"}}"#,
            "does not exist",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s*:GetObject","Resource":"*"}}"#,
            "wildcard",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"GetObject","Resource":"*"}}"#,
            "neither",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:${*}","Resource":"*"}}"#,
            "variable",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"b/k"}}"#,
            "ARN",
        ),
        (
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}"#,
            "${aws:username}",
        ),
        (
            r#"{"Statement":[{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"A","Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#,
            "twice",
        ),
    ] {
        refused(document, because);
    }
    refused(&"[".repeat(10_000), "not JSON");
    refused(&" ".repeat(10_241), "10240");
}

#[test]
fn every_action_and_condition_key_is_known_by_its_name() {
    for action in super::action::ACTIONS {
        let policy = statements(&format!(
            r#"{{"Effect":"Allow","Action":"{action}","Resource":"*"}}"#
        ));
        assert_eq!(decide(&policy, action, OBJECT, &[]), Allowed);
        assert!(policy.may_allow(action));
    }
    for key in super::keys::KEYS {
        let condition = format!(r#"{{"Null":{{"{}":"true"}}}}"#, key.name);
        assert!(condition_holds(&condition, &[]), "{}", key.name);
    }
}
