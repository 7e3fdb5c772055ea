//! What a caller with limits is told, and that nothing is signed that could break them.

use serde_json::json;
use two_buckets_uploads::{Caller, FormToSign, UploadLimits};

use crate::shelf::{get, post, request, send, service_for};

const MB: u64 = 1_000_000;

fn limited(limits: UploadLimits) -> Caller {
    Caller {
        limits,
        ..Caller::unlimited("guest")
    }
}

/// 10 MB, images and CSV.
fn guest() -> Caller {
    limited(UploadLimits {
        size_bytes_max: Some(10 * MB),
        types: ["image/*", "text/csv"]
            .map(|range| range.parse().expect("a range"))
            .into(),
        uploads_per_minute: None,
    })
}

#[tokio::test]
async fn what_is_too_large_or_of_a_wrong_type_is_refused_in_words_before_a_byte_is_sent() {
    let (app, shelf) = service_for(guest());
    let ok = json!({"type": "image/png", "size": 10 * MB});
    for (route, fields, words) in [
        (
            "/api/signedurl",
            json!({"size": 10 * MB + 200_000}),
            "this file has 10.2 MB, you may send files of at most 10 MB",
        ),
        (
            "/api/signedurl",
            json!({"size": null}),
            "say the file's size",
        ),
        (
            "/api/signedurl",
            json!({"type": "application/pdf"}),
            "this file is application/pdf, you may send only image/*, text/csv",
        ),
        (
            "/api/signedurl",
            json!({"type": null}),
            "say the file's type",
        ),
        ("/api/signedurl", json!({"type": ""}), "say the file's type"),
        ("/api/form", json!({"size_max": 11 * MB}), "11 MB"),
        ("/api/form", json!({"type": "video/mp4"}), "video/mp4"),
        ("/api/form", json!({"type": null}), "say the file's type"),
        ("/api/s3/multipart", json!({"size": 11 * MB}), "11 MB"),
        (
            "/api/s3/multipart",
            json!({"type": "video/mp4"}),
            "video/mp4",
        ),
        ("/api/credentials", json!({}), "credentials cannot be bound"),
    ] {
        let mut body = ok.clone();
        body["filename"] = json!("a.bin");
        for (name, value) in fields.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let detail = post(&app, route, &body.to_string()).await.problem(403);
        assert!(detail.contains(words), "{route} {body}: {detail}");
    }
    for (method, words) in [("PUT", "10.2 MB"), ("POST", "10.2 MB")] {
        let body = json!({"method": method, "filename": "a", "contentType": "image/png", "size": 10 * MB + 200_000});
        let detail = post(&app, "/api/s3/sign", &body.to_string())
            .await
            .problem(403);
        assert!(detail.contains(words), "{detail}");
    }
    assert!(
        get(&app, "/api/s3/sts")
            .await
            .problem(403)
            .contains("cannot be bound")
    );
    let params = get(&app, "/api/s3/params?filename=a&type=video/mp4").await;
    assert!(params.problem(403).contains("video/mp4"));

    assert!(shelf.signed.lock().expect("unpoisoned").is_empty());
    assert!(shelf.forms.lock().expect("unpoisoned").is_empty());
    assert!(shelf.scopes.lock().expect("unpoisoned").is_empty());
    assert!(
        shelf.expected.lock().expect("unpoisoned").is_empty(),
        "and nothing is waited for"
    );
    assert!(shelf.multiparts.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn what_is_within_the_limits_is_bound_to_them() {
    let (app, shelf) = service_for(guest());
    let body = json!({"filename": "a.png", "type": "image/png", "size": 10 * MB}).to_string();
    assert_eq!(post(&app, "/api/signedurl", &body).await.status, 200);
    let signed = shelf
        .signed
        .lock()
        .expect("unpoisoned")
        .pop()
        .expect("a PUT");
    let length = signed
        .headers
        .iter()
        .find(|(name, _)| name == "content-length");
    assert_eq!(length.expect("signed").1, "10000000");

    for (uri, body) in [
        ("/api/form", r#"{"filename":"a","type":"image/png"}"#),
        ("/api/form", r#"{"type":"image/png"}"#),
        (
            "/api/form",
            r#"{"filename":"a","type":"image/png","size_max":5000}"#,
        ),
        ("/api/s3/params?filename=a&type=image/png", ""),
    ] {
        let answer = match body {
            "" => get(&app, uri).await,
            body => post(&app, uri, body).await,
        };
        assert_eq!(answer.status, 200, "{uri}");
        let form = shelf.forms.lock().expect("unpoisoned").pop();
        let FormToSign {
            size_bytes,
            content_type,
            ..
        } = form.expect("a form");
        let most = if body.contains("size_max") {
            5_000
        } else {
            10 * MB
        };
        assert_eq!(size_bytes, 0..=most, "{uri}");
        assert_eq!(content_type.expect("bound").as_str(), "image/png");
    }
}

#[tokio::test]
async fn parts_that_the_store_completes_stay_in_their_places() {
    let (app, _) = service_for(limited(UploadLimits {
        size_bytes_max: Some(100 << 20),
        ..UploadLimits::default()
    }));
    // 20 MiB are cut into 8, 8 and 4.
    let size = 20_u64 << 20;
    let create = json!({"method": "POST", "filename": "a", "size": size});
    let begun = post(&app, "/api/s3/sign", &create.to_string()).await.json();
    let key = begun["key"].as_str().expect("a key").to_owned();
    let part = async |number: u64, size: Option<u64>| {
        let body = json!({"method": "PUT", "key": key, "uploadId": "u", "partNumber": number, "size": size});
        post(&app, "/api/s3/sign", &body.to_string()).await
    };
    let full = 8 << 20;
    for (number, size) in [(1, full), (2, full), (3, 4 << 20), (1, 1)] {
        assert_eq!(
            part(number, Some(size)).await.status,
            200,
            "{number} {size}"
        );
    }
    for (number, size) in [
        (1, Some(full + 1)),
        (3, Some(full)),
        (4, Some(1)),
        (10_000, Some(1)),
        (1, None),
    ] {
        let detail = part(number, size).await.problem(403);
        assert!(detail.contains("20971520"), "{number} {size:?}: {detail}");
    }
    // A second word about the size would move the places.
    let again = json!({"method": "POST", "key": key, "size": size + (8 << 20)});
    let detail = post(&app, "/api/s3/sign", &again.to_string())
        .await
        .problem(409);
    assert!(detail.contains("another file"), "{detail}");
    // A key that was not minted has no row that would hold it.
    let named = json!({"method": "POST", "key": "mine", "size": 1});
    assert!(
        post(&app, "/api/s3/sign", &named.to_string())
            .await
            .problem(403)
            .contains("filename")
    );
    let named =
        json!({"method": "PUT", "key": "mine", "uploadId": "u", "partNumber": 1, "size": 1});
    assert!(
        post(&app, "/api/s3/sign", &named.to_string())
            .await
            .problem(403)
            .contains("filename")
    );
}

#[tokio::test]
async fn a_file_of_too_many_parts_is_not_made_and_its_parts_go() {
    let (app, shelf) = service_for(guest());
    let body = r#"{"filename":"a","type":"image/png"}"#;
    let begun = post(&app, "/api/s3/multipart", body).await.json();
    let (id, key) = (
        begun["uploadId"].as_str().expect("an id"),
        begun["key"].as_str().expect("a key"),
    );
    shelf.receive(id, 1, "one", 6 * MB);
    let base = format!("/api/s3/multipart/{}", id.replace('/', "%2F"));
    assert_eq!(get(&app, &format!("{base}/2?key={key}")).await.status, 200);
    shelf.receive(id, 2, "two", 6 * MB);
    // No third part is let in, and what is there becomes no file.
    assert!(
        get(&app, &format!("{base}/3?key={key}"))
            .await
            .problem(403)
            .contains("12 MB")
    );
    let parts = r#"{"parts":[{"PartNumber":1,"ETag":"one"},{"PartNumber":2,"ETag":"two"}]}"#;
    let refused = post(&app, &format!("{base}/complete?key={key}"), parts).await;
    assert!(
        refused
            .problem(403)
            .contains("this file has 12 MB, you may send files of at most 10 MB")
    );
    assert!(shelf.multiparts.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn who_begins_too_many_uploads_is_told_when_to_come_back() {
    let (app, shelf) = service_for(limited(UploadLimits {
        uploads_per_minute: Some(2),
        ..UploadLimits::default()
    }));
    let minted = post(&app, "/api/signedurl", r#"{"filename":"a"}"#)
        .await
        .json();
    assert_eq!(
        post(&app, "/api/s3/multipart", r#"{"key":"b"}"#)
            .await
            .status,
        200
    );
    for (route, body) in [
        ("/api/signedurl", r#"{"key":"a"}"#),
        ("/api/form", "{}"),
        ("/api/form", r#"{"filename":"a"}"#),
        ("/api/s3/sign", r#"{"method":"POST","key":"a"}"#),
        ("/api/s3/multipart", r#"{"filename":"a"}"#),
    ] {
        let answer = post(&app, route, body).await;
        let detail = answer.problem(429);
        assert!(
            detail.contains("2 uploads a minute") && detail.contains("30 s"),
            "{route}: {detail}"
        );
        assert_eq!(answer.header("retry-after"), Some("30"));
    }
    get(&app, "/api/s3/params?filename=a").await.problem(429);
    // Credentials can be used as often as their holder likes.
    let credentials = post(&app, "/api/credentials", r#"{"filename":"a"}"#).await;
    for refused in [credentials, get(&app, "/api/s3/sts").await] {
        assert!(refused.problem(403).contains("no more than 2 a minute"));
    }
    // A key that was counted once is no way around: what comes in parts, or after the file, is another upload.
    let key = minted["key"].as_str().expect("a key");
    let again = json!({"key": key}).to_string();
    post(&app, "/api/s3/multipart", &again).await.problem(429);
    // Going on with what was begun is not beginning.
    let renew = json!({"key": minted["key"]}).to_string();
    assert_eq!(post(&app, "/api/signedurl", &renew).await.status, 200);
    let part = r#"{"method":"PUT","key":"b","uploadId":"u","partNumber":1}"#;
    assert_eq!(post(&app, "/api/s3/sign", part).await.status, 200);
    let gone = send(
        &app,
        request("DELETE", "/api/s3/multipart/u?key=b", &[], b""),
    )
    .await;
    assert_eq!(gone.status, 200);
    shelf.arrive(key);
    post(&app, "/api/signedurl", &renew).await.problem(429);
}

#[tokio::test]
async fn parts_signed_without_their_size_are_made_a_file_only_by_who_adds_them_up() {
    let (app, shelf) = service_for(limited(UploadLimits {
        size_bytes_max: Some(1_000),
        ..UploadLimits::default()
    }));
    let begin = async |body: serde_json::Value| {
        let begun = post(&app, "/api/s3/multipart", &body.to_string()).await;
        begun.json()
    };
    let sign = async |begun: &serde_json::Value| {
        let body = json!({"method": "POST", "key": begun["key"], "uploadId": begun["uploadId"]});
        post(&app, "/api/s3/sign", &body.to_string()).await
    };
    let part = |begun: &serde_json::Value| {
        format!(
            "/api/s3/multipart/{}/1?key={}",
            begun["uploadId"]
                .as_str()
                .expect("an id")
                .replace('/', "%2F"),
            begun["key"].as_str().expect("a key")
        )
    };
    // Nothing was said of its size: its parts have any, so its completion is not signed away.
    let unsaid = begin(json!({"filename": "a"})).await;
    assert_eq!(get(&app, &part(&unsaid)).await.status, 200);
    sign(&unsaid).await.problem(403);
    // Nor when a small file has come under its key meanwhile.
    shelf.arrive(unsaid["key"].as_str().expect("a key"));
    sign(&unsaid).await.problem(403);
    // Nor under a key that nobody made for it.
    let named = begin(json!({"key": "b"})).await;
    sign(&named).await.problem(403);
    // Its size was said: its completion is signed, and each of its parts only with a size.
    let said = begin(json!({"filename": "c", "size": 900})).await;
    assert_eq!(sign(&said).await.status, 200);
    get(&app, &part(&said)).await.problem(403);
}
