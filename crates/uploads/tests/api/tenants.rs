//! What a caller with a prefix can reach: their own, and nothing that tells of others.

use serde_json::json;
use two_buckets_uploads::{Caller, CredentialScope, FormTarget};

use crate::shelf::{bare_service, get, post, request, send, service_for};

fn tenant() -> Caller {
    Caller {
        prefix: Some("2026/".parse().expect("a prefix")),
        ..Caller::unlimited("tenant")
    }
}

#[tokio::test]
async fn every_way_in_leads_below_the_prefix() {
    let (app, shelf) = service_for(tenant());
    let below = |key: &serde_json::Value| {
        key.as_str()
            .expect("a key")
            .starts_with("2026/2026-11-23/01")
    };
    for (route, body) in [
        ("/api/signedurl", json!({"filename": "../../x"})),
        ("/api/credentials", json!({"filename": "x"})),
        ("/api/form", json!({"filename": "x"})),
        ("/api/form", json!({})),
        (
            "/api/s3/sign",
            json!({"method": "PUT", "filename": "x", "key": "other/x"}),
        ),
        ("/api/s3/sign", json!({"method": "POST", "filename": "x"})),
        ("/api/s3/multipart", json!({"filename": "x"})),
    ] {
        let answer = post(&app, route, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{route}");
        assert!(below(&answer.json()["key"]), "{route} {body}");
    }
    assert!(below(
        &get(&app, "/api/s3/params?filename=x").await.json()["key"]
    ));
    assert!(below(&get(&app, "/api/s3/sts").await.json()["prefix"]));
    for scope in &*shelf.scopes.lock().expect("unpoisoned") {
        match &scope.0 {
            CredentialScope::Key { key, .. } => assert!(key.as_str().starts_with("2026/")),
            CredentialScope::Below(prefix) => assert!(prefix.as_str().starts_with("2026/2026-")),
        }
    }
    for form in &*shelf.forms.lock().expect("unpoisoned") {
        match &form.to {
            FormTarget::Key(key) => assert!(key.as_str().starts_with("2026/")),
            FormTarget::Below(prefix) => assert!(prefix.as_str().starts_with("2026/2026-")),
        }
    }
}

#[tokio::test]
async fn no_other_key_can_be_named() {
    let (app, shelf) = service_for(tenant());
    for key in ["other/c.txt", "2026", "2026x/a", "a", "2026-11-23/x", "Ü"] {
        for (route, body) in [
            ("/api/signedurl", json!({"key": key})),
            ("/api/credentials", json!({"key": key})),
            ("/api/form", json!({"key": key})),
            ("/api/s3/sign", json!({"method": "PUT", "key": key})),
            ("/api/s3/sign", json!({"method": "POST", "key": key})),
            (
                "/api/s3/sign",
                json!({"method": "PUT", "key": key, "uploadId": "u", "partNumber": 1}),
            ),
            (
                "/api/s3/sign",
                json!({"method": "GET", "key": key, "uploadId": "u"}),
            ),
            (
                "/api/s3/sign",
                json!({"method": "POST", "key": key, "uploadId": "u"}),
            ),
            (
                "/api/s3/sign",
                json!({"method": "DELETE", "key": key, "uploadId": "u"}),
            ),
            ("/api/s3/multipart", json!({"key": key})),
        ] {
            let detail = post(&app, route, &body.to_string()).await.problem(403);
            assert!(detail.contains("\"2026/\""), "{route} {body}: {detail}");
        }
        let key = key.replace('Ü', "%C3%9C");
        for (method, tail) in [
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/1"),
            ("POST", "/complete"),
        ] {
            let uri = format!("/api/s3/multipart/u{tail}?key={key}");
            send(&app, request(method, &uri, &[], b""))
                .await
                .problem(403);
        }
    }
    assert!(shelf.signed.lock().expect("unpoisoned").is_empty());
    assert!(shelf.scopes.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn other_uploads_are_not_there_to_see_read_or_retry() {
    let (app, shelf) = service_for(tenant());
    let page = get(&app, "/api/uploads").await.json();
    let ids: Vec<_> = page["uploads"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|u| &u["id"])
        .collect();
    assert_eq!(ids, ["a0", "f1"]);
    // The shelf's oldest is another's: its key is not told.
    assert_eq!(page["oldest_unfinished"], json!(null));
    let listed = shelf
        .listed
        .lock()
        .expect("unpoisoned")
        .pop()
        .expect("asked");
    assert_eq!(listed.prefix.as_deref(), Some("2026/"));
    let named = get(&app, "/api/uploads?key=other/c.txt").await.json();
    assert_eq!(named["uploads"], json!([]));

    for (id, status) in [("a0", 200), ("p2", 404), ("x3", 404), ("nobody", 404)] {
        for tail in ["", "/content"] {
            let answer = get(&app, &format!("/api/uploads/{id}{tail}")).await;
            assert_eq!(answer.status, status, "{id}{tail}");
        }
    }
    let there = get(&app, "/api/uploads/p2").await.problem(404);
    assert_eq!(
        there,
        get(&app, "/api/uploads/nobody")
            .await
            .problem(404)
            .replace("upload nobody", "an upload with this id")
    );
    let retry = async |id: &str| {
        send(
            &app,
            request("POST", &format!("/api/uploads/{id}/retry"), &[], b""),
        )
        .await
    };
    assert_eq!(retry("f1").await.status, 200);
    retry("p2").await.problem(404);
    let cancelled = post(&app, "/api/uploads/p2/cancel", "").await.problem(404);
    assert_eq!(cancelled, there, "another's job is not even there");
    assert!(shelf.cancelled.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn a_tenant_cancels_a_job_of_theirs() {
    let (app, shelf) = service_for(Caller {
        prefix: Some("other/".parse().expect("a prefix")),
        ..Caller::unlimited("tenant")
    });
    let cancelled = post(&app, "/api/uploads/p2/cancel", "").await;
    assert_eq!(cancelled.status, 200);
    assert_eq!(shelf.cancelled.lock().expect("unpoisoned").len(), 1);
}

#[tokio::test]
async fn a_tenant_steers_only_what_is_theirs() {
    let (app, shelf) = service_for(tenant());
    for (body, retried) in [
        (r#"{"all":true}"#, 1),
        (r#"{"reason":"column"}"#, 1),
        (r#"{"reason":"other"}"#, 0),
        (r#"{"key":"2026/b.csv"}"#, 1),
        (r#"{"key":"other/c.txt"}"#, 0),
    ] {
        assert_eq!(
            post(&app, "/api/retry", body).await.json(),
            json!({"matched": retried, "retried": retried}),
            "{body}"
        );
    }
    assert!(
        shelf.retried.lock().expect("unpoisoned").is_empty(),
        "never everybody's"
    );
    for (route, body) in [
        ("/api/sweep", ""),
        ("/api/replay", r#"{"prefix":"mine/"}"#),
        ("/api/pause", "{}"),
        ("/api/resume", ""),
    ] {
        post(&app, route, body).await.problem(403);
    }
    assert_eq!(*shelf.paused.lock().expect("unpoisoned"), None);
}

#[tokio::test]
async fn who_may_not_steer_retries_cancels_sweeps_and_pauses_nothing() {
    let (app, shelf) = service_for(Caller {
        may_steer: false,
        ..Caller::unlimited("guest")
    });
    for (route, body) in [
        ("/api/uploads/f1/retry", ""),
        ("/api/uploads/p2/cancel", ""),
        ("/api/retry", r#"{"all":true}"#),
        ("/api/sweep", ""),
        ("/api/replay", r#"{"prefix":""}"#),
        ("/api/pause", "{}"),
        ("/api/resume", ""),
    ] {
        assert!(
            post(&app, route, body).await.problem(403).contains("retry"),
            "{route}"
        );
    }
    assert!(shelf.retried.lock().expect("unpoisoned").is_empty());
    assert!(shelf.cancelled.lock().expect("unpoisoned").is_empty());
    assert_eq!(
        get(&app, "/api/server").await.json()["caller"],
        json!({"name": "guest", "prefix": null, "may_steer": false})
    );
}

#[tokio::test]
async fn without_a_caller_nothing_is_answered_but_what_the_api_is() {
    let (app, _) = bare_service();
    for (method, path) in two_buckets_uploads::ROUTES {
        let uri = path
            .replace("{id}", "a0")
            .replace("{upload_id}", "u")
            .replace("{part_number}", "1");
        let answer = send(&app, request(method, &uri, &[], b"")).await;
        let expected = if *path == "/api/openapi.json" {
            200
        } else {
            401
        };
        assert_eq!(answer.status, expected, "{method} {path}");
    }
}
