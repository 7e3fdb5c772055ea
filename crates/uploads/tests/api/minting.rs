//! Keys that are made for one upload alone, from the first grant on.

use std::time::Duration;

use serde_json::json;
use two_buckets_uploads::{CREDENTIALS_LIFE, CredentialScope, Operation, SIGNED_PUT_LIFE};

use crate::shelf::{NOW, get, post, service};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_minted_key_has_its_row_before_its_grant_is_answered() {
    for (route, body, waits) in [
        (
            "/api/signedurl",
            json!({"filename": "a.txt", "type": "text/plain", "size": 7}),
            SIGNED_PUT_LIFE + 24 * HOUR,
        ),
        (
            "/api/credentials",
            json!({"filename": "a.txt", "type": "text/plain", "size": 7}),
            7 * 24 * HOUR,
        ),
        (
            "/api/form",
            json!({"filename": "a.txt", "type": "text/plain"}),
            25 * HOUR,
        ),
        (
            "/api/s3/sign",
            json!({"method": "PUT", "filename": "a.txt", "contentType": "text/plain", "size": 7}),
            SIGNED_PUT_LIFE + 24 * HOUR,
        ),
        (
            "/api/s3/sign",
            json!({"method": "POST", "filename": "a.txt", "contentType": "text/plain", "size": 7}),
            7 * 24 * HOUR,
        ),
        (
            "/api/s3/multipart",
            json!({"filename": "a.txt", "type": "text/plain", "size": 7}),
            7 * 24 * HOUR,
        ),
    ] {
        let (app, shelf) = service();
        let answer = post(&app, route, &body.to_string()).await.json();
        let expected = shelf.expected.lock().expect("unpoisoned");
        let (key, (row, _)) = expected
            .first_key_value()
            .unwrap_or_else(|| panic!("{route} has no row"));
        assert_eq!(answer["key"], key.as_str());
        assert_eq!(
            answer["id"],
            crate::shelf::Shelf::id_of(key).as_str(),
            "{route}"
        );
        assert_eq!(row.until, NOW.after(waits), "{route}");
        assert_eq!(row.media_type.as_deref(), Some("text/plain"));
        let size = (route != "/api/form").then_some(7);
        assert_eq!(row.size_bytes, size, "{route}");
    }
}

#[tokio::test]
async fn a_key_that_was_asked_for_has_no_row_and_no_condition() {
    let (app, shelf) = service();
    for (route, body) in [
        ("/api/signedurl", r#"{"key":"a"}"#),
        ("/api/credentials", r#"{"key":"a"}"#),
        ("/api/form", r#"{"key":"a"}"#),
        ("/api/s3/sign", r#"{"method":"PUT","key":"a"}"#),
        (
            "/api/s3/sign",
            r#"{"method":"POST","key":"a","uploadId":"u"}"#,
        ),
    ] {
        let answer = post(&app, route, body).await.json();
        assert_eq!(
            (&answer["id"], &answer["key"]),
            (&json!(null), &json!("a")),
            "{route}"
        );
    }
    assert!(shelf.expected.lock().expect("unpoisoned").is_empty());
    for signed in &*shelf.signed.lock().expect("unpoisoned") {
        assert!(signed.headers.is_empty(), "{signed:?}");
    }
    let scopes = shelf.scopes.lock().expect("unpoisoned");
    assert!(matches!(
        &scopes[0].0,
        CredentialScope::Key {
            must_be_new: false,
            ..
        }
    ));
}

/// The page of the first release asked again with the key when its URL had expired and was given one without the
/// condition: a retry could then write a second version under a key minted for one upload alone. The key's row now says
/// that it was minted, whoever asks.
#[tokio::test]
async fn a_grant_for_a_minted_key_carries_its_condition_however_often_it_is_asked_for() {
    let (app, shelf) = service();
    let first = post(&app, "/api/signedurl", r#"{"filename":"a"}"#)
        .await
        .json();
    let key = first["key"].as_str().expect("a key").to_owned();
    for arrived in [false, true] {
        if arrived {
            shelf.arrive(&key);
        }
        for body in [json!({"key": key}), json!({"key": key, "size": 3})] {
            let again = post(&app, "/api/signedurl", &body.to_string()).await.json();
            assert_eq!(again["headers"]["if-none-match"], "*", "{body}");
            assert_eq!(again["id"], first["id"]);
        }
        for (method, upload) in [("PUT", None), ("POST", Some("u"))] {
            let body = json!({"method": method, "key": key, "uploadId": upload});
            let again = post(&app, "/api/s3/sign", &body.to_string()).await.json();
            assert_eq!(again["headers"]["if-none-match"], "*", "{body}");
        }
        let body = json!({"key": key}).to_string();
        assert_eq!(
            post(&app, "/api/credentials", &body).await.json()["id"],
            first["id"]
        );
        let scopes = shelf.scopes.lock().expect("unpoisoned");
        let (scope, life) = scopes.last().expect("credentials");
        assert!(matches!(
            scope,
            CredentialScope::Key {
                must_be_new: true,
                ..
            }
        ));
        assert_eq!(*life, CREDENTIALS_LIFE);
    }
    let signed = shelf.signed.lock().expect("unpoisoned");
    for request in &*signed {
        let names: Vec<_> = request
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(names.contains(&"if-none-match"), "{request:?}");
    }
}

#[tokio::test]
async fn renewing_a_grant_waits_longer_and_forgets_nothing() {
    let (app, shelf) = service();
    let body = r#"{"filename":"a","type":"text/plain","size":9}"#;
    let first = post(&app, "/api/signedurl", body).await.json();
    let renew = json!({"key": first["key"]}).to_string();
    assert_eq!(post(&app, "/api/credentials", &renew).await.status, 200);
    let expected = shelf.expected.lock().expect("unpoisoned");
    let (_, (row, _)) = expected.first_key_value().expect("a row");
    assert_eq!(row.until, NOW.after(7 * 24 * HOUR));
    assert_eq!(
        (row.size_bytes, row.media_type.as_deref()),
        (Some(9), Some("text/plain"))
    );
}

#[tokio::test]
async fn a_session_for_many_files_has_a_folder_of_its_own() {
    let (app, shelf) = service();
    let sts = get(&app, "/api/s3/sts").await.json();
    let prefix = "2026-11-23/01M840FARQ000000000000001A/";
    assert_eq!(sts["prefix"], prefix);
    assert_eq!(
        sts["credentials"]["AccessKeyId"],
        sts["credentials"]["accessKeyId"]
    );
    assert_eq!(
        (&sts["bucket"], &sts["region"]),
        (&json!("staging"), &json!("us-east-1"))
    );
    let scopes = shelf.scopes.lock().expect("unpoisoned");
    assert_eq!(
        *scopes,
        [(
            CredentialScope::Below(prefix.parse().expect("a prefix")),
            CREDENTIALS_LIFE
        )]
    );
}

#[tokio::test]
async fn the_tutorials_page_gets_credentials_for_exactly_its_key() {
    let (app, shelf) = service();
    let answer = post(&app, "/api/credentials", r#"{"key":"my photo*.jpg"}"#)
        .await
        .json();
    assert_eq!(
        answer,
        json!({
            "access_key": "ASIAEXAMPLE", "secret_key": crate::shelf::SECRET, "session_token": "token",
            "region": "us-east-1", "bucket": "staging", "key": "my photo*.jpg",
            "endpoint": "http://127.0.0.1:9000", "expires_at": "2026-11-23T11:50:50.007Z", "id": null,
        })
    );
    let signed = shelf.signed.lock().expect("unpoisoned");
    assert!(
        signed
            .iter()
            .all(|request| request.operation != Operation::PutObject)
    );
}
