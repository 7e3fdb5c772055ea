use serde_json::json;

use crate::shelf::{SECRET, get, request, send, service};

#[tokio::test]
async fn the_server_says_what_it_is() {
    let (app, _) = service();
    let answer = get(&app, "/api/server").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.json(),
        json!({
            "version": "0.1.0", "page_url": "http://127.0.0.1:8080/",
            "s3": {"endpoint": "http://127.0.0.1:9000", "region": "us-east-1"},
            "staging": "staging", "archive": "archive", "processor": "describe", "paused": null,
            "limits": {"size_bytes_max": null, "types": [], "uploads_per_minute": null},
            "caller": {"name": "somebody", "prefix": null, "may_steer": true},
        })
    );
}

#[tokio::test]
async fn a_page_has_uploads_counts_and_the_age_of_the_oldest_unfinished() {
    let (app, _) = service();
    let page = get(&app, "/api/uploads").await.json();
    assert_eq!(page["uploads"].as_array().map(Vec::len), Some(5));
    assert_eq!(page["next"], json!(null));
    assert_eq!(
        page["counts"],
        json!({"pending": 1, "processing": 0, "archived": 3, "failed": 1, "late": 0, "duplicate": 0})
    );
    assert_eq!(
        page["oldest_unfinished"],
        json!({"key": "other/c.txt", "received_at": "2026-11-23T10:49:19.507Z", "age_s": 90})
    );
    assert_eq!(
        page["uploads"][0],
        json!({
            "id": "a0", "bucket": "staging", "key": "2026/a.txt", "version_id": "v1", "state": "archived",
            "expected": false, "job": false, "replay_of": null, "size": 10, "etag": "abc123",
            "checksum": {"algorithm": "CRC64NVME", "value": "AAECAwQFBgc=", "kind": "FULL_OBJECT"}, "received_at": "2026-11-23T10:49:19.507Z",
            "started_at": "2026-11-23T10:50:50.007Z", "finished_at": "2026-11-23T10:50:50.007Z",
            "attempts": 1, "progress": null, "next_attempt_at": null, "reason": null,
            "archive": {"bucket": "archive", "key": "2026/a.txt", "version_id": "v9"},
            "media_type": "text/plain", "sha256": "00".repeat(32), "report": {"lines": 1},
        })
    );
    assert_eq!(page["uploads"][2]["job"], true);
    assert_eq!(
        page["uploads"][4]["replay_of"],
        json!({"bucket": "archive", "key": "empty", "version_id": "v3", "upload": "a0"})
    );
    // A report that is no JSON object is shown, not lost and not a failure.
    assert_eq!(page["uploads"][3]["report"], json!({"text": "not json"}));
}

#[tokio::test]
async fn pages_follow_each_other_by_their_cursor() {
    let (app, _) = service();
    let mut seen = Vec::new();
    let mut uri = "/api/uploads?limit=2".to_owned();
    loop {
        let page = get(&app, &uri).await.json();
        for upload in page["uploads"].as_array().expect("a list") {
            seen.push(upload["id"].as_str().expect("an id").to_owned());
        }
        match page["next"].as_str() {
            Some(next) => uri = format!("/api/uploads?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a0", "f1", "p2", "x3", "e4"]);
}

#[tokio::test]
async fn a_list_is_narrowed_by_state_key_and_search() {
    let (app, shelf) = service();
    for (query, ids) in [
        ("state=failed", vec!["f1"]),
        ("key=2026%2Fa.txt", vec!["a0"]),
        ("key=2026/a", vec![]),
        ("q=2026", vec!["a0", "f1"]),
        ("q=2026&state=archived", vec!["a0"]),
        ("q=&state=&key=&after=", vec!["a0", "f1", "p2", "x3", "e4"]),
    ] {
        let page = get(&app, &format!("/api/uploads?{query}")).await.json();
        let found: Vec<_> = page["uploads"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|u| u["id"].clone())
            .collect();
        assert_eq!(found, ids, "{query}");
    }
    let listed = shelf.listed.lock().expect("unpoisoned");
    assert!(listed.iter().all(|query| query.limit == 100), "the default");
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_a_400_with_words() {
    let (app, shelf) = service();
    let long = "x".repeat(5000);
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=1001", "1000"),
        ("limit=-1", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("limit=ten", "limit"),
        ("state=done", "archived"),
        ("statte=failed", "statte"),
        ("limit=1&limit=2", "limit"),
        ("after=nonsense", "after"),
        (&format!("q={long}"), "1024"),
        (&format!("key={long}"), "1024"),
        (&format!("after={long}"), "after"),
    ] {
        let detail = get(&app, &format!("/api/uploads?{query}"))
            .await
            .problem(400);
        assert!(detail.contains(word), "{query:.40}: {detail}");
    }
    let listed = shelf.listed.lock().expect("unpoisoned");
    assert!(
        listed.len() <= 1,
        "only the cursor is the tracker's to refuse"
    );
}

#[tokio::test]
async fn one_upload_has_its_attempts() {
    let (app, _) = service();
    let upload = get(&app, "/api/uploads/f1").await.json();
    assert_eq!(upload["state"], "failed");
    assert_eq!(upload["reason"], "no such column");
    assert_eq!(
        upload["attempts_log"],
        json!([{
            "number": 1, "started_at": "2026-11-23T10:50:50.007Z", "ended_at": "2026-11-23T10:50:50.007Z",
            "outcome": "permanent", "reason": "no such column",
        }])
    );
}

#[tokio::test]
async fn an_id_that_names_nothing_is_a_404_whatever_it_is() {
    let (app, _) = service();
    let long = "i".repeat(3000);
    for id in ["nobody", "a%2Fb", "%FF", "%00", "a0%20", "%C3%A9", &long] {
        for tail in ["", "/content"] {
            let answer = get(&app, &format!("/api/uploads/{id}{tail}")).await;
            assert!(answer.problem(404).contains("not found"), "{id:.20}{tail}");
        }
        let retry = send(
            &app,
            request("POST", &format!("/api/uploads/{id}/retry"), &[], b""),
        )
        .await;
        retry.problem(404);
    }
}

#[tokio::test]
async fn what_breaks_inside_is_not_told_outside() {
    let (app, _) = service();
    let detail = get(&app, "/api/uploads/down").await.problem(503);
    assert!(detail.contains("the disk is full"), "{detail}");
    let detail = get(&app, "/api/uploads/bug").await.problem(500);
    assert!(!detail.contains(SECRET), "{detail}");
}

#[tokio::test]
async fn other_addresses_and_methods_are_problems_too() {
    let (app, _) = service();
    for uri in [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/uploads/",
        "/api/uploads/a0/more",
        "/api//server",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            send(&app, request(method, uri, &[], b""))
                .await
                .problem(404);
        }
    }
    for (method, uri, allowed) in [
        ("POST", "/api/uploads", "GET"),
        ("DELETE", "/api/uploads/a0", "GET"),
        ("GET", "/api/retry", "POST"),
        ("PUT", "/api/signedurl", "POST"),
        ("OPTIONS", "/api/signedurl", "POST"),
        ("BREW", "/api/sweep", "POST"),
    ] {
        let answer = send(&app, request(method, uri, &[], b"")).await;
        assert!(answer.problem(405).contains(method));
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| allow.contains(allowed)),
            "{method} {uri}"
        );
    }
}

#[tokio::test]
async fn no_answer_is_sniffed_embedded_or_kept() {
    let (app, _) = service();
    for uri in [
        "/api/server",
        "/api/uploads",
        "/api/uploads/a0",
        "/api/nothing",
        "/api/uploads/bug",
        "/api/openapi.json",
    ] {
        let answer = get(&app, uri).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{uri}"
        );
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            Some("same-origin"),
            "{uri}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{uri}");
    }
}

#[tokio::test]
async fn the_logs_of_an_upload_are_read_whole_by_attempt_and_from_a_place_on() {
    let (app, _) = service();
    let whole = json!({"logs": [{
        "attempt": 1, "written_bytes": 115, "dropped_bytes": 92, "next_from": 115,
        "pieces": [{"from": 0, "text": "reading\n"}, {"from": 100, "text": "no such column\n"}],
    }]});
    assert_eq!(get(&app, "/api/uploads/f1/logs").await.json(), whole);
    let first = get(&app, "/api/uploads/f1/logs?attempt=1").await;
    assert_eq!(first.json(), whole);
    let rest = get(&app, "/api/uploads/f1/logs?attempt=1&from=103").await;
    assert_eq!(
        rest.json()["logs"][0]["pieces"],
        json!([{"from": 103, "text": "such column\n"}])
    );
    for none in ["f1/logs?attempt=2", "a0/logs"] {
        let answer = get(&app, &format!("/api/uploads/{none}")).await;
        assert_eq!(answer.json(), json!({"logs": []}), "{none}");
    }
    for (refused, status) in [
        ("f1/logs?from=3", 400),
        ("f1/logs?attempt=x", 400),
        ("f1/logs?attempts=1", 400),
        ("none/logs", 404),
    ] {
        let answer = get(&app, &format!("/api/uploads/{refused}")).await;
        assert_eq!(answer.status, status, "{refused}");
    }
}
