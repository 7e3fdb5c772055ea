//! What a form uploads, and as what.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::json;
use two_buckets_s3_api::faults::Code;
use two_buckets_s3_api::{Fault, Struck};

use super::{Form, HOUR, policy};
use crate::harness::{Req, Server};

#[tokio::test]
async fn a_form_uploads_its_file_below_its_prefix() {
    let server = Server::start().await;
    let answer = Form::signed(&server, &[]).send(&server).await;
    assert_eq!((answer.status, &*answer.body), (204, &b""[..]));
    let url = format!("http://{}/plain/up/photo.jpg", server.host());
    assert_eq!(answer.header("location"), Some(&*url));
    let stored = server.get("plain", "up/photo.jpg").await;
    assert_eq!(stored.body, b"body");
    assert_eq!(stored.header("content-type"), Some("binary/octet-stream"));
    assert_eq!(stored.header("etag"), answer.header("etag"));
}

#[tokio::test]
async fn fields_become_what_headers_of_a_put_would() {
    let server = Server::start().await;
    let sha256 = BASE64_STANDARD.encode(<sha2::Sha256 as sha2::Digest>::digest(b"body"));
    let fields = [
        ("Content-Type", "image/jpeg"),
        ("Content-Disposition", "attachment"),
        ("Cache-Control", "no-store"),
        ("Expires", "never"),
        ("x-amz-meta-Who", "J\u{fc}rgen"),
        ("x-amz-checksum-sha256", &*sha256),
        ("acl", "private"),
        (
            "tagging",
            "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        ),
        ("success_action_status", "201"),
    ];
    let answer = Form::signed(&server, &fields).send(&server).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    let url = format!("http://{}/plain/up/photo.jpg", server.host());
    assert_eq!(answer.element("Location"), Some(url));
    assert_eq!(answer.element("Bucket").unwrap(), "plain");
    assert_eq!(answer.element("Key").unwrap(), "up/photo.jpg");
    assert_eq!(
        answer.element("ETag").unwrap().replace("&quot;", "\""),
        answer.header("etag").unwrap()
    );
    assert!(answer.text().contains("<PostResponse>"));
    assert_eq!(answer.header("x-amz-checksum-sha256"), Some(&*sha256));
    let stored = server.get("plain", "up/photo.jpg").await;
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("content-disposition", "attachment"),
        ("cache-control", "no-store"),
        ("expires", "never"),
        ("x-amz-tagging-count", "1"),
    ] {
        assert_eq!(stored.header(name), Some(value), "{name}");
    }
    let tags = Req::new(Method::GET, "plain", "up/photo.jpg")
        .query("tagging", "")
        .send(&server)
        .await;
    assert_eq!(tags.elements("Key"), ["a"]);
    let put = Req::new(Method::PUT, "plain", "put")
        .header("x-amz-meta-who", "J\u{fc}rgen")
        .body(b"body")
        .send(&server)
        .await;
    put.assert_ok();
    let put = server.get("plain", "put").await;
    assert!(put.header("x-amz-meta-who").is_some());
    assert_eq!(
        stored.header("x-amz-meta-who"),
        put.header("x-amz-meta-who")
    );
}

#[tokio::test]
async fn a_form_in_a_versioned_bucket_tells_the_version_and_may_be_used_again() {
    let server = Server::start().await;
    let policy = policy(
        &server,
        HOUR,
        &[
            json!(["starts-with", "$key", ""]),
            json!({"bucket": "versioned"}),
        ],
    );
    let mut policy = policy;
    policy["conditions"].as_array_mut().unwrap().remove(0);
    let mut form = Form::with_policy(&server, &[("key", "a")], &policy);
    form.bucket = "versioned".into();
    let first = form.send(&server).await;
    let second = form.clone().file(b"other").send(&server).await;
    let (first, second) = (
        first.header("x-amz-version-id").unwrap(),
        second.header("x-amz-version-id").unwrap(),
    );
    assert_ne!(first, second);
    assert_eq!(server.get("versioned", "a").await.body, b"other");
}

#[tokio::test]
async fn the_style_of_the_host_makes_no_difference() {
    let server = Server::start().await;
    let form = Form::signed(&server, &[]);
    let body = form.body();
    let host = format!("plain.localhost:{}", server.address.port());
    let head = form
        .head(&server, body.len())
        .replace("POST /plain ", "POST / ")
        .replace(
            &format!("Host: {}", server.host()),
            &format!("Host: {host}"),
        );
    let answer = server.raw(&[head.into_bytes(), body].concat()).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let url = format!("http://{host}/up/photo.jpg");
    assert_eq!(answer.header("location"), Some(&*url));
}

#[tokio::test]
async fn a_form_is_struck_by_faults_as_post_object_with_the_key_in_its_fields() {
    for (fault, status, is_kept) in [
        (Fault::Refused(Code::SlowDown), 503, false),
        (Fault::AnswerLost, 500, true),
    ] {
        let server = Server::start_with(|config| {
            config.faults = Some(std::sync::Arc::new(move |call| {
                let is_it = call.operation()?.name == "PostObject"
                    && call.bucket() == Some("plain")
                    && call.key() == Some("up/photo.jpg");
                is_it.then(|| Struck {
                    rule: "forms".into(),
                    fault,
                })
            }));
        })
        .await;
        let answer = Form::signed(&server, &[]).send(&server).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            server.get("plain", "up/photo.jpg").await.status == 200,
            is_kept
        );
    }
}
