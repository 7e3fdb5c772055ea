//! Who gets in where callers must be known: tokens of the file, tokens of an issuer, and what is tried with both.

mod gateway;
mod issuer;
mod limits;
mod pages;
mod tokens;

use crate::shelf::{Answer, NOW, request};
use crate::signer::Signer;
use axum::body::{Body, to_bytes};
use axum::routing::any;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt as _;
use two_buckets_objects::Timestamp;
use two_buckets_uploads::{
    Access, Algorithm, Caller, Callers, ClaimRules, GuardLayer, Issuer, KeysAddress, KnownBy,
    KnownCallers, KnownTokens, TokenDigest, TokenRules, UploadLimits,
};

const ADMIN: &str = "0123456789abcdef0123456789abcdef";
const STATIC: &str = "tb_an-opaque-token-of-the-file-0001";
const ISSUER: &str = "https://login.example.com/realms/files";
const AUDIENCE: &str = "two-buckets";
const HOST: &str = "files.example.com";

/// An issuer that answers with what it is told to, and counts.
#[derive(Clone, Default)]
struct FakeIssuer {
    keys: Arc<Mutex<Option<Value>>>,
    discovery: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicU32>,
}

impl FakeIssuer {
    fn publishes(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.published()).collect();
        *self.keys.lock().expect("it is right") = Some(json!({ "keys": keys }));
    }

    fn is_away(&self) {
        *self.keys.lock().expect("it is right") = None;
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    fn answer(&self, url: &str) -> Result<Bytes, String> {
        let discovery = "https://login.example.com/realms/files/.well-known/openid-configuration";
        let document = if url == discovery {
            self.discovery.lock().expect("it is right").clone()
        } else {
            assert_eq!(url, "https://login.example.com/keys");
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.keys.lock().expect("it is right").clone()
        };
        document
            .map(|json| json.to_string().into())
            .ok_or_else(|| "nobody answers".to_owned())
    }
}

struct World {
    app: Router,
    issuer: FakeIssuer,
    tokens: KnownTokens,
    now: Arc<AtomicI64>,
}

fn caller(name: &str) -> Caller {
    Caller {
        name: name.into(),
        known_by: KnownBy::TokenFile,
        prefix: Some("acme/".parse().expect("it is right")),
        limits: UploadLimits::default(),
        may_steer: false,
    }
}

impl World {
    fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    fn with(change: impl FnOnce(&mut Access), change_rules: impl FnOnce(&mut TokenRules)) -> Self {
        let issuer = FakeIssuer::default();
        *issuer.discovery.lock().expect("it is right") = Some(json!({
            "issuer": ISSUER,
            "jwks_uri": "https://login.example.com/keys",
        }));
        let mut rules = TokenRules {
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            claims: ClaimRules {
                prefix_claim: Some("tenant".parse().expect("it is right")),
                admin_claim: Some((
                    "/realm_access/roles".parse().expect("it is right"),
                    "keeper".into(),
                )),
                limits: UploadLimits {
                    size_bytes_max: Some(17),
                    ..UploadLimits::default()
                },
            },
        };
        change_rules(&mut rules);
        let asked = issuer.clone();
        let tokens = KnownTokens::new([(TokenDigest::of(STATIC), caller("partner"))]);
        let now = Arc::new(AtomicI64::new(NOW.millis()));
        let clock = Arc::clone(&now);
        let mut access = Access {
            bound: "0.0.0.0:8080".parse().expect("it is right"),
            is_tls: true,
            public: Some("https://files.example.com".parse().expect("it is right")),
            allowed_origins: vec!["https://app.example.com".parse().expect("it is right")],
            admin_token: ADMIN.parse().expect("it is right"),
            callers: Callers::Known(KnownCallers {
                tokens: tokens.clone(),
                issuer: Some(Issuer::new(
                    rules,
                    Algorithm::DEFAULT.to_vec(),
                    KeysAddress::Discovered,
                    Arc::new(move |url| {
                        let answer = asked.answer(&url);
                        Box::pin(async move { answer })
                    }),
                )),
            }),
            requests_per_minute: 100,
            now: Arc::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed))),
        };
        change(&mut access);
        let app = Router::new()
            .route("/api/me", any(me))
            .fallback(async || "the page")
            .layer(GuardLayer::new(access).expect("it is right"));
        Self {
            app,
            issuer,
            tokens,
            now,
        }
    }

    async fn ask(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = [&[("host", HOST)], headers].concat();
        send_from_page(&self.app, request(method, uri, &headers, b"")).await
    }

    async fn me(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.ask("GET", "/api/me", &[("authorization", &bearer)])
            .await
    }

    fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("it is right");
        self.now.fetch_add(by, Ordering::Relaxed);
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// As [`send`](crate::shelf::send), which takes it as a mistake if an answer carries CORS headers.
async fn send_from_page(app: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = app
        .clone()
        .oneshot(request)
        .await
        .expect("it is right")
        .into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, 1 << 20).await.expect("it is right").to_vec(),
    }
}

async fn me(Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(json!({
        "name": caller.name,
        "prefix": caller.prefix.map(|prefix| prefix.to_string()),
        "size_max": caller.limits.size_bytes_max,
        "may_steer": caller.may_steer,
    }))
}

/// Claims that are right now.
fn claims() -> Value {
    let now = NOW.millis() / 1_000;
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "iat": now - 5,
        "nbf": now - 5,
        "exp": now + 300,
        "tenant": "acme",
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

/// `claims` with one of them replaced, or removed by null.
fn but(name: &str, value: Value) -> Value {
    changed(|claims| {
        if value.is_null() {
            claims.as_object_mut().expect("it is right").remove(name);
        } else {
            claims[name] = value;
        }
    })
}
