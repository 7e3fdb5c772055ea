//! Uploads in parts to the pinned file's own archive key, as boto3 copies files of 8 MB and more.

use http::Method;

use super::{ARCHIVE, Environment, STAGING, object};
use crate::harness::{Answer, Req, noise};

const PART: usize = 5 << 20;

impl Environment {
    async fn begin(&self, key: &str) -> String {
        let answer = self.send(self.begin_req(key)).await;
        answer.assert_ok().element("UploadId").unwrap()
    }

    fn begin_req(&self, key: &str) -> Req {
        self.req(Method::POST, ARCHIVE, key).query("uploads", "")
    }

    fn part(&self, id: &str, number: usize) -> Req {
        self.req(Method::PUT, ARCHIVE, "a")
            .query("partNumber", &number.to_string())
            .query("uploadId", id)
    }

    fn part_copy(&self, id: &str, number: usize, first: usize, length: usize) -> Req {
        let range = format!("bytes={first}-{}", first + length - 1);
        self.part(id, number)
            .header("x-amz-copy-source", "versioned/a")
            .header("x-amz-copy-source-range", &range)
    }

    fn complete_req(&self, id: &str, parts: &[(usize, String)]) -> Req {
        let parts: String = parts
            .iter()
            .map(|(number, etag)| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
            })
            .collect();
        self.req(Method::POST, ARCHIVE, "a")
            .query("uploadId", id)
            .body(format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").as_bytes())
    }

    async fn complete(&self, id: &str, parts: &[(usize, String)]) -> Answer {
        self.send(self.complete_req(id, parts)).await
    }

    async fn copy_part(&self, id: &str, number: usize, first: usize, length: usize) -> String {
        let answer = self.send(self.part_copy(id, number, first, length)).await;
        answer.assert_ok().element("ETag").unwrap()
    }

    async fn send_part(&self, id: &str, number: usize, body: &[u8]) -> String {
        let answer = self.send(self.part(id, number).body(body)).await;
        answer.assert_ok().header("etag").unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_copy_in_parts_is_noted_and_leaves_neither_version_nor_parts() {
    let it = Environment::start().await;
    let body = noise(2 * PART + 1000);
    let (version, pinned) = it.work_on("a", &body).await;
    it.upload("a", b"newer").await;
    let id = it.begin("a").await;
    let three = it.copy_part(&id, 3, 2 * PART, 1000).await;
    let one = it.copy_part(&id, 1, 0, PART).await;
    let two = it.send(it.part_copy(&id, 2, PART, PART)).await;
    assert_eq!(two.header("x-amz-copy-source-version-id"), Some(&*version));
    let two = two.element("ETag").unwrap();
    it.assert_no_parts();

    let list = |query: &[(&str, &str)]| {
        let mut req = it.req(Method::GET, ARCHIVE, "a").query("uploadId", &id);
        for (name, value) in query {
            req = req.query(name, value);
        }
        req
    };
    let all = it.send(list(&[])).await;
    assert_eq!(all.elements("PartNumber"), ["1", "2", "3"]);
    assert_eq!(all.elements("Size")[2], "1000");
    let page = it
        .send(list(&[("max-parts", "1"), ("part-number-marker", "1")]))
        .await;
    assert_eq!(page.elements("PartNumber"), ["2"]);
    assert_eq!(page.element("IsTruncated").as_deref(), Some("true"));
    assert_eq!(page.element("NextPartNumberMarker").as_deref(), Some("2"));

    let parts = [(1, one), (2, two), (3, three)];
    assert!(!pinned.was_copied(&object(STAGING, "a")));
    let completed = it.complete(&id, &parts).await;
    completed.assert_ok();
    assert!(pinned.was_copied(&object(STAGING, "a")));
    assert_eq!(completed.header("x-amz-version-id"), None);
    let archived = it.get(ARCHIVE, "a").await;
    assert_eq!(archived.body, body);
    let etag = completed.element("ETag").unwrap().replace("&quot;", "\"");
    assert_eq!(archived.header("etag"), Some(&*etag));
    it.assert_nothing_written();

    // The answer was lost and the client asks again.
    it.complete(&id, &parts).await.assert_ok();
    it.complete(&id, &parts[..2])
        .await
        .assert_error(404, "NoSuchUpload");
    it.send(list(&[])).await.assert_error(404, "NoSuchUpload");
}

#[tokio::test]
async fn parts_that_were_sent_are_the_file_or_are_refused() {
    let it = Environment::start().await;
    let body = noise(2 * PART);
    let (_, pinned) = it.work_on("a", &body).await;
    let mut other = body[PART..].to_vec();
    other[77] ^= 1;
    let id = it.begin("a").await;
    let one = it.send_part(&id, 1, &body[..PART]).await;
    let wrong = it.send_part(&id, 2, &other).await;
    it.complete(&id, &[(1, one.clone()), (2, wrong.clone())])
        .await
        .assert_error(403, "AccessDenied");
    it.complete(&id, &[(1, one.clone())])
        .await
        .assert_error(403, "AccessDenied");
    let two = it.send_part(&id, 2, &body[PART..]).await;
    it.complete(&id, &[(1, one.clone()), (2, wrong)])
        .await
        .assert_error(400, "InvalidPart");
    it.complete(&id, &[(2, two.clone()), (1, one.clone())])
        .await
        .assert_error(400, "InvalidPartOrder");
    // In the other order the same bytes are another file.
    let swapped = it.begin("a").await;
    let front = it.send_part(&swapped, 1, &body[PART..]).await;
    let back = it.send_part(&swapped, 2, &body[..PART]).await;
    it.complete(&swapped, &[(1, front), (2, back)])
        .await
        .assert_error(403, "AccessDenied");
    let claimed = it
        .complete_req(&id, &[(1, one.clone()), (2, two.clone())])
        .header("x-amz-mp-object-size", "1");
    it.send(claimed).await.assert_error(400, "InvalidRequest");
    assert!(!pinned.was_copied(&object(STAGING, "a")));
    it.complete(&id, &[(1, one), (2, two)]).await.assert_ok();
    assert!(pinned.was_copied(&object(STAGING, "a")));
    it.assert_nothing_written();
}

#[tokio::test]
async fn copied_parts_that_are_not_in_their_place_are_refused() {
    let it = Environment::start().await;
    let (version, pinned) = it.work_on("a", &noise(2 * PART)).await;
    let newer = it.upload("a", &noise(2 * PART)).await;
    let id = it.begin("a").await;
    let twice = [
        (1, it.copy_part(&id, 1, 0, PART).await),
        (2, it.copy_part(&id, 2, 0, PART).await),
    ];
    it.complete(&id, &twice)
        .await
        .assert_error(403, "AccessDenied");
    let of_newer = it.part(&id, 2).header(
        "x-amz-copy-source",
        &format!("versioned/a?versionId={newer}"),
    );
    it.send(of_newer).await.assert_error(403, "AccessDenied");
    // Nor what it may read and has made itself.
    let result = format!("_results/a/{version}/x");
    it.put(ARCHIVE, &result, &noise(2 * PART)).await.assert_ok();
    let of_result = it
        .part(&id, 1)
        .header("x-amz-copy-source", &format!("{ARCHIVE}/{result}"));
    it.send(of_result).await.assert_error(403, "AccessDenied");
    // Small parts are refused as S3 refuses them.
    let small = [
        (1, it.copy_part(&id, 1, 0, 1000).await),
        (2, it.copy_part(&id, 2, 1000, 2 * PART - 1000).await),
    ];
    it.complete(&id, &small)
        .await
        .assert_error(400, "EntityTooSmall");
    assert!(!pinned.was_copied(&object(STAGING, "a")));
    assert_eq!(it.versions(ARCHIVE).len(), 1, "the result");
    it.assert_no_parts();
}

#[tokio::test]
async fn checksums_of_parts_are_compared_as_s3_compares_them() {
    let it = Environment::start().await;
    let (_, pinned) = it.work_on("a", b"mine").await;
    let begun = it
        .begin_req("a")
        .header("x-amz-checksum-algorithm", "SHA256");
    let begun = it.send(begun).await;
    assert_eq!(begun.header("x-amz-checksum-type"), Some("COMPOSITE"));
    let id = begun.element("UploadId").unwrap();
    let copied = it.send(it.part_copy(&id, 1, 0, 4)).await;
    let sha256 = copied.element("ChecksumSHA256").unwrap();
    let etag = copied.element("ETag").unwrap();
    let complete = |sum: &str| {
        let part = format!(
            "<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag><ChecksumSHA256>{sum}</ChecksumSHA256></Part>"
        );
        it.complete_req(&id, &[])
            .body(format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>").as_bytes())
    };
    let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    it.send(complete(zeros))
        .await
        .assert_error(400, "InvalidPart");
    let whole = complete(&sha256).header("x-amz-checksum-sha256", zeros);
    it.send(whole).await.assert_error(400, "BadDigest");
    assert!(!pinned.was_copied(&object(STAGING, "a")));
    let whole = complete(&sha256).header("x-amz-checksum-sha256", &sha256);
    it.send(whole).await.assert_ok();
    assert!(pinned.was_copied(&object(STAGING, "a")));
}

#[tokio::test]
async fn an_upload_in_parts_ends_with_its_invocation() {
    let it = Environment::start().await;
    let (version, pinned) = it.work_on("a", b"mine").await;
    let id = it.begin("a").await;
    let etag = it.copy_part(&id, 1, 0, 4).await;
    drop(pinned);
    it.complete(&id, &[(1, etag.clone())])
        .await
        .assert_error(403, "AccessDenied");
    let pinned = it.pin("a", &version);
    it.complete(&id, &[(1, etag.clone())])
        .await
        .assert_error(404, "NoSuchUpload");
    let id = it.begin("a").await;
    let etag = it.copy_part(&id, 1, 0, 4).await;
    let abort = it.req(Method::DELETE, ARCHIVE, "a").query("uploadId", &id);
    assert_eq!(it.send(abort.clone()).await.status, 204);
    it.send(abort).await.assert_error(404, "NoSuchUpload");
    it.complete(&id, &[(1, etag)])
        .await
        .assert_error(404, "NoSuchUpload");
    assert!(!pinned.was_copied(&object(STAGING, "a")));
    it.assert_nothing_written();
}

#[tokio::test]
async fn an_upload_begun_for_another_file_cannot_be_completed_over_this_one() {
    let it = Environment::start().await;
    let (_, pinned) = it.work_on("b", b"first").await;
    let id = it.begin("a").await;
    let part = it.part(&id, 1).body(b"forged");
    let etag = it.send(part).await.header("etag").unwrap().to_owned();
    drop(pinned);
    let (_, pinned) = it.work_on("a", b"mine").await;
    it.complete(&id, &[(1, etag)])
        .await
        .assert_error(404, "NoSuchUpload");
    assert!(!pinned.was_copied(&object(STAGING, "a")));
    assert_eq!(it.versions(ARCHIVE), [""; 0]);
}

#[tokio::test]
async fn an_upload_in_parts_with_other_metadata_is_refused_as_it_begins() {
    let it = Environment::start().await;
    let (_, _pinned) = it.work_on("a", b"mine").await;
    let begin = it.begin_req("a").header("x-amz-meta-x", "1");
    it.send(begin).await.assert_error(403, "AccessDenied");
    let begin = it.begin_req("a").header("x-amz-tagging", "x=1");
    it.send(begin).await.assert_error(403, "AccessDenied");
    for _ in 0..16 {
        it.begin("a").await;
    }
    it.send(it.begin_req("a"))
        .await
        .assert_error(400, "InvalidArgument");
}

#[tokio::test]
async fn uploads_in_parts_to_other_keys_are_made() {
    let it = Environment::start().await;
    let (version, _pinned) = it.work_on("a", b"mine").await;
    it.upload("a", b"newer").await;
    for key in ["out", &format!("_results/a/{version}/out")] {
        let id = it.begin(key).await;
        let part = it
            .req(Method::PUT, ARCHIVE, key)
            .query("partNumber", "1")
            .query("uploadId", &id)
            .header("x-amz-copy-source", "versioned/a");
        let etag = it.send(part).await.element("ETag").unwrap();
        let mut complete = it.complete_req(&id, &[(1, etag)]);
        complete.key = Some(key.into());
        it.send(complete).await.assert_ok();
        assert_eq!(it.server.get(ARCHIVE, key).await.body, b"mine");
    }
}
