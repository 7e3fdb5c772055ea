//! A function that moves its file: the copy and the delete are noted, and nothing is done.

use base64::Engine as _;
use http::Method;
use md5::{Digest as _, Md5};

use super::{ARCHIVE, Environment, STAGING, object};
use crate::harness::{Answer, Req};

/// An entry of a batch of deletes.
fn entry(key: &str, id: Option<&str>) -> String {
    let version = id.map_or(String::new(), |id| format!("<VersionId>{id}</VersionId>"));
    format!("<Object><Key>{key}</Key>{version}</Object>")
}

impl Environment {
    async fn delete_batch(&self, entries: &[String]) -> Answer {
        let document = format!("<Delete>{}</Delete>", entries.concat());
        let md5 = base64::prelude::BASE64_STANDARD.encode(Md5::digest(document.as_bytes()));
        let batch = self
            .req(Method::POST, STAGING, "")
            .query("delete", "")
            .header("content-md5", &md5)
            .body(document.as_bytes());
        self.send(batch).await
    }
}

/// Asserts that the move of `a` was noted.
macro_rules! assert_noted {
    ($pinned:expr, copied: $copied:expr, deleted: $deleted:expr) => {
        let a = object(STAGING, "a");
        assert_eq!(
            ($pinned.was_copied(&a), $pinned.was_deleted(&a)),
            ($copied, $deleted),
            "copied, deleted"
        );
    };
}

#[tokio::test]
async fn a_move_by_name_moves_nothing_and_is_noted_though_a_newer_version_came() {
    let it = Environment::start().await;
    let (version, pinned) = it.work_on("a", b"older").await;
    it.upload("a", b"the newer one").await;
    let staged = it.versions(STAGING);
    assert_eq!(staged.len(), 2);
    let head = it.head(STAGING, "a").await;
    assert_noted!(pinned, copied: false, deleted: false);

    let copied = it.send(it.copy("versioned/a", ARCHIVE, "a")).await;
    copied.assert_ok();
    let etag = head.header("etag").unwrap();
    let copied_etag = copied.element("ETag").unwrap().replace("&quot;", "\"");
    assert_eq!(copied_etag, etag);
    assert_eq!(
        copied.header("x-amz-copy-source-version-id"),
        Some(&*version)
    );
    assert_eq!(copied.header("x-amz-version-id"), None);
    assert_noted!(pinned, copied: true, deleted: false);

    let deleted = it.delete(STAGING, "a").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(deleted.header("x-amz-delete-marker"), None);
    assert_noted!(pinned, copied: true, deleted: true);
    it.get(STAGING, "a").await.assert_error(404, "NoSuchKey");
    assert_eq!(it.head(STAGING, "a").await.status, 404);
    assert_eq!(it.delete(STAGING, "a").await.status, 204);

    // The file is in the archive for this session, and for nobody else yet.
    let archived = it.get(ARCHIVE, "a").await;
    assert_eq!(archived.assert_ok().body, b"older");
    assert_eq!(archived.header("etag"), Some(etag));
    assert_eq!(
        archived.header("last-modified"),
        head.header("last-modified")
    );
    assert_eq!(archived.header("x-amz-version-id"), None);
    assert_eq!(it.head(ARCHIVE, "a").await.header("etag"), Some(etag));
    it.server.assert_absent(ARCHIVE, "a").await;
    it.assert_nothing_written();
    assert_eq!(it.versions(STAGING), staged);
}

#[tokio::test]
async fn a_copy_of_another_version_than_the_pinned_one_is_refused() {
    let it = Environment::start().await;
    let older = it.upload("a", b"older").await;
    let (version, pinned) = it.work_on("a", b"mine").await;
    let newer = it.upload("a", b"newer").await;
    let source = |id: &str| format!("{STAGING}/a?versionId={id}");
    for id in [older, newer] {
        let copy = it.copy(&source(&id), ARCHIVE, "a");
        it.send(copy).await.assert_error(403, "AccessDenied");
    }
    assert_noted!(pinned, copied: false, deleted: false);
    let copy = it.copy(&source(&version), ARCHIVE, "a");
    it.send(copy).await.assert_ok();
    assert_noted!(pinned, copied: true, deleted: false);
    it.assert_nothing_written();
}

#[tokio::test]
async fn the_archive_key_takes_the_uploaded_bytes_from_the_function_and_no_others() {
    let it = Environment::start().await;
    let (_, pinned) = it.work_on("a", b"mine").await;
    for other in [&b"more"[..], b"min", b""] {
        let refused = it.put(ARCHIVE, "a", other).await;
        refused.assert_error(403, "AccessDenied");
        assert!(refused.text().contains("another key"), "{}", refused.text());
    }
    it.put(ARCHIVE, "out", b"more").await.assert_ok();
    // Nor what it wrote itself, nor what it wrote for another file.
    let copy = it.copy("archive/out", ARCHIVE, "a");
    it.send(copy).await.assert_error(403, "AccessDenied");
    assert_noted!(pinned, copied: false, deleted: false);
    it.get(ARCHIVE, "a").await.assert_error(404, "NoSuchKey");

    let wrong = base64::prelude::BASE64_STANDARD.encode([0; 16]);
    let put = it.req(Method::PUT, ARCHIVE, "a").body(b"mine");
    it.send(put.clone().header("content-md5", &wrong))
        .await
        .assert_error(400, "BadDigest");
    assert_noted!(pinned, copied: false, deleted: false);
    let written = it.send(put).await;
    written.assert_ok();
    assert_eq!(written.header("x-amz-version-id"), None);
    assert_eq!(
        written.header("etag"),
        it.head(STAGING, "a").await.header("etag")
    );
    assert_noted!(pinned, copied: true, deleted: false);
    assert_eq!(it.get(ARCHIVE, "a").await.body, b"mine");
    it.server.assert_absent(ARCHIVE, "a").await;
}

#[tokio::test]
async fn the_archive_keeps_the_uploads_metadata_and_says_so() {
    let it = Environment::start().await;
    let uploaded = Req::new(Method::PUT, STAGING, "a")
        .header("content-type", "text/csv")
        .header("x-amz-meta-from", "x")
        .header("x-amz-tagging", "t=1")
        .body(b"mine")
        .send(&it.server)
        .await;
    let pinned = it.pin("a", uploaded.header("x-amz-version-id").unwrap());
    let copy = || it.copy("versioned/a", ARCHIVE, "a");
    let replace = || copy().header("x-amz-metadata-directive", "REPLACE");
    let put = || it.req(Method::PUT, ARCHIVE, "a").body(b"mine");
    let tagging = |value: &str| {
        it.req(Method::PUT, ARCHIVE, "a").query("tagging", "").body(
            format!(
                "<Tagging><TagSet><Tag><Key>t</Key><Value>{value}</Value></Tag></TagSet></Tagging>"
            )
            .as_bytes(),
        )
    };
    for refused in [
        replace(),
        replace().header("content-type", "text/csv"),
        replace().header("x-amz-meta-from", "x"),
        copy().header("x-amz-tagging-directive", "REPLACE"),
        copy()
            .header("x-amz-tagging-directive", "REPLACE")
            .header("x-amz-tagging", "t=2"),
        put().header("content-type", "text/plain"),
        put().header("x-amz-meta-from", "y"),
        put().header("x-amz-tagging", "t=2"),
        put().header("cache-control", "no-store"),
        tagging("2"),
    ] {
        it.send(refused).await.assert_error(403, "AccessDenied");
        assert_noted!(pinned, copied: false, deleted: false);
    }
    it.send(tagging("1")).await.assert_ok();
    for same in [
        replace()
            .header("content-type", "text/csv")
            .header("x-amz-meta-from", "x"),
        copy()
            .header("x-amz-tagging-directive", "REPLACE")
            .header("x-amz-tagging", "t=1"),
        put(),
        put()
            .header("content-type", "application/octet-stream")
            .header("x-amz-tagging", "t=1"),
    ] {
        it.send(same).await.assert_ok();
    }
    let summed = copy().header("x-amz-checksum-algorithm", "SHA256");
    let sha256 = it.send(summed).await.element("ChecksumSHA256").unwrap();
    assert_eq!(sha256, "P9MFQv4/YbFL1KSy3Atvsw+m9j685S3Rd4qqjE3ALP8=");
    let archived = it.head(ARCHIVE, "a").await;
    assert_eq!(archived.header("content-type"), Some("text/csv"));
    assert_eq!(archived.header("x-amz-meta-from"), Some("x"));
    assert_noted!(pinned, copied: true, deleted: false);
    it.assert_nothing_written();
}

#[tokio::test]
async fn conditions_of_copies_and_deletes_hold_for_what_the_session_sees() {
    let it = Environment::start().await;
    it.server.put(ARCHIVE, "a", b"before").await.assert_ok();
    let (_, pinned) = it.work_on("a", b"mine").await;
    it.upload("a", b"newer").await;
    let own = it
        .head(STAGING, "a")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let before = it
        .head(ARCHIVE, "a")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let copy = |name, value: &str| it.copy("versioned/a", ARCHIVE, "a").header(name, value);
    for (name, value) in [
        ("x-amz-copy-source-if-match", &*before),
        ("x-amz-copy-source-if-none-match", &own),
        ("if-none-match", "*"),
        ("if-match", &own),
    ] {
        it.send(copy(name, value))
            .await
            .assert_error(412, "PreconditionFailed");
    }
    let delete = |tag: &str| it.req(Method::DELETE, STAGING, "a").header("if-match", tag);
    it.send(delete(&before))
        .await
        .assert_error(412, "PreconditionFailed");
    assert_noted!(pinned, copied: false, deleted: false);
    it.send(copy("if-match", &before)).await.assert_ok();
    it.send(copy("if-match", &own)).await.assert_ok();
    it.send(copy("x-amz-copy-source-if-match", &own))
        .await
        .assert_ok();
    assert_eq!(it.send(delete(&own)).await.status, 204);
    assert_noted!(pinned, copied: true, deleted: true);
    assert_eq!(it.versions(ARCHIVE).len(), 1);
    assert_eq!(it.versions(STAGING).len(), 2);
}

#[tokio::test]
async fn copies_to_other_keys_are_made_of_the_pinned_version() {
    let it = Environment::start().await;
    let (_, pinned) = it.work_on("a", b"mine").await;
    it.upload("a", b"newer").await;
    let copied = it.send(it.copy("versioned/a", ARCHIVE, "by-date/a")).await;
    assert!(copied.header("x-amz-version-id").is_some());
    assert_eq!(it.server.get(ARCHIVE, "by-date/a").await.body, b"mine");
    assert_noted!(pinned, copied: false, deleted: false);
    it.send(it.copy("versioned/a", ARCHIVE, "a"))
        .await
        .assert_ok();
    // From the archive too, where it is not yet.
    let copied = it.copy("archive/a", ARCHIVE, "again");
    it.send(copied).await.assert_ok();
    assert_eq!(it.server.get(ARCHIVE, "again").await.body, b"mine");
    it.server.assert_absent(ARCHIVE, "a").await;
}

#[tokio::test]
async fn a_delete_of_another_version_is_refused_one_by_one_and_in_a_batch() {
    let it = Environment::start().await;
    let older = it.upload("a", b"older").await;
    it.upload("others", b"x").await;
    let (version, pinned) = it.work_on("a", b"mine").await;
    let newer = it.upload("a", b"newer").await;
    let staged = it.versions(STAGING);
    for id in [&*older, &newer, "null"] {
        let delete = it.req(Method::DELETE, STAGING, "a").query("versionId", id);
        it.send(delete).await.assert_error(403, "AccessDenied");
    }
    it.delete(STAGING, "others")
        .await
        .assert_error(403, "AccessDenied");
    assert_noted!(pinned, copied: false, deleted: false);

    let entries = [
        entry("others", None),
        entry("a", Some(&newer)),
        entry("a", Some(&older)),
        entry("a", Some(&version)),
        entry("a", None),
    ];
    let answer = it.delete_batch(&entries).await;
    assert_eq!(answer.assert_ok().elements("Code"), ["AccessDenied"; 3]);
    let deleted = answer.elements("Deleted");
    assert_eq!(deleted.len(), 2, "{}", answer.text());
    assert!(deleted[0].contains(&version), "{}", answer.text());
    assert!(!answer.text().contains("DeleteMarker"), "{}", answer.text());
    assert_noted!(pinned, copied: false, deleted: true);
    assert_eq!(it.versions(STAGING), staged);
    let by_version = it
        .req(Method::GET, STAGING, "a")
        .query("versionId", &version);
    it.send(by_version).await.assert_error(404, "NoSuchVersion");
}

#[tokio::test]
async fn a_batch_of_its_own_version_only_deletes_nothing() {
    let it = Environment::start().await;
    let (version, pinned) = it.work_on("a", b"mine").await;
    let staged = it.versions(STAGING);
    let entries = [entry("a", None), entry("a", Some(&version))];
    let answer = it.delete_batch(&entries).await;
    assert_eq!(answer.assert_ok().elements("Deleted").len(), 2);
    assert_noted!(pinned, copied: false, deleted: true);
    assert_eq!(it.versions(STAGING), staged);
}
