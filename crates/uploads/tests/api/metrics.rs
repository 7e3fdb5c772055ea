use axum::Router;
use tower::Layer as _;
use two_buckets_uploads::{
    Access, Caller, Callers, GuardLayer, KnownBy, KnownCallers, KnownTokens, METRICS_CONTENT_TYPE,
    Metrics, UploadFigures,
};

use crate::shelf::{NOW, bare_service, get, request, send, service_for};

/// Tells what it was told of uploads.
pub(crate) struct Told;

impl Metrics for Told {
    fn text(&self, uploads: &UploadFigures) -> String {
        format!("{uploads:?}")
    }
}

#[tokio::test]
async fn metrics_have_the_figures_that_the_list_has_and_are_prometheus_text() {
    let (app, shelf) = service_for(Caller::unlimited("somebody"));
    let answer = get(&app, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some(METRICS_CONTENT_TYPE));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let listed = shelf
        .listed
        .lock()
        .expect("unpoisoned")
        .pop()
        .expect("asked");
    assert_eq!((listed.limit, listed.prefix), (1, None));
    let text = String::from_utf8(answer.body).expect("text");
    for part in [
        "pending: 1,",
        "archived: 3,",
        "failed: 1,",
        "oldest_unfinished_age: Some(90.5s)",
        "is_paused: false",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn whoever_sees_everything_may_collect_metrics_and_nobody_else() {
    let collector = Caller {
        known_by: KnownBy::TokenFile,
        may_steer: false,
        ..Caller::unlimited("prometheus")
    };
    let app = service_for(collector.clone()).0;
    assert_eq!(get(&app, "/metrics").await.status, 200);
    let tenant = Caller {
        prefix: Some("2026/".parse().expect("a prefix")),
        may_steer: true,
        ..collector
    };
    let refused = get(&service_for(tenant).0, "/metrics").await;
    assert!(refused.problem(403).contains("prefix"));
    get(&bare_service().0, "/metrics").await.problem(401);
}

#[tokio::test]
async fn the_guard_lets_nobody_collect_metrics_whom_it_does_not_know() {
    const ADMIN: &str = "0123456789abcdef0123456789abcdef";
    let guarded = |callers| {
        let guard = GuardLayer::new(Access {
            bound: "127.0.0.1:8080".parse().expect("an address"),
            is_tls: false,
            public: None,
            allowed_origins: Vec::new(),
            admin_token: ADMIN.parse().expect("a token"),
            callers,
            requests_per_minute: 100,
            now: std::sync::Arc::new(|| NOW),
        });
        Router::new().fallback_service(guard.expect("it is right").layer(bare_service().0))
    };
    let known = || {
        Callers::Known(KnownCallers {
            tokens: KnownTokens::default(),
            issuer: None,
        })
    };
    let host = ("host", "127.0.0.1:8080");
    let admin = format!("Bearer {ADMIN}");
    let (admin, wrong) = (("authorization", &*admin), ("authorization", "Bearer no"));
    let nobody = ("x-nobody", "x");
    for (callers, headers, status) in [
        (Callers::ThisMachine, [host, nobody], 200),
        (Callers::ThisMachine, [host, wrong], 401),
        (
            Callers::ThisMachine,
            [("host", "evil.example"), nobody],
            403,
        ),
        (known(), [host, nobody], 401),
        (known(), [host, wrong], 401),
        (known(), [host, admin], 200),
    ] {
        for method in ["GET", "HEAD"] {
            let app = guarded(callers.clone());
            let answer = send(&app, request(method, "/metrics", &headers, b"")).await;
            assert_eq!(answer.status, status, "{method} {headers:?}");
        }
    }
}
