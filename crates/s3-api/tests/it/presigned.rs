//! Presigned URLs, of both versions.

use std::time::Duration;

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use two_buckets_s3_api::sign;

use crate::harness::{Answer, REGION, START_MILLIS, Server, credentials};

/// Fetches a URL of this server.
pub(crate) async fn fetch(
    server: &Server,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let target = url
        .strip_prefix(&format!("http://{}", server.host()))
        .unwrap();
    let mut head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        server.host()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "PUT" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let mut bytes = format!("{head}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    server.raw(&bytes).await
}

fn presign(
    server: &Server,
    method: &Method,
    key: &str,
    query: &[(&str, &str)],
    headers: &[(&str, &str)],
    valid_for: Duration,
) -> String {
    let request = sign::Request {
        method,
        host: &server.host(),
        bucket: Some("plain"),
        key: Some(key),
        query,
        headers,
    };
    sign::presign(
        &credentials(),
        None,
        REGION,
        "http",
        &request,
        valid_for,
        server.now(),
    )
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_url_lets_its_holder_do_one_thing_for_a_while() {
    let server = Server::start().await;
    let put = presign(&server, &Method::PUT, "a b/ä", &[], &[], HOUR);
    fetch(&server, "PUT", &put, &[], b"body").await.assert_ok();
    fetch(&server, "GET", &put, &[], b"")
        .await
        .assert_error(403, "SignatureDoesNotMatch");
    let get = presign(&server, &Method::GET, "a b/ä", &[], &[], HOUR);
    assert_eq!(fetch(&server, "GET", &get, &[], b"").await.body, b"body");
    server.advance(HOUR);
    fetch(&server, "GET", &get, &[], b"").await.assert_ok();
    server.advance(Duration::from_secs(1));
    let answer = fetch(&server, "GET", &get, &[], b"").await;
    answer.assert_error(403, "AccessDenied");
    assert!(answer.text().contains("expired"), "{}", answer.text());
}

#[tokio::test]
async fn a_url_may_be_valid_for_a_week_at_most() {
    let server = Server::start().await;
    // Our own signer never makes a longer one, so the number is changed in the URL; that is refused before the
    // signature is looked at, whatever the signature.
    let week = presign(
        &server,
        &Method::GET,
        "a",
        &[],
        &[],
        sign::PRESIGNED_VALID_MAX,
    );
    assert!(week.contains("X-Amz-Expires=604800&"));
    fetch(&server, "GET", &week, &[], b"")
        .await
        .assert_error(404, "NoSuchKey");
    for expires in [
        "604801",
        "315360000",
        "0",
        "-1",
        "x",
        "99999999999999999999",
    ] {
        let url = week.replace("604800", expires);
        fetch(&server, "GET", &url, &[], b"")
            .await
            .assert_error(400, "AuthorizationQueryParametersError");
    }
}

#[tokio::test]
async fn a_url_from_the_future_is_refused() {
    let server = Server::start().await;
    server.advance(Duration::from_mins(16));
    let url = presign(&server, &Method::GET, "a", &[], &[], HOUR);
    let early = Server::start().await;
    let url = url.replace(&server.host(), &early.host());
    fetch(&early, "GET", &url, &[], b"")
        .await
        .assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn a_holder_cannot_add_to_a_url() {
    let server = Server::start().await;
    let url = presign(&server, &Method::PUT, "a", &[], &[], HOUR);
    for header in ["x-amz-acl", "x-amz-meta-a", "x-amz-tagging"] {
        fetch(&server, "PUT", &url, &[(header, "private")], b"x")
            .await
            .assert_error(403, "AccessDenied");
    }
    for more in [
        "&versionId=1",
        "&x-amz-meta-a=b",
        "&partNumber=1&uploadId=1",
    ] {
        fetch(&server, "PUT", &format!("{url}{more}"), &[], b"x")
            .await
            .assert_error(403, "SignatureDoesNotMatch");
    }
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn headers_that_were_signed_must_be_sent() {
    let server = Server::start().await;
    let headers = [("content-type", "text/plain"), ("x-amz-meta-a", "1")];
    let url = presign(&server, &Method::PUT, "a", &[], &headers, HOUR);
    fetch(&server, "PUT", &url, &[], b"x")
        .await
        .assert_error(403, "AccessDenied");
    fetch(
        &server,
        "PUT",
        &url,
        &[("content-type", "text/html"), ("x-amz-meta-a", "1")],
        b"x",
    )
    .await
    .assert_error(403, "SignatureDoesNotMatch");
    fetch(&server, "PUT", &url, &headers, b"x")
        .await
        .assert_ok();
    assert_eq!(
        server.get("plain", "a").await.header("x-amz-meta-a"),
        Some("1")
    );
}

#[tokio::test]
async fn a_checksum_in_a_signed_header_is_held() {
    let server = Server::start().await;
    let request = sign::Request {
        method: &Method::PUT,
        host: &server.host(),
        bucket: Some("plain"),
        key: Some("a"),
        query: &[],
        headers: &[(
            "x-amz-checksum-sha256",
            "s8M0KIzrU9kT0BO8sxkSwLqS3qHDKBz3ZLZu/RI5IUw=",
        )],
    };
    let url = sign::presign(
        &credentials(),
        None,
        REGION,
        "http",
        &request,
        HOUR,
        server.now(),
    );
    let header = [(
        "x-amz-checksum-sha256",
        "s8M0KIzrU9kT0BO8sxkSwLqS3qHDKBz3ZLZu/RI5IUw=",
    )];
    fetch(&server, "PUT", &url, &header, b"wrong")
        .await
        .assert_error(400, "BadDigest");
    server.assert_absent("plain", "a").await;
}

/// The JavaScript SDK puts headers into the query, among them the CRC32 of an empty body (aws/aws-sdk-js-v3#6810).
#[tokio::test]
async fn headers_in_the_query_count_but_checksums_there_do_not() {
    let server = Server::start().await;
    let query = [
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-meta-a", "1"),
    ];
    let url = presign(&server, &Method::PUT, "a", &query, &[], HOUR);
    fetch(&server, "PUT", &url, &[], b"body").await.assert_ok();
    assert_eq!(
        server.get("plain", "a").await.header("x-amz-meta-a"),
        Some("1")
    );
    let query = [("x-amz-server-side-encryption", "AES256")];
    let url = presign(&server, &Method::PUT, "b", &query, &[], HOUR);
    fetch(&server, "PUT", &url, &[], b"body")
        .await
        .assert_error(501, "NotImplemented");
}

#[tokio::test]
async fn headers_of_the_answer_can_be_overridden() {
    let server = Server::start().await;
    server.put("plain", "a", b"x").await.assert_ok();
    let query = [
        (
            "response-content-disposition",
            "attachment; filename=\"b c\"",
        ),
        ("response-content-type", "text/x-own"),
        ("response-cache-control", "no-store"),
    ];
    for method in [Method::GET, Method::HEAD] {
        let url = presign(&server, &method, "a", &query, &[], HOUR);
        let answer = fetch(&server, method.as_str(), &url, &[], b"").await;
        answer.assert_ok();
        assert_eq!(
            answer.header("content-disposition"),
            Some("attachment; filename=\"b c\"")
        );
        assert_eq!(answer.header("content-type"), Some("text/x-own"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

/// A URL of version 2, as boto3 makes it.
fn presign_v2(
    server: &Server,
    method: &str,
    resource: &str,
    parameters: &str,
    amz_headers: &str,
    expires_s: i64,
) -> String {
    let text = format!("{method}\n\n\n{expires_s}\n{amz_headers}{resource}");
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"test/secret").unwrap();
    mac.update(text.as_bytes());
    let signature = base64::prelude::BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let signature = signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let path = resource.split('?').next().unwrap();
    format!(
        "http://{}{path}?{parameters}AWSAccessKeyId=TESTKEY&Signature={signature}&Expires={expires_s}",
        server.host()
    )
}

const START_S: i64 = START_MILLIS / 1000;

#[tokio::test]
async fn a_version_2_url_works_until_it_expires() {
    let server = Server::start().await;
    let put = presign_v2(&server, "PUT", "/plain/a%20b", "", "", START_S + 60);
    fetch(&server, "PUT", &put, &[], b"body").await.assert_ok();
    let get = presign_v2(&server, "GET", "/plain/a%20b", "", "", START_S + 60);
    assert_eq!(fetch(&server, "GET", &get, &[], b"").await.body, b"body");
    let typed = presign_v2(
        &server,
        "GET",
        "/plain/a%20b?response-content-type=text/x",
        "response-content-type=text%2Fx&",
        "",
        START_S + 60,
    );
    let answer = fetch(&server, "GET", &typed, &[], b"").await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/x"),
        "{}",
        answer.text()
    );
    server.advance(Duration::from_secs(61));
    fetch(&server, "GET", &get, &[], b"")
        .await
        .assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn a_version_2_url_is_verified_strictly() {
    let server = Server::start().await;
    server.put("plain", "a", b"body").await.assert_ok();
    server.put("plain", "b", b"other").await.assert_ok();
    let url = presign_v2(&server, "GET", "/plain/a", "", "", START_S + 60);
    fetch(&server, "GET", &url, &[], b"").await.assert_ok();
    for (from, to) in [
        ("/plain/a", "/plain/b"),
        ("Signature=", "Signature=x"),
        ("?", "?acl&"),
        ("?", "?uploads&"),
        ("?", "?response-content-type=text%2Fhtml&"),
    ] {
        let answer = fetch(&server, "GET", &url.replacen(from, to, 1), &[], b"").await;
        answer.assert_error(403, "SignatureDoesNotMatch");
    }
    let later = url.replace(&(START_S + 60).to_string(), &(START_S + 600).to_string());
    fetch(&server, "GET", &later, &[], b"")
        .await
        .assert_error(403, "SignatureDoesNotMatch");
    fetch(&server, "GET", &url.replace("TESTKEY", "OTHER"), &[], b"")
        .await
        .assert_error(403, "InvalidAccessKeyId");
    fetch(&server, "DELETE", &url, &[], b"")
        .await
        .assert_error(403, "SignatureDoesNotMatch");
    // A header the signature does not cover.
    fetch(
        &server,
        "GET",
        &url,
        &[("x-amz-checksum-mode", "ENABLED")],
        b"",
    )
    .await
    .assert_error(403, "SignatureDoesNotMatch");
    // Parameters that version 2 leaves unsigned would let the holder of one object's URL ask for more.
    for more in ["&attributes", "&prefix=x", "&max-keys=1"] {
        fetch(&server, "GET", &format!("{url}{more}"), &[], b"")
            .await
            .assert_error(403, "AccessDenied");
    }
}

#[tokio::test]
async fn a_version_2_url_may_be_valid_for_a_week_at_most() {
    let server = Server::start().await;
    server.put("plain", "a", b"body").await.assert_ok();
    let week = START_S + 604_800;
    let url = presign_v2(&server, "GET", "/plain/a", "", "", week);
    fetch(&server, "GET", &url, &[], b"").await.assert_ok();
    for expires_s in [week + 2, START_S + 315_360_000, i64::MAX, 0, -1] {
        let url = presign_v2(&server, "GET", "/plain/a", "", "", expires_s);
        fetch(&server, "GET", &url, &[], b"")
            .await
            .assert_error(403, "AccessDenied");
    }
}

#[tokio::test]
async fn amz_headers_of_a_version_2_url_are_signed_in_the_query_too() {
    let server = Server::start().await;
    let url = presign_v2(
        &server,
        "PUT",
        "/plain/a",
        "x-amz-meta-a=1&",
        "x-amz-meta-a:1\n",
        START_S + 60,
    );
    fetch(
        &server,
        "PUT",
        &url.replace("meta-a=1", "meta-a=2"),
        &[],
        b"x",
    )
    .await
    .assert_error(403, "SignatureDoesNotMatch");
    fetch(&server, "PUT", &url, &[], b"x").await.assert_ok();
    assert_eq!(
        server.get("plain", "a").await.header("x-amz-meta-a"),
        Some("1")
    );
}
