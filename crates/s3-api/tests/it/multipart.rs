//! Multipart uploads.

use base64::Engine as _;
use http::Method;

use crate::harness::{Answer, Req, Server, elements, noise};

const PART: usize = 5 << 20;

async fn create(server: &Server, key: &str) -> String {
    let answer = Req::new(Method::POST, "plain", key)
        .query("uploads", "")
        .header("content-type", "text/x")
        .header("x-amz-meta-a", "1")
        .send(server)
        .await;
    answer.assert_ok();
    assert!(answer.text().contains("<InitiateMultipartUploadResult"));
    answer.element("UploadId").unwrap()
}

fn part(key: &str, id: &str, number: usize) -> Req {
    Req::new(Method::PUT, "plain", key)
        .query("partNumber", &number.to_string())
        .query("uploadId", id)
}

fn complete(key: &str, id: &str, parts: &[(usize, &str)]) -> Req {
    let parts: String = parts
        .iter()
        .map(|(number, etag)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        })
        .collect();
    Req::new(Method::POST, "plain", key)
        .query("uploadId", id)
        .body(format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").as_bytes())
}

fn etag(answer: &Answer) -> String {
    answer.assert_ok();
    answer.header("etag").unwrap().to_owned()
}

/// Uploads an object of one part to the bucket `plain`.
pub(crate) async fn upload(server: &Server, key: &str) {
    let id = create(server, key).await;
    let tag = etag(&part(key, &id, 1).body(b"part").send(server).await);
    complete(key, &id, &[(1, &tag)])
        .send(server)
        .await
        .assert_ok();
}

#[tokio::test]
async fn parts_become_one_object() {
    let server = Server::start().await;
    let (first, second) = (noise(PART), noise(1000));
    let id = create(&server, "a b").await;
    let two = etag(&part("a b", &id, 2).body(&second).send(&server).await);
    let one = etag(&part("a b", &id, 1).body(&first).send(&server).await);
    server.assert_absent("plain", "a b").await;

    let list = Req::new(Method::GET, "plain", "a b")
        .query("uploadId", &id)
        .send(&server)
        .await;
    assert!(list.text().contains("<ListPartsResult"), "{}", list.text());
    assert_eq!(list.elements("PartNumber"), ["1", "2"]);
    assert_eq!(list.elements("Size"), [PART.to_string(), "1000".into()]);
    assert_eq!(list.element("IsTruncated").unwrap(), "false");
    let page = Req::new(Method::GET, "plain", "a b")
        .query("uploadId", &id)
        .query("max-parts", "1")
        .send(&server)
        .await;
    assert_eq!(page.elements("PartNumber"), ["1"]);
    assert_eq!(page.element("IsTruncated").unwrap(), "true");
    assert_eq!(page.element("NextPartNumberMarker").unwrap(), "1");

    let uploads = Req::new(Method::GET, "plain", "")
        .query("uploads", "")
        .send(&server)
        .await;
    assert!(uploads.text().contains("<ListMultipartUploadsResult"));
    assert_eq!(uploads.elements("UploadId"), std::slice::from_ref(&id));

    let whole = [first.clone(), second.clone()].concat();
    let answer = complete("a b", &id, &[(1, &one), (2, &two)])
        .header("x-amz-mp-object-size", &whole.len().to_string())
        .send(&server)
        .await;
    answer.assert_ok();
    assert!(
        answer.element("ETag").unwrap().ends_with("-2\""),
        "{}",
        answer.text()
    );
    let got = server.get("plain", "a b").await;
    assert!(got.body == whole);
    assert_eq!(got.header("content-type"), Some("text/x"));
    assert_eq!(got.header("x-amz-meta-a"), Some("1"));
    assert_eq!(got.header("x-amz-mp-parts-count"), None);

    let second_part = Req::new(Method::GET, "plain", "a b")
        .query("partNumber", "2")
        .send(&server)
        .await;
    assert_eq!(second_part.status, 206);
    assert!(second_part.body == second);
    assert_eq!(second_part.header("x-amz-mp-parts-count"), Some("2"));
    let expected = format!("bytes {PART}-{}/{}", whole.len() - 1, whole.len());
    assert_eq!(second_part.header("content-range"), Some(&*expected));
    Req::new(Method::GET, "plain", "a b")
        .query("partNumber", "3")
        .send(&server)
        .await
        .assert_error(416, "InvalidRange");

    // The answer was lost, the client asks again.
    let again = complete("a b", &id, &[(1, &one), (2, &two)])
        .send(&server)
        .await;
    assert_eq!(
        again.element("ETag"),
        answer.element("ETag"),
        "{}",
        again.text()
    );
}

#[tokio::test]
async fn a_part_that_is_not_what_was_said_is_not_taken() {
    let server = Server::start().await;
    let id = create(&server, "a").await;
    let wrong = base64::prelude::BASE64_STANDARD.encode([0; 16]);
    part("a", &id, 1)
        .body(b"body")
        .header("content-md5", &wrong)
        .send(&server)
        .await
        .assert_error(400, "BadDigest");
    part("a", &id, 1)
        .body(b"body")
        .header("x-amz-checksum-crc32", "AAAAAA==")
        .send(&server)
        .await
        .assert_error(400, "BadDigest");
    for number in [0, 10_001] {
        part("a", &id, number)
            .body(b"body")
            .send(&server)
            .await
            .assert_error(400, "InvalidArgument");
    }
    part("a", "nothing", 1)
        .body(b"body")
        .send(&server)
        .await
        .assert_error(404, "NoSuchUpload");
    let list = Req::new(Method::GET, "plain", "a")
        .query("uploadId", &id)
        .send(&server)
        .await;
    assert!(list.elements("PartNumber").is_empty());
}

#[tokio::test]
async fn a_completion_must_name_what_was_sent() {
    let server = Server::start().await;
    let id = create(&server, "a").await;
    let one = etag(&part("a", &id, 1).body(b"small").send(&server).await);
    let two = etag(&part("a", &id, 2).body(b"last").send(&server).await);
    for (parts, code) in [
        (vec![(1, "\"0\"")], "InvalidPart"),
        (vec![(3, &*one)], "InvalidPart"),
        (vec![(2, &*two), (1, &*one)], "InvalidPartOrder"),
        (vec![(1, &*one), (2, &*two)], "EntityTooSmall"),
        (vec![], "MalformedXML"),
    ] {
        let answer = complete("a", &id, &parts).send(&server).await;
        answer.assert_error(400, code);
    }
    complete("a", &id, &[(1, &one)])
        .header("x-amz-mp-object-size", "6")
        .send(&server)
        .await
        .assert_error(400, "InvalidRequest");
    complete("a", &id, &[(1, &one)])
        .header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")
        .send(&server)
        .await
        .assert_error(400, "BadDigest");
    server.assert_absent("plain", "a").await;
    server.put("plain", "a", b"first").await.assert_ok();
    complete("a", &id, &[(1, &one)])
        .header("if-none-match", "*")
        .send(&server)
        .await
        .assert_error(412, "PreconditionFailed");
    assert_eq!(server.get("plain", "a").await.body, b"first");
    complete("a", &id, &[(1, &one)])
        .send(&server)
        .await
        .assert_ok();
    assert_eq!(server.get("plain", "a").await.body, b"small");
}

#[tokio::test]
async fn a_completion_can_be_asked_for_again_also_when_the_object_is_gone() {
    let server = Server::start().await;
    let id = create(&server, "a").await;
    let one = etag(&part("a", &id, 1).body(b"first").send(&server).await);
    let again = |size: &str| {
        complete("a", &id, &[(1, &one)])
            .header("x-amz-mp-object-size", size)
            .header("if-none-match", "*")
    };
    let first = again("5").send(&server).await;
    first.assert_ok();
    let same = again("5").send(&server).await;
    assert_eq!(same.text(), first.text());
    server.advance(std::time::Duration::from_mins(10));
    Req::new(Method::DELETE, "plain", "a")
        .send(&server)
        .await
        .assert_ok();
    let same = again("5").send(&server).await;
    assert_eq!(
        (same.status, same.text(), same.header("x-amz-version-id")),
        (200, first.text(), first.header("x-amz-version-id"))
    );
    server.assert_absent("plain", "a").await;
    again("6")
        .send(&server)
        .await
        .assert_error(400, "InvalidRequest");
    complete("a", &id, &[(2, &one)])
        .send(&server)
        .await
        .assert_error(404, "NoSuchUpload");
    Req::new(Method::DELETE, "plain", "a")
        .query("uploadId", &id)
        .send(&server)
        .await
        .assert_error(404, "NoSuchUpload");
    server.advance(std::time::Duration::from_hours(24));
    again("5")
        .send(&server)
        .await
        .assert_error(404, "NoSuchUpload");
}

#[tokio::test]
async fn parts_are_listed_by_the_thousand_and_all_of_them_when_asked() {
    let server = Server::start().await;
    let id = create(&server, "a").await;
    let (depot, upload) = (server.depot.clone(), id.clone());
    tokio::task::spawn_blocking(move || {
        let to = two_buckets_objects::ObjectRef {
            bucket: crate::harness::bucket("plain"),
            key: "a".parse().unwrap(),
        };
        let upload = two_buckets_depot::UploadId(upload);
        for number in 1..=1002 {
            let algorithm = two_buckets_objects::Algorithm::Crc64Nvme;
            let body = depot.body_writer(&[algorithm], 1).finish().unwrap();
            depot.put_part(&to, &upload, number, body).unwrap();
        }
    })
    .await
    .unwrap();
    let list = |query: &[(&str, &str)]| {
        let mut request = Req::new(Method::GET, "plain", "a").query("uploadId", &id);
        for (name, value) in query {
            request = request.query(name, value);
        }
        let server = &server;
        async move {
            let answer = request.send(server).await;
            answer.assert_ok();
            let element = |name: &str| answer.element(name).unwrap_or_default();
            (
                answer.elements("PartNumber").len(),
                element("MaxParts"),
                element("IsTruncated"),
                element("NextPartNumberMarker"),
            )
        }
    };
    let page = |count, max: &str, truncated: &str, next: &str| {
        (count, max.to_owned(), truncated.to_owned(), next.to_owned())
    };
    assert_eq!(list(&[]).await, page(1000, "1000", "true", "1000"));
    assert_eq!(
        list(&[("part-number-marker", "1000")]).await,
        page(2, "1000", "false", "1002")
    );
    assert_eq!(
        list(&[("max-parts", "1001")]).await,
        page(1001, "1001", "true", "1001")
    );
    assert_eq!(
        list(&[("max-parts", "10000")]).await,
        page(1002, "10000", "false", "1002")
    );
    assert_eq!(
        list(&[("max-parts", "20000")]).await,
        page(1002, "10000", "false", "1002")
    );
    Req::new(Method::GET, "plain", "a")
        .query("uploadId", &id)
        .query("max-parts", "-1")
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let server = Server::start().await;
    let id = create(&server, "a").await;
    let one = etag(&part("a", &id, 1).body(b"x").send(&server).await);
    let abort = Req::new(Method::DELETE, "plain", "a").query("uploadId", &id);
    assert_eq!(abort.send(&server).await.status, 204);
    abort.send(&server).await.assert_error(404, "NoSuchUpload");
    complete("a", &id, &[(1, &one)])
        .send(&server)
        .await
        .assert_error(404, "NoSuchUpload");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn parts_can_be_copied_from_ranges() {
    let server = Server::start().await;
    let source = noise(PART + 100);
    server.put("plain", "source", &source).await.assert_ok();
    let id = create(&server, "a").await;
    let copy = |number, range: &str| {
        part("a", &id, number)
            .header("x-amz-copy-source", "/plain/source")
            .header("x-amz-copy-source-range", range)
    };
    let first = copy(1, &format!("bytes=0-{}", PART - 1))
        .send(&server)
        .await;
    first.assert_ok();
    assert!(first.text().contains("<CopyPartResult"));
    let second = copy(2, &format!("bytes={PART}-{}", PART + 99))
        .send(&server)
        .await;
    let tag = |answer: &Answer| answer.element("ETag").unwrap();
    complete("a", &id, &[(1, &tag(&first)), (2, &tag(&second))])
        .send(&server)
        .await
        .assert_ok();
    assert!(server.get("plain", "a").await.body == source);
    let id = create(&server, "b").await;
    for range in [
        "bytes=0-99999999",
        "bytes=5-1",
        "bytes=5-",
        "bytes=-5",
        "0-5",
    ] {
        part("b", &id, 1)
            .header("x-amz-copy-source", "/plain/source")
            .header("x-amz-copy-source-range", range)
            .send(&server)
            .await
            .assert_error(400, "InvalidArgument");
    }
}

#[tokio::test]
async fn a_composite_checksum_ends_in_the_number_of_parts() {
    let server = Server::start().await;
    let answer = Req::new(Method::POST, "plain", "a")
        .query("uploads", "")
        .header("x-amz-checksum-algorithm", "SHA256")
        .send(&server)
        .await;
    answer.assert_ok();
    assert_eq!(answer.header("x-amz-checksum-algorithm"), Some("SHA256"));
    assert_eq!(answer.header("x-amz-checksum-type"), Some("COMPOSITE"));
    let id = answer.element("UploadId").unwrap();
    let body = b"body";
    let mut hasher = two_buckets_objects::Algorithm::Sha256.hasher();
    hasher.update(body);
    let sum = base64::prelude::BASE64_STANDARD.encode(hasher.finish().value);
    let sent = part("a", &id, 1)
        .body(body)
        .header("x-amz-checksum-sha256", &sum)
        .send(&server)
        .await;
    sent.assert_ok();
    assert_eq!(sent.header("x-amz-checksum-sha256"), Some(&*sum));
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag>\
         <ChecksumSHA256>{sum}</ChecksumSHA256></Part></CompleteMultipartUpload>",
        sent.header("etag").unwrap()
    );
    let answer = Req::new(Method::POST, "plain", "a")
        .query("uploadId", &id)
        .body(document.as_bytes())
        .send(&server)
        .await;
    answer.assert_ok();
    assert!(
        answer.element("ChecksumSHA256").unwrap().ends_with("-1"),
        "{}",
        answer.text()
    );
    let head = Req::new(Method::HEAD, "plain", "a")
        .header("x-amz-checksum-mode", "ENABLED")
        .send(&server)
        .await;
    assert!(
        head.header("x-amz-checksum-sha256")
            .unwrap()
            .ends_with("-1")
    );
    assert_eq!(head.header("x-amz-checksum-type"), Some("COMPOSITE"));
    let attributes = Req::new(Method::GET, "plain", "a")
        .query("attributes", "")
        .header("x-amz-object-attributes", "ObjectParts")
        .send(&server)
        .await;
    let parts = attributes.elements("Part");
    assert_eq!(
        attributes.element("PartsCount").unwrap(),
        "1",
        "{}",
        attributes.text()
    );
    assert_eq!(elements(&parts[0], "ChecksumSHA256"), [sum]);
}
