//! PUT, copy, delete and tags.

use http::Method;

use crate::harness::{Req, Server, elements};

fn put(key: &str) -> Req {
    Req::new(Method::PUT, "plain", key).body(b"body")
}

#[tokio::test]
async fn a_write_with_a_condition_happens_only_if_it_holds() {
    let server = Server::start().await;
    let first = put("a").header("if-none-match", "*").send(&server).await;
    first.assert_ok();
    let etag = first.header("etag").unwrap().to_owned();
    put("a")
        .header("if-none-match", "*")
        .send(&server)
        .await
        .assert_error(412, "PreconditionFailed");
    put("a")
        .header("if-match", "\"other\"")
        .send(&server)
        .await
        .assert_error(412, "PreconditionFailed");
    put("missing")
        .header("if-match", &etag)
        .send(&server)
        .await
        .assert_error(404, "NoSuchKey");
    put("a")
        .body(b"second")
        .header("if-match", &etag)
        .send(&server)
        .await
        .assert_ok();
    assert_eq!(server.get("plain", "a").await.body, b"second");
    for (name, value) in [("if-none-match", etag.as_str()), ("if-match", "*")] {
        put("a")
            .header(name, value)
            .send(&server)
            .await
            .assert_error(501, "NotImplemented");
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_nothing_is_written() {
    let server = Server::start().await;
    for (name, value, status, code) in [
        (
            "x-amz-acl",
            "public-read",
            400,
            "AccessControlListNotSupported",
        ),
        (
            "x-amz-grant-read",
            "id=a",
            400,
            "AccessControlListNotSupported",
        ),
        (
            "x-amz-server-side-encryption",
            "AES256",
            501,
            "NotImplemented",
        ),
        (
            "x-amz-server-side-encryption-customer-algorithm",
            "AES256",
            501,
            "NotImplemented",
        ),
        ("x-amz-storage-class", "GLACIER", 400, "InvalidStorageClass"),
        (
            "x-amz-object-lock-mode",
            "GOVERNANCE",
            501,
            "NotImplemented",
        ),
        ("x-amz-write-offset-bytes", "0", 501, "NotImplemented"),
        (
            "x-amz-expected-bucket-owner",
            "111122223333",
            403,
            "AccessDenied",
        ),
    ] {
        let answer = put("a").header(name, value).send(&server).await;
        answer.assert_error(status, code);
    }
    for (name, value) in [
        ("renameObject", ""),
        ("retention", ""),
        ("legal-hold", ""),
        ("uploads", ""),
        ("torrent", ""),
    ] {
        let answer = put("a").query(name, value).send(&server).await;
        answer.assert_error(501, "NotImplemented");
    }
    for name in ["partNumber", "uploadId"] {
        put("a")
            .query(name, "1")
            .send(&server)
            .await
            .assert_error(400, "InvalidArgument");
    }
    server.assert_absent("plain", "a").await;
    put("a")
        .header("x-amz-acl", "private")
        .header("x-amz-storage-class", "STANDARD")
        .send(&server)
        .await
        .assert_ok();
}

#[tokio::test]
async fn user_metadata_has_two_kilobytes_at_most() {
    let server = Server::start().await;
    put("a")
        .header("x-amz-meta-ab", &"x".repeat(2046))
        .send(&server)
        .await
        .assert_ok();
    put("b")
        .header("x-amz-meta-ab", &"x".repeat(2047))
        .send(&server)
        .await
        .assert_error(400, "MetadataTooLarge");
    server.assert_absent("plain", "b").await;
}

#[tokio::test]
async fn tags_are_kept_and_their_limits_held() {
    let server = Server::start().await;
    put("a")
        .header("x-amz-tagging", "b=2&a=1+1&c%26=%C3%A4")
        .send(&server)
        .await
        .assert_ok();
    let tagging = |method| Req::new(method, "plain", "a").query("tagging", "");
    let answer = tagging(Method::GET).send(&server).await;
    assert_eq!(answer.elements("Key"), ["a", "b", "c&amp;"]);
    assert_eq!(answer.elements("Value"), ["1 1", "2", "ä"]);
    assert_eq!(
        server.get("plain", "a").await.header("x-amz-tagging-count"),
        Some("3")
    );
    let document = |tags: &[(&str, &str)]| {
        let tags: String = tags
            .iter()
            .map(|(name, value)| format!("<Tag><Key>{name}</Key><Value>{value}</Value></Tag>"))
            .collect();
        format!("<Tagging><TagSet>{tags}</TagSet></Tagging>").into_bytes()
    };
    let answer = tagging(Method::PUT)
        .body(&document(&[("k", "v")]))
        .send(&server)
        .await;
    answer.assert_ok();
    assert_eq!(
        tagging(Method::GET).send(&server).await.elements("Key"),
        ["k"]
    );
    let names: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let eleven: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
    let (long_name, long_value) = ("n".repeat(129), "v".repeat(257));
    for bad in [
        document(&eleven),
        document(&[("a", "1"), ("a", "2")]),
        document(&[("", "1")]),
        document(&[(&long_name, "1")]),
        document(&[("a", &long_value)]),
        document(&[("aws:a", "1")]),
    ] {
        let answer = tagging(Method::PUT).body(&bad).send(&server).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    assert_eq!(
        tagging(Method::GET).send(&server).await.elements("Key"),
        ["k"]
    );
    assert_eq!(tagging(Method::DELETE).send(&server).await.status, 204);
    assert!(
        tagging(Method::GET)
            .send(&server)
            .await
            .elements("Key")
            .is_empty()
    );
}

#[tokio::test]
async fn a_copy_carries_what_it_is_told_to() {
    let server = Server::start().await;
    put("a b")
        .header("content-type", "text/x")
        .header("x-amz-meta-a", "1")
        .header("x-amz-tagging", "t=1")
        .send(&server)
        .await
        .assert_ok();
    let copy =
        |to: &str| Req::new(Method::PUT, "plain", to).header("x-amz-copy-source", "/plain/a%20b");
    let answer = copy("kept").send(&server).await;
    answer.assert_ok();
    assert!(answer.text().contains("<CopyObjectResult"));
    let kept = server.get("plain", "kept").await;
    assert_eq!(kept.body, b"body");
    assert_eq!(kept.header("content-type"), Some("text/x"));
    assert_eq!(kept.header("x-amz-meta-a"), Some("1"));
    assert_eq!(kept.header("x-amz-tagging-count"), Some("1"));
    copy("replaced")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-tagging-directive", "REPLACE")
        .header("content-type", "text/y")
        .send(&server)
        .await
        .assert_ok();
    let replaced = server.get("plain", "replaced").await;
    assert_eq!(replaced.header("content-type"), Some("text/y"));
    assert_eq!(replaced.header("x-amz-meta-a"), None);
    assert_eq!(replaced.header("x-amz-tagging-count"), None);
    copy("a b")
        .send(&server)
        .await
        .assert_error(400, "InvalidRequest");
    copy("a b")
        .header("x-amz-metadata-directive", "REPLACE")
        .send(&server)
        .await
        .assert_ok();
    copy("x")
        .header("x-amz-metadata-directive", "OTHER")
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
}

#[tokio::test]
async fn a_copy_with_conditions_happens_only_if_they_hold() {
    let server = Server::start().await;
    let etag = put("a")
        .send(&server)
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    put("there").send(&server).await.assert_ok();
    let copy = |to: &str| Req::new(Method::PUT, "plain", to).header("x-amz-copy-source", "plain/a");
    for (name, value) in [
        ("x-amz-copy-source-if-match", "\"other\""),
        ("x-amz-copy-source-if-none-match", &*etag),
        (
            "x-amz-copy-source-if-unmodified-since",
            "Mon, 23 Nov 2026 10:50:49 GMT",
        ),
        (
            "x-amz-copy-source-if-modified-since",
            "Mon, 23 Nov 2026 10:50:50 GMT",
        ),
        ("if-match", "\"other\""),
    ] {
        let answer = copy("there").header(name, value).send(&server).await;
        answer.assert_error(412, "PreconditionFailed");
    }
    copy("there")
        .header("if-none-match", "*")
        .send(&server)
        .await
        .assert_error(412, "PreconditionFailed");
    copy("new")
        .header("if-none-match", "*")
        .header("x-amz-copy-source-if-match", &etag)
        .send(&server)
        .await
        .assert_ok();
    Req::new(Method::PUT, "plain", "c")
        .header("x-amz-copy-source", "/plain/missing")
        .send(&server)
        .await
        .assert_error(404, "NoSuchKey");
}

#[tokio::test]
async fn a_version_can_be_copied_by_its_id() {
    let server = Server::start().await;
    let first = server.put("versioned", "a", b"first").await;
    let version = first.header("x-amz-version-id").unwrap();
    server.put("versioned", "a", b"second").await.assert_ok();
    let answer = Req::new(Method::PUT, "plain", "b")
        .header(
            "x-amz-copy-source",
            &format!("/versioned/a?versionId={version}"),
        )
        .send(&server)
        .await;
    answer.assert_ok();
    assert_eq!(answer.header("x-amz-copy-source-version-id"), Some(version));
    assert_eq!(server.get("plain", "b").await.body, b"first");
}

#[tokio::test]
async fn deleting_many_answers_for_each() {
    let server = Server::start().await;
    for key in ["a", "b&c", "d"] {
        server.put("versioned", key, b"x").await.assert_ok();
    }
    let delete = |document: &str| {
        Req::new(Method::POST, "versioned", "")
            .query("delete", "")
            .body(document.as_bytes())
    };
    let long = "k".repeat(1025);
    let answer = delete(&format!(
        "<Delete><Object><Key>a</Key></Object><Object><Key>b&amp;c</Key></Object>\
         <Object><Key>missing</Key></Object><Object><Key>{long}</Key></Object></Delete>"
    ))
    .send(&server)
    .await;
    answer.assert_ok();
    let deleted = answer.elements("Deleted");
    assert_eq!(deleted.len(), 3, "{}", answer.text());
    assert_eq!(elements(&deleted[1], "Key"), ["b&amp;c"]);
    assert!(deleted[0].contains("<DeleteMarker>true</DeleteMarker>"));
    let errors = answer.elements("Error");
    assert_eq!(errors.len(), 1);
    assert_eq!(elements(&errors[0], "Code"), ["KeyTooLongError"]);
    server.get("versioned", "d").await.assert_ok();
    let answer = delete("<Delete><Quiet>true</Quiet><Object><Key>d</Key></Object></Delete>")
        .send(&server)
        .await;
    answer.assert_ok();
    assert!(answer.elements("Deleted").is_empty());
    server.assert_absent("versioned", "d").await;
    let many: String = (0..1001)
        .map(|n| format!("<Object><Key>{n}</Key></Object>"))
        .collect();
    for bad in [
        format!("<Delete>{many}</Delete>"),
        "<Delete></Delete>".into(),
        "<Delete><Object>".into(),
        "nothing".into(),
    ] {
        delete(&bad)
            .send(&server)
            .await
            .assert_error(400, "MalformedXML");
    }
}

#[tokio::test]
async fn a_delete_with_a_condition_happens_only_if_it_holds() {
    let server = Server::start().await;
    let etag = put("a")
        .send(&server)
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let delete = Req::new(Method::DELETE, "plain", "a");
    delete
        .clone()
        .header("if-match", "\"other\"")
        .send(&server)
        .await
        .assert_error(412, "PreconditionFailed");
    server.get("plain", "a").await.assert_ok();
    let answer = delete.header("if-match", &etag).send(&server).await;
    assert_eq!(answer.status, 204);
    server.assert_absent("plain", "a").await;
}
