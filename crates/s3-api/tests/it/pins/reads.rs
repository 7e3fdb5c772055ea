//! What a function sees.

use http::Method;
use two_buckets_s3_api::sign;

use super::{ARCHIVE, Environment, OTHER, STAGING, object, version_id};
use crate::harness::REGION;
use crate::presigned::fetch;
use crate::sessions::HOUR;

#[tokio::test]
async fn reads_by_name_are_of_the_pinned_version_though_a_newer_one_came() {
    let it = Environment::start().await;
    let tagged = it.server.put(STAGING, "a b/ä", b"older").await;
    let version = version_id(&tagged);
    let _pinned = it.pin("a b/ä", &version);
    let newer = it.upload("a b/ä", b"the newer one").await;
    assert_ne!(version, newer);

    let got = it.get(STAGING, "a b/ä").await;
    assert_eq!(got.assert_ok().body, b"older");
    assert_eq!(version_id(&got), version);
    let head = it.head(STAGING, "a b/ä").await;
    assert_eq!(version_id(&head), version);
    assert_eq!(head.header("content-length"), Some("5"));
    assert_eq!(head.header("etag"), tagged.header("etag"));
    assert_eq!(head.header("last-modified"), got.header("last-modified"));

    let read = |name, value| it.req(Method::GET, STAGING, "a b/ä").header(name, value);
    let range = it.send(read("range", "bytes=1-2")).await;
    assert_eq!((range.status, &*range.body), (206, &b"ld"[..]));
    assert_eq!(range.header("content-range"), Some("bytes 1-2/5"));
    let etag = tagged.header("etag").unwrap();
    it.send(read("if-match", etag)).await.assert_ok();
    assert_eq!(it.send(read("if-none-match", etag)).await.status, 304);
    let newer_etag = format!("\"{}\"", "0".repeat(32));
    it.send(read("if-match", &newer_etag))
        .await
        .assert_error(412, "PreconditionFailed");
    let part = it
        .req(Method::GET, STAGING, "a b/ä")
        .query("partNumber", "1");
    assert_eq!(it.send(part).await.body, b"older");
    let attributes = read("x-amz-object-attributes", "ObjectSize,ETag").query("attributes", "");
    let attributes = it.send(attributes).await;
    assert_eq!(attributes.element("ObjectSize").as_deref(), Some("5"));
    assert_eq!(version_id(&attributes), version);
    let tags = it.req(Method::GET, STAGING, "a b/ä").query("tagging", "");
    assert_eq!(version_id(&it.send(tags).await), version);
}

#[tokio::test]
async fn a_read_by_version_is_of_the_pinned_version_or_refused() {
    let it = Environment::start().await;
    let (older, own) = (it.upload("a", b"1").await, it.upload("a", b"2").await);
    let newer = it.upload("a", b"3").await;
    let _pinned = it.pin("a", &own);
    let by = |id: &str| it.req(Method::GET, STAGING, "a").query("versionId", id);
    assert_eq!(it.send(by(&own)).await.assert_ok().body, b"2");
    for id in [&*older, &*newer, "null", ""] {
        let refused = it.send(by(id)).await;
        refused.assert_error(403, "AccessDenied");
        let tags = by(id).query("tagging", "");
        it.send(tags).await.assert_error(403, "AccessDenied");
        let attributes = by(id)
            .query("attributes", "")
            .header("x-amz-object-attributes", "ETag");
        it.send(attributes).await.assert_error(403, "AccessDenied");
    }
    let refused = it.send(by(&newer)).await.text();
    assert!(refused.contains("not the one it works on"), "{refused}");
    assert!(
        refused.contains(&own),
        "it says what it works on: {refused}"
    );
}

#[tokio::test]
async fn other_uploads_and_buckets_are_not_to_be_read() {
    let it = Environment::start().await;
    let others = it.upload("others", b"secret").await;
    it.server.put(OTHER, "a", b"secret").await.assert_ok();
    it.server
        .put(ARCHIVE, "others", b"secret")
        .await
        .assert_ok();
    let (_, _pinned) = it.work_on("a", b"mine").await;
    for (bucket, key) in [
        (STAGING, "others"),
        (OTHER, "a"),
        (ARCHIVE, "others"),
        (ARCHIVE, "none"),
    ] {
        it.get(bucket, key).await.assert_error(403, "AccessDenied");
        assert_eq!(it.head(bucket, key).await.status, 403);
        it.copy(&format!("{bucket}/{key}"), ARCHIVE, "stolen")
            .send(&it.server)
            .await
            .assert_error(403, "AccessDenied");
    }
    let by_version = format!("{STAGING}/others?versionId={others}");
    let stolen = it.copy(&by_version, ARCHIVE, "stolen");
    it.send(stolen).await.assert_error(403, "AccessDenied");
    assert!(it.server.get(ARCHIVE, "stolen").await.status == 404);
}

#[tokio::test]
async fn a_session_may_know_that_its_own_key_is_not_in_the_archive_yet() {
    let it = Environment::start().await;
    let (_, _pinned) = it.work_on("a", b"mine").await;
    assert_eq!(it.head(ARCHIVE, "a").await.status, 404);
    it.get(ARCHIVE, "a").await.assert_error(404, "NoSuchKey");
    // What an earlier upload of the key left there is its own to see, until it has copied its file.
    it.server.put(ARCHIVE, "a", b"before").await.assert_ok();
    assert_eq!(it.get(ARCHIVE, "a").await.body, b"before");
}

#[tokio::test]
async fn results_are_read_and_written_by_their_own_session_only() {
    let it = Environment::start().await;
    let (version, pinned) = it.work_on("a", b"mine").await;
    let own = format!("_results/a/{version}/table.csv");
    it.put(ARCHIVE, &own, b"1,2").await.assert_ok();
    assert_eq!(it.get(ARCHIVE, &own).await.body, b"1,2");
    it.server
        .put(ARCHIVE, &own, b"root may not")
        .await
        .assert_error(403, "AccessDenied");
    for reserved in [
        "_results/b/1/x".to_owned(),
        format!("_results/a/{version}x/x"),
        format!("_results/a/{version}/"),
        "_results/a/x".to_owned(),
    ] {
        it.put(ARCHIVE, &reserved, b"x")
            .await
            .assert_error(403, "AccessDenied");
    }
    it.copy(&format!("{STAGING}/a"), ARCHIVE, &format!("{own}.copy"))
        .send(&it.server)
        .await
        .assert_ok();
    drop(pinned);
    let (_, _pinned) = it.work_on("b", b"next").await;
    it.get(ARCHIVE, &own)
        .await
        .assert_error(403, "AccessDenied");
    it.put(ARCHIVE, &own, b"x")
        .await
        .assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn a_signed_url_means_what_the_slot_holds_when_it_is_used() {
    let it = Environment::start().await;
    let url = || {
        let host = it.server.host();
        let request = sign::Request {
            method: &Method::GET,
            host: &host,
            bucket: Some(STAGING),
            key: Some("a"),
            query: &[],
            headers: &[],
        };
        sign::presign(
            &it.session.credentials,
            Some(&it.session.session_token),
            REGION,
            "http",
            &request,
            HOUR,
            it.server.now(),
        )
    };
    let url = url();
    let get = || fetch(&it.server, "GET", &url, &[], b"");
    get().await.assert_error(403, "AccessDenied");
    let (_, pinned) = it.work_on("a", b"mine").await;
    it.upload("a", b"newer").await;
    assert_eq!(get().await.assert_ok().body, b"mine");
    drop(pinned);
    get().await.assert_error(403, "AccessDenied");
    let (_, pinned) = it.work_on("b", b"other").await;
    get().await.assert_error(403, "AccessDenied");
    assert!(!pinned.was_copied(&object(STAGING, "a")));
}
