//! What a policy allows, and for how long.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::{Value, json};
use two_buckets_objects::Timestamp;

use super::{Form, HOUR, credential, policy, signature, stamp};
use crate::harness::{Req, Server, noise};

#[tokio::test]
async fn a_form_as_boto3_makes_it_by_default_is_held_to_its_policy() {
    let server = Server::start().await;
    let expiration = server.now().after(HOUR).to_string();
    let conditions = json!([{"bucket": "plain"}, ["starts-with", "$key", "up/"],
        ["content-length-range", 0, 4]]);
    let policy = json!({"expiration": expiration, "conditions": conditions});
    let form = Form::version_2(&[("key", "up/${filename}")], &policy);
    assert_eq!(form.send(&server).await.status, 204);
    assert_eq!(server.get("plain", "up/photo.jpg").await.body, b"body");
    form.clone()
        .file(b"12345")
        .send(&server)
        .await
        .assert_error(400, "EntityTooLarge");
    for (changed, code) in [
        (form.clone().set("key", "other"), "AccessDenied"),
        (form.clone().set("acl", "private"), "AccessDenied"),
        (
            form.clone().set("signature", "AAAA"),
            "SignatureDoesNotMatch",
        ),
        (
            form.clone().set("AWSAccessKeyId", "other"),
            "InvalidAccessKeyId",
        ),
    ] {
        changed.send(&server).await.assert_error(403, code);
    }
    form.clone()
        .set("x-amz-signature", "0")
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
    server.advance(HOUR);
    form.send(&server).await.assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn nobody_can_make_more_of_a_form_than_its_maker_meant() {
    let server = Server::start().await;
    let form = || Form::signed(&server, &[("Content-Type", "image/jpeg")]);
    let other_policy = form();
    let other_policy = {
        let text = BASE64_STANDARD
            .decode(other_policy.field("policy"))
            .unwrap();
        let text = String::from_utf8(text).unwrap().replace("up/", "");
        other_policy.set("policy", &BASE64_STANDARD.encode(text))
    };
    let mut elsewhere = form();
    elsewhere.bucket = "versioned".into();
    let mut nowhere = form();
    nowhere.bucket = "nowhere".into();
    let denied = [
        ("changed policy", other_policy, "SignatureDoesNotMatch"),
        ("changed key", form().set("key", "other"), "AccessDenied"),
        (
            "beside the prefix",
            form().set("key", "u/${filename}"),
            "AccessDenied",
        ),
        ("another bucket", elsewhere, "AccessDenied"),
        ("no bucket", nowhere, "AccessDenied"),
        (
            "wrong type",
            form().set("Content-Type", "text/html"),
            "AccessDenied",
        ),
        ("no type", form().without("Content-Type"), "AccessDenied"),
        (
            "extra field",
            form().set("x-amz-meta-a", "b"),
            "AccessDenied",
        ),
        (
            "redirect",
            form().set("success_action_redirect", "http://evil.example/"),
            "AccessDenied",
        ),
        (
            "status",
            form().set("success_action_status", "200"),
            "AccessDenied",
        ),
        (
            "unknown field",
            form().set("submit", "Send"),
            "AccessDenied",
        ),
        (
            "bucket field",
            form().set("bucket", "versioned"),
            "AccessDenied",
        ),
        (
            "another signature",
            form().set("x-amz-signature", &"0".repeat(64)),
            "SignatureDoesNotMatch",
        ),
        (
            "short signature",
            form().set("x-amz-signature", ""),
            "SignatureDoesNotMatch",
        ),
        ("no policy", form().without("policy"), "AccessDenied"),
        (
            "anonymous",
            Form::of(vec![("key".into(), "up/a".into())]),
            "AccessDenied",
        ),
        (
            "another key id",
            form().set(
                "x-amz-credential",
                &credential(&stamp(server.now())).replace("TESTKEY", "OTHER"),
            ),
            "InvalidAccessKeyId",
        ),
    ];
    for (what, form, code) in denied {
        let answer = form.send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (403, code),
            "{what}: {}",
            answer.text()
        );
    }
    let malformed = [
        ("no key", form().without("key"), "AccessDenied", 403),
        (
            "no date",
            form().without("x-amz-date"),
            "InvalidArgument",
            400,
        ),
        (
            "no algorithm",
            form().without("x-amz-algorithm"),
            "InvalidArgument",
            400,
        ),
        (
            "no credential",
            form().without("x-amz-credential"),
            "InvalidArgument",
            400,
        ),
        (
            "no signature",
            form().without("x-amz-signature"),
            "InvalidArgument",
            400,
        ),
        (
            "bad date",
            form().set("x-amz-date", "yesterday"),
            "InvalidArgument",
            400,
        ),
        (
            "other day",
            form().set("x-amz-date", "20261122T000000Z"),
            "InvalidArgument",
            400,
        ),
        (
            "bad scope",
            form().set("x-amz-credential", "TESTKEY"),
            "InvalidArgument",
            400,
        ),
        (
            "bad algorithm",
            form().set("x-amz-algorithm", "AWS4-HMAC-SHA1"),
            "InvalidArgument",
            400,
        ),
    ];
    for (what, form, code, status) in malformed {
        let answer = form.send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{what}: {}",
            answer.text()
        );
    }
    let listed = Req::new(Method::GET, "plain", "").send(&server).await;
    assert_eq!(listed.elements("Key"), [""; 0]);
    assert_eq!(
        form().send(&server).await.status,
        204,
        "the form itself is good"
    );
}

#[tokio::test]
async fn the_size_of_the_file_is_held_to_the_byte_and_nothing_is_left_of_another() {
    let server = Server::start().await;
    for (size, code) in [
        (1, "EntityTooSmall"),
        (0, "EntityTooSmall"),
        (11, "EntityTooLarge"),
    ] {
        let answer = Form::signed(&server, &[])
            .file(&noise(size))
            .send(&server)
            .await;
        answer.assert_error(400, code);
        server.assert_absent("plain", "up/photo.jpg").await;
    }
    for size in [2, 10] {
        let answer = Form::signed(&server, &[])
            .file(&noise(size))
            .send(&server)
            .await;
        assert_eq!(answer.status, 204);
        assert_eq!(server.get("plain", "up/photo.jpg").await.body, noise(size));
    }
    let policy = policy(
        &server,
        HOUR,
        &[
            json!({"key": "large"}),
            json!(["content-length-range", "0", "3000000"]),
            json!(["content-length-range", 0, 4_000_000]),
        ],
    );
    let form = Form::with_policy(&server, &[("key", "large")], &policy);
    let answer = form.clone().file(&noise(3_000_001)).send(&server).await;
    answer.assert_error(400, "EntityTooLarge");
    server.assert_absent("plain", "large").await;
    assert_eq!(form.file(&noise(3_000_000)).send(&server).await.status, 204);
    assert_eq!(server.get("plain", "large").await.body, noise(3_000_000));
}

#[tokio::test]
async fn a_form_is_valid_from_its_date_until_its_expiration_and_a_week_at_most() {
    let server = Server::start().await;
    let form = Form::signed(&server, &[]);
    server.advance(HOUR.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(form.send(&server).await.status, 204);
    server.advance(Duration::from_millis(1));
    form.send(&server).await.assert_error(403, "AccessDenied");

    let week = Duration::from_hours(7 * 24);
    let with = |life| {
        let policy = policy(&server, life, &[json!({"key": "a"})]);
        Form::with_policy(&server, &[("key", "a")], &policy)
    };
    assert_eq!(with(week).send(&server).await.status, 204);
    with(week + Duration::from_secs(2))
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");
    with(Duration::ZERO)
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");

    // Signed for a moment a quarter of an hour from now, and one a second later.
    let stamp_in = |seconds| stamp(server.now().after(Duration::from_secs(seconds)));
    for (seconds, status) in [(15 * 60, 204), (15 * 60 + 1, 403)] {
        let stamp = stamp_in(seconds);
        let mut policy = policy(&server, HOUR, &[json!({"key": "a"})]);
        policy["conditions"][2] = json!({"x-amz-credential": credential(&stamp)});
        policy["conditions"][3] = json!({"x-amz-date": stamp});
        let policy = BASE64_STANDARD.encode(policy.to_string());
        let form = with(HOUR)
            .set("x-amz-date", &stamp)
            .set("x-amz-credential", &credential(&stamp))
            .set("x-amz-signature", &signature(&stamp, &policy))
            .set("policy", &policy);
        assert_eq!(form.send(&server).await.status, status, "{seconds}");
    }
    // A signature's key is good for a week, whatever the policy says.
    let old = with(HOUR);
    let stamp = stamp(Timestamp::from_millis(
        server.now().millis() - i64::try_from(week.as_millis()).unwrap() - 1000,
    ));
    let mut policy = policy(&server, HOUR, &[json!({"key": "a"})]);
    policy["conditions"][2] = json!({"x-amz-credential": credential(&stamp)});
    policy["conditions"][3] = json!({"x-amz-date": stamp});
    let policy = BASE64_STANDARD.encode(policy.to_string());
    let answer = old
        .set("x-amz-date", &stamp)
        .set("x-amz-credential", &credential(&stamp))
        .set("x-amz-signature", &signature(&stamp, &policy))
        .set("policy", &policy)
        .send(&server)
        .await;
    answer.assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_refused() {
    let server = Server::start().await;
    let good = policy(&server, HOUR, &[json!({"key": "a"})]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut policy = good.clone();
        change(&mut policy);
        policy.to_string()
    };
    let add = |condition: Value| {
        with(&|policy| {
            policy["conditions"]
                .as_array_mut()
                .unwrap()
                .push(condition.clone());
        })
    };
    for text in [
        String::new(),
        "{".into(),
        "[]".into(),
        "\u{0}".into(),
        "[".repeat(5000),
        with(&|policy| policy["expiration"] = json!("tomorrow")),
        with(&|policy| policy["expiration"] = json!(5)),
        with(&|policy| policy["conditions"] = json!({})),
        with(&|policy| policy["other"] = json!(1)),
        good.to_string().replace(
            "\"conditions\"",
            "\"expiration\":\"2026-11-23T11:00:00Z\",\"conditions\"",
        ),
        add(json!({"a": "b", "c": "d"})),
        add(json!({})),
        add(json!({"success_action_status": 201})),
        add(json!(["eq", "key", "a"])),
        add(json!(["eq", "$key"])),
        add(json!(["eq", "$key", "a", "b"])),
        add(json!(["matches", "$key", "a"])),
        add(json!(["content-length-range", -1, 5])),
        add(json!(["content-length-range", 1.5, 5])),
        add(json!(["content-length-range", 6, 5])),
        add(json!(["content-length-range", "1", "+5"])),
        add(json!([1, 2, 3])),
    ] {
        let form = Form::with_policy_text(&server, &[("key", "a")], &text);
        let answer = form.send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "InvalidPolicyDocument"),
            "{text}: {}",
            answer.text()
        );
    }
    let form = Form::signed(&server, &[]);
    let stamp = stamp(server.now());
    form.set("policy", "no base64!")
        .set("x-amz-signature", &signature(&stamp, "no base64!"))
        .send(&server)
        .await
        .assert_error(400, "InvalidPolicyDocument");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn conditions_compare_as_s3_does() {
    let server = Server::start().await;
    for (condition, fields, status) in [
        (json!(["EQ", "$KEY", "a"]), &[("Key", "a")][..], 204),
        (json!(["eq", "$key", "a"]), &[("key", "A")], 403),
        (
            json!(["starts-with", "$key", ""]),
            &[("key", "anything")],
            204,
        ),
        (
            json!({"key": "a"}),
            &[("key", "a"), ("x-ignore-me", "x")],
            204,
        ),
        (
            json!({"key": "a"}),
            &[("key", "a"), ("x-ignored", "x")],
            403,
        ),
    ] {
        let policy = policy(&server, HOUR, std::slice::from_ref(&condition));
        let answer = Form::with_policy(&server, fields, &policy)
            .send(&server)
            .await;
        assert_eq!(
            answer.status,
            status,
            "{condition} {fields:?}: {}",
            answer.text()
        );
    }
    let typed = |value: &str| {
        let conditions = [
            json!({"key": "a"}),
            json!(["starts-with", "$Content-Type", "image/"]),
        ];
        let policy = policy(&server, HOUR, &conditions);
        Form::with_policy(&server, &[("key", "a"), ("Content-Type", value)], &policy)
    };
    assert_eq!(typed("image/png").send(&server).await.status, 204);
    assert_eq!(
        typed("image/png, image/gif").send(&server).await.status,
        204
    );
    assert_eq!(typed("image/png,text/html").send(&server).await.status, 403);
    assert_eq!(
        typed("image/png")
            .without("Content-Type")
            .send(&server)
            .await
            .status,
        403
    );
    // A dollar sign is escaped in a policy in a way that JSON does not know.
    let text = policy(&server, HOUR, &[json!({"key": "US$"})])
        .to_string()
        .replace("US$", "US\\$");
    let form = Form::with_policy_text(&server, &[("key", "US$")], &text);
    assert_eq!(form.send(&server).await.status, 204);
    // Whoever leaves the bucket out has made a form for every bucket, which S3 refuses as well.
    let mut free = policy(&server, HOUR, &[json!({"key": "a"})]);
    free["conditions"].as_array_mut().unwrap().remove(0);
    let form = Form::with_policy(&server, &[("key", "a")], &free);
    form.send(&server).await.assert_error(403, "AccessDenied");
}
