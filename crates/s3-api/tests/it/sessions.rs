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

/// A server with a role `all` beside the uploader's, which may do everything, and a session of it with a policy.
pub(crate) async fn server_and_session(policy: &str) -> (Server, TemporaryCredentials) {
    let everything =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let role = Role {
        name: "all".into(),
        policy: everything.parse().unwrap(),
        session_life_max: HOUR,
    };
    let sts = Sts::new(credentials(), vec![role.clone()]).unwrap();
    let server = {
        let sts = sts.clone();
        Server::start_with(|config| config.sts = sts).await
    };
    let asked = AssumeRole {
        role_arn: role.arn(),
        session_name: "tester".into(),
        policy: Some(policy.to_owned()),
        duration: HOUR,
    };
    let session = sts.assume_role(&asked, server.now()).unwrap();
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
    server.advance(HOUR - Duration::from_millis(1));
    upload(&server, &session, "plain", "a").await.assert_ok();
    server.advance(Duration::from_millis(1));
    upload(&server, &session, "plain", "b")
        .await
        .assert_error(400, "ExpiredToken");
    server.assert_absent("plain", "b").await;
}
