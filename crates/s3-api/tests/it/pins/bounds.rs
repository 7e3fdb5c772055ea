//! What a function's session is kept from, and when it ends.

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use two_buckets_objects::{VersionId, VersionRef};
use two_buckets_s3_api::{Pin, Role, Sts};

use super::{ARCHIVE, Environment, OTHER, STAGING, object, role};
use crate::forms::{Form, signer};
use crate::harness::{Answer, REGION, Req, Server, bucket, credentials};
use crate::sessions::HOUR;
use crate::sts::call;

#[tokio::test]
async fn a_session_is_refused_without_a_slot_without_a_pin_and_after_both() {
    let mut it = Environment::start().await;
    let refused = async |words: &str, it: &Environment| {
        let answer = it.get(STAGING, "a").await;
        answer.assert_error(403, "AccessDenied");
        assert!(answer.text().contains(words), "{}", answer.text());
    };
    let version = it.upload("a", b"mine").await;
    refused("works on no file now", &it).await;
    let pinned = it.pin("a", &version);
    it.get(STAGING, "a").await.assert_ok();
    drop(pinned);
    refused("works on no file now", &it).await;
    it.put(ARCHIVE, "out", b"x")
        .await
        .assert_error(403, "AccessDenied");
    let _pinned = it.pin("a", &version);
    it.get(STAGING, "a").await.assert_ok();
    it.slot = None;
    refused("has ended", &it).await;
    // Another environment is another session.
    let _other = it.pins.open_slot("environment-2");
    refused("has ended", &it).await;
}

#[tokio::test]
async fn a_server_without_pins_refuses_sessions_that_need_them() {
    let sts = Sts::new(credentials(), vec![role()]).unwrap();
    let server = Server::start_with(|config| config.sts = sts.clone()).await;
    let session = Environment::session_named(&server, &sts, "environment-1");
    server.depot.create_bucket(&bucket(ARCHIVE)).unwrap();
    server.put(STAGING, "a", b"x").await.assert_ok();
    for (method, bucket) in [(Method::GET, STAGING), (Method::PUT, ARCHIVE)] {
        Req::new(method, bucket, "a")
            .by(&session)
            .send(&server)
            .await
            .assert_error(403, "AccessDenied");
    }
}

#[tokio::test]
async fn what_is_noted_is_noted_of_the_invocation_it_was_asked_in() {
    let it = Environment::start().await;
    let (version, first) = it.work_on("a", b"mine").await;
    let a = object(STAGING, "a");
    it.send(it.copy("versioned/a", ARCHIVE, "a"))
        .await
        .assert_ok();
    // The next begins before the guard of the one before is gone.
    let second = it.pin("a", &version);
    assert!(first.was_copied(&a) && !second.was_copied(&a));
    drop(first);
    it.get(ARCHIVE, "a").await.assert_error(404, "NoSuchKey");
    it.delete(STAGING, "a").await.assert_ok();
    assert!(second.was_deleted(&a) && !second.was_copied(&a));
}

#[tokio::test]
async fn a_slow_request_is_noted_of_the_invocation_it_came_in_under() {
    let it = Environment::start().await;
    let (version, first) = it.work_on("a", b"mine").await;
    let put = it.req(Method::PUT, ARCHIVE, "a").body(b"mine");
    let bytes = put
        .unsigned_header("expect", "100-continue")
        .bytes(&it.server);
    let (head, body) = bytes.split_at(bytes.len() - 4);
    let mut stream = TcpStream::connect(it.server.address).await.unwrap();
    stream.write_all(head).await.unwrap();
    // The body is asked for once the request was let in.
    let mut asked = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"));
    let second = it.pin("a", &version);
    stream.write_all(body).await.unwrap();
    Answer::read(&mut stream).await.assert_ok();
    let a = object(STAGING, "a");
    assert!(first.was_copied(&a) && !second.was_copied(&a));
}

#[tokio::test]
async fn nothing_is_written_to_staging_listed_or_configured() {
    let it = Environment::start().await;
    let (version, _pinned) = it.work_on("a", b"mine").await;
    it.server.put(ARCHIVE, "old", b"x").await.assert_ok();
    let before = (it.versions(STAGING), it.versions(ARCHIVE));
    let on = |method: Method, bucket: &str, key: &str, query: &str| {
        it.req(method, bucket, key).query(query, "")
    };
    let mut refused = vec![
        it.req(Method::PUT, STAGING, "a").body(b"x"),
        it.req(Method::PUT, STAGING, "b").body(b"x"),
        it.copy("versioned/a", STAGING, "b"),
        it.copy("versioned/a", STAGING, "a")
            .header("x-amz-metadata-directive", "REPLACE"),
        it.copy("versioned/a", OTHER, "a"),
        on(Method::POST, STAGING, "a", "uploads"),
        on(Method::PUT, STAGING, "a", "tagging").body(b"<Tagging><TagSet></TagSet></Tagging>"),
        on(Method::DELETE, STAGING, "a", "tagging"),
        on(Method::PUT, STAGING, "a", "acl").header("x-amz-acl", "private"),
        on(Method::GET, STAGING, "a", "acl"),
        on(Method::DELETE, ARCHIVE, "a", "tagging"),
        on(Method::PUT, ARCHIVE, "old", "tagging").body(b"<Tagging><TagSet></TagSet></Tagging>"),
        on(Method::GET, ARCHIVE, "old", "tagging"),
        it.req(Method::PUT, ARCHIVE, "a")
            .header("x-amz-acl", "private")
            .body(b"mine"),
        it.req(Method::PUT, OTHER, "a").body(b"x"),
        it.req(Method::DELETE, ARCHIVE, "a"),
        it.req(Method::DELETE, ARCHIVE, "old"),
        it.req(Method::DELETE, OTHER, "a"),
        it.req(Method::PUT, "new-bucket", ""),
        it.req(Method::DELETE, STAGING, ""),
        it.req(Method::GET, "", ""),
    ];
    for bucket in [STAGING, ARCHIVE, OTHER] {
        refused.push(it.req(Method::HEAD, bucket, ""));
        refused.push(it.req(Method::GET, bucket, ""));
        refused.push(it.req(Method::GET, bucket, "").query("prefix", "a"));
        for sub in [
            "versions",
            "uploads",
            "versioning",
            "cors",
            "lifecycle",
            "policy",
        ] {
            refused.push(on(Method::GET, bucket, "", sub));
        }
        for sub in ["versioning", "cors", "lifecycle", "tagging"] {
            refused.push(on(Method::PUT, bucket, "", sub).body(b"<x/>"));
        }
    }
    let old = it.server.get(ARCHIVE, "old").await;
    let id = old.header("x-amz-version-id").unwrap();
    for method in [Method::GET, Method::DELETE] {
        refused.push(it.req(method, ARCHIVE, "old").query("versionId", id));
    }
    for req in refused {
        let answer = it.send(req.clone()).await;
        assert_eq!(
            answer.status,
            403,
            "{} {}/{:?} {:?}: {}",
            req.method,
            req.bucket,
            req.key,
            req.query,
            answer.text()
        );
    }
    assert_eq!((it.versions(STAGING), it.versions(ARCHIVE)), before);
    assert_eq!(
        it.get(STAGING, "a").await.header("x-amz-version-id"),
        Some(&*version)
    );
}

#[tokio::test]
async fn forms_signed_by_a_function_are_refused() {
    let it = Environment::start().await;
    let (_, _pinned) = it.work_on("a", b"mine").await;
    let form = signer::Form {
        bucket: ARCHIVE,
        key: signer::FormKey::Exactly("out"),
        fields: &[],
        free_fields: &[],
        sizes: 0..=10,
    };
    let session = &it.session;
    let token = Some(&*session.session_token);
    let fields = signer::sign_form(
        &session.credentials,
        token,
        REGION,
        &form,
        HOUR,
        it.server.now(),
    );
    let mut form = Form::of(fields);
    form.bucket = ARCHIVE.into();
    let answer = form.send(&it.server).await;
    answer.assert_error(403, "AccessDenied");
    assert!(answer.text().contains("forms"), "{}", answer.text());
}

#[tokio::test]
async fn a_function_may_know_who_it_is_and_become_nobody_else() {
    let it = Environment::start().await;
    let who = call("GetCallerIdentity", &[]).by(&it.session);
    let who = who.send(&it.server).await;
    assert_eq!(
        who.assert_ok().element("Arn").as_deref(),
        Some("arn:aws:sts::000000000000:assumed-role/two-buckets-function/environment-1")
    );
    let _slot = it.pins.open_slot("environment-2");
    let assume = call(
        "AssumeRole",
        &[
            ("RoleArn", &role().arn()),
            ("RoleSessionName", "environment-2"),
        ],
    );
    let refused = assume.by(&it.session).send(&it.server).await;
    refused.assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn a_wider_role_reads_more_and_still_moves_only_its_own_version() {
    let everything =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let it = Environment::start_with(Role {
        policy: everything.parse().unwrap(),
        ..role()
    })
    .await;
    it.server.put(ARCHIVE, "table", b"x").await.assert_ok();
    it.server.put(OTHER, "table", b"y").await.assert_ok();
    let others = it.upload("others", b"secret").await;
    let (_, pinned) = it.work_on("a", b"mine").await;
    let newer = it.upload("a", b"newer").await;
    let before = (it.versions(STAGING), it.versions(ARCHIVE));

    let _other = it.pins.open_slot("environment-2");
    let assume = call(
        "AssumeRole",
        &[
            ("RoleArn", &role().arn()),
            ("RoleSessionName", "environment-2"),
        ],
    );
    let refused = assume.by(&it.session).send(&it.server).await;
    refused.assert_error(403, "AccessDenied");

    assert_eq!(it.get(ARCHIVE, "table").await.assert_ok().body, b"x");
    assert_eq!(it.get(OTHER, "table").await.assert_ok().body, b"y");
    it.get(ARCHIVE, "").await.assert_ok();
    let on = |method: Method, key: &str, query: &str, value: &str| {
        it.req(method, STAGING, key).query(query, value)
    };
    for refused in [
        it.req(Method::GET, STAGING, "others"),
        it.req(Method::PUT, STAGING, "a").body(b"x"),
        it.req(Method::PUT, STAGING, "new").body(b"x"),
        it.req(Method::DELETE, STAGING, "others"),
        on(Method::DELETE, "others", "versionId", &others),
        on(Method::DELETE, "a", "versionId", &newer),
        on(Method::GET, "a", "acl", ""),
        on(Method::DELETE, "a", "tagging", ""),
        on(Method::POST, "a", "uploads", ""),
        it.req(Method::PUT, ARCHIVE, "a").body(b"other"),
        it.req(Method::DELETE, ARCHIVE, "a"),
        it.req(Method::PUT, ARCHIVE, "_results/others/1/x")
            .body(b"x"),
    ] {
        it.send(refused).await.assert_error(403, "AccessDenied");
    }
    it.delete(STAGING, "a").await.assert_ok();
    it.send(it.copy("archive/table", ARCHIVE, "a"))
        .await
        .assert_error(403, "AccessDenied");
    assert!(pinned.was_deleted(&object(STAGING, "a")));
    assert!(!pinned.was_copied(&object(STAGING, "a")));
    assert_eq!((it.versions(STAGING), it.versions(ARCHIVE)), before);
}

#[tokio::test]
async fn several_pins_are_each_their_own() {
    let it = Environment::start().await;
    let (one, two) = (it.upload("1", b"one").await, it.upload("2", b"two").await);
    let pin = |key: &str, version: &str| Pin {
        staged: VersionRef {
            bucket: bucket(STAGING),
            key: key.parse().unwrap(),
            version_id: VersionId::new(version),
        },
        archive: object(ARCHIVE, key),
        results_prefix: String::new(),
    };
    let slot = it.slot.as_ref().unwrap();
    let pinned = slot.pin(vec![pin("1", &one), pin("2", &two)]);
    it.send(it.copy("versioned/1", ARCHIVE, "2"))
        .await
        .assert_error(403, "AccessDenied");
    it.send(it.copy("versioned/2", ARCHIVE, "2"))
        .await
        .assert_ok();
    it.delete(STAGING, "1").await.assert_ok();
    let (one, two) = (object(STAGING, "1"), object(STAGING, "2"));
    assert!(pinned.was_copied(&two) && !pinned.was_deleted(&two));
    assert!(!pinned.was_copied(&one) && pinned.was_deleted(&one));
    // An empty prefix opens nothing.
    it.server.put(ARCHIVE, "/x", b"x").await.assert_ok();
    it.get(ARCHIVE, "/x")
        .await
        .assert_error(403, "AccessDenied");
    it.put(ARCHIVE, "_results/1/x", b"x")
        .await
        .assert_error(403, "AccessDenied");
}
