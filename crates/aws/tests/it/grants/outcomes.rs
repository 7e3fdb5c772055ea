//! What services say that our own do not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use two_buckets_aws::S3Grants;
use two_buckets_objects::ETag;
use two_buckets_uploads::{
    CompleteMultipart, CreateMultipart, CredentialScope, Error, Grants as _, MultipartRef,
    Operation, RequestToSign,
};

use super::place::grants;
use crate::s3::server::{answer, now};

/// A service that gives these answers, one after the other, and what it was asked, heads and bodies.
async fn answering(answers: Vec<String>) -> (S3Grants, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = asked.clone();
    // Ends with its last answer, or with the runtime of its test.
    tokio::spawn(async move {
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(connection.read_u8().await.unwrap());
            }
            let head = String::from_utf8(request).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().unwrap())
            });
            let mut body = vec![0; length.unwrap_or(0)];
            connection.read_exact(&mut body).await.unwrap();
            let body = String::from_utf8(body).unwrap();
            noted.lock().unwrap().push(format!("{head}{body}"));
            connection.write_all(answer.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
        }
    });
    let caller = Credentials::new("AKIAEXAMPLE", "test/secret", None, None, "test");
    let role = Some("arn:aws:iam::111122223333:role/uploader".to_owned());
    (grants(&endpoint, caller, role, Arc::new(now)).await, asked)
}

fn s3_error(status: &str, code: &str) -> String {
    let body = format!("<Error><Code>{code}</Code><Message>said by S3</Message></Error>");
    answer(status, "content-type: application/xml\r\n", &body)
}

fn sts_error(status: &str, code: &str) -> String {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>said by STS</Message></Error></ErrorResponse>"
    );
    answer(status, "content-type: text/xml\r\n", &body)
}

fn one_part() -> CompleteMultipart {
    CompleteMultipart {
        at: MultipartRef {
            key: "a".parse().unwrap(),
            upload: "upload".parse().unwrap(),
        },
        parts: vec![(1.try_into().unwrap(), ETag::new("x"))],
        must_be_new: true,
    }
}

#[tokio::test]
async fn a_policy_that_sts_cannot_pack_is_refused_in_words() {
    let (grants, asked) =
        answering(vec![sts_error("400 Bad Request", "PackedPolicyTooLarge")]).await;
    let scope = CredentialScope::Key {
        key: "a".parse().unwrap(),
        must_be_new: true,
    };
    let error = grants.credentials(scope, Duration::from_hours(1)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("signed URL"), "{error}");
    let asked = asked.lock().unwrap();
    assert!(asked[0].contains("DurationSeconds=3600"), "{asked:?}");
}

#[tokio::test]
async fn a_role_that_cannot_be_taken_is_our_fault_and_signs_nothing() {
    let (grants, _) = answering(vec![sts_error("403 Forbidden", "AccessDenied")]).await;
    let request = RequestToSign {
        operation: Operation::PutObject,
        key: "a".parse().unwrap(),
        headers: Vec::new(),
        life: Duration::from_mins(1),
    };
    let error = grants.sign(request).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
}

/// STS may be away for longer than a session has left at its last renewal.
#[tokio::test]
async fn a_session_that_cannot_be_exchanged_signs_until_its_end() {
    let end = now().after(Duration::from_mins(10));
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey>\
         <SessionToken>t0ken</SessionToken><Expiration>{end}</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    let (grants, asked) = answering(vec![
        answer("200 OK", "content-type: text/xml\r\n", &body),
        sts_error("403 Forbidden", "AccessDenied"),
    ])
    .await;
    for asked_by_then in [1, 2] {
        let request = RequestToSign {
            operation: Operation::PutObject,
            key: "a".parse().unwrap(),
            headers: Vec::new(),
            life: Duration::from_mins(15),
        };
        let signed = grants.sign(request).await.unwrap();
        assert!(signed.url.contains("Security-Token=t0ken"));
        assert!(signed.expires_at <= end);
        assert_eq!(asked.lock().unwrap().len(), asked_by_then);
    }
    assert!(!format!("{grants:?}").contains("s3cret"));
}

/// S3 begins to answer before it knows (S3 API, `CompleteMultipartUpload`). The SDK must not ask again by itself: the
/// first one may have been done, and the second would be told that a file is in its way.
#[tokio::test]
async fn an_error_inside_a_200_is_no_file() {
    let (grants, asked) = answering(vec![
        s3_error("200 OK", "InternalError"),
        s3_error("412 Precondition Failed", "PreconditionFailed"),
    ])
    .await;
    let error = grants.complete_multipart(one_part()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_race_says_that_all_must_be_sent_again() {
    let (grants, _) = answering(vec![s3_error("409 Conflict", "ConditionalRequestConflict")]).await;
    let error = grants.complete_multipart(one_part()).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    assert!(error.to_string().contains("from the beginning"), "{error}");
}

/// The first completion landed and its answer was lost.
#[tokio::test]
async fn a_condition_that_fails_for_an_upload_that_is_gone_blames_nobody() {
    let (grants, asked) = answering(vec![
        s3_error("412 Precondition Failed", "PreconditionFailed"),
        s3_error("404 Not Found", "NoSuchUpload"),
    ])
    .await;
    let error = grants.complete_multipart(one_part()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let asked = asked.lock().unwrap();
    assert!(asked[0].contains("if-none-match: *"), "{asked:?}");
    assert!(asked[1].starts_with("GET "), "{asked:?}");
}

/// Under an algorithm that was named S3 refuses parts without a checksum, and browsers send none.
#[tokio::test]
async fn an_upload_is_begun_without_a_checksum_of_the_sdks() {
    let body = "<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>";
    let (grants, asked) = answering(vec![answer("200 OK", "", body)]).await;
    let create = CreateMultipart {
        key: "a".parse().unwrap(),
        content_type: None,
        metadata: std::collections::BTreeMap::new(),
    };
    let begun = grants.create_multipart(create).await.unwrap();
    assert_eq!(begun.as_str(), "upload");
    let asked = asked.lock().unwrap();
    assert!(!asked[0].to_lowercase().contains("checksum"), "{asked:?}");
}
