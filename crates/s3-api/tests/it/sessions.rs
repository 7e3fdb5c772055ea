//! Credentials for one file open that file and nothing else.

use std::time::Duration;

use http::Method;
use two_buckets_s3_api::{
    AssumeRole, Role, Sts, TemporaryCredentials, policy, sign, uploader_role,
};

use crate::harness::{Answer, REGION, Req, Server, bucket, credentials};
use crate::presigned::fetch;

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// The service as the harness has it: the same root key makes the same tokens.
pub(crate) fn sts() -> Sts {
    Sts::new(credentials(), vec![uploader_role(&bucket("plain"))]).unwrap()
}

/// The policy of credentials that may upload one key.
pub(crate) fn one_file(key: &str) -> String {
    let resource = serde_json::to_string(&format!("arn:aws:s3:::plain/{}", policy::literal(key)));
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:PutObject","s3:ListMultipartUploadParts","s3:AbortMultipartUpload"],"Resource":{}}}]}}"#,
        resource.unwrap()
    )
}

/// A session of the uploader role.
pub(crate) fn session(server: &Server, policy: Option<String>) -> TemporaryCredentials {
    sts()
        .assume_role(
            &AssumeRole {
                role_arn: uploader_role(&bucket("plain")).arn(),
                session_name: "tester".into(),
                policy,
                duration: HOUR,
            },
            server.now(),
        )
        .unwrap()
}

/// A role that may do everything.
fn all_role() -> Role {
    let everything =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    Role {
        name: "all".into(),
        policy: everything.parse().unwrap(),
        session_life_max: HOUR,
    }
}

/// A session of the role `all`, narrowed to a policy.
pub(crate) fn session_of_all(server: &Server, policy: &str) -> TemporaryCredentials {
    let asked = AssumeRole {
        role_arn: all_role().arn(),
        session_name: "tester".into(),
        policy: Some(policy.to_owned()),
        duration: HOUR,
    };
    Sts::new(credentials(), vec![all_role()])
        .unwrap()
        .assume_role(&asked, server.now())
        .unwrap()
}

/// A server with the role `all`, which may do everything, and a session of it with a policy.
pub(crate) async fn server_and_session(policy: &str) -> (Server, TemporaryCredentials) {
    let server = Server::start_with(|config| {
        config.sts = Sts::new(credentials(), vec![all_role()]).unwrap();
    })
    .await;
    let session = session_of_all(&server, policy);
    (server, session)
}

pub(crate) async fn upload(
    server: &Server,
    session: &TemporaryCredentials,
    bucket: &str,
    key: &str,
) -> Answer {
    Req::new(Method::PUT, bucket, key)
        .body(b"body")
        .by(session)
        .send(server)
        .await
}

#[tokio::test]
async fn one_file_credentials_upload_their_file() {
    let server = Server::start().await;
    let session = session(&server, Some(one_file("a/b c.txt")));
    assert!(session.credentials.access_key_id.starts_with("ASIA"));
    assert_eq!(session.credentials.access_key_id.len(), 20);
    assert_eq!(session.credentials.secret_access_key.len(), 40);
    upload(&server, &session, "plain", "a/b c.txt")
        .await
        .assert_ok();
    assert_eq!(server.get("plain", "a/b c.txt").await.body, b"body");
}

#[tokio::test]
async fn one_file_credentials_presign_for_their_file_until_they_end() {
    let server = Server::start().await;
    let session = session(&server, Some(one_file("a")));
    let url = |key| {
        let request = sign::Request {
            method: &Method::PUT,
            host: &server.host(),
            bucket: Some("plain"),
            key: Some(key),
            query: &[],
            headers: &[],
        };
        sign::presign(
            &session.credentials,
            Some(&session.session_token),
            REGION,
            "http",
            &request,
            7 * 24 * HOUR,
            server.now(),
        )
    };
    let (own, other) = (url("a"), url("b"));
    fetch(&server, "PUT", &own, &[], b"x").await.assert_ok();
    fetch(&server, "PUT", &other, &[], b"x")
        .await
        .assert_error(403, "AccessDenied");
    server.assert_absent("plain", "b").await;
    server.advance(HOUR);
    fetch(&server, "PUT", &own, &[], b"y")
        .await
        .assert_error(400, "ExpiredToken");
    assert_eq!(server.get("plain", "a").await.body, b"x");
}

#[tokio::test]
async fn a_session_ends_at_its_second() {
    let server = Server::start().await;
    let session = session(&server, None);
    server.advance(Duration::from_millis(60 * 60 * 1000 - 1));
    upload(&server, &session, "plain", "a").await.assert_ok();
    server.advance(Duration::from_millis(1));
    upload(&server, &session, "plain", "b")
        .await
        .assert_error(400, "ExpiredToken");
    server.assert_absent("plain", "b").await;
}

fn req(method: &str, bucket: &str, key: &str) -> Req {
    Req::new(method.parse().unwrap(), bucket, key)
}

#[tokio::test]
async fn one_file_credentials_upload_in_parts_and_resume() {
    let server = Server::start().await;
    let session = session(&server, Some(one_file("a")));
    let begin = async || {
        let answer = req("POST", "plain", "a")
            .query("uploads", "")
            .by(&session)
            .send(&server)
            .await;
        answer.assert_ok().element("UploadId").unwrap()
    };
    let part = async |id: &str| {
        let answer = req("PUT", "plain", "a")
            .query("partNumber", "1")
            .query("uploadId", id)
            .body(b"part")
            .by(&session)
            .send(&server)
            .await;
        answer.assert_ok().header("etag").unwrap().to_owned()
    };
    let id = begin().await;
    let tag = part(&id).await;
    let listed = req("GET", "plain", "a")
        .query("uploadId", &id)
        .by(&session)
        .send(&server)
        .await;
    assert_eq!(listed.assert_ok().element("Size").unwrap(), "4");
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    req("POST", "plain", "a")
        .query("uploadId", &id)
        .body(document.as_bytes())
        .by(&session)
        .send(&server)
        .await
        .assert_ok();
    assert_eq!(server.get("plain", "a").await.body, b"part");
    let id = begin().await;
    part(&id).await;
    req("DELETE", "plain", "a")
        .query("uploadId", &id)
        .by(&session)
        .send(&server)
        .await
        .assert_ok();
}

#[tokio::test]
async fn one_file_credentials_touch_no_upload_of_another_key() {
    let server = Server::start().await;
    let session = session(&server, Some(one_file("a")));
    let begun = req("POST", "plain", "b")
        .query("uploads", "")
        .send(&server)
        .await;
    let id = begun.assert_ok().element("UploadId").unwrap();
    let complete = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>";
    let requests = |key: &str| {
        [
            req("PUT", "plain", key)
                .query("partNumber", "1")
                .query("uploadId", &id)
                .body(b"x"),
            req("GET", "plain", key).query("uploadId", &id),
            req("POST", "plain", key)
                .query("uploadId", &id)
                .body(complete),
            req("DELETE", "plain", key).query("uploadId", &id),
        ]
    };
    for request in requests("b") {
        request
            .by(&session)
            .send(&server)
            .await
            .assert_error(403, "AccessDenied");
    }
    // Another's upload is not found under the own key.
    for request in requests("a") {
        request
            .by(&session)
            .send(&server)
            .await
            .assert_error(404, "NoSuchUpload");
    }
    let uploads = req("GET", "plain", "")
        .query("uploads", "")
        .send(&server)
        .await;
    assert_eq!(uploads.elements("UploadId"), [id]);
}

#[tokio::test]
async fn one_file_credentials_can_do_nothing_else() {
    let server = Server::start().await;
    let session = session(&server, Some(one_file("a")));
    for key in ["a", "b"] {
        server.put("plain", key, b"kept").await.assert_ok();
    }
    let tags = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    let delete = b"<Delete><Object><Key>a</Key></Object></Delete>";
    let cors = b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    for request in vec![
        // Its own key, but not by uploading.
        req("GET", "plain", "a"),
        req("HEAD", "plain", "a"),
        req("GET", "plain", "a").query("versionId", "null"),
        req("GET", "plain", "a").query("partNumber", "1"),
        req("GET", "plain", "a")
            .query("attributes", "")
            .header("x-amz-object-attributes", "ETag"),
        req("GET", "plain", "a").query("acl", ""),
        req("GET", "plain", "a").query("tagging", ""),
        req("PUT", "plain", "a").query("tagging", "").body(tags),
        req("PUT", "plain", "a")
            .query("acl", "")
            .header("x-amz-acl", "private"),
        req("PUT", "plain", "a")
            .header("x-amz-tagging", "k=v")
            .body(b"x"),
        req("PUT", "plain", "a")
            .query("x-amz-tagging", "k=v")
            .header("x-amz-tagging", "k=v")
            .body(b"x"),
        req("PUT", "plain", "a")
            .header("x-amz-acl", "private")
            .body(b"x"),
        req("POST", "plain", "a")
            .query("uploads", "")
            .header("x-amz-tagging", "k=v"),
        req("DELETE", "plain", "a"),
        req("DELETE", "plain", "a").query("versionId", "null"),
        req("DELETE", "plain", "a").query("tagging", ""),
        // Copies in and out.
        req("PUT", "plain", "a").header("x-amz-copy-source", "/plain/b"),
        req("PUT", "plain", "a").header("x-amz-copy-source", "plain/a?versionId=null"),
        req("PUT", "plain", "a")
            .header("x-amz-copy-source", "plain/a")
            .header("x-amz-metadata-directive", "REPLACE"),
        req("PUT", "plain", "b").header("x-amz-copy-source", "plain/a"),
        req("PUT", "plain", "a")
            .query("partNumber", "1")
            .query("uploadId", "x")
            .header("x-amz-copy-source", "plain/b"),
        // Other keys and buckets.
        req("PUT", "plain", "b").body(b"x"),
        req("PUT", "plain", "aa").body(b"x"),
        req("PUT", "plain", "a/").body(b"x"),
        req("PUT", "plain", "a/../b").body(b"x"),
        req("PUT", "plain", "A").body(b"x"),
        req("PUT", "plain", "/a").body(b"x"),
        req("PUT", "versioned", "a").body(b"x"),
        req("POST", "plain", "b").query("uploads", ""),
        // Two operations in one.
        req("PUT", "plain", "a")
            .query("acl", "")
            .query("tagging", "")
            .body(tags),
        req("PUT", "plain", "a")
            .query("partNumber", "1")
            .query("uploadId", "x")
            .query("tagging", "")
            .body(tags),
        req("GET", "plain", "a")
            .query("uploadId", "x")
            .query("tagging", ""),
        req("GET", "plain", "a")
            .query("uploadId", "x")
            .query("acl", ""),
        req("GET", "plain", "a")
            .query("uploadId", "x")
            .query("attributes", ""),
        req("DELETE", "plain", "a")
            .query("uploadId", "x")
            .query("tagging", ""),
        req("DELETE", "plain", "a")
            .query("uploadId", "x")
            .query("uploadId", "y"),
        req("PUT", "plain", "a")
            .query("tagging", "")
            .header("x-amz-copy-source", "plain/b")
            .body(tags),
        // The bucket and the service.
        req("GET", "", ""),
        req("GET", "plain", ""),
        req("GET", "plain", "").query("prefix", "a"),
        req("GET", "plain", "")
            .query("list-type", "2")
            .query("prefix", "a"),
        req("GET", "plain", "")
            .query("versions", "")
            .query("prefix", "a"),
        req("GET", "plain", "")
            .query("uploads", "")
            .query("prefix", "a"),
        req("GET", "plain", "").query("location", ""),
        req("HEAD", "plain", ""),
        req("POST", "plain", "")
            .query("delete", "")
            .header("x-amz-checksum-sha256", &sha256(delete))
            .body(delete),
        req("PUT", "plain", "")
            .query("cors", "")
            .header("x-amz-checksum-sha256", &sha256(cors))
            .body(cors),
        req("GET", "plain", "").query("cors", ""),
        req("DELETE", "plain", "").query("cors", ""),
        req("PUT", "other", ""),
        req("DELETE", "plain", ""),
    ] {
        let answer = request.clone().by(&session).send(&server).await;
        let status = answer.status;
        assert_eq!(
            status,
            403,
            "{} {:?} {:?}: {}",
            request.method,
            request.key,
            request.query,
            answer.text()
        );
        if request.method != Method::HEAD {
            answer.assert_error(403, "AccessDenied");
        }
    }
    for key in ["a", "b"] {
        assert_eq!(server.get("plain", key).await.body, b"kept");
    }
    let listed = req("GET", "plain", "").send(&server).await;
    assert_eq!(listed.elements("Key"), ["a", "b"]);
}

fn sha256(body: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(hex::decode(sign::sha256_hex(body)).unwrap())
}

#[tokio::test]
async fn keys_that_look_like_patterns_open_themselves_only() {
    let server = Server::start().await;
    let keys = [
        "*",
        "a*",
        "a?",
        "${aws:username}",
        "${*}",
        "a",
        "ab",
        "tester",
        "$",
        "a/*",
    ];
    for own in keys {
        let session = session(&server, Some(one_file(own)));
        for key in keys {
            let answer = upload(&server, &session, "plain", key).await;
            if key == own {
                answer.assert_ok();
            } else {
                answer.assert_error(403, "AccessDenied");
            }
        }
        upload(&server, &session, "versioned", own)
            .await
            .assert_error(403, "AccessDenied");
    }
}

#[tokio::test]
async fn a_key_that_is_not_escaped_is_refused_or_opens_what_it_says() {
    // What the tutorial does: the key goes into the policy as it is.
    let plain = |key: &str| one_file("KEY").replace("KEY", key);
    let asked = |policy| AssumeRole {
        role_arn: uploader_role(&bucket("plain")).arn(),
        session_name: "tester".into(),
        policy: Some(policy),
        duration: HOUR,
    };
    let server = Server::start().await;
    for key in [
        "${aws:username}",
        "${aws:userid}/x",
        "${s3:prefix}",
        "a\",\"arn:aws:s3:::plain/b\\",
    ] {
        assert!(
            sts().assume_role(&asked(plain(key)), server.now()).is_err(),
            "{key}"
        );
    }
    let session = session(&server, Some(plain("a*")));
    upload(&server, &session, "plain", "ab").await.assert_ok();
}

#[tokio::test]
async fn a_session_policy_never_widens_its_role() {
    let server = Server::start().await;
    let everything =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    for policy in [None, Some(everything.to_owned())] {
        let session = session(&server, policy);
        upload(&server, &session, "plain", "a").await.assert_ok();
        upload(&server, &session, "versioned", "a")
            .await
            .assert_error(403, "AccessDenied");
        for request in [
            req("GET", "plain", "a"),
            req("GET", "plain", ""),
            req("DELETE", "plain", "a"),
        ] {
            request
                .by(&session)
                .send(&server)
                .await
                .assert_error(403, "AccessDenied");
        }
    }
}

#[tokio::test]
async fn a_folder_that_was_granted_has_no_keys_that_seem_to_lead_out_of_it() {
    let server = Server::start().await;
    let below = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::plain/up/*"}]}"#;
    let session = session(&server, Some(below.to_owned()));
    for key in ["up/../a", "up/..", "up/a/../../b", "up/./a", "up/."] {
        upload(&server, &session, "plain", key)
            .await
            .assert_error(403, "AccessDenied");
        // Whoever writes with the key pair may use any key, as everywhere in S3.
        req("PUT", "plain", key).send(&server).await.assert_ok();
    }
    for key in ["up/..a", "up/a..", "up/...", "up/a/.b/c."] {
        upload(&server, &session, "plain", key).await.assert_ok();
    }
}

#[tokio::test]
async fn what_may_not_be_written_is_refused_before_it_is_sent() {
    let server = Server::start().await;
    let session = session(&server, Some(one_file("a")));
    // 5 GiB are promised and none are sent; the answer comes all the same.
    let request = req("PUT", "plain", "b")
        .signing(crate::harness::Signing::Named("UNSIGNED-PAYLOAD"))
        .unsigned_header("Content-Length", "5368709120")
        .unsigned_header("Expect", "100-continue")
        .by(&session);
    request
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn a_session_can_be_held_to_writes_that_overwrite_nothing() {
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{"StringEquals":{"s3:if-none-match":"*"}}},
        {"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{"Bool":{"s3:ObjectCreationOperation":"false"}}}]}"#;
    let server = Server::start().await;
    let session = session(&server, Some(policy.to_owned()));
    let put = || req("PUT", "plain", "a").body(b"x").by(&session);
    for request in [
        put(),
        put().header("If-None-Match", ""),
        put().header("If-None-Match", "\"tag\""),
        put().header("If-Match", "*"),
        put().query("If-None-Match", "*"),
    ] {
        request
            .send(&server)
            .await
            .assert_error(403, "AccessDenied");
    }
    put()
        .header("If-None-Match", "*")
        .send(&server)
        .await
        .assert_ok();
    put()
        .header("If-None-Match", "*")
        .send(&server)
        .await
        .assert_error(412, "PreconditionFailed");
    // Parts need no condition, completing does.
    let begun = req("POST", "plain", "b")
        .query("uploads", "")
        .by(&session)
        .send(&server)
        .await;
    let id = begun.assert_ok().element("UploadId").unwrap();
    let part = req("PUT", "plain", "b")
        .query("partNumber", "1")
        .query("uploadId", &id)
        .body(b"x")
        .by(&session)
        .send(&server)
        .await;
    let tag = part.assert_ok().header("etag").unwrap().to_owned();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = || {
        req("POST", "plain", "b")
            .query("uploadId", &id)
            .body(document.as_bytes())
            .by(&session)
    };
    complete()
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");
    complete()
        .header("If-None-Match", "*")
        .send(&server)
        .await
        .assert_ok();
}

#[tokio::test]
async fn what_a_url_carries_as_parameters_is_judged_as_the_headers_it_becomes() {
    let server = Server::start().await;
    server.put("plain", "b", b"kept").await.assert_ok();
    let session = session(&server, Some(one_file("a")));
    let url = |query: &[(&str, &str)]| {
        let request = sign::Request {
            method: &Method::PUT,
            host: &server.host(),
            bucket: Some("plain"),
            key: Some("a"),
            query,
            headers: &[],
        };
        sign::presign(
            &session.credentials,
            Some(&session.session_token),
            REGION,
            "http",
            &request,
            HOUR,
            server.now(),
        )
    };
    for query in [
        ("x-amz-tagging", "k=v"),
        ("X-Amz-Tagging", "k=v"),
        ("x-amz-acl", "private"),
        ("x-amz-copy-source", "plain/b"),
        ("X-Amz-Copy-Source", "plain/b"),
    ] {
        fetch(&server, "PUT", &url(&[query]), &[], b"x")
            .await
            .assert_error(403, "AccessDenied");
    }
    server.assert_absent("plain", "a").await;
    fetch(&server, "PUT", &url(&[]), &[], b"x")
        .await
        .assert_ok();
}

#[tokio::test]
async fn the_bucket_of_a_virtual_host_is_judged_as_any_other() {
    let server = Server::start().await;
    let session = session(&server, Some(one_file("a")));
    let port = server.address.port();
    for (bucket, key, allowed) in [
        ("plain", "a", true),
        ("plain", "b", false),
        ("plain", "plain/a", false),
        ("versioned", "a", false),
    ] {
        // In the host is the bucket; the harness's path is the key.
        let (first, rest) = key.split_once('/').unwrap_or((key, ""));
        let mut request = req("PUT", first, rest).body(b"x").by(&session);
        request.host = Some(format!("{bucket}.localhost:{port}"));
        let answer = request.send(&server).await;
        if allowed {
            answer.assert_ok();
        } else {
            answer.assert_error(403, "AccessDenied");
        }
    }
}

#[tokio::test]
async fn an_empty_condition_is_none() {
    let policy = r#"{"Version":"2012-10-17","Statement":
        {"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{"Null":{"s3:if-none-match":"false"}}}}"#;
    let server = Server::start().await;
    server.put("plain", "a", b"kept").await.assert_ok();
    let session = session(&server, Some(policy.to_owned()));
    let put = |condition: &str| {
        req("PUT", "plain", "a")
            .body(b"x")
            .header("If-None-Match", condition)
            .by(&session)
    };
    put("")
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");
    put("*")
        .send(&server)
        .await
        .assert_error(412, "PreconditionFailed");
    assert_eq!(server.get("plain", "a").await.body, b"kept");
}

#[tokio::test]
async fn a_parameter_that_is_there_twice_escapes_no_deny() {
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"},
        {"Effect":"Deny","Action":"s3:ListBucket","Resource":"*","Condition":{"StringLike":{"s3:prefix":"secret*"}}}]}"#;
    let (server, session) = server_and_session(policy).await;
    server.put("plain", "secret", b"x").await.assert_ok();
    let list = |prefixes: &[&str]| {
        prefixes
            .iter()
            .fold(req("GET", "plain", ""), |list, it| list.query("prefix", it))
            .by(&session)
    };
    list(&["open"]).send(&server).await.assert_ok();
    for prefixes in [
        &["secret"][..],
        &["secret", "open"],
        &["open", "secret"],
        &["secret", "secret"],
    ] {
        list(prefixes)
            .send(&server)
            .await
            .assert_error(403, "AccessDenied");
    }
}
