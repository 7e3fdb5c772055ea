//! Who gets in behind a gateway: whom it vouches for, in the way that counts, and nobody else.

use axum::routing::any;
use axum::{Extension, Router};
use http::Request;
use serde_json::json;
use two_buckets_uploads::{
    Caller, ClaimRules, GatewayAccess, GatewayLayer, Signing, UploadLimits, Vouched,
};

use super::{me, send_from_page};
use crate::shelf::{Answer, request};

fn access(signing: Signing) -> GatewayAccess {
    GatewayAccess {
        signing,
        claims: ClaimRules {
            prefix_claim: Some("tenant".parse().expect("it is right")),
            admin_claim: Some(("roles".parse().expect("it is right"), "keeper".into())),
            limits: UploadLimits {
                size_bytes_max: Some(17),
                ..UploadLimits::default()
            },
        },
        allowed_origins: vec!["https://app.example.com".parse().expect("it is right")],
        streams: false,
    }
}

fn app(access: GatewayAccess) -> Router {
    Router::new()
        .route("/api/me", any(me))
        .route("/api/events", any(async || "events"))
        .fallback(async || "the page")
        .layer(GatewayLayer::new(access))
}

async fn ask(app: &Router, path: &str, vouched: Option<Vouched>) -> Answer {
    let headers = [("authorization", "Bearer x.y.z"), ("x-user", "ada")];
    let mut asked: Request<_> = request("GET", path, &headers, b"");
    if let Some(vouched) = vouched {
        asked.extensions_mut().insert(vouched);
    }
    send_from_page(app, asked).await
}

fn claims(claims: serde_json::Value) -> Option<Vouched> {
    Some(Vouched::Claims(
        claims.as_object().expect("an object").clone(),
    ))
}

fn iam() -> Option<Vouched> {
    Some(Vouched::Iam("arn:aws:iam::1:user/ada".into()))
}

#[tokio::test]
async fn a_callers_claims_say_what_they_may_as_those_of_a_token_do() {
    let app = app(access(Signing::Token));
    for (told, prefix, may_steer) in [
        (
            json!({"sub": "ada", "tenant": "acme"}),
            json!("acme/"),
            false,
        ),
        (
            json!({"sub": "ada", "tenant": "acme/", "roles": "other"}),
            json!("acme/"),
            false,
        ),
        (json!({"sub": "ada", "roles": "keeper"}), json!(null), true),
        (
            json!({"sub": "ada", "tenant": "x", "roles": ["a", "keeper"]}),
            json!(null),
            true,
        ),
    ] {
        let me = ask(&app, "/api/me", claims(told)).await.json();
        let expected =
            json!({"name": "ada", "prefix": prefix, "size_max": 17, "may_steer": may_steer});
        assert_eq!(me, expected);
    }
    for told in [
        json!({}),
        json!({"sub": "ada"}),
        json!({"tenant": "acme"}),
        json!({"sub": "", "tenant": "acme"}),
        json!({"sub": 1, "tenant": "acme"}),
        json!({"sub": "ada", "tenant": ".."}),
        json!({"sub": "ada", "tenant": ["acme"]}),
    ] {
        let words = ask(&app, "/api/me", claims(told)).await.problem(401);
        assert!(
            words.starts_with("the token does not say") || words.contains("cannot be used"),
            "{words}"
        );
    }
}

#[tokio::test]
async fn only_the_gateways_word_counts_and_only_in_the_way_that_was_agreed() {
    let by_token = app(access(Signing::Token));
    for vouched in [None, iam()] {
        let answer = ask(&by_token, "/api/me", vouched).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        answer.problem(401);
    }
    let by_iam = app(access(Signing::Iam));
    for vouched in [None, claims(json!({"sub": "ada", "roles": "keeper"}))] {
        ask(&by_iam, "/api/me", vouched).await.problem(403);
    }
    let me = ask(&by_iam, "/api/me", iam()).await.json();
    assert_eq!(me["name"], "arn:aws:iam::1:user/ada");
    assert_eq!(
        (&me["prefix"], &me["may_steer"]),
        (&json!(null), &json!(true))
    );

    // Nor does that of a layer outside of it.
    let outside = by_token.layer(Extension(Caller::unlimited("mallory")));
    ask(&outside, "/api/me", None).await.problem(401);
    // The page is for everybody.
    assert_eq!(ask(&outside, "/", None).await.body, b"the page");
}

#[tokio::test]
async fn a_stream_is_refused_where_answers_are_passed_on_whole() {
    let keeper = || claims(json!({"sub": "ada", "roles": "keeper"}));
    let whole = app(access(Signing::Token));
    let words = ask(&whole, "/api/events", keeper()).await.problem(400);
    assert!(words.contains("ask for the list again"), "{words}");
    let streaming = app(GatewayAccess {
        streams: true,
        ..access(Signing::Token)
    });
    assert_eq!(
        ask(&streaming, "/api/events", keeper()).await.body,
        b"events"
    );
    ask(&streaming, "/api/events", None).await.problem(401);
}

#[test]
fn what_is_known_of_a_person_is_not_logged() {
    let vouched = claims(json!({"sub": "ada", "email": "ada@example.com"}));
    assert_eq!(format!("{vouched:?}"), "Some(Claims(..))");
}
