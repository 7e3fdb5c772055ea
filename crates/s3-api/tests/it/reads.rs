//! GET and HEAD: conditions, ranges, parts.

use http::Method;

use crate::harness::{Req, Server, noise};

fn get(key: &str) -> Req {
    Req::new(Method::GET, "plain", key)
}

#[tokio::test]
async fn metadata_comes_back_as_it_was_sent() {
    let server = Server::start().await;
    let sent = [
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment; filename=\"a\""),
        ("content-encoding", "gzip"),
        ("content-language", "de, en"),
        ("content-type", "text/plain; charset=utf-8"),
        ("expires", "not a date"),
        ("x-amz-meta-some-name", "some value"),
        ("x-amz-website-redirect-location", "/other"),
    ];
    let mut put = Req::new(Method::PUT, "plain", "a").body(b"x");
    for (name, value) in sent {
        put = put.header(name, value);
    }
    put.send(&server).await.assert_ok();
    for method in [Method::GET, Method::HEAD] {
        let answer = Req::new(method, "plain", "a").send(&server).await;
        answer.assert_ok();
        for (name, value) in sent {
            assert_eq!(answer.header(name), Some(value));
        }
        assert_eq!(answer.header("content-length"), Some("1"));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(
            answer.header("last-modified"),
            Some("Mon, 23 Nov 2026 10:50:50 GMT")
        );
        assert_eq!(
            answer.header("etag"),
            Some("\"9dd4e461268c8034f5c8564e155c67a6\"")
        );
        assert_eq!(answer.header("x-amz-version-id"), None);
    }
    server.put("plain", "b", b"x").await.assert_ok();
    let answer = server.get("plain", "b").await;
    assert_eq!(answer.header("content-type"), Some("binary/octet-stream"));
}

#[tokio::test]
async fn ranges_are_served_and_impossible_ones_refused() {
    let server = Server::start().await;
    let body = noise(400_000);
    server.put("plain", "a", &body).await.assert_ok();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=399990-", 399_990, 400_000),
        ("bytes=-7", 399_993, 400_000),
        ("bytes=-900000", 0, 400_000),
        ("bytes=10-900000", 10, 400_000),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = Req::new(method.clone(), "plain", "a")
                .header("range", range)
                .send(&server)
                .await;
            assert_eq!(answer.status, 206, "{range}");
            let expected = format!("bytes {from}-{}/400000", to - 1);
            assert_eq!(answer.header("content-range"), Some(&*expected));
            assert_eq!(
                answer.header("content-length"),
                Some(&*(to - from).to_string())
            );
            if method == Method::GET {
                assert!(answer.body == body[from..to], "{range}");
            }
        }
    }
    for range in ["bytes=400000-", "bytes=-0", "bytes=500000-600000"] {
        let answer = get("a").header("range", range).send(&server).await;
        answer.assert_error(416, "InvalidRange");
        assert_eq!(answer.header("content-range"), Some("bytes */400000"));
    }
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes=5-1"] {
        let answer = get("a").header("range", range).send(&server).await;
        assert_eq!(
            (answer.status, answer.body.len()),
            (200, 400_000),
            "{range}"
        );
    }
}

#[tokio::test]
async fn a_large_object_is_streamed_whole() {
    let server = Server::start().await;
    let body = noise(3 << 20);
    server.put("plain", "a", &body).await.assert_ok();
    let answer = server.get("plain", "a").await;
    assert!(answer.body == body);
    assert_eq!(answer.header("content-length"), Some("3145728"));
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let server = Server::start().await;
    server.put("plain", "a", b"").await.assert_ok();
    let answer = server.get("plain", "a").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), Some("0"));
    get("a")
        .header("range", "bytes=0-0")
        .send(&server)
        .await
        .assert_error(416, "InvalidRange");
}

#[tokio::test]
async fn conditions_decide_in_the_order_of_http() {
    let server = Server::start().await;
    let put = server.put("plain", "a", b"x").await;
    let etag = put.header("etag").unwrap().to_owned();
    let (before, same, after) = (
        "Mon, 23 Nov 2026 10:50:49 GMT",
        "Mon, 23 Nov 2026 10:50:50 GMT",
        "Mon, 23 Nov 2026 10:50:51 GMT",
    );
    for (headers, status) in [
        (vec![("if-match", &*etag)], 200),
        (vec![("if-match", etag.trim_matches('"'))], 200),
        (vec![("if-match", "*")], 200),
        (vec![("if-match", "\"other\"")], 412),
        (vec![("if-none-match", &*etag)], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-modified-since", before)], 200),
        (vec![("if-modified-since", same)], 304),
        (vec![("if-modified-since", after)], 304),
        (vec![("if-modified-since", "yesterday")], 200),
        (vec![("if-unmodified-since", before)], 412),
        (vec![("if-unmodified-since", same)], 200),
        (
            vec![("if-match", &*etag), ("if-unmodified-since", before)],
            200,
        ),
        (
            vec![("if-none-match", "\"other\""), ("if-modified-since", same)],
            200,
        ),
        (
            vec![("if-match", "\"other\""), ("if-none-match", &*etag)],
            412,
        ),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let mut request = Req::new(method, "plain", "a");
            for (name, value) in &headers {
                request = request.header(name, value);
            }
            let answer = request.send(&server).await;
            assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
            if status == 304 {
                assert_eq!(answer.header("etag"), Some(&*etag));
                assert!(answer.header("last-modified").is_some());
                assert!(answer.body.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn half_of_another_version_is_not_completed_with_this_one() {
    let server = Server::start().await;
    let put = server.put("plain", "a", b"0123456789").await;
    let etag = put.header("etag").unwrap().to_owned();
    let request = get("a").header("range", "bytes=5-");
    let answer = request
        .clone()
        .header("if-range", &etag)
        .send(&server)
        .await;
    assert_eq!((answer.status, &*answer.body), (206, &b"56789"[..]));
    let answer = request.header("if-range", "\"old\"").send(&server).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"0123456789"[..]));
}

#[tokio::test]
async fn what_is_not_there_is_said_by_its_own_code() {
    let server = Server::start().await;
    get("a").send(&server).await.assert_error(404, "NoSuchKey");
    Req::new(Method::GET, "nowhere", "a")
        .send(&server)
        .await
        .assert_error(404, "NoSuchBucket");
    let head = Req::new(Method::HEAD, "plain", "a").send(&server).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    Req::new(Method::GET, "Bad_Name", "a")
        .send(&server)
        .await
        .assert_error(400, "InvalidBucketName");

    let put = server.put("versioned", "a", b"x").await;
    let version = put.header("x-amz-version-id").unwrap().to_owned();
    let delete = Req::new(Method::DELETE, "versioned", "a")
        .send(&server)
        .await;
    assert_eq!(delete.status, 204);
    assert_eq!(delete.header("x-amz-delete-marker"), Some("true"));
    let marker = delete.header("x-amz-version-id").unwrap().to_owned();
    let answer = server.get("versioned", "a").await;
    answer.assert_error(404, "NoSuchKey");
    assert_eq!(answer.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(answer.header("x-amz-version-id"), Some(&*marker));
    let of = |id: &str| Req::new(Method::GET, "versioned", "a").query("versionId", id);
    let answer = of(&marker).send(&server).await;
    answer.assert_error(405, "MethodNotAllowed");
    assert_eq!(answer.header("x-amz-delete-marker"), Some("true"));
    assert!(answer.header("last-modified").is_some());
    assert_eq!(of(&version).send(&server).await.body, b"x");
    of("nothing")
        .send(&server)
        .await
        .assert_error(404, "NoSuchVersion");
    of("")
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
}

#[tokio::test]
async fn attributes_tell_what_was_asked() {
    let server = Server::start().await;
    server.put("plain", "a", b"body").await.assert_ok();
    let ask = |what: &str| {
        get("a")
            .query("attributes", "")
            .header("x-amz-object-attributes", what)
    };
    let answer = ask("ETag,ObjectSize,StorageClass,Checksum")
        .send(&server)
        .await;
    answer.assert_ok();
    assert_eq!(answer.element("ObjectSize").unwrap(), "4");
    assert_eq!(answer.element("StorageClass").unwrap(), "STANDARD");
    assert!(answer.element("ChecksumCRC64NVME").is_some());
    assert_eq!(
        answer.element("ETag").unwrap(),
        "841a2d689ad86bd1611447453c22c6fc"
    );
    assert!(
        answer.text().contains("<GetObjectAttributesResponse"),
        "{}",
        answer.text()
    );
    let answer = ask("ETag").send(&server).await;
    assert_eq!(answer.element("ObjectSize"), None);
    ask("Nothing")
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
}
