//! What foreign pages and foreign names try.

use axum::Router;
use std::sync::Arc;

use two_buckets_uploads::{Access, AdminToken, Callers, GuardLayer, OpenToOthers};

use crate::shelf::{Answer, NOW, request, send, service};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OURS: &str = "127.0.0.1:8080";

fn token() -> AdminToken {
    TOKEN.parse().expect("a token")
}

fn layer(bound: &str) -> Result<GuardLayer, OpenToOthers> {
    GuardLayer::new(Access {
        bound: bound.parse().expect("an address"),
        is_tls: false,
        public: None,
        allowed_origins: Vec::new(),
        admin_token: token(),
        callers: Callers::ThisMachine,
        requests_per_minute: 1,
        now: Arc::new(|| NOW),
    })
}

/// The service as `serve` has it: the page merged in, all of it guarded.
fn guarded(bound: &str) -> Router {
    let layer = layer(bound).expect("loopback");
    let (api, _) = service();
    Router::new()
        .merge(api)
        .fallback(async || "the page")
        .layer(layer)
}

async fn ask(app: &Router, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
    send(app, request(method, uri, headers, b"")).await
}

#[tokio::test]
async fn only_loopback_names_with_our_port_are_answered() {
    let app = guarded(OURS);
    for host in [OURS, "localhost:8080", "LocalHost:8080", "[::1]:8080"] {
        assert_eq!(
            ask(&app, "GET", "/api/server", &[("host", host)])
                .await
                .status,
            200,
            "{host}"
        );
        assert_eq!(
            ask(&app, "GET", "/", &[("host", host)]).await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8081",
        "127.0.0.1:+8080",
        "127.0.0.1:08080x",
        "127.0.0.1:8080:8080",
        "localhost",
        "localhost.:8080",
        "localhost.evil.example:8080",
        "127.0.0.1.evil.example:8080",
        "127.0.0.2:8080",
        "2130706433:8080",
        "0x7f.1:8080",
        "127.1:8080",
        "0.0.0.0:8080",
        "[::]:8080",
        "[::ffff:127.0.0.1]:8080",
        "::1:8080",
        "[::1]",
        "user@127.0.0.1:8080",
        "",
        ":8080",
        " 127.0.0.1:8080",
        "127.0.0.1:8080, evil.example",
        "192.168.0.10:8080",
    ] {
        for (method, uri) in [
            ("GET", "/api/server"),
            ("HEAD", "/"),
            ("POST", "/api/sweep"),
        ] {
            // The right token does not help: the name is wrong.
            let headers = [
                ("host", host),
                ("authorization", &format!("Bearer {TOKEN}")),
            ];
            let answer = ask(&app, method, uri, &headers).await;
            assert_eq!(answer.status, 403, "{method} {uri} {host:?}");
        }
    }
    assert!(
        ask(&app, "GET", "/api/server", &[])
            .await
            .problem(403)
            .contains("loopback")
    );
    let twice = [("host", OURS), ("host", "evil.example")];
    ask(&app, "GET", "/api/server", &twice).await.problem(403);
    ask(
        &app,
        "GET",
        "http://evil.example/api/server",
        &[("host", OURS)],
    )
    .await
    .problem(403);
}

#[tokio::test]
async fn the_names_follow_the_address_that_is_bound() {
    let app = guarded("127.0.0.5:80");
    for (host, status) in [
        ("127.0.0.5", 200),
        ("127.0.0.5:80", 200),
        ("localhost", 200),
        ("127.0.0.6", 403),
        ("localhost:8080", 403),
    ] {
        assert_eq!(
            ask(&app, "GET", "/api/server", &[("host", host)])
                .await
                .status,
            status,
            "{host}"
        );
    }
    for open in ["0.0.0.0:8080", "192.168.0.10:8080", "[::]:8080"] {
        layer(open).expect_err("reachable");
    }
}

#[tokio::test]
async fn a_change_needs_the_token_or_our_own_page() {
    let app = guarded(OURS);
    let bearer = format!("Bearer {TOKEN}");
    let lower = format!("bearer {TOKEN}");
    for good in [
        &[("authorization", &*bearer)][..],
        &[("authorization", &lower)],
        &[("origin", "http://127.0.0.1:8080")],
        // A browser extension or tool with the token may be anywhere.
        &[
            ("authorization", &bearer),
            ("origin", "http://evil.example"),
        ],
    ] {
        let headers = [&[("host", OURS)], good].concat();
        assert_eq!(
            ask(&app, "POST", "/api/sweep", &headers).await.status,
            200,
            "{good:?}"
        );
    }
    let detail = ask(&app, "POST", "/api/sweep", &[("host", OURS)]).await;
    assert_eq!(detail.header("www-authenticate"), Some("Bearer"));
    assert!(detail.problem(401).contains("server.json"));
}

#[tokio::test]
async fn foreign_pages_change_nothing() {
    let app = guarded(OURS);
    for origin in [
        "null",
        "http://evil.example",
        "http://evil.example:8080",
        "https://127.0.0.1:8080",
        "http://127.0.0.1",
        "http://127.0.0.1:8081",
        "http://127.0.0.1:8080.evil.example",
        "http://127.0.0.1:8080/",
        "http://user@127.0.0.1:8080",
        "127.0.0.1:8080",
        "file://",
        "",
        "http://localhost:8080",
        "http://127.0.0.1:9000",
        "http://127.0.0.1:8080 http://evil.example",
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            let headers = [("host", OURS), ("origin", origin)];
            let answer = ask(&app, method, "/api/sweep", &headers).await;
            assert_eq!(answer.status, 403, "{method} from {origin:?}");
        }
    }
    let twice = [
        ("host", OURS),
        ("origin", "http://127.0.0.1:8080"),
        ("origin", "http://evil.example"),
    ];
    ask(&app, "POST", "/api/sweep", &twice).await.problem(403);
}

#[tokio::test]
async fn a_wrong_token_is_refused_even_from_our_own_page() {
    let app = guarded(OURS);
    let upper = format!("Bearer {}", TOKEN.to_uppercase());
    let longer = format!("Bearer {TOKEN}0");
    let shorter = format!("Bearer {}", &TOKEN[..31]);
    let basic = format!("Basic {TOKEN}");
    for wrong in [
        "Bearer", "Bearer ", "Bearer x", TOKEN, "", &upper, &longer, &shorter, &basic,
    ] {
        let headers = [
            ("host", OURS),
            ("origin", "http://127.0.0.1:8080"),
            ("authorization", wrong),
        ];
        let answer = ask(&app, "POST", "/api/sweep", &headers).await;
        let detail = answer.problem(401);
        assert!(!detail.contains(TOKEN), "{wrong:?}");
    }
    let twice = [
        ("host", OURS),
        ("authorization", &*format!("Bearer {TOKEN}")),
        ("authorization", "Bearer x"),
    ];
    ask(&app, "POST", "/api/sweep", &twice).await.problem(401);
}

#[test]
fn the_token_is_long_and_never_shown() {
    for weak in [
        "",
        "short",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef 0123456789abcdef",
        &"x".repeat(513),
    ] {
        assert!(weak.parse::<AdminToken>().is_err(), "{weak:?}");
    }
    let layer = layer(OURS).expect("loopback");
    assert!(!format!("{:?} {layer:?}", token()).contains("0123"));
}
