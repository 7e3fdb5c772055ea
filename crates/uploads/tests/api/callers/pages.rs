//! Pages of other origins, and servers that nobody guards.

use crate::shelf::{NOW, request};
use std::sync::Arc;
use two_buckets_uploads::{Access, Callers, GuardLayer};

use super::{ADMIN, STATIC, World, send_from_page};

#[tokio::test]
async fn pages_that_are_allowed_may_read_answers_and_no_others() {
    let world = World::new();
    let bearer = format!("Bearer {STATIC}");
    let app = ("origin", "https://app.example.com");
    let preflight = [
        app,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    let answer = world.ask("OPTIONS", "/api/me", &preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    let allowed = answer
        .header("access-control-allow-headers")
        .expect("it is right");
    assert!(allowed.contains("Authorization") && allowed.contains("Content-Type"));
    assert!(
        answer
            .header("access-control-allow-methods")
            .expect("it is right")
            .contains("POST")
    );
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.header("vary"), Some("Origin"));

    let answer = world
        .ask("GET", "/api/me", &[app, ("authorization", &bearer)])
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .expect("it is right")
            .contains("Retry-After")
    );
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    // It must be able to read why it is refused, and is refused without a token.
    let answer = world.ask("GET", "/api/me", &[app]).await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    answer.problem(401);

    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://x.app.example.com",
        "https://APP.example.com",
        "null",
        "*",
        "https://files.example.com",
    ] {
        for headers in [
            &[
                ("origin", origin),
                ("access-control-request-method", "POST"),
            ][..],
            &[("origin", origin), ("authorization", &bearer)],
            &[("origin", origin)],
        ] {
            for method in ["OPTIONS", "GET", "POST"] {
                let answer = world.ask(method, "/api/me", headers).await;
                let cors = answer
                    .headers
                    .keys()
                    .find(|name| name.as_str().starts_with("access-control"));
                assert_eq!(cors, None, "{method} {headers:?}");
            }
        }
    }
    let twice = [
        app,
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
    ];
    world.ask("OPTIONS", "/api/me", &twice).await.problem(401);
}

#[tokio::test]
async fn on_this_machine_alone_an_allowed_page_still_needs_the_token() {
    let world = World::with(
        |access| {
            access.bound = "127.0.0.1:8080".parse().expect("it is right");
            access.is_tls = false;
            access.public = None;
            access.callers = Callers::ThisMachine;
        },
        |_| {},
    );
    let ask = async |headers: &[(&str, &str)]| {
        let headers = [&[("host", "127.0.0.1:8080")], headers].concat();
        send_from_page(&world.app, request("GET", "/api/me", &headers, b"")).await
    };
    let app = ("origin", "https://app.example.com");
    assert_eq!(ask(&[]).await.json()["name"], "local");
    ask(&[app]).await.problem(401);
    let bearer = format!("Bearer {ADMIN}");
    assert_eq!(ask(&[app, ("authorization", &bearer)]).await.status, 200);
    // Whoever sends a token means it, reading as well.
    ask(&[("authorization", "Bearer x")]).await.problem(401);
    ask(&[("authorization", &format!("Bearer {STATIC}"))])
        .await
        .problem(401);
}

#[test]
fn what_others_can_reach_is_never_guarded_by_nobody() {
    let access = |bound: &str, public: Option<&str>| Access {
        bound: bound.parse().expect("it is right"),
        is_tls: true,
        public: public.map(|public| public.parse().expect("it is right")),
        allowed_origins: Vec::new(),
        admin_token: ADMIN.parse().expect("it is right"),
        callers: Callers::ThisMachine,
        requests_per_minute: 1,
        now: Arc::new(|| NOW),
    };
    GuardLayer::new(access("127.0.0.1:1", None)).expect("it is right");
    GuardLayer::new(access("[::1]:1", Some("http://localhost:1"))).expect("it is right");
    for (bound, public) in [
        ("0.0.0.0:1", None),
        ("192.0.2.1:1", None),
        ("[::]:1", None),
        ("127.0.0.1:1", Some("https://files.example.com")),
    ] {
        let refused = GuardLayer::new(access(bound, public))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("no callers"), "{refused}");
    }
}
