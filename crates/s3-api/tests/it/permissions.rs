//! What a session needs for each operation: with these actions it gets through, without any one of them it does not.

use http::Method;
use two_buckets_s3_api::TemporaryCredentials;

use crate::harness::{Req, Server};
use crate::sessions::{server_and_session, session_of_all};

fn req(method: &str, bucket: &str, key: &str) -> Req {
    Req::new(method.parse().unwrap(), bucket, key)
}

const TAGS: &[u8] = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";

/// Every operation there is, on a server that has `a` with a tag in `plain` and, as version VERSION, in `versioned`.
fn operations(version: &str) -> Vec<(Req, &'static [&'static str])> {
    let v = |request: Req| request.query("versionId", version);
    let delete = b"<Delete><Object><Key>x</Key></Object></Delete>";
    vec![
        (req("GET", "", ""), &["ListAllMyBuckets"]),
        (req("PUT", "new", ""), &["CreateBucket"]),
        (
            req("PUT", "new", "").header("x-amz-acl", "private"),
            &["CreateBucket", "PutBucketAcl"],
        ),
        (
            req("PUT", "new", "").header("x-amz-object-ownership", "BucketOwnerEnforced"),
            &["CreateBucket", "PutBucketOwnershipControls"],
        ),
        (req("DELETE", "plain", ""), &["DeleteBucket"]),
        (req("HEAD", "plain", ""), &["ListBucket"]),
        (req("GET", "plain", ""), &["ListBucket"]),
        (
            req("GET", "plain", "").query("list-type", "2"),
            &["ListBucket"],
        ),
        (
            req("GET", "plain", "").query("versions", ""),
            &["ListBucketVersions"],
        ),
        (
            req("GET", "plain", "").query("uploads", ""),
            &["ListBucketMultipartUploads"],
        ),
        (
            req("GET", "plain", "").query("accelerate", ""),
            &["GetAccelerateConfiguration"],
        ),
        (req("GET", "plain", "").query("acl", ""), &["GetBucketAcl"]),
        (
            req("GET", "plain", "").query("cors", ""),
            &["GetBucketCORS"],
        ),
        (
            req("GET", "plain", "").query("encryption", ""),
            &["GetEncryptionConfiguration"],
        ),
        (
            req("GET", "plain", "").query("lifecycle", ""),
            &["GetLifecycleConfiguration"],
        ),
        (
            req("GET", "plain", "").query("location", ""),
            &["GetBucketLocation"],
        ),
        (
            req("GET", "plain", "").query("logging", ""),
            &["GetBucketLogging"],
        ),
        (
            req("GET", "plain", "").query("notification", ""),
            &["GetBucketNotification"],
        ),
        (
            req("GET", "plain", "").query("object-lock", ""),
            &["GetBucketObjectLockConfiguration"],
        ),
        (
            req("GET", "plain", "").query("ownershipControls", ""),
            &["GetBucketOwnershipControls"],
        ),
        (
            req("GET", "plain", "").query("policy", ""),
            &["GetBucketPolicy"],
        ),
        (
            req("GET", "plain", "").query("policyStatus", ""),
            &["GetBucketPolicyStatus"],
        ),
        (
            req("GET", "plain", "").query("publicAccessBlock", ""),
            &["GetBucketPublicAccessBlock"],
        ),
        (
            req("GET", "plain", "").query("replication", ""),
            &["GetReplicationConfiguration"],
        ),
        (
            req("GET", "plain", "").query("requestPayment", ""),
            &["GetBucketRequestPayment"],
        ),
        (
            req("GET", "plain", "").query("tagging", ""),
            &["GetBucketTagging"],
        ),
        (
            req("GET", "plain", "").query("versioning", ""),
            &["GetBucketVersioning"],
        ),
        (
            req("GET", "plain", "").query("website", ""),
            &["GetBucketWebsite"],
        ),
        (
            req("PUT", "plain", "")
                .query("acl", "")
                .header("x-amz-acl", "private"),
            &["PutBucketAcl"],
        ),
        (
            req("PUT", "plain", "").query("cors", "").body(b"<x/>"),
            &["PutBucketCORS"],
        ),
        (
            req("DELETE", "plain", "").query("cors", ""),
            &["PutBucketCORS"],
        ),
        (
            req("PUT", "plain", "").query("lifecycle", "").body(b"<x/>"),
            &["PutLifecycleConfiguration"],
        ),
        (
            req("DELETE", "plain", "").query("lifecycle", ""),
            &["PutLifecycleConfiguration"],
        ),
        (
            req("PUT", "plain", "")
                .query("notification", "")
                .body(b"<x/>"),
            &["PutBucketNotification"],
        ),
        (
            req("PUT", "plain", "").query("tagging", "").body(TAGS),
            &["PutBucketTagging"],
        ),
        (
            req("DELETE", "plain", "").query("tagging", ""),
            &["PutBucketTagging"],
        ),
        (
            req("PUT", "plain", "")
                .query("versioning", "")
                .body(b"<x/>"),
            &["PutBucketVersioning"],
        ),
        (req("GET", "plain", "a"), &["GetObject"]),
        (req("HEAD", "plain", "a"), &["GetObject"]),
        (
            req("GET", "plain", "a").query("partNumber", "1"),
            &["GetObject"],
        ),
        (
            req("HEAD", "plain", "a").query("partNumber", "1"),
            &["GetObject"],
        ),
        (v(req("GET", "versioned", "a")), &["GetObjectVersion"]),
        (v(req("HEAD", "versioned", "a")), &["GetObjectVersion"]),
        (
            req("GET", "plain", "a")
                .query("attributes", "")
                .header("x-amz-object-attributes", "ETag"),
            &["GetObject", "GetObjectAttributes"],
        ),
        (
            v(req("GET", "versioned", "a")
                .query("attributes", "")
                .header("x-amz-object-attributes", "ETag")),
            &["GetObjectVersion", "GetObjectVersionAttributes"],
        ),
        (req("GET", "plain", "a").query("acl", ""), &["GetObjectAcl"]),
        (
            v(req("GET", "versioned", "a").query("acl", "")),
            &["GetObjectVersionAcl"],
        ),
        (
            req("GET", "plain", "a").query("tagging", ""),
            &["GetObjectTagging"],
        ),
        (
            v(req("GET", "versioned", "a").query("tagging", "")),
            &["GetObjectVersionTagging"],
        ),
        (
            req("GET", "plain", "a").query("uploadId", "x"),
            &["ListMultipartUploadParts"],
        ),
        (req("PUT", "plain", "b").body(b"x"), &["PutObject"]),
        (
            req("PUT", "plain", "b")
                .body(b"x")
                .header("x-amz-tagging", "k=v"),
            &["PutObject", "PutObjectTagging"],
        ),
        (
            req("PUT", "plain", "b")
                .body(b"x")
                .header("x-amz-acl", "private"),
            &["PutObject", "PutObjectAcl"],
        ),
        (
            req("POST", "plain", "b").query("uploads", ""),
            &["PutObject"],
        ),
        (
            req("POST", "plain", "b")
                .query("uploads", "")
                .header("x-amz-tagging", "k=v"),
            &["PutObject", "PutObjectTagging"],
        ),
        (
            req("POST", "plain", "b")
                .query("uploads", "")
                .header("x-amz-acl", "private"),
            &["PutObject", "PutObjectAcl"],
        ),
        (
            req("PUT", "plain", "b")
                .query("partNumber", "1")
                .query("uploadId", "x")
                .body(b"x"),
            &["PutObject"],
        ),
        (
            req("POST", "plain", "b")
                .query("uploadId", "x")
                .body(b"<x/>"),
            &["PutObject"],
        ),
        (
            req("DELETE", "plain", "b").query("uploadId", "x"),
            &["AbortMultipartUpload"],
        ),
        (
            req("PUT", "plain", "b").header("x-amz-copy-source", "plain/untagged"),
            &["GetObject", "PutObject"],
        ),
        (
            req("PUT", "plain", "b").header("x-amz-copy-source", "plain/a"),
            &[
                "GetObject",
                "GetObjectTagging",
                "PutObject",
                "PutObjectTagging",
            ],
        ),
        (
            req("PUT", "plain", "b")
                .header("x-amz-copy-source", "plain/a")
                .header("x-amz-tagging-directive", "REPLACE"),
            &["GetObject", "PutObject"],
        ),
        (
            req("PUT", "plain", "b").header(
                "x-amz-copy-source",
                &format!("/versioned/a?versionId={version}"),
            ),
            &[
                "GetObjectVersion",
                "GetObjectVersionTagging",
                "PutObject",
                "PutObjectTagging",
            ],
        ),
        (
            req("PUT", "plain", "b")
                .header("x-amz-copy-source", "plain/untagged")
                .header("x-amz-acl", "private"),
            &["GetObject", "PutObject", "PutObjectAcl"],
        ),
        (
            req("PUT", "plain", "b")
                .query("partNumber", "1")
                .query("uploadId", "x")
                .header("x-amz-copy-source", "plain/a"),
            &["GetObject", "PutObject"],
        ),
        (
            req("PUT", "plain", "a")
                .query("acl", "")
                .header("x-amz-acl", "private"),
            &["PutObjectAcl"],
        ),
        (
            v(req("PUT", "versioned", "a")
                .query("acl", "")
                .header("x-amz-acl", "private")),
            &["PutObjectVersionAcl"],
        ),
        (
            req("PUT", "plain", "a").query("tagging", "").body(TAGS),
            &["PutObjectTagging"],
        ),
        (
            v(req("PUT", "versioned", "a").query("tagging", "").body(TAGS)),
            &["PutObjectVersionTagging"],
        ),
        (
            req("DELETE", "plain", "a").query("tagging", ""),
            &["DeleteObjectTagging"],
        ),
        (
            v(req("DELETE", "versioned", "a").query("tagging", "")),
            &["DeleteObjectVersionTagging"],
        ),
        (req("DELETE", "plain", "x"), &["DeleteObject"]),
        (
            req("DELETE", "plain", "x").header("If-Match", "\"x\""),
            &["DeleteObject", "GetObject"],
        ),
        (
            req("DELETE", "plain", "x").query("versionId", "null"),
            &["DeleteObjectVersion"],
        ),
        (
            req("POST", "plain", "")
                .query("delete", "")
                .header("x-amz-checksum-sha256", &sha256(delete))
                .body(delete),
            &["DeleteObject"],
        ),
    ]
}

fn sha256(body: &[u8]) -> String {
    use base64::Engine as _;
    let digest = two_buckets_s3_api::sign::sha256_hex(body);
    base64::prelude::BASE64_STANDARD.encode(hex::decode(digest).unwrap())
}

/// Puts the objects there and says which version the one in `versioned` has.
async fn furnish(server: &Server) -> String {
    let put = |bucket: &str| {
        req("PUT", bucket, "a")
            .body(b"x")
            .header("x-amz-tagging", "k=v")
    };
    put("plain").send(server).await.assert_ok();
    server.put("plain", "untagged", b"x").await.assert_ok();
    let answer = put("versioned").send(server).await;
    answer.header("x-amz-version-id").unwrap().to_owned()
}

fn allowing(actions: &[&str]) -> String {
    let actions: Vec<String> = actions.iter().map(|it| format!("\"s3:{it}\"")).collect();
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":[{}],"Resource":"*"}}}}"#,
        actions.join(",")
    )
}

async fn is_denied(server: &Server, request: &Req, session: &TemporaryCredentials) -> bool {
    let answer = request.clone().by(session).send(server).await;
    // One key of a list of deletes is refused within a 200.
    answer.status == 403 || answer.text().contains("<Code>AccessDenied</Code>")
}

#[tokio::test]
async fn each_operation_needs_its_actions_and_no_more() {
    // Any policy; each session gets its own below.
    let (server, _) = server_and_session(&allowing(&["GetObject"])).await;
    let version = furnish(&server).await;
    let session = |policy: &str| session_of_all(&server, policy);
    for (request, needed) in operations(&version) {
        let name = format!(
            "{} {} {:?} {:?}",
            request.method, request.bucket, request.key, request.query
        );
        // Without each one of them, everything else allowed.
        for missing in needed {
            let policy = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},{{"Effect":"Deny","Action":"s3:{missing}","Resource":"*"}}]}}"#
            );
            let denied = is_denied(&server, &request, &session(&policy)).await;
            assert!(denied, "{name} does not need {missing}");
        }
        let denied = is_denied(&server, &request, &session(&allowing(needed))).await;
        assert!(!denied, "{name} needs more than {needed:?}");
    }
}

#[tokio::test]
async fn a_list_of_deletes_is_judged_key_by_key() {
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::plain/mine/*"},
        {"Effect":"Deny","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::plain/mine/not"}]}"#;
    let (server, session) = server_and_session(policy).await;
    for key in ["mine/a", "mine/not", "other"] {
        server.put("plain", key, b"x").await.assert_ok();
    }
    let document = b"<Delete><Object><Key>mine/a</Key></Object><Object><Key>mine/not</Key></Object><Object><Key>other</Key></Object>\
        <Object><Key>mine/b</Key><VersionId>null</VersionId></Object><Object><Key>mine/c</Key><ETag>x</ETag></Object></Delete>";
    let answer = req("POST", "plain", "")
        .query("delete", "")
        .header("x-amz-checksum-sha256", &sha256(document))
        .body(document)
        .by(&session)
        .send(&server)
        .await;
    answer.assert_ok();
    assert_eq!(answer.elements("Code"), ["AccessDenied"; 4]);
    let listed = req("GET", "plain", "").send(&server).await;
    assert_eq!(listed.elements("Key"), ["mine/not", "other"]);
}

#[tokio::test]
async fn who_may_not_list_is_not_told_what_is_missing() {
    let (server, session) = server_and_session(&allowing(&["GetObject", "PutObject"])).await;
    let lister = session_of_all(
        &server,
        &allowing(&["GetObject", "PutObject", "ListBucket"]),
    );
    let copy = req("PUT", "plain", "b").header("x-amz-copy-source", "plain/missing");
    for request in [req("GET", "plain", "missing"), copy] {
        let told = request.clone().by(&lister).send(&server).await;
        told.assert_error(404, "NoSuchKey");
        let answer = request.by(&session).send(&server).await;
        answer.assert_error(403, "AccessDenied");
    }
    let head = req("HEAD", "plain", "missing");
    assert_eq!(head.clone().by(&lister).send(&server).await.status, 404);
    assert_eq!(head.by(&session).send(&server).await.status, 403);
}

/// Each condition key sees what the request says: the one that fits gets through, the others do not.
#[tokio::test]
async fn conditions_see_the_request() {
    let (server, _) = server_and_session(&allowing(&["GetObject"])).await;
    server.put("plain", "a/b", b"x").await.assert_ok();
    let list = || req("GET", "plain", "");
    let put = || req("PUT", "plain", "k").body(b"x");
    let copy = |from: &str| req("PUT", "plain", "k").header("x-amz-copy-source", from);
    let now = crate::harness::START_MILLIS / 1000;
    for (condition, yes, no) in vec![
        (
            r#""StringLike":{"s3:prefix":"a/*"}"#.to_owned(),
            list().query("prefix", "a/b"),
            list().query("prefix", "b"),
        ),
        (
            r#""StringLike":{"s3:prefix":"a/*"}"#.to_owned(),
            list().query("list-type", "2").query("prefix", "a/"),
            list(),
        ),
        (
            r#""StringEquals":{"s3:prefix":""}"#.to_owned(),
            list().query("prefix", ""),
            list(),
        ),
        (
            r#""StringEquals":{"s3:delimiter":"/"}"#.to_owned(),
            list().query("delimiter", "/"),
            list().query("delimiter", "-"),
        ),
        (
            r#""NumericLessThanEquals":{"s3:max-keys":10}"#.to_owned(),
            list().query("versions", "").query("max-keys", "10"),
            list().query("versions", "").query("max-keys", "11"),
        ),
        (
            r#""StringEquals":{"s3:prefix":"a/"}"#.to_owned(),
            list().query("uploads", "").query("prefix", "a/"),
            list().query("uploads", "").query("prefix", "b/"),
        ),
        (
            r#""StringEquals":{"s3:x-amz-storage-class":"STANDARD"}"#.to_owned(),
            put().header("x-amz-storage-class", "STANDARD"),
            put(),
        ),
        (
            r#""StringEquals":{"s3:x-amz-acl":"private"}"#.to_owned(),
            put().header("x-amz-acl", "private"),
            put(),
        ),
        (
            r#""StringNotEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}"#.to_owned(),
            put(),
            put().signing(crate::harness::Signing::Named("UNSIGNED-PAYLOAD")),
        ),
        (
            r#""StringLike":{"s3:x-amz-copy-source":"plain/a/*"}"#.to_owned(),
            copy("/plain/a%2Fb"),
            copy("plain/b"),
        ),
        (
            r#""StringEquals":{"s3:x-amz-metadata-directive":"REPLACE"}"#.to_owned(),
            copy("plain/a/b").header("x-amz-metadata-directive", "REPLACE"),
            copy("plain/a/b"),
        ),
        (
            r#""Null":{"s3:x-amz-server-side-encryption":true}"#.to_owned(),
            put(),
            put().header("x-amz-server-side-encryption", "AES256"),
        ),
        (
            r#""StringEquals":{"s3:if-match":"\"x\""}"#.to_owned(),
            put().header("If-Match", "\"x\""),
            put(),
        ),
        (
            r#""StringEquals":{"s3:VersionId":"null"}"#.to_owned(),
            req("GET", "plain", "a/b").query("versionId", "null"),
            req("GET", "plain", "a/b"),
        ),
        (
            r#""StringEquals":{"s3:VersionId":"null"}"#.to_owned(),
            copy("plain/a/b?versionId=null").query("versionId", "null"),
            copy("plain/a/b?versionId=other").query("versionId", "null"),
        ),
        (
            r#""StringEquals":{"s3:authType":"REST-HEADER"}"#.to_owned(),
            put(),
            Req::new(Method::GET, "", ""),
        ),
        (
            r#""StringEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}"#.to_owned(),
            put(),
            Req::new(Method::GET, "", ""),
        ),
        (
            r#""NumericLessThan":{"s3:signatureAge":1000}"#.to_owned(),
            put(),
            Req::new(Method::GET, "", ""),
        ),
        (
            r#""IpAddress":{"aws:SourceIp":"127.0.0.0/8"}"#.to_owned(),
            put(),
            Req::new(Method::GET, "", ""),
        ),
        (
            r#""Bool":{"aws:SecureTransport":false}"#.to_owned(),
            put(),
            Req::new(Method::GET, "", ""),
        ),
        (
            r#""StringLike":{"aws:UserAgent":"good/*"}"#.to_owned(),
            put().unsigned_header("User-Agent", "good/1"),
            put().unsigned_header("User-Agent", "bad"),
        ),
        (
            r#""StringEquals":{"aws:Referer":"a"}"#.to_owned(),
            put().unsigned_header("Referer", "a"),
            put(),
        ),
        (
            format!(r#""DateEquals":{{"aws:CurrentTime":"{now}"}}"#),
            put(),
            Req::new(Method::GET, "", ""),
        ),
        (
            format!(r#""NumericLessThanEquals":{{"aws:EpochTime":{now}}}"#),
            put(),
            Req::new(Method::GET, "", ""),
        ),
        (
            r#""Bool":{"s3:ObjectCreationOperation":true}"#.to_owned(),
            put(),
            req("POST", "plain", "k").query("uploads", ""),
        ),
    ] {
        // Root listing stands for "something else" where the key says the same of every request.
        let policy = |condition: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::plain","arn:aws:s3:::plain/*"],"Condition":{{{condition}}}}}}}"#
            )
        };
        let session = session_of_all(&server, &policy(&condition));
        assert!(
            !is_denied(&server, &yes, &session).await,
            "{condition} denies what fits"
        );
        assert!(
            is_denied(&server, &no, &session).await,
            "{condition} allows what does not fit"
        );
    }
    // What every request says alike must also be able to say no.
    for condition in [
        r#""StringEquals":{"s3:authType":"REST-QUERY-STRING"}"#,
        r#""StringEquals":{"s3:signatureversion":"AWS"}"#,
        r#""NumericGreaterThan":{"s3:signatureAge":0}"#,
        r#""NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}"#,
        r#""Bool":{"aws:SecureTransport":true}"#,
        r#""DateGreaterThan":{"aws:CurrentTime":"2026-11-23T10:50:50Z"}"#,
        r#""NumericLessThan":{"aws:EpochTime":1795431050}"#,
    ] {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{{condition}}}}}}}"#
        );
        let session = session_of_all(&server, &policy);
        assert!(is_denied(&server, &put(), &session).await, "{condition}");
    }
}

/// s3s takes the one sub-resource it looks for first, and that need not be the one that was judged.
#[tokio::test]
async fn a_request_that_could_be_two_is_denied_even_to_who_may_do_both() {
    let everything =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let (server, session) = server_and_session(everything).await;
    server.put("plain", "a", b"x").await.assert_ok();
    for (request, more) in [
        (req("GET", "plain", "a"), &["acl", "attributes"][..]),
        (req("GET", "plain", "a"), &["acl", "tagging"]),
        (req("GET", "plain", "a"), &["tagging", "uploadId"]),
        (req("GET", "plain", ""), &["object-lock", "website"]),
        (req("GET", "plain", ""), &["uploads", "versions"]),
        (req("PUT", "plain", "a").body(TAGS), &["acl", "tagging"]),
        (req("DELETE", "plain", "a"), &["tagging", "uploadId"]),
        (req("POST", "plain", "a"), &["uploadId", "uploads"]),
    ] {
        let request = more
            .iter()
            .fold(request, |request, it| request.query(it, "x"));
        let request = request.header("x-amz-object-attributes", "ETag");
        let answer = request.by(&session).send(&server).await;
        answer.assert_error(403, "AccessDenied");
    }
    assert_eq!(server.get("plain", "a").await.body, b"x");
}
