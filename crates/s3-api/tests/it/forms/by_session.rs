//! Forms that are signed by a session.

use serde_json::json;
use two_buckets_s3_api::TemporaryCredentials;

use super::{Form, HOUR, signer};
use crate::harness::{REGION, Server};
use crate::sessions::{one_file, server_and_session, session};

/// A form for one key, signed by a session; with a token that may be another's.
fn by_session(server: &Server, by: &TemporaryCredentials, key: &str, token: &str) -> Form {
    let form = signer::Form {
        bucket: "plain",
        key: signer::FormKey::Exactly(key),
        fields: &[],
        free_fields: &[("Content-Type", "image/")],
        sizes: 0..=10,
    };
    let fields = signer::sign_form(
        &by.credentials,
        Some(token),
        REGION,
        &form,
        7 * 24 * HOUR,
        server.now(),
    );
    Form::of(fields).set("Content-Type", "image/jpeg")
}

#[tokio::test]
async fn the_form_of_a_session_uploads_what_its_policies_allow_while_it_lasts() {
    let server = Server::start().await;
    let one = session(&server, Some(one_file("a")));
    let other = session(&server, Some(one_file("a")));
    let token = one.session_token.clone();
    let form = by_session(&server, &one, "a", &token);
    assert_eq!(form.send(&server).await.status, 204);
    let all = session(&server, None);
    for (what, form, status, code) in [
        (
            "a key that seems to lead out of its folder",
            by_session(&server, &all, "up/../a", &all.session_token),
            403,
            "AccessDenied",
        ),
        (
            "another key",
            by_session(&server, &one, "b", &token),
            403,
            "AccessDenied",
        ),
        (
            "another's token",
            by_session(&server, &one, "a", &other.session_token),
            400,
            "InvalidToken",
        ),
        (
            "no token",
            form.clone().without("x-amz-security-token"),
            403,
            "InvalidAccessKeyId",
        ),
        (
            "token of noise",
            form.clone().set("x-amz-security-token", "noise"),
            400,
            "InvalidToken",
        ),
        (
            "another type",
            form.clone().set("Content-Type", "text/html"),
            403,
            "AccessDenied",
        ),
    ] {
        let answer = form.send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{what}: {}",
            answer.text()
        );
    }
    server.assert_absent("plain", "b").await;
    // The policy of the form would be good for a week, its session is not.
    server.advance(HOUR);
    form.send(&server).await.assert_error(400, "ExpiredToken");
}

#[tokio::test]
async fn conditions_of_a_session_see_the_fields_of_a_form_as_headers() {
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::plain/*",
         "Condition": {"StringEquals": {"s3:authType": "POST"}}},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::plain/new/*",
         "Condition": {"Null": {"s3:if-none-match": "true"}}},
    ]});
    let (server, session) = server_and_session(&policy.to_string()).await;
    let token = session.session_token.clone();
    let form = |key| by_session(&server, &session, key, &token);
    assert_eq!(form("a").send(&server).await.status, 204);
    // What must not be overwritten cannot be sent by a form, which has no conditions.
    form("new/a")
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");
    // Tags and lists need leave of their own, as in a PUT.
    let with = |name, value| {
        let fields = [(name, value)];
        let form = signer::Form {
            bucket: "plain",
            key: signer::FormKey::Exactly("b"),
            fields: &fields,
            free_fields: &[],
            sizes: 0..=10,
        };
        let by = &session.credentials;
        Form::of(signer::sign_form(
            by,
            Some(&token),
            REGION,
            &form,
            HOUR,
            server.now(),
        ))
    };
    let tagging = "<Tagging><TagSet></TagSet></Tagging>";
    for (name, value) in [("tagging", tagging), ("acl", "private")] {
        with(name, value)
            .send(&server)
            .await
            .assert_error(403, "AccessDenied");
    }
    assert_eq!(with("Content-Type", "a/b").send(&server).await.status, 204);
    let put = crate::sessions::upload(&server, &session, "plain", "a").await;
    put.assert_error(403, "AccessDenied");
}
