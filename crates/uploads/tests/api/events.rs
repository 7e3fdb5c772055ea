use std::time::Duration;

use axum::Router;
use futures::StreamExt;
use serde_json::Value;
use tower::ServiceExt as _;
use two_buckets_uploads::{Caller, Change, UploadState};

use crate::shelf::{CHANGES_MAX, Shelf, request, service, service_for, stopping_service, upload};

/// What a listener has read, piece by piece.
struct Listener(axum::body::BodyDataStream);

impl Listener {
    async fn begin(app: &Router) -> Self {
        let asked = request("GET", "/api/events", &[], b"");
        let response = app.clone().oneshot(asked).await.expect("infallible");
        assert_eq!(response.status(), 200);
        let header = |name| response.headers().get(name).expect("a header").clone();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-cache");
        let mut listener = Self(response.into_body().into_data_stream());
        assert_eq!(listener.next().await.as_deref(), Some(": listening\n\n"));
        listener
    }

    async fn next(&mut self) -> Option<String> {
        let piece = tokio::time::timeout(Duration::from_secs(10), self.0.next());
        let piece = piece.await.expect("in time")?.expect("bytes");
        Some(String::from_utf8(piece.to_vec()).expect("text"))
    }
}

fn tell(shelf: &Shelf, change: Change) {
    let changes = shelf.changes.lock().expect("unpoisoned");
    changes
        .as_ref()
        .expect("running")
        .send(change)
        .expect("somebody listens");
}

fn changed(id: &str, key: &str) -> Change {
    Change::Upload(Box::new(upload(id, key, UploadState::Processing)))
}

#[tokio::test]
async fn a_listener_is_told_each_change_as_the_list_shows_it() {
    let (app, shelf) = service();
    let mut listener = Listener::begin(&app).await;
    tell(&shelf, changed("n1", "a\nb"));
    let event = listener.next().await.expect("an event");
    let data = event
        .strip_prefix("event: upload\ndata: ")
        .expect("an upload");
    let data = data.strip_suffix("\n\n").expect("an end");
    assert!(!data.contains('\n'), "one line, whatever the key is");
    let json: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(
        (&json["id"], &json["state"], &json["key"]),
        (&"n1".into(), &"processing".into(), &"a\nb".into())
    );
}

#[tokio::test]
async fn a_listener_that_is_too_slow_learns_that_it_missed_something() {
    let (app, shelf) = service();
    let mut listener = Listener::begin(&app).await;
    for n in 0..2 * CHANGES_MAX {
        tell(&shelf, changed(&format!("n{n}"), "a"));
    }
    assert_eq!(
        listener.next().await.as_deref(),
        Some("event: missed\ndata: {}\n\n")
    );
    assert!(listener.next().await.expect("the rest").contains("\"n4\""));
}

#[tokio::test]
async fn a_tenant_hears_of_nobody_else() {
    let (app, shelf) = service_for(Caller {
        prefix: Some("team/".parse().expect("a prefix")),
        ..Caller::unlimited("tenant")
    });
    let mut listener = Listener::begin(&app).await;
    tell(&shelf, changed("n1", "team2/a"));
    tell(&shelf, changed("n2", "team/a"));
    assert!(listener.next().await.expect("an event").contains("\"n2\""));
}

#[tokio::test]
async fn the_stream_ends_when_the_tracker_does_and_when_the_server_stops() {
    let (app, shelf) = service();
    let mut listener = Listener::begin(&app).await;
    shelf.changes.lock().expect("unpoisoned").take();
    assert_eq!(listener.next().await, None);

    // A tracker that does not end holds up no server.
    let (app, shelf, stop) = stopping_service();
    let mut listener = Listener::begin(&app).await;
    stop.send(true).expect("somebody waits");
    assert_eq!(listener.next().await, None);
    drop(shelf);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_says_that_it_is_there() {
    let (app, _shelf) = service();
    let mut listener = Listener::begin(&app).await;
    // The clock stands still but for what is waited for: 15 s pass at once.
    let begun = tokio::time::Instant::now();
    let piece = listener.0.next().await.expect("a piece").expect("bytes");
    assert!(piece.starts_with(b":"), "{piece:?}");
    assert_eq!(begun.elapsed().as_secs(), 15);
}
