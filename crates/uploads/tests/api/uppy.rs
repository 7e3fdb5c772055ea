//! What the stock client of `@uppy/aws-s3` 6.3.1 sends in its three modes, and what it must find in the answers
//! (`CompanionS3.ts`, `S3mini.ts`, `S3Uploader.ts`).

use http::Method;
use serde_json::json;
use two_buckets_uploads::{FormTarget, SIGNED_CALL_LIFE, SIGNED_PUT_LIFE};

use crate::shelf::{get, post, request, send, service};

#[tokio::test]
async fn sign_request_signs_each_request_of_an_upload_and_only_that() {
    let (app, shelf) = service();
    for (body, method, query, life) in [
        (
            json!({"method": "PUT", "key": "k", "contentType": "text/plain"}),
            Method::PUT,
            vec![],
            SIGNED_PUT_LIFE,
        ),
        (
            json!({"method": "POST", "key": "k"}),
            Method::POST,
            vec![("uploads", "")],
            SIGNED_CALL_LIFE,
        ),
        (
            json!({"method": "PUT", "key": "k", "uploadId": "u/1", "partNumber": 7}),
            Method::PUT,
            vec![("partNumber", "7"), ("uploadId", "u/1")],
            SIGNED_PUT_LIFE,
        ),
        (
            json!({"method": "GET", "key": "k", "uploadId": "u/1"}),
            Method::GET,
            vec![("max-parts", "10000"), ("uploadId", "u/1")],
            SIGNED_CALL_LIFE,
        ),
        (
            json!({"method": "POST", "key": "k", "uploadId": "u/1"}),
            Method::POST,
            vec![("uploadId", "u/1")],
            SIGNED_CALL_LIFE,
        ),
        (
            json!({"method": "DELETE", "key": "k", "uploadId": "u/1"}),
            Method::DELETE,
            vec![("uploadId", "u/1")],
            SIGNED_CALL_LIFE,
        ),
    ] {
        let answer = post(&app, "/api/s3/sign", &body.to_string()).await;
        assert_eq!(answer.status, 200, "{body}");
        assert_eq!(answer.json()["key"], "k");
        let signed = shelf
            .signed
            .lock()
            .expect("unpoisoned")
            .pop()
            .expect("signed");
        assert_eq!(signed.operation.method(), method, "{body}");
        let found: Vec<_> = signed.operation.query();
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(found, query, "{body}");
        assert_eq!(signed.life, life, "{body}");
        // What the page must send is what was signed.
        let shown = answer.json()["headers"].clone();
        let bound: Vec<_> = signed
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(
            bound.iter().all(|name| shown.get(name).is_some()),
            "{shown} {bound:?}"
        );
    }
}

#[tokio::test]
async fn the_request_that_makes_the_file_is_bound_to_what_the_file_was_said_to_be() {
    let (app, shelf) = service();
    let body = json!({
        "method": "POST", "key": "k", "uploadId": "u", "size": 7, "crc64nvme": "rosUhgp5mIg=",
    });
    let answer = post(&app, "/api/s3/sign", &body.to_string()).await.json();
    let bound = json!({
        "x-amz-checksum-crc64nvme": "rosUhgp5mIg=",
        "x-amz-checksum-type": "FULL_OBJECT",
        "x-amz-mp-object-size": "7",
    });
    assert_eq!(answer["headers"], bound);
    let signed = shelf.signed.lock().expect("unpoisoned").pop();
    let signed = signed.expect("signed").headers;
    let names: Vec<_> = signed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        bound
            .as_object()
            .expect("headers")
            .keys()
            .collect::<Vec<_>>()
    );
    for body in [
        json!({"method": "POST", "key": "k", "uploadId": "u", "crc64nvme": "rosUhgp5mA=="}),
        json!({"method": "POST", "key": "k", "uploadId": "u", "crc64nvme": "7"}),
        json!({"method": "PUT", "key": "k", "crc64nvme": "rosUhgp5mIg="}),
        json!({"method": "PUT", "key": "k", "uploadId": "u", "partNumber": 1, "crc64nvme": "rosUhgp5mIg="}),
    ] {
        let answer = post(&app, "/api/s3/sign", &body.to_string()).await;
        assert_eq!(answer.status, 400, "{body}");
    }
}

#[tokio::test]
async fn a_file_name_beside_the_proposed_key_gets_a_key_of_its_own() {
    let (app, _) = service();
    for method in ["PUT", "POST"] {
        let body = json!({"method": method, "key": "0a1b-photo.jpg", "filename": "photo.jpg"});
        let answer = post(&app, "/api/s3/sign", &body.to_string()).await.json();
        assert_eq!(
            answer["key"], "2026-11-23/01M840FARQ000000000000001A/photo.jpg",
            "{method}"
        );
        assert!(answer["id"].is_string());
    }
    // Later requests are of the key they name.
    let body = json!({"method": "GET", "key": "k", "uploadId": "u", "filename": "photo.jpg"});
    assert_eq!(
        post(&app, "/api/s3/sign", &body.to_string()).await.json()["key"],
        "k"
    );
}

#[tokio::test]
async fn what_is_no_request_of_an_upload_is_not_signed() {
    let (app, shelf) = service();
    let long = "u".repeat(1_025);
    for body in [
        json!({"method": "GET", "key": "k"}),
        json!({"method": "DELETE", "key": "k"}),
        json!({"method": "HEAD", "key": "k"}),
        json!({"method": "put", "key": "k"}),
        json!({"method": "", "key": "k"}),
        json!({"key": "k"}),
        json!({"method": "PUT"}),
        json!({"method": "GET", "uploadId": "u"}),
        json!({"method": "PUT", "key": "k", "partNumber": 1}),
        json!({"method": "PUT", "key": "k", "uploadId": "u"}),
        json!({"method": "GET", "key": "k", "uploadId": "u", "partNumber": 1}),
        json!({"method": "POST", "key": "k", "uploadId": "u", "partNumber": 1}),
        json!({"method": "PUT", "key": "k", "uploadId": "u", "partNumber": 0}),
        json!({"method": "PUT", "key": "k", "uploadId": "u", "partNumber": 10_001}),
        json!({"method": "PUT", "key": "k", "uploadId": "u", "partNumber": -1}),
        json!({"method": "PUT", "key": "k", "uploadId": "u", "partNumber": "1"}),
        json!({"method": "PUT", "key": "k", "uploadId": "", "partNumber": 1}),
        json!({"method": "PUT", "key": "k", "uploadId": "a b", "partNumber": 1}),
        json!({"method": "PUT", "key": "k", "uploadId": "a\r\nb", "partNumber": 1}),
        json!({"method": "PUT", "key": "k", "uploadId": long, "partNumber": 1}),
        json!({"method": "PUT", "key": "k", "uploadId": "u", "partNumber": 1, "size": 5_368_709_121_u64}),
        json!({"method": "PUT", "key": "k", "uploadId": "u", "partNumber": 1, "sha256": "00".repeat(32)}),
        json!({"method": "PUT", "key": "k", "size": 5_368_709_121_u64}),
        json!({"method": "POST", "key": "k", "size": 50_000_000_000_001_u64}),
        json!({"method": "PUT", "key": "_late/k"}),
        json!({"method": "GET", "key": "../k", "uploadId": "u"}),
        json!({"method": "PUT", "key": "k", "contentType": "nonsense"}),
    ] {
        post(&app, "/api/s3/sign", &body.to_string())
            .await
            .problem(400);
    }
    assert!(shelf.signed.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn companion_sends_a_small_file_by_a_form() {
    let (app, shelf) = service();
    let uri = "/api/s3/params?filename=my+photo.jpg&type=image%2Fjpeg&metadata%5Bname%5D=%C3%BC&metadata%5BrelativePath%5D=null";
    let answer = get(&app, uri).await.json();
    assert_eq!(answer["method"], "POST");
    assert_eq!(
        answer["fields"]["key"],
        "2026-11-23/01M840FARQ000000000000001A/my photo.jpg"
    );
    assert!(answer["url"].is_string());
    let form = shelf
        .forms
        .lock()
        .expect("unpoisoned")
        .pop()
        .expect("a form");
    assert!(matches!(form.to, FormTarget::Key(key) if key.as_str() == answer["key"]));
    assert_eq!(form.size_bytes, 0..=5 << 30);
    assert_eq!(form.content_type.expect("bound").as_str(), "image/jpeg");
    assert_eq!(form.metadata["name"], "=?UTF-8?B?w7w=?=");
    assert_eq!(form.metadata["relativepath"], "null");
    assert_eq!(form.life, SIGNED_PUT_LIFE);

    for (site, status) in [
        ("same-origin", 200),
        ("none", 200),
        ("cross-site", 403),
        ("same-site", 403),
    ] {
        let asked = request(
            "GET",
            "/api/s3/params?filename=a",
            &[("sec-fetch-site", site)],
            b"",
        );
        assert_eq!(send(&app, asked).await.status, status, "{site}");
    }
    for bad in [
        "",
        "?",
        "?type=a/b",
        "?filename=a&filename=b",
        "?filename=a&metadata%5Ba%20b%5D=c",
        "?filename=a&type=x",
    ] {
        get(&app, &format!("/api/s3/params{bad}"))
            .await
            .problem(400);
    }
}

#[tokio::test]
async fn companion_carries_a_large_file_in_parts_to_its_end() {
    let (app, shelf) = service();
    // Metadata as Uppy has it: any JSON.
    let body = json!({
        "filename": "video.mp4", "type": "video/mp4",
        "metadata": {"name": "video.mp4", "relativePath": null, "count": 3},
    });
    let begun = post(&app, "/api/s3/multipart", &body.to_string())
        .await
        .json();
    let (id, key) = (
        begun["uploadId"].as_str().expect("an id"),
        begun["key"].as_str().expect("a key"),
    );
    {
        let multiparts = shelf.multiparts.lock().expect("unpoisoned");
        let create = &multiparts[id].create;
        assert_eq!(
            create.content_type.as_ref().expect("a type").as_str(),
            "video/mp4"
        );
        assert_eq!(create.metadata.len(), 2);
        assert_eq!(create.metadata["count"], "3");
    }
    let base = format!("/api/s3/multipart/{}", id.replace('/', "%2F"));
    let part = get(&app, &format!("{base}/2?key={key}")).await.json();
    assert_eq!(part["expires"], 900);
    assert!(part["url"].is_string());
    let signed = shelf
        .signed
        .lock()
        .expect("unpoisoned")
        .pop()
        .expect("a part");
    assert_eq!(
        signed.operation.query(),
        [("partNumber", "2".to_owned()), ("uploadId", id.to_owned())]
    );

    // More parts than a page of S3's list has.
    for number in 1..=1_500 {
        shelf.receive(id, number, &format!("tag{number}"), 5 << 20);
    }
    let parts = get(&app, &format!("{base}?key={key}")).await.json();
    let parts = parts.as_array().expect("a list");
    assert_eq!(parts.len(), 1_500);
    assert_eq!(
        parts[1_499],
        json!({"PartNumber": 1_500, "Size": 5 << 20, "ETag": "\"tag1500\""})
    );

    // Tags come back with their quotes from a list and without from an upload.
    let named: Vec<_> = (1..=1_500)
        .map(|n| match n % 2 {
            0 => json!({"PartNumber": n, "ETag": format!("tag{n}")}),
            _ => json!({"PartNumber": n, "ETag": format!("\"tag{n}\"")}),
        })
        .collect();
    let body = json!({"parts": named}).to_string();
    assert!(body.len() > two_buckets_uploads::JSON_BODY_BYTES_MAX / 2);
    let complete = async || post(&app, &format!("{base}/complete?key={key}"), &body).await;
    let first = complete().await;
    assert_eq!(first.status, 200);
    assert_eq!(first.json()["key"], key);
    assert_eq!(first.json()["bucket"], "staging");
    assert_eq!(
        first.json()["location"],
        format!("http://127.0.0.1:9000/staging/{key}")
    );
    assert_eq!(complete().await.json(), first.json(), "asked twice");
    let completed = shelf.multiparts.lock().expect("unpoisoned");
    assert!(
        completed[id]
            .completed
            .as_ref()
            .expect("completed")
            .must_be_new
    );
}

#[tokio::test]
async fn a_completion_that_the_store_does_not_know_is_refused_though_a_file_came_under_its_key() {
    // The file that came may be another upload's: an aborted one must not hear that it is kept.
    let (app, shelf) = service();
    let begun = post(&app, "/api/s3/multipart", r#"{"filename":"a b.bin"}"#)
        .await
        .json();
    let (id, key) = (
        begun["uploadId"].as_str().expect("an id"),
        begun["key"].as_str().expect("a key"),
    );
    let uri = format!(
        "/api/s3/multipart/{}/complete?key={}",
        id.replace('/', "%2F"),
        key.replace(' ', "%20")
    );
    let parts = r#"{"parts":[{"PartNumber":1,"ETag":"t"}]}"#;
    shelf.multiparts.lock().expect("unpoisoned").clear();
    post(&app, &uri, parts).await.problem(404);
    shelf.arrive(key);
    post(&app, &uri, parts).await.problem(404);
}

#[tokio::test]
async fn an_upload_is_only_reached_under_its_own_key() {
    let (app, shelf) = service();
    let begun = post(&app, "/api/s3/multipart", r#"{"key":"mine"}"#)
        .await
        .json();
    let id = begun["uploadId"].as_str().expect("an id");
    shelf.receive(id, 1, "t", 1);
    let base = format!("/api/s3/multipart/{}", id.replace('/', "%2F"));
    let parts = r#"{"parts":[{"PartNumber":1,"ETag":"t"}]}"#;
    get(&app, &format!("{base}?key=other")).await.problem(404);
    post(&app, &format!("{base}/complete?key=other"), parts)
        .await
        .problem(404);
    let abort = async |key: &str| {
        send(
            &app,
            request("DELETE", &format!("{base}?key={key}"), &[], b""),
        )
        .await
    };
    assert_eq!(abort("other").await.json(), json!({}));
    assert_eq!(
        get(&app, &format!("{base}?key=mine")).await.status,
        200,
        "still there"
    );
    assert_eq!(abort("mine").await.json(), json!({}));
    assert_eq!(
        abort("mine").await.json(),
        json!({}),
        "gone already is gone"
    );
    get(&app, &format!("{base}?key=mine")).await.problem(404);
}

#[tokio::test]
async fn a_completion_that_is_not_understood_completes_nothing() {
    let (app, shelf) = service();
    post(&app, "/api/s3/multipart", r#"{"key":"a"}"#).await;
    let many: Vec<_> = (1..=10_001)
        .map(|n| json!({"PartNumber": n, "ETag": "t"}))
        .collect();
    let many = json!({"parts": many}).to_string();
    let long = json!({"parts": [{"PartNumber": 1, "ETag": "t".repeat(200)}]}).to_string();
    for body in [
        "",
        "{}",
        "[]",
        r#"{"parts":[]}"#,
        r#"{"parts":{}}"#,
        r#"{"parts":[{}]}"#,
        r#"{"parts":[{"PartNumber":0,"ETag":"t"}]}"#,
        r#"{"parts":[{"PartNumber":10001,"ETag":"t"}]}"#,
        r#"{"parts":[{"PartNumber":1.5,"ETag":"t"}]}"#,
        r#"{"parts":[{"PartNumber":1,"ETag":""}]}"#,
        r#"{"parts":[{"PartNumber":1,"ETag":"a b"}]}"#,
        r#"{"parts":[{"PartNumber":1,"ETag":"a\nb"}]}"#,
        r#"{"parts":[{"PartNumber":1}]}"#,
        &many,
        &long,
    ] {
        let answer = post(&app, "/api/s3/multipart/upload%2F0/complete?key=a", body).await;
        answer.problem(400);
    }
    let huge = format!("{{\"parts\":[{}]}}", " ".repeat(1 << 20));
    post(&app, "/api/s3/multipart/upload%2F0/complete?key=a", &huge)
        .await
        .problem(413);
    let multiparts = shelf.multiparts.lock().expect("unpoisoned");
    assert!(multiparts["upload/0"].completed.is_none());
}
