//! Callers who ask too often, or guess.

use crate::shelf::{request, send};
use crate::signer::Signer;
use http::Request;
use serde_json::json;
use std::time::Duration;
use two_buckets_uploads::ClientAddress;

use super::{ADMIN, HOST, STATIC, World, changed, claims};

#[tokio::test]
async fn a_caller_who_asks_too_often_is_told_when_to_ask_again() {
    let world = World::with(|access| access.requests_per_minute = 6, |_| {});
    for _ in 0..6 {
        assert_eq!(world.me(STATIC).await.status, 200);
    }
    let answer = world.me(STATIC).await;
    assert_eq!(answer.header("retry-after"), Some("10"));
    let detail = answer.problem(429);
    assert!(detail.contains("10 s"), "{detail}");
    // The others and the administrator are not held up by it.
    let signer = Signer::new("k1", "ES256");
    world.issuer.publishes(&[&signer]);
    assert_eq!(world.me(&signer.token(&claims())).await.status, 200);
    // Nor one of the same name whom the issuer knows, and who is somebody else.
    let namesake = signer.token(&changed(|claims| claims["sub"] = json!("partner")));
    assert_eq!(world.me(&namesake).await.status, 200);
    for _ in 0..20 {
        assert_eq!(world.me(ADMIN).await.status, 200);
    }
    world.advance(Duration::from_secs(10));
    assert_eq!(world.me(STATIC).await.status, 200);
    world.me(STATIC).await.problem(429);
}

#[tokio::test]
async fn whoever_guesses_tokens_is_only_put_off_while_good_ones_go_on() {
    let world = World::new();
    let from = |token: &str, address: [u8; 4]| {
        let bearer = format!("Bearer {token}");
        let headers = [("host", HOST), ("authorization", &*bearer)];
        let mut request: Request<_> = request("GET", "/api/me", &headers, b"");
        request
            .extensions_mut()
            .insert(ClientAddress(address.into()));
        let app = world.app.clone();
        async move { send(&app, request).await }
    };
    for _ in 0..60 {
        from("guess", [192, 0, 2, 1]).await.problem(401);
    }
    from("guess", [192, 0, 2, 1]).await.problem(429);
    assert_eq!(from(STATIC, [192, 0, 2, 1]).await.status, 200);
    from("guess", [192, 0, 2, 2]).await.problem(401);
}
