use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use two_buckets_uploads::{JSON_BODY_BYTES_MAX, SIGNED_PUT_LIFE};

use crate::shelf::{SECRET, post, request, send, service};

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What the last grant is bound to, by header.
fn bound(shelf: &crate::shelf::Shelf) -> BTreeMap<String, String> {
    let signed = shelf.signed.lock().expect("unpoisoned");
    let last = signed.last().expect("something was signed");
    assert_eq!(last.life, SIGNED_PUT_LIFE);
    let headers = last.headers.iter();
    headers
        .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
        .collect()
}

#[tokio::test]
async fn the_tutorials_page_gets_a_url_for_exactly_its_key() {
    let (app, shelf) = service();
    let answer = post(
        &app,
        "/api/signedurl",
        r#"{"key":"my photo.jpg","type":"image/jpeg"}"#,
    )
    .await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(
        json["url"],
        format!("http://127.0.0.1:9000/staging/my photo.jpg?{SECRET}")
    );
    assert_eq!(json["key"], "my photo.jpg");
    assert_eq!(json["method"], "PUT");
    assert_eq!(json["expires_at"], "2026-11-23T11:05:50.007Z");
    // It sends the type and nothing else, so nothing else may be asked of it.
    assert_eq!(json["headers"], json!({"content-type": "image/jpeg"}));
    assert_eq!(
        bound(&shelf),
        BTreeMap::from([("content-type".into(), "image/jpeg".into())])
    );
}

#[tokio::test]
async fn a_file_without_a_known_type_is_bound_to_none() {
    let (app, shelf) = service();
    let json = post(
        &app,
        "/api/signedurl",
        r#"{"key":"a","type":"","new_field":[1]}"#,
    )
    .await
    .json();
    assert_eq!(json["headers"], json!({}));
    assert!(bound(&shelf).is_empty());
}

#[tokio::test]
async fn a_filename_gets_a_key_of_its_own_that_can_be_written_once() {
    let (app, shelf) = service();
    let json = post(
        &app,
        "/api/signedurl",
        r#"{"filename":"C:\\fakepath\\report.csv"}"#,
    )
    .await
    .json();
    assert_eq!(
        json["key"],
        "2026-11-23/01M840FARQ000000000000001A/report.csv"
    );
    assert_eq!(json["headers"], json!({"if-none-match": "*"}));
    assert_eq!(
        bound(&shelf),
        BTreeMap::from([("if-none-match".into(), "*".into())])
    );
}

#[tokio::test]
async fn all_that_is_known_of_the_file_is_signed() {
    let (app, shelf) = service();
    let body = json!({"filename": "a.txt", "type": "text/plain", "size": 0, "sha256": EMPTY_SHA256.to_uppercase()});
    let json = post(&app, "/api/signedurl", &body.to_string()).await.json();
    let checksum = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(
        bound(&shelf),
        BTreeMap::from([
            ("content-length".into(), "0".into()),
            ("content-type".into(), "text/plain".into()),
            ("if-none-match".into(), "*".into()),
            ("x-amz-checksum-sha256".into(), checksum.into()),
        ])
    );
    // A page may not set the length, and its browser does.
    assert_eq!(
        json["headers"],
        json!({"content-type": "text/plain", "if-none-match": "*", "x-amz-checksum-sha256": checksum})
    );
}

#[tokio::test]
async fn what_cannot_be_uploaded_is_refused_in_words_and_not_signed() {
    let (app, shelf) = service();
    let long_key = json!({"key": "k".repeat(1025)}).to_string();
    for (body, word) in [
        (r#"{"type":"text/plain"}"#, "filename"),
        (r#"{"key":"a","filename":"b"}"#, "filename"),
        (r#"{"key":null}"#, "filename"),
        (r#"{"key":""}"#, "empty"),
        (r#"{"key":"../a"}"#, ".."),
        (r#"{"key":"/a"}"#, "slash"),
        (r#"{"key":"a\u0000"}"#, "control"),
        (r#"{"key":"_results/a"}"#, "_results/"),
        (r#"{"key":"_late/a"}"#, "_late/"),
        (&*long_key, "1025"),
        (r#"{"key":"a","type":"nonsense"}"#, "image/png"),
        (
            r#"{"key":"a","type":"a/b\r\nx-amz-acl: public-read"}"#,
            "image/png",
        ),
        (r#"{"key":"a","size":5368709121}"#, "5 GiB"),
        (r#"{"key":"a","size":-1}"#, "JSON"),
        (r#"{"key":"a","size":1.5}"#, "JSON"),
        (r#"{"key":"a","size":"1"}"#, "JSON"),
        (r#"{"key":"a","size":99999999999999999999999}"#, "JSON"),
        (r#"{"key":"a","sha256":"abc"}"#, "64"),
        (
            r#"{"key":"a","sha256":"gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg"}"#,
            "64",
        ),
        (r#"{"key":["a"]}"#, "JSON"),
        (r#"{"key":"a","key":"b"}"#, "JSON"),
        (r#"{"key":"\ud800"}"#, "JSON"),
        ("", "JSON"),
        ("{", "JSON"),
        ("[[[[", "JSON"),
        ("key=a", "JSON"),
    ] {
        let detail = post(&app, "/api/signedurl", body).await.problem(400);
        assert!(detail.contains(word), "{body:.60}: {detail}");
    }
    assert!(shelf.signed.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn a_body_is_bounded_and_said_to_be_json() {
    let (app, shelf) = service();
    let most = json!({"key": "a", "padding": "x".repeat(JSON_BODY_BYTES_MAX - 24)}).to_string();
    assert_eq!(most.len(), JSON_BODY_BYTES_MAX);
    assert_eq!(post(&app, "/api/signedurl", &most).await.status, 200);
    post(&app, "/api/signedurl", &format!("{most} "))
        .await
        .problem(413);
    for content_type in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/jsonx")],
    ] {
        send(
            &app,
            request("POST", "/api/signedurl", content_type, br#"{"key":"a"}"#),
        )
        .await
        .problem(415);
    }
    let charset = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(
        send(
            &app,
            request("POST", "/api/signedurl", &charset, br#"{"key":"a"}"#)
        )
        .await
        .status,
        200
    );
    assert_eq!(shelf.signed.lock().expect("unpoisoned").len(), 2);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_file_name_escapes_its_minted_folder(name in any::<String>()) {
        let (app, _) = service();
        let body = json!({"filename": name}).to_string();
        let answer = runtime().block_on(post(&app, "/api/signedurl", &body));
        prop_assert_eq!(answer.status, 200);
        let json = answer.json();
        let key = json["key"].as_str().expect("a key");
        prop_assert!(key.starts_with("2026-11-23/01M840FARQ000000000000001A/"), "{}", key);
        prop_assert_eq!(key.split('/').count(), 3);
        prop_assert!(!key.ends_with('/') && !key.chars().any(char::is_control));
    }

    #[test]
    fn any_bytes_as_a_body_get_an_answer_below_500(body in any::<Vec<u8>>(), uri in "/api/(signedurl|retry|sweep|uploads/.{0,8})") {
        let (app, _) = service();
        let Ok(_) = uri.parse::<http::Uri>() else { return Ok(()) };
        let json_type = [("content-type", "application/json")];
        let answer = runtime().block_on(send(&app, request("POST", &uri, &json_type, &body)));
        prop_assert!(answer.status.as_u16() < 500, "{}", answer.status);
    }

    #[test]
    fn a_key_is_signed_exactly_or_refused(key in any::<String>()) {
        let (app, shelf) = service();
        let answer = runtime().block_on(post(&app, "/api/signedurl", &json!({"key": key}).to_string()));
        let signed = shelf.signed.lock().expect("unpoisoned");
        match signed.as_slice() {
            [put] => {
                prop_assert_eq!(put.key.as_str(), &key);
                prop_assert_eq!(&answer.json()["key"], &Value::from(key));
            }
            _ => {
                answer.problem(400);
            }
        }
    }
}
