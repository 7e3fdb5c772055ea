use serde_json::json;
use two_buckets_objects::VersionId;
use two_buckets_uploads::{ReplaySelection, RetryMany, RetrySelection};

use crate::shelf::{NOW, get, post, request, send, service};

#[tokio::test]
async fn a_failed_upload_is_retried_and_no_other() {
    let (app, _) = service();
    let retried = send(&app, request("POST", "/api/uploads/f1/retry", &[], b"")).await;
    assert_eq!(retried.status, 200);
    assert_eq!(retried.json()["state"], "pending");
    let refused = send(&app, request("POST", "/api/uploads/a0/retry", &[], b"")).await;
    assert!(refused.problem(409).contains("archived"));
}

#[tokio::test]
async fn a_job_is_cancelled_and_what_is_none_is_refused_in_words() {
    let (app, shelf) = service();
    let cancel = async |id: &str| post(&app, &format!("/api/uploads/{id}/cancel"), "").await;
    let cancelled = cancel("p2").await;
    assert_eq!(cancelled.status, 200);
    assert_eq!(cancelled.json()["id"], "p2");
    assert_eq!(cancelled.json()["state"], "failed");
    assert_eq!(cancelled.json()["job"], true);
    assert!(
        cancel("a0")
            .await
            .problem(409)
            .contains("only jobs are cancelled")
    );
    assert_eq!(cancel("nobody").await.status, 404);
    assert_eq!(cancel("not%20an%20id").await.status, 404);
    assert_eq!(
        *shelf.cancelled.lock().expect("unpoisoned"),
        ["p2".parse().expect("an id")]
    );
}

#[tokio::test]
async fn many_are_retried_by_key_by_reason_or_all() {
    let (app, shelf) = service();
    for body in [
        r#"{"all":true}"#,
        r#"{"key":"a\nb"}"#,
        r#"{"reason":"column"}"#,
    ] {
        assert_eq!(
            post(&app, "/api/retry", body).await.json(),
            json!({"matched": 2, "retried": 2})
        );
    }
    let dry = r#"{"reason":"no such*column","dry_run":true}"#;
    assert_eq!(
        post(&app, "/api/retry", dry).await.json(),
        json!({"matched": 2, "retried": 0})
    );
    assert_eq!(
        *shelf.retried.lock().expect("unpoisoned"),
        [
            (RetrySelection::All, false),
            (
                RetrySelection::Key("a\nb".parse().expect("a key foreign writers may use")),
                false
            ),
            (
                RetrySelection::Reason("column".parse().expect("a pattern")),
                false
            ),
            (
                RetrySelection::Reason("no such*column".parse().expect("a pattern")),
                true
            ),
        ]
        .map(|(selection, is_dry_run)| RetryMany {
            selection,
            is_dry_run
        })
    );
}

#[tokio::test]
async fn a_selection_that_is_not_understood_retries_nothing() {
    let (app, shelf) = service();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"all\"",
        "{}",
        r#"{"all":false}"#,
        r#"{"all":"true"}"#,
        r#"{"All":true}"#,
        r#"{"all":true,"key":"a"}"#,
        r#"{"all":false,"key":"a"}"#,
        r#"{"key":"a","reason":"b"}"#,
        r#"{"key":""}"#,
        r#"{"reason":""}"#,
        r#"{"reason":"**"}"#,
        r#"{"all":true,"dry_run":1}"#,
        r#"{"dry_run":true}"#,
        r#"{"all":true,"all":true}"#,
        r#"{"all":true}x"#,
        r#"{"key":7}"#,
        &"[".repeat(50_000),
    ] {
        post(&app, "/api/retry", body).await.problem(400);
    }
    let not_json = request(
        "POST",
        "/api/retry",
        &[("content-type", "text/plain")],
        br#"{"all":true}"#,
    );
    assert!(
        send(&app, not_json)
            .await
            .problem(415)
            .contains("application/json")
    );
    assert!(shelf.retried.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn a_sweep_says_what_it_did() {
    let (app, _) = service();
    let swept = send(&app, request("POST", "/api/sweep", &[], b"")).await;
    assert_eq!(
        swept.json(),
        json!({"listed": 4, "woken": 3, "finished": 2, "explained": 1, "passed_over": 0})
    );
}

#[tokio::test]
async fn a_pause_says_since_when_and_why_until_it_is_resumed() {
    let (app, _) = service();
    let why = "the database is away";
    let body = json!({"reason": format!("  {why} ")}).to_string();
    let paused = json!({"since": "2026-11-23T10:50:50.007Z", "reason": why});
    let answer = post(&app, "/api/pause", &body).await.json();
    assert_eq!(answer["paused"], paused);
    assert_eq!(answer["counts"]["pending"], 1, "what waits is said");
    assert_eq!(get(&app, "/api/server").await.json()["paused"], paused);
    assert_eq!(get(&app, "/api/uploads").await.json()["paused"], paused);
    let answer = send(&app, request("POST", "/api/resume", &[], b"")).await;
    assert_eq!(answer.json()["paused"], json!(null));
    assert_eq!(get(&app, "/api/server").await.json()["paused"], json!(null));
    let without = post(&app, "/api/pause", r#"{"reason":" "}"#).await.json();
    assert_eq!(without["paused"]["reason"], json!(null));
}

#[tokio::test]
async fn a_pause_that_is_not_understood_pauses_nothing() {
    let (app, shelf) = service();
    for body in [
        "",
        "null",
        r#"{"why":"a"}"#,
        r#"{"reason":7}"#,
        &json!({"reason": "a".repeat(1_001)}).to_string(),
    ] {
        post(&app, "/api/pause", body).await.problem(400);
    }
    assert_eq!(*shelf.paused.lock().expect("unpoisoned"), None);
}

#[tokio::test]
async fn a_replay_is_of_a_prefix_or_of_one_version() {
    let (app, shelf) = service();
    let replay = async |body: &str| post(&app, "/api/replay", body).await;
    assert_eq!(
        replay(r#"{"prefix":"2026/","since":"2026-11-23T12:50:50.007+02:00"}"#)
            .await
            .json(),
        json!({"matched": 3, "replayed": 3, "size": 30, "continued_since": NOW.to_string(), "has_more": false})
    );
    assert_eq!(
        replay(r#"{"prefix":"","dry_run":true,"anew":true}"#)
            .await
            .json()["replayed"],
        0
    );
    replay(r#"{"key":"a","version_id":"v9"}"#).await.json();
    assert_eq!(
        replay(r#"{"key":"a","version_id":"gone"}"#).await.status,
        404
    );
    let asked = shelf.replays.lock().expect("unpoisoned").clone();
    assert_eq!(
        asked[0].selection,
        ReplaySelection::Prefix {
            prefix: "2026/".into(),
            since: Some(NOW),
        }
    );
    assert!(asked[1].is_dry_run && asked[1].is_anew);
    assert_eq!(
        asked[2].selection,
        ReplaySelection::Version {
            key: "a".parse().expect("a key"),
            version_id: VersionId::new("v9"),
        }
    );
}

#[tokio::test]
async fn a_replay_that_is_not_understood_replays_nothing() {
    let (app, shelf) = service();
    for body in [
        "{}",
        r#"{"since":"2026-11-23T10:50:50Z"}"#,
        r#"{"prefix":"a","since":"2h"}"#,
        r#"{"prefix":"a","key":"a","version_id":"v"}"#,
        r#"{"key":"a"}"#,
        r#"{"version_id":"v"}"#,
        r#"{"key":"a","version_id":"v","since":"2026-11-23T10:50:50Z"}"#,
        r#"{"prefix":"a","Dry_run":true}"#,
        &json!({"prefix": "a".repeat(1_025)}).to_string(),
        &json!({"key": "a", "version_id": "v".repeat(1_025)}).to_string(),
    ] {
        post(&app, "/api/replay", body).await.problem(400);
    }
    assert!(shelf.replays.lock().expect("unpoisoned").is_empty());
}
