//! A session token opens what it was sealed for, unchanged, in its time, where the signature is.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use two_buckets_s3_api::{
    AssumeRole, Credentials, Role, Sts, TemporaryCredentials, sign, uploader_role,
};

use crate::harness::{Answer, REGION, Req, START_MILLIS, Server, bucket, credentials};
use crate::presigned::fetch;
use crate::sessions::{HOUR, one_file, session, sts, upload};

/// Uploads a key with this session and asserts that nothing of it is there.
async fn refused(server: &Server, session: &TemporaryCredentials, status: u16, code: &str) {
    let answer = upload(server, session, "plain", "a").await;
    answer.assert_error(status, code);
    server.assert_absent("plain", "a").await;
}

fn with_token(session: &TemporaryCredentials, token: String) -> TemporaryCredentials {
    TemporaryCredentials {
        session_token: token,
        ..session.clone()
    }
}

#[tokio::test]
async fn a_token_with_any_byte_changed_is_refused() {
    let server = Server::start().await;
    let session = session(&server, Some(one_file("b")));
    let whole = BASE64_URL_SAFE_NO_PAD
        .decode(&session.session_token)
        .unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        let token = BASE64_URL_SAFE_NO_PAD.encode(&changed);
        let id = &session.credentials.access_key_id;
        assert!(!sts().is_valid(id, &token, server.now()), "byte {place}");
        // The requests themselves at the seams: format, nonce, times, policy, tag.
        if [0, 1, 24, 25, 33, whole.len() / 2, whole.len() - 1].contains(&place) {
            refused(&server, &with_token(&session, token), 400, "InvalidToken").await;
        }
    }
    assert!(sts().is_valid(
        &session.credentials.access_key_id,
        &session.session_token,
        server.now()
    ));
    upload(&server, &session, "plain", "b").await.assert_ok();
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let server = Server::start().await;
    let session = session(&server, None);
    let token = &session.session_token;
    for other in [
        String::new(),
        "a".to_owned(),
        "=".to_owned(),
        format!("{token}A"),
        format!("{token}="),
        format!("A{token}"),
        token[1..].to_owned(),
        token[..token.len() - 1].to_owned(),
        format!("{token},{token}"),
        "A".repeat(1_000),
        "A".repeat(100_000),
        BASE64_URL_SAFE_NO_PAD.encode([1; 24]),
        BASE64_URL_SAFE_NO_PAD.encode([1; 41]),
    ] {
        let session = with_token(&session, other);
        refused(&server, &session, 400, "InvalidToken").await;
    }
}

#[tokio::test]
async fn a_token_of_another_access_key_is_refused() {
    let server = Server::start().await;
    let (one, other) = (
        session(&server, None),
        session(&server, Some(one_file("b"))),
    );
    assert_ne!(one.credentials, other.credentials);
    // Another's token with the own key pair, another's id, and the root's.
    refused(
        &server,
        &with_token(&other, one.session_token.clone()),
        400,
        "InvalidToken",
    )
    .await;
    let mut mixed = one.clone();
    mixed.credentials.access_key_id = other.credentials.access_key_id.clone();
    refused(&server, &mixed, 400, "InvalidToken").await;
    mixed.credentials = credentials();
    refused(&server, &mixed, 400, "InvalidToken").await;
    // The right token and id do not help without the secret.
    let mut guessed = one.clone();
    guessed.credentials.secret_access_key = other.credentials.secret_access_key;
    refused(&server, &guessed, 403, "SignatureDoesNotMatch").await;
    guessed.credentials.secret_access_key = credentials().secret_access_key + "x";
    refused(&server, &guessed, 403, "SignatureDoesNotMatch").await;
}

#[tokio::test]
async fn a_session_without_its_token_is_unknown() {
    let server = Server::start().await;
    let session = session(&server, None);
    let request = sign::Request {
        method: &Method::PUT,
        host: &server.host(),
        bucket: Some("plain"),
        key: Some("a"),
        query: &[],
        headers: &[],
    };
    let url = sign::presign(
        &session.credentials,
        None,
        REGION,
        "http",
        &request,
        HOUR,
        server.now(),
    );
    fetch(&server, "PUT", &url, &[], b"x")
        .await
        .assert_error(403, "InvalidAccessKeyId");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn a_rotated_root_key_ends_every_session() {
    let server = Server::start().await;
    let session = session(&server, None);
    for root in [
        Credentials {
            secret_access_key: "another/secret".into(),
            ..credentials()
        },
        Credentials {
            access_key_id: "OTHERKEY".into(),
            ..credentials()
        },
    ] {
        let rotated = Server::start_with(|config| {
            config.sts = Sts::new(root, vec![uploader_role(&bucket("plain"))]).unwrap();
        })
        .await;
        upload(&rotated, &session, "plain", "a")
            .await
            .assert_error(400, "InvalidToken");
    }
    upload(&server, &session, "plain", "a").await.assert_ok();
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_follows_its_role() {
    let server = Server::start().await;
    let session = session(&server, None);
    // Another process with the same root key.
    let restarted = Server::start().await;
    upload(&restarted, &session, "plain", "a").await.assert_ok();
    let without_role = Server::start_with(|config| {
        config.sts = Sts::new(credentials(), Vec::new()).unwrap();
    })
    .await;
    upload(&without_role, &session, "plain", "a")
        .await
        .assert_error(400, "InvalidToken");
    let narrowed = Server::start_with(|config| {
        let role = Role {
            policy: one_file("b").parse().unwrap(),
            ..uploader_role(&bucket("plain"))
        };
        config.sts = Sts::new(credentials(), vec![role]).unwrap();
    })
    .await;
    upload(&narrowed, &session, "plain", "a")
        .await
        .assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn a_token_from_the_future_is_refused() {
    let server = Server::start().await;
    let asked = AssumeRole {
        role_arn: uploader_role(&bucket("plain")).arn(),
        session_name: "tester".into(),
        policy: None,
        duration: HOUR,
    };
    let of = |ahead| {
        sts()
            .assume_role(&asked, server.now().after(ahead))
            .unwrap()
    };
    refused(
        &server,
        &of(Duration::from_secs(15 * 60 + 1)),
        400,
        "InvalidToken",
    )
    .await;
    upload(&server, &of(Duration::from_mins(15)), "plain", "a")
        .await
        .assert_ok();
}

/// A request as it goes over the wire, with texts in it replaced.
async fn replaced(server: &Server, request: &Req, pairs: &[(&str, &str)]) -> Answer {
    let mut text = String::from_utf8(request.bytes(server)).unwrap();
    for (from, to) in pairs {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replace(from, to);
    }
    server.raw(text.as_bytes()).await
}

#[tokio::test]
async fn a_token_in_the_header_must_be_signed() {
    let server = Server::start().await;
    let session = session(&server, None);
    let request = Req::new(Method::PUT, "plain", "a").body(b"x").by(&session);
    let answer = replaced(&server, &request, &[(";x-amz-security-token", "")]).await;
    answer.assert_error(403, "AccessDenied");
    assert!(answer.text().contains("not signed"), "{}", answer.text());
    // A root's request does not become a session's by a header somebody adds.
    let added = Req::new(Method::PUT, "plain", "a")
        .body(b"x")
        .unsigned_header("x-amz-security-token", &session.session_token);
    added.send(&server).await.assert_error(400, "InvalidToken");
    // Twice is not once.
    let twice = request
        .clone()
        .unsigned_header("x-amz-security-token", &session.session_token);
    twice
        .send(&server)
        .await
        .assert_error(400, "InvalidRequest");
    server.assert_absent("plain", "a").await;
    request.send(&server).await.assert_ok();
}

#[tokio::test]
async fn a_token_cannot_move_between_header_and_query() {
    let server = Server::start().await;
    let session = session(&server, None);
    let token = session.session_token.clone();
    let header = format!("x-amz-security-token: {token}\r\n");
    // From the header of a signed request into its query, whether it is still named as signed or not.
    let request = Req::new(Method::PUT, "plain", "a").body(b"x").by(&session);
    for name in ["X-Amz-Security-Token", "x-amz-security-token"] {
        let moved = format!("PUT /plain/a?{name}={token} HTTP");
        for signed in [";x-amz-security-token", ""] {
            let answer = replaced(
                &server,
                &request,
                &[
                    (&header, ""),
                    ("PUT /plain/a HTTP", &moved),
                    (";x-amz-security-token", signed),
                ],
            )
            .await;
            answer.assert_error(400, "InvalidArgument");
        }
        // Both at once.
        replaced(&server, &request, &[("PUT /plain/a HTTP", &moved)])
            .await
            .assert_error(400, "InvalidArgument");
    }
    // From the query of a presigned URL into a header.
    let to_sign = sign::Request {
        method: &Method::PUT,
        host: &server.host(),
        bucket: Some("plain"),
        key: Some("a"),
        query: &[],
        headers: &[],
    };
    let url = sign::presign(
        &session.credentials,
        Some(&token),
        REGION,
        "http",
        &to_sign,
        HOUR,
        server.now(),
    );
    let parameter = format!("&X-Amz-Security-Token={token}");
    assert!(url.contains(&parameter));
    let without = url.replace(&parameter, "");
    let headers = [("x-amz-security-token", &*token)];
    for url in [&without, &url] {
        fetch(&server, "PUT", url, &headers, b"x")
            .await
            .assert_error(400, "InvalidArgument");
    }
    fetch(&server, "PUT", &without, &[], b"x")
        .await
        .assert_error(403, "InvalidAccessKeyId");
    let lower = url.replace("X-Amz-Security-Token", "x-amz-security-token");
    fetch(&server, "PUT", &lower, &[], b"x")
        .await
        .assert_error(400, "AuthorizationQueryParametersError");
    let twice = format!("{url}{parameter}");
    fetch(&server, "PUT", &twice, &[], b"x")
        .await
        .assert_error(400, "AuthorizationQueryParametersError");
    server.assert_absent("plain", "a").await;
    fetch(&server, "PUT", &url, &[], b"x").await.assert_ok();
}

/// A presigned URL of version 2, as boto3 makes it with temporary credentials: the token is a parameter, and signed as
/// the header it would be.
fn presigned_v2(session: &TemporaryCredentials, key: &str, token: &str) -> String {
    let expires = START_MILLIS / 1000 + 600;
    let text = format!("PUT\n\n\n{expires}\nx-amz-security-token:{token}\n/plain/{key}");
    let secret = session.credentials.secret_access_key.as_bytes();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret).unwrap();
    mac.update(text.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let signature: String = signature.bytes().map(|b| format!("%{b:02X}")).collect();
    format!(
        "/plain/{key}?AWSAccessKeyId={}&Signature={signature}&x-amz-security-token={}&Expires={expires}",
        session.credentials.access_key_id, session.session_token
    )
}

#[tokio::test]
async fn version_2_urls_carry_a_token_that_is_signed() {
    let server = Server::start().await;
    let one = session(&server, Some(one_file("a")));
    let send = async |target: &str, headers: &[(&str, &str)]| {
        let url = format!("http://{}{target}", server.host());
        fetch(&server, "PUT", &url, headers, b"x").await
    };
    let token = &one.session_token;
    let other = session(&server, None).session_token;
    send(&presigned_v2(&one, "b", token), &[])
        .await
        .assert_error(403, "AccessDenied");
    send(&presigned_v2(&one, "a", "other"), &[])
        .await
        .assert_error(403, "SignatureDoesNotMatch");
    let url = presigned_v2(&one, "a", token);
    send(&url.replace(token.as_str(), &other), &[])
        .await
        .assert_error(400, "InvalidToken");
    let parameter = format!("&x-amz-security-token={token}");
    send(&url.replace(&parameter, ""), &[])
        .await
        .assert_error(403, "InvalidAccessKeyId");
    for target in [&*url.replace(&parameter, ""), &url] {
        send(target, &[("x-amz-security-token", token)])
            .await
            .assert_error(400, "InvalidArgument");
    }
    for target in [
        url.replace("x-amz-security-token", "X-Amz-Security-Token"),
        format!("{url}{parameter}"),
    ] {
        send(&target, &[])
            .await
            .assert_error(400, "InvalidArgument");
    }
    server.assert_absent("plain", "a").await;
    send(&url, &[]).await.assert_ok();
    server.advance(HOUR);
    assert!(matches!(send(&url, &[]).await.status, 400 | 403));
}

#[test]
fn secrets_and_tokens_are_not_in_debug_output() {
    let session = sts()
        .assume_role(
            &AssumeRole {
                role_arn: uploader_role(&bucket("plain")).arn(),
                session_name: "tester".into(),
                policy: None,
                duration: HOUR,
            },
            two_buckets_objects::Timestamp::from_millis(START_MILLIS),
        )
        .unwrap();
    let shown = format!("{session:?} {:?}", sts());
    assert!(shown.contains(&session.credentials.access_key_id));
    for secret in [
        &session.session_token,
        &session.credentials.secret_access_key,
        &credentials().secret_access_key,
    ] {
        assert!(!shown.contains(secret.as_str()));
    }
}
