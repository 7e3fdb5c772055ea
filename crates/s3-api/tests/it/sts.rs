//! STS over HTTP, as the SDKs speak it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use two_buckets_s3_api::{Credentials, TemporaryCredentials, sign};

use crate::harness::{Answer, Req, START_MILLIS, Server, credentials};
use crate::sessions::{HOUR, one_file, server_and_session, session, upload};

const ROLE: &str = "arn:aws:iam::000000000000:role/two-buckets-uploader";
const STAMP: &str = "20261123T105050Z";

/// A call of STS, signed by hand as botocore signs it: no hash of the payload in a header.
pub(crate) struct Call {
    form: Vec<(String, String)>,
    credentials: Credentials,
    token: Option<String>,
    service: &'static str,
    stamp: &'static str,
    content_type: &'static str,
    target: &'static str,
    /// Sent in place of the form that was signed.
    sent: Option<String>,
    token_is_signed: bool,
}

pub(crate) fn call(action: &str, parameters: &[(&str, &str)]) -> Call {
    let mut form = vec![
        ("Action".to_owned(), action.to_owned()),
        ("Version".to_owned(), "2011-06-15".to_owned()),
    ];
    for (name, value) in parameters {
        form.push(((*name).to_owned(), (*value).to_owned()));
    }
    Call {
        form,
        credentials: credentials(),
        token: None,
        service: "sts",
        stamp: STAMP,
        content_type: "application/x-www-form-urlencoded; charset=utf-8",
        target: "/",
        sent: None,
        token_is_signed: true,
    }
}

fn assume(parameters: &[(&str, &str)]) -> Call {
    let mut all = vec![("RoleArn", ROLE), ("RoleSessionName", "tester")];
    all.extend(parameters);
    call("AssumeRole", &all)
}

impl Call {
    pub(crate) fn by(mut self, session: &TemporaryCredentials) -> Self {
        self.credentials = session.credentials.clone();
        self.token = Some(session.session_token.clone());
        self
    }

    fn body(&self) -> String {
        let encoded = |text: &str| -> String {
            text.bytes()
                .map(|b| {
                    if b.is_ascii_alphanumeric() {
                        char::from(b).to_string()
                    } else {
                        format!("%{b:02X}")
                    }
                })
                .collect()
        };
        let pairs: Vec<String> = self
            .form
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        pairs.join("&")
    }

    pub(crate) async fn send(&self, server: &Server) -> Answer {
        let mac = |key: &[u8], text: &str| -> Vec<u8> {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let (body, host, stamp) = (self.body(), server.host(), self.stamp);
        let day = &stamp[..8];
        let scope = format!("{day}/us-east-1/{}/aws4_request", self.service);
        let mut signed = vec![
            ("content-type", self.content_type),
            ("host", &host),
            ("x-amz-date", stamp),
        ];
        if let (Some(token), true) = (&self.token, self.token_is_signed) {
            signed.push(("x-amz-security-token", token));
        }
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = signed
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!(
            "POST\n/\n\n{lines}\n{names}\n{}",
            sign::sha256_hex(body.as_bytes())
        );
        let text = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
            sign::sha256_hex(canonical.as_bytes())
        );
        let secret = format!("AWS4{}", self.credentials.secret_access_key);
        let mut key = mac(secret.as_bytes(), day);
        for step in ["us-east-1", self.service, "aws4_request"] {
            key = mac(&key, step);
        }
        let signature = hex::encode(mac(&key, &text));
        let token = self
            .token
            .as_ref()
            .map(|token| format!("X-Amz-Security-Token: {token}\r\n"))
            .unwrap_or_default();
        let sent = self.sent.as_ref().unwrap_or(&body);
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {}\r\nX-Amz-Date: {stamp}\r\n\
             {token}Authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, \
             Signature={signature}\r\nContent-Length: {}\r\n\r\n{sent}",
            self.target,
            self.content_type,
            self.credentials.access_key_id,
            sent.len(),
        );
        server.raw(request.as_bytes()).await
    }
}

/// The credentials in an answer of `AssumeRole`.
fn credentials_of(answer: &Answer) -> TemporaryCredentials {
    answer.assert_ok();
    let element = |name: &str| answer.element(name).unwrap();
    TemporaryCredentials {
        credentials: Credentials {
            access_key_id: element("AccessKeyId"),
            secret_access_key: element("SecretAccessKey"),
        },
        session_token: element("SessionToken"),
        expires_at: two_buckets_objects::Timestamp::from_millis(START_MILLIS).after(HOUR),
        arn: element("Arn"),
        assumed_role_id: element("AssumedRoleId"),
    }
}

#[track_caller]
fn assert_failure(answer: &Answer, status: u16, code: &str) {
    answer.assert_error(status, code);
    let text = answer.text();
    let head = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>";
    assert!(text.starts_with(head), "{text}");
    assert!(text.ends_with("</RequestId></ErrorResponse>"), "{text}");
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert_eq!(
        answer.element("RequestId").as_deref(),
        answer.header("x-amzn-requestid")
    );
}

#[tokio::test]
async fn the_root_assumes_a_role_and_its_session_works() {
    let server = Server::start().await;
    let answer = assume(&[("Policy", &one_file("a*")), ("DurationSeconds", "900")])
        .send(&server)
        .await;
    answer.assert_ok();
    let text = answer.text();
    assert!(
        text.starts_with(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>"
        ),
        "{text}"
    );
    assert_eq!(
        answer.element("Expiration").unwrap(),
        "2026-11-23T11:05:50Z"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let session = credentials_of(&answer);
    assert_eq!(
        session.arn,
        "arn:aws:sts::000000000000:assumed-role/two-buckets-uploader/tester"
    );
    upload(&server, &session, "plain", "a*").await.assert_ok();
    upload(&server, &session, "plain", "ab")
        .await
        .assert_error(403, "AccessDenied");
    server.advance(HOUR / 4);
    upload(&server, &session, "plain", "a*")
        .await
        .assert_error(400, "ExpiredToken");
}

#[tokio::test]
async fn a_session_lasts_an_hour_if_nobody_says() {
    let server = Server::start().await;
    let answer = assume(&[]).send(&server).await;
    assert_eq!(
        answer.element("Expiration").unwrap(),
        "2026-11-23T11:50:50Z"
    );
    assert_eq!(answer.element("PackedPolicySize"), None);
}

#[tokio::test]
async fn the_root_is_told_who_it_is() {
    let server = Server::start().await;
    let answer = call("GetCallerIdentity", &[]).send(&server).await;
    answer.assert_ok();
    assert_eq!(
        answer.text().split("<ResponseMetadata>").next().unwrap(),
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account>\
         </GetCallerIdentityResult>"
    );
}

#[tokio::test]
async fn one_file_credentials_cannot_call_sts() {
    let server = Server::start().await;
    for policy in [None, Some(one_file("a"))] {
        let session = session(&server, policy);
        for call in [
            call("GetCallerIdentity", &[]),
            assume(&[]),
            assume(&[("Policy", &one_file("b"))]),
        ] {
            let answer = call.by(&session).send(&server).await;
            assert_failure(&answer, 403, "AccessDenied");
        }
    }
}

#[tokio::test]
async fn a_session_whose_policies_say_so_may_call_sts_for_an_hour_at_most() {
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}"#;
    let (server, session) = server_and_session(policy).await;
    let answer = call("GetCallerIdentity", &[])
        .by(&session)
        .send(&server)
        .await;
    assert_eq!(
        answer.element("Arn").unwrap(),
        "arn:aws:sts::000000000000:assumed-role/all/tester"
    );
    let chained = |seconds| {
        call(
            "AssumeRole",
            &[
                ("RoleArn", "arn:aws:iam::000000000000:role/all"),
                ("RoleSessionName", "tester"),
                ("DurationSeconds", seconds),
            ],
        )
        .by(&session)
    };
    credentials_of(&chained("3600").send(&server).await);
    assert_failure(&chained("3601").send(&server).await, 400, "ValidationError");
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused() {
    let server = Server::start().await;
    let long = format!("{}{}", one_file("a"), " ".repeat(2_048));
    let name = |name: &'static str| {
        call(
            "AssumeRole",
            &[("RoleArn", ROLE), ("RoleSessionName", name)],
        )
    };
    let long_name = "n".repeat(65);
    for (call, status, code) in [
        (
            assume(&[("DurationSeconds", "899")]),
            400,
            "ValidationError",
        ),
        (
            assume(&[("DurationSeconds", "43201")]),
            400,
            "ValidationError",
        ),
        (
            assume(&[("DurationSeconds", "-900")]),
            400,
            "ValidationError",
        ),
        (
            assume(&[("DurationSeconds", "1e3")]),
            400,
            "ValidationError",
        ),
        (
            assume(&[("DurationSeconds", "99999999999999999999")]),
            400,
            "ValidationError",
        ),
        (assume(&[("Policy", "")]), 400, "MalformedPolicyDocument"),
        (assume(&[("Policy", "{}")]), 400, "MalformedPolicyDocument"),
        (
            assume(&[("Policy", &one_file("a").replace("Allow", "allow"))]),
            400,
            "MalformedPolicyDocument",
        ),
        (
            assume(&[("Policy", &one_file("a").replace("Resource", "NotResource"))]),
            400,
            "MalformedPolicyDocument",
        ),
        (
            assume(&[(
                "Policy",
                &one_file("a").replace("plain/a", "plain/${aws:username}"),
            )]),
            400,
            "MalformedPolicyDocument",
        ),
        (
            assume(&[("Policy", &one_file("\u{20ac}"))]),
            400,
            "ValidationError",
        ),
        (assume(&[("Policy", &long)]), 400, "ValidationError"),
        (
            assume(&[("Tags.member.1.Key", "a")]),
            400,
            "ValidationError",
        ),
        (assume(&[("SerialNumber", "a")]), 400, "ValidationError"),
        (
            assume(&[("DurationSeconds", "900"), ("DurationSeconds", "901")]),
            400,
            "ValidationError",
        ),
        (name("n"), 400, "ValidationError"),
        (name("a b"), 400, "ValidationError"),
        (name("a/b"), 400, "ValidationError"),
        (
            call(
                "AssumeRole",
                &[("RoleArn", ROLE), ("RoleSessionName", &long_name)],
            ),
            400,
            "ValidationError",
        ),
        (
            call("AssumeRole", &[("RoleArn", ROLE)]),
            400,
            "ValidationError",
        ),
        (
            call("AssumeRole", &[("RoleSessionName", "tester")]),
            400,
            "ValidationError",
        ),
        (
            call(
                "AssumeRole",
                &[
                    ("RoleArn", "arn:aws:iam::000000000000:role/other"),
                    ("RoleSessionName", "tester"),
                ],
            ),
            403,
            "AccessDenied",
        ),
        (
            call("GetCallerIdentity", &[("Other", "a")]),
            400,
            "ValidationError",
        ),
        (call("GetSessionToken", &[]), 400, "InvalidAction"),
        (call("AssumeRoleWithWebIdentity", &[]), 400, "InvalidAction"),
        (
            Call {
                form: vec![("Version".into(), "2011-06-15".into())],
                ..call("", &[])
            },
            400,
            "MissingAction",
        ),
        (
            Call {
                form: vec![("Action".into(), "AssumeRole".into())],
                ..call("", &[])
            },
            400,
            "InvalidAction",
        ),
        (
            Call {
                content_type: "application/json",
                ..assume(&[])
            },
            400,
            "ValidationError",
        ),
        (
            Call {
                target: "/?Action=AssumeRole",
                ..assume(&[])
            },
            400,
            "ValidationError",
        ),
        (
            Call {
                service: "s3",
                ..assume(&[])
            },
            400,
            "IncompleteSignature",
        ),
        (
            Call {
                stamp: "20261123T103049Z",
                ..assume(&[])
            },
            403,
            "SignatureDoesNotMatch",
        ),
        (
            Call {
                stamp: "20261123T111051Z",
                ..assume(&[])
            },
            403,
            "SignatureDoesNotMatch",
        ),
        (
            Call {
                stamp: "20261123T999999Z",
                ..assume(&[])
            },
            403,
            "AccessDenied",
        ),
        (
            Call {
                sent: Some("Action=GetCallerIdentity&Version=2011-06-15".into()),
                ..assume(&[])
            },
            403,
            "SignatureDoesNotMatch",
        ),
        (
            Call {
                sent: Some("%zz=%ff".into()),
                ..assume(&[])
            },
            403,
            "SignatureDoesNotMatch",
        ),
        (
            Call {
                sent: Some("a".repeat(70_000)),
                ..assume(&[])
            },
            400,
            "ValidationError",
        ),
        (
            Call {
                credentials: Credentials {
                    secret_access_key: "other".into(),
                    ..credentials()
                },
                ..assume(&[])
            },
            403,
            "SignatureDoesNotMatch",
        ),
        (
            Call {
                credentials: Credentials {
                    access_key_id: "OTHER".into(),
                    ..credentials()
                },
                ..assume(&[])
            },
            403,
            "InvalidClientTokenId",
        ),
        (
            Call {
                token: Some("token".into()),
                ..assume(&[])
            },
            403,
            "InvalidClientTokenId",
        ),
        (
            Call {
                token_is_signed: false,
                ..assume(&[]).by(&session(&server, None))
            },
            403,
            "AccessDenied",
        ),
    ] {
        let answer = call.send(&server).await;
        println!("{:?} {} {}", call.form, answer.status, answer.text());
        assert_failure(&answer, status, code);
    }
    server.advance(HOUR);
    let late = Call {
        stamp: "20261123T115050Z",
        ..assume(&[])
    };
    late.send(&server).await.assert_ok();
}

#[tokio::test]
async fn an_ended_session_is_told_so() {
    let server = Server::start().await;
    let session = session(&server, None);
    server.advance(HOUR);
    let call = Call {
        stamp: "20261123T115050Z",
        ..call("GetCallerIdentity", &[]).by(&session)
    };
    assert_failure(&call.send(&server).await, 403, "ExpiredToken");
}

#[tokio::test]
async fn sts_wants_a_signature() {
    let server = Server::start().await;
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        server.host(),
        body.len()
    );
    assert_failure(
        &server.raw(request.as_bytes()).await,
        403,
        "MissingAuthenticationToken",
    );
}

#[tokio::test]
async fn a_signature_for_sts_is_none_for_s3() {
    let server = Server::start().await;
    let answer = Req::new(Method::GET, "plain", "").bytes(&server);
    let text = String::from_utf8(answer)
        .unwrap()
        .replace("/s3/aws4_request", "/sts/aws4_request");
    server
        .raw(text.as_bytes())
        .await
        .assert_error(400, "AuthorizationHeaderMalformed");
}
