use std::net::IpAddr;

use axum::{Extension, Router};
use serde_json::json;
use tower::Layer as _;
use two_buckets_uploads::{Access, Caller, Callers, ClientAddress, GuardLayer, KnownBy};

use crate::shelf::{Answer, NOW, bare_service, get, request, send, service_for};

const RULES: &[u8] = br#"{"fault":[{"name":"busy"}]}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

fn caller(known_by: KnownBy) -> Caller {
    Caller {
        known_by,
        ..Caller::unlimited("somebody")
    }
}

async fn set(app: &Router) -> Answer {
    send(app, request("PUT", "/api/faults", &[JSON], RULES)).await
}

/// The answer with one rule.
pub(crate) async fn one() -> Answer {
    set(&service_for(caller(KnownBy::Owner)).0).await
}

#[tokio::test]
async fn faults_are_set_shown_and_switched_off() {
    let (app, _) = service_for(caller(KnownBy::Owner));
    assert_eq!(get(&app, "/api/faults").await.json(), json!({"rules": []}));
    assert_eq!(set(&app).await.json()["rules"][0]["name"], "busy");
    let bad = send(
        &app,
        request("PUT", "/api/faults", &[JSON], b"{\"fault\":[{}]}"),
    )
    .await;
    assert_eq!(bad.problem(400), "fault 1 has no name");
    assert_eq!(
        get(&app, "/api/faults").await.json()["rules"][0]["struck"],
        1
    );
    let off = send(&app, request("DELETE", "/api/faults", &[], b"")).await;
    assert_eq!(off.json(), json!({"rules": []}));
}

#[tokio::test]
async fn only_the_owner_switches_faults_and_named_callers_do_not_see_them() {
    for (known_by, shown) in [
        (KnownBy::Machine, 200),
        (KnownBy::TokenFile, 403),
        (KnownBy::Issuer, 403),
    ] {
        let (app, _) = service_for(caller(known_by));
        assert_eq!(get(&app, "/api/faults").await.status, shown, "{known_by:?}");
        assert!(set(&app).await.problem(403).contains("admin token"));
        let off = send(&app, request("DELETE", "/api/faults", &[], b"")).await;
        assert!(off.problem(403).contains("admin token"));
    }
}

#[tokio::test]
async fn the_admin_token_is_the_owners_from_the_servers_own_machine_only() {
    const ADMIN: &str = "0123456789abcdef0123456789abcdef";
    let guard = GuardLayer::new(Access {
        bound: "127.0.0.1:8080".parse().expect("an address"),
        is_tls: false,
        public: None,
        allowed_origins: Vec::new(),
        admin_token: ADMIN.parse().expect("a token"),
        callers: Callers::ThisMachine,
        requests_per_minute: 100,
        now: std::sync::Arc::new(|| NOW),
    })
    .expect("it is right");
    let bearer = format!("Bearer {ADMIN}");
    let host = ("host", "127.0.0.1:8080");
    let token = ("authorization", &*bearer);
    let page = ("origin", "http://127.0.0.1:8080");
    for (from, who, status) in [
        (Some("127.0.0.1"), token, 200),
        (Some("::1"), token, 200),
        (Some("192.0.2.7"), token, 403),
        (None, token, 403),
        // Our own page may steer here, but not this.
        (Some("127.0.0.1"), page, 403),
        (Some("127.0.0.1"), ("x-nobody", "x"), 401),
    ] {
        let mut app = Router::new().fallback_service(guard.layer(bare_service().0));
        if let Some(from) = from {
            let from: IpAddr = from.parse().expect("an address");
            app = app.layer(Extension(ClientAddress(from)));
        }
        let asked = request("PUT", "/api/faults", &[JSON, host, who], RULES);
        assert_eq!(send(&app, asked).await.status, status, "{from:?} {who:?}");
    }
}
