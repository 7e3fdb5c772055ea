//! Nobody gets in without a signature that covers what matters.

use std::time::Duration;

use http::Method;

use crate::harness::{Req, Server, Signing};

fn put(key: &str) -> Req {
    Req::new(Method::PUT, "plain", key).body(b"body")
}

/// The request with one text in its head replaced by another.
fn tampered(request: &Req, server: &Server, from: &str, to: &str) -> Vec<u8> {
    let bytes = String::from_utf8(request.bytes(server)).unwrap();
    assert!(bytes.contains(from), "{from} is not in {bytes}");
    bytes.replacen(from, to, 1).into_bytes()
}

#[tokio::test]
async fn a_signed_request_gets_in() {
    let server = Server::start().await;
    put("a").send(&server).await.assert_ok();
    assert_eq!(server.get("plain", "a").await.body, b"body");
}

#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let server = Server::start().await;
    for request in [
        Req::new(Method::GET, "", ""),
        Req::new(Method::GET, "plain", ""),
        Req::new(Method::GET, "plain", "a"),
        Req::new(Method::DELETE, "plain", ""),
        put("a"),
        Req::new(Method::POST, "plain", "")
            .query("delete", "")
            .body(b"<Delete><Object><Key>a</Key></Object></Delete>"),
    ] {
        let answer = request.signing(Signing::None).send(&server).await;
        answer.assert_error(403, "AccessDenied");
    }
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn a_signature_with_another_secret_or_key_is_refused() {
    let server = Server::start().await;
    let bytes = tampered(&put("a"), &server, "Signature=", "Signature=0");
    server
        .raw(&bytes)
        .await
        .assert_error(403, "SignatureDoesNotMatch");
    let bytes = tampered(&put("a"), &server, "Credential=TESTKEY", "Credential=OTHER");
    server
        .raw(&bytes)
        .await
        .assert_error(403, "InvalidAccessKeyId");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn what_was_signed_cannot_be_changed() {
    let server = Server::start().await;
    let request = put("a")
        .header("x-amz-meta-a", "1")
        .query("x-id", "PutObject");
    for (from, to) in [
        ("PUT /plain/a", "PUT /plain/b"),
        ("PUT /plain/a", "PUT /versioned/a"),
        ("x-id=PutObject", "x-id=Other"),
        ("x-amz-meta-a: 1", "x-amz-meta-a: 2"),
        ("Host: ", "Host: x"),
        ("/us-east-1/", "/eu-west-1/"),
        ("PUT /", "DELETE /"),
    ] {
        let answer = server.raw(&tampered(&request, &server, from, to)).await;
        answer.assert_error(403, "SignatureDoesNotMatch");
    }
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn any_region_in_the_scope_is_accepted() {
    use two_buckets_s3_api::sign;
    let server = Server::start().await;
    let request = sign::Request {
        method: &Method::GET,
        host: &server.host(),
        bucket: Some("plain"),
        key: None,
        query: &[],
        headers: &[],
    };
    let url = sign::presign(
        &crate::harness::credentials(),
        None,
        "mars-north-1",
        "http",
        &request,
        Duration::from_mins(1),
        server.now(),
    );
    crate::presigned::fetch(&server, "GET", &url, &[], b"")
        .await
        .assert_ok();
}

#[tokio::test]
async fn a_clock_may_be_off_by_fifteen_minutes_either_way() {
    let server = Server::start().await;
    let early = put("a").bytes(&server);
    server.advance(Duration::from_mins(15));
    server.raw(&early).await.assert_ok();
    server.advance(Duration::from_secs(1));
    server
        .raw(&early)
        .await
        .assert_error(403, "RequestTimeTooSkewed");

    let server = Server::start().await;
    server.advance(Duration::from_mins(30));
    let late = put("a").bytes(&server);
    let other = Server::start().await;
    other.advance(Duration::from_mins(15) - Duration::from_secs(1));
    let late = String::from_utf8(late)
        .unwrap()
        .replace(&server.host(), &other.host());
    other
        .raw(late.as_bytes())
        .await
        .assert_error(403, "RequestTimeTooSkewed");
}

#[tokio::test]
async fn signature_version_2_in_the_header_is_refused() {
    let server = Server::start().await;
    let answer = put("a")
        .signing(Signing::None)
        .header("Date", "Thu, 17 Nov 2005 18:49:58 GMT")
        .header("Authorization", "AWS TESTKEY:frJIUN8DYpKDtOLCwo//yllqDzg=")
        .send(&server)
        .await;
    answer.assert_error(400, "InvalidRequest");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn other_kinds_of_authorization_are_refused() {
    let server = Server::start().await;
    for value in [
        "Basic dGVzdDp0ZXN0",
        "Bearer abc",
        "AWS4-ECDSA-P256-SHA256 Credential=TESTKEY/20261123/s3/aws4_request, SignedHeaders=host, Signature=00",
        "",
    ] {
        let answer = put("a")
            .signing(Signing::None)
            .header("Authorization", value)
            .send(&server)
            .await;
        assert!(
            matches!(answer.status, 400 | 403),
            "{value}: {}",
            answer.text()
        );
    }
    server.assert_absent("plain", "a").await;
}

/// A client signs, then somebody on the way adds a header that changes what is written.
#[tokio::test]
async fn an_amz_header_that_is_not_signed_is_refused() {
    let server = Server::start().await;
    for (name, value) in [
        ("x-amz-acl", "private"),
        ("x-amz-meta-added", "1"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-copy-source", "/plain/other"),
    ] {
        let answer = put("a").unsigned_header(name, value).send(&server).await;
        answer.assert_error(403, "AccessDenied");
    }
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn the_host_must_be_signed() {
    let server = Server::start().await;
    // Signed by the true secret, but over a list of headers without `host`.
    let bytes = unsigned_host(&server, "x-amz-content-sha256;x-amz-date");
    let answer = server.raw(&bytes).await;
    answer.assert_error(403, "AccessDenied");
    assert!(answer.text().contains("host"), "{}", answer.text());
    // The same with `host` gets in, so it is that and nothing else that is missing.
    let bytes = unsigned_host(&server, "host;x-amz-content-sha256;x-amz-date");
    server.raw(&bytes).await.assert_ok();
}

/// A request for the list of `plain`, signed by hand over exactly these headers.
fn unsigned_host(server: &Server, signed: &str) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use two_buckets_s3_api::sign::sha256_hex;
    let mac = |key: &[u8], text: &str| -> Vec<u8> {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let stamp = "20261123T105050Z";
    let scope = "20261123/us-east-1/s3/aws4_request";
    let payload = sha256_hex(b"");
    let mut canonical = String::from("GET\n/plain\n\n");
    for name in signed.split(';') {
        let value = match name {
            "host" => server.host(),
            "x-amz-date" => stamp.to_owned(),
            _ => payload.clone(),
        };
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    canonical.push_str(&format!("\n{signed}\n{payload}"));
    let text = format!(
        "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let mut key = mac(b"AWS4test/secret", "20261123");
    for step in ["us-east-1", "s3", "aws4_request"] {
        key = mac(&key, step);
    }
    let signature = hex::encode(mac(&key, &text));
    format!(
        "GET /plain HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nx-amz-date: {stamp}\r\n\
         x-amz-content-sha256: {payload}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=TESTKEY/{scope}, SignedHeaders={signed}, Signature={signature}\r\n\r\n",
        server.host()
    )
    .into_bytes()
}

#[tokio::test]
async fn session_tokens_are_refused() {
    let server = Server::start().await;
    put("a")
        .header("x-amz-security-token", "token")
        .send(&server)
        .await
        .assert_error(400, "InvalidToken");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn two_signatures_at_once_are_refused() {
    let server = Server::start().await;
    put("a")
        .query("X-Amz-Signature", "00")
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let server = Server::start().await;
    let good = server.put("plain", "a", b"x").await;
    let bad = server.get("plain", "missing").await;
    let (good_id, bad_id) = (
        good.header("x-amz-request-id").unwrap(),
        bad.header("x-amz-request-id").unwrap(),
    );
    assert_ne!(good_id, bad_id);
    assert!(good.header("x-amz-id-2").is_some());
    bad.assert_error(404, "NoSuchKey");
    assert_eq!(bad.element("RequestId").unwrap(), bad_id);
    assert_eq!(bad.element("Resource").unwrap(), "/plain/missing");
    assert_eq!(bad.header("content-type"), Some("application/xml"));
}
