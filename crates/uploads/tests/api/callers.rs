//! Who gets in where callers must be known: tokens of the file, tokens of an issuer, and what is tried with both.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::routing::any;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use two_buckets_objects::Timestamp;
use two_buckets_uploads::{
    Access, Algorithm, Caller, Callers, ClientAddress, GuardLayer, Issuer, KeysAddress, KnownBy,
    KnownCallers, KnownTokens, TokenDigest, TokenRules, UploadLimits,
};

use crate::shelf::{Answer, NOW, request, send};
use crate::signer::{Signer, message, signed_with_secret};

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
            prefix_claim: Some("tenant".parse().expect("it is right")),
            admin_claim: Some((
                "/realm_access/roles".parse().expect("it is right"),
                "keeper".into(),
            )),
            limits: UploadLimits {
                size_bytes_max: Some(17),
                ..UploadLimits::default()
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

/// As [`send`], which takes it as a mistake if an answer carries CORS headers.
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

#[tokio::test]
async fn nothing_of_the_api_is_answered_without_a_token_and_the_page_is() {
    let world = World::new();
    for (method, uri) in [
        ("GET", "/api/me"),
        ("HEAD", "/api/me"),
        ("POST", "/api/me"),
        ("GET", "/api"),
        ("GET", "/api/nothing"),
        ("POST", "/"),
        ("OPTIONS", "/api/me"),
    ] {
        for headers in [
            &[][..],
            // Our own page is nobody here.
            &[("origin", "https://files.example.com")],
            &[("origin", "https://evil.example")],
            &[("cookie", "token=x")],
        ] {
            let answer = world.ask(method, uri, headers).await;
            assert_eq!(answer.status, 401, "{method} {uri} {headers:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    let detail = world.ask("GET", "/api/me", &[]).await.problem(401);
    assert!(detail.contains("Authorization: Bearer"), "{detail}");
    for uri in ["/", "/assets/x.js", "/favicon.ico"] {
        assert_eq!(world.ask("GET", uri, &[]).await.status, 200, "{uri}");
    }
}

#[tokio::test]
async fn only_our_names_are_answered() {
    let world = World::new();
    for (host, status) in [
        ("files.example.com", 200),
        ("FILES.example.com:443", 200),
        ("localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("files.example.com:8080", 403),
        ("files.example.com.", 403),
        ("files.example.com.evil.example", 403),
        ("evil.example", 403),
        ("0.0.0.0:8080", 403),
        ("127.0.0.1", 403),
        ("a@files.example.com", 403),
        ("", 403),
    ] {
        let bearer = format!("Bearer {STATIC}");
        let headers = [("host", host), ("authorization", &*bearer)];
        let answer = send(&world.app, request("GET", "/api/me", &headers, b"")).await;
        assert_eq!(answer.status, status, "{host:?}");
    }
}

#[tokio::test]
async fn a_token_of_the_file_is_its_caller_until_the_file_says_otherwise() {
    let world = World::new();
    let me = world.me(STATIC).await;
    assert_eq!(me.status, 200);
    assert_eq!(me.json()["name"], "partner");
    assert_eq!(me.json()["prefix"], "acme/");
    assert_eq!(me.json()["may_steer"], false);
    let admin = world.me(ADMIN).await.json();
    assert_eq!(admin["prefix"], Value::Null);
    assert_eq!(admin["may_steer"], true);
    for wrong in [
        "",
        "x",
        &STATIC[..STATIC.len() - 1],
        &format!("{STATIC}0"),
        &STATIC.to_uppercase(),
        &ADMIN[..31],
        &"a.b.c".repeat(9),
        &"x".repeat(100_000),
    ] {
        let answer = world.me(wrong).await;
        let challenge = answer
            .header("www-authenticate")
            .expect("it is right")
            .to_owned();
        assert_eq!(challenge, "Bearer error=\"invalid_token\"", "{wrong:.40}");
        answer.problem(401);
    }
    world
        .tokens
        .replace([(TokenDigest::of("another-token-altogether"), caller("other"))]);
    world.me(STATIC).await.problem(401);
    assert_eq!(
        world.me("another-token-altogether").await.json()["name"],
        "other"
    );
}

#[test]
fn a_digest_is_read_and_never_shown() {
    let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let read: TokenDigest = hex.parse().expect("it is right");
    assert!(read == TokenDigest::of("test"));
    assert!(
        hex.to_uppercase()
            .parse::<TokenDigest>()
            .expect("it is right")
            == read
    );
    assert!(!format!("{read:?}").contains("9f"));
    for wrong in [
        "",
        &hex[1..],
        &format!("{hex}00"),
        &hex.replace('9', "g"),
        &"ä".repeat(32),
    ] {
        assert!(wrong.parse::<TokenDigest>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_token_of_the_issuer_is_its_subject_with_its_tenants_prefix() {
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let world = World::new();
        let signer = Signer::new("k1", algorithm);
        world.issuer.publishes(&[&signer]);
        let me = world.me(&signer.token(&claims())).await;
        assert_eq!(me.status, 200, "{algorithm}: {}", text(&me));
        let me = me.json();
        assert_eq!(me["name"], "ada");
        assert_eq!(me["prefix"], "acme/");
        assert_eq!(me["size_max"], 17);
        assert_eq!(me["may_steer"], false);
    }
    let world = World::new();
    let signer = Signer::new("k1", "ES256");
    world.issuer.publishes(&[&signer]);
    let now = NOW.millis() / 1_000;
    for good in [
        but("aud", json!(["other", AUDIENCE])),
        but("exp", json!(now - 59)),
        but("exp", json!(f64::from(u32::MAX) + 0.5)),
        but("nbf", json!(now + 59)),
        but("iat", json!(now + 59)),
        but("nbf", Value::Null),
        but("iat", Value::Null),
        but("tenant", json!("acme/")),
        but("extra", json!({"a": [1, 2]})),
    ] {
        let answer = world.me(&signer.token(&good)).await;
        assert_eq!(answer.status, 200, "{good}: {}", text(&answer));
    }
    for header in [
        // The one key there is.
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}),
        json!({"alg": "ES256", "kid": "k1", "typ": "application/AT+JWT"}),
        // Not followed: the key is the published one all the same.
        json!({"alg": "ES256", "kid": "k1", "jku": "https://evil.example/keys", "x5u": "file:///"}),
    ] {
        let answer = world.me(&signer.token_with(&header, &claims())).await;
        assert_eq!(answer.status, 200, "{header}: {}", text(&answer));
    }
    for roles in [json!(["keeper"]), json!(["x", "keeper"]), json!("keeper")] {
        let claims = changed(|claims| {
            claims["realm_access"] = json!({ "roles": roles });
            claims
                .as_object_mut()
                .expect("it is right")
                .remove("tenant");
        });
        let me = world.me(&signer.token(&claims)).await.json();
        assert_eq!(me["may_steer"], true, "{roles}");
        assert_eq!(me["prefix"], Value::Null);
    }
    for roles in [json!(["keepers"]), json!("Keeper"), json!({"keeper": true})] {
        let claims = changed(|claims| claims["realm_access"] = json!({ "roles": roles }));
        let me = world.me(&signer.token(&claims)).await.json();
        assert_eq!(me["may_steer"], false, "{roles}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_right_in_every_way_is_refused_with_the_reason() {
    let world = World::new();
    let signer = Signer::new("k1", "ES256");
    let rsa = Signer::new("k2", "RS256");
    let foreign = Signer::new("k1", "ES256");
    world.issuer.publishes(&[&signer, &rsa]);
    let now = NOW.millis() / 1_000;
    let good = signer.token(&claims());
    let (head, signature) = good.rsplit_once('.').expect("it is right");
    let header = |alg: &str| json!({"alg": alg, "kid": "k1", "typ": "JWT"});
    let not_signed = |alg: &str| message(&header(alg), &claims());
    let for_rsa = json!({"alg": "HS256", "kid": "k2"});
    let other_claims = message(&header("ES256"), &but("tenant", json!("rival")));
    let cases: Vec<(&str, String, &str)> = vec![
        (
            "alg none",
            format!("{}.", not_signed("none")),
            "not signed in a way",
        ),
        (
            "alg None",
            format!("{}.", not_signed("None")),
            "not signed in a way",
        ),
        (
            "alg none with a signature",
            signer.token_with(&header("none"), &claims()),
            "not signed in a way",
        ),
        ("no signature", format!("{head}."), "signature is wrong"),
        (
            "no alg",
            signer.token_with(&json!({"kid": "k1"}), &claims()),
            "no signed JSON web token",
        ),
        (
            "HS256 with the public key as secret",
            signed_with_secret(&header("HS256"), &claims(), &signer.public_bytes()),
            "not signed in a way",
        ),
        (
            "HS256 with the RSA public key as secret",
            signed_with_secret(&for_rsa, &claims(), &rsa.public_bytes()),
            "not signed in a way",
        ),
        (
            "ES256 that is an HMAC with the public key",
            signed_with_secret(&header("ES256"), &claims(), &signer.public_bytes()),
            "signature is wrong",
        ),
        (
            "an algorithm that is not allowed",
            signer.token_with(&header("ES384"), &claims()),
            "not signed in a way",
        ),
        (
            "RS256 by name of an EC key",
            signer.token_with(&header("RS256"), &claims()),
            "does not publish",
        ),
        (
            "ES256 by name of an RSA key",
            rsa.token_with(&json!({"alg": "ES256", "kid": "k2"}), &claims()),
            "does not publish",
        ),
        (
            "PS256 that is PKCS#1",
            rsa.token_with(&json!({"alg": "PS256", "kid": "k2"}), &claims()),
            "signature is wrong",
        ),
        (
            "a foreign key of the same name",
            foreign.token(&claims()),
            "signature is wrong",
        ),
        (
            "a foreign key in the header",
            foreign.token_with(
                &json!({"alg": "ES256", "kid": "k1", "jwk": foreign.published()}),
                &claims(),
            ),
            "signature is wrong",
        ),
        (
            "an unknown key",
            signer.token_with(&json!({"alg": "ES256", "kid": "k9"}), &claims()),
            "does not publish",
        ),
        (
            "a key's name of another kind",
            signer.token_with(&json!({"alg": "ES256", "kid": 1}), &claims()),
            "no signed JSON web token",
        ),
        (
            "a key's name that is huge",
            signer.token_with(&json!({"alg": "ES256", "kid": "k".repeat(300)}), &claims()),
            "does not publish",
        ),
        (
            "a critical extension",
            signer.token_with(
                &json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}),
                &claims(),
            ),
            "extensions",
        ),
        (
            "a logout token",
            signer.token_with(
                &json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}),
                &claims(),
            ),
            "another purpose",
        ),
        (
            "other claims under the signature",
            format!("{other_claims}.{signature}"),
            "signature is wrong",
        ),
        (
            "wrong issuer",
            signer.token(&but("iss", json!("https://login.example.com/realms/file"))),
            "another issuer",
        ),
        (
            "issuer with a slash",
            signer.token(&but("iss", json!(format!("{ISSUER}/")))),
            "another issuer",
        ),
        (
            "issuer in a list",
            signer.token(&but("iss", json!([ISSUER]))),
            "another issuer",
        ),
        (
            "no issuer",
            signer.token(&but("iss", Value::Null)),
            "another issuer",
        ),
        (
            "wrong audience",
            signer.token(&but("aud", json!("two-buckets-2"))),
            "another audience",
        ),
        (
            "audience in another case",
            signer.token(&but("aud", json!("Two-Buckets"))),
            "another audience",
        ),
        (
            "wrong audiences",
            signer.token(&but("aud", json!(["a", "b"]))),
            "another audience",
        ),
        (
            "no audience",
            signer.token(&but("aud", Value::Null)),
            "another audience",
        ),
        (
            "audience of another kind",
            signer.token(&but("aud", json!({"two-buckets": 1}))),
            "another audience",
        ),
        (
            "expired",
            signer.token(&but("exp", json!(now - 61))),
            "has expired",
        ),
        (
            "expired long ago",
            signer.token(&but("exp", json!(0))),
            "has expired",
        ),
        (
            "never expires",
            signer.token(&but("exp", Value::Null)),
            "when it expires",
        ),
        (
            "expires in words",
            signer.token(&but("exp", json!("2099-01-01"))),
            "number of seconds",
        ),
        (
            "not yet valid",
            signer.token(&but("nbf", json!(now + 120))),
            "not valid yet",
        ),
        (
            "not before in words",
            signer.token(&but("nbf", json!("now"))),
            "number of seconds",
        ),
        (
            "issued in the future",
            signer.token(&but("iat", json!(now + 120))),
            "not valid yet",
        ),
        (
            "nobody's",
            signer.token(&but("sub", Value::Null)),
            "who it is about",
        ),
        (
            "an empty subject",
            signer.token(&but("sub", json!(""))),
            "who it is about",
        ),
        (
            "a subject with a line break",
            signer.token(&but("sub", json!("a\nb"))),
            "control characters",
        ),
        (
            "no tenant",
            signer.token(&but("tenant", Value::Null)),
            "tenant",
        ),
        (
            "a tenant of another kind",
            signer.token(&but("tenant", json!(["acme"]))),
            "tenant",
        ),
        (
            "an empty tenant",
            signer.token(&but("tenant", json!(""))),
            "tenant",
        ),
        (
            "a tenant above the others",
            signer.token(&but("tenant", json!("../"))),
            "tenant",
        ),
        (
            "a tenant at the root",
            signer.token(&but("tenant", json!("/"))),
            "tenant",
        ),
        (
            "a tenant of the pipeline",
            signer.token(&but("tenant", json!("_results"))),
            "tenant",
        ),
        (
            "a huge tenant",
            signer.token(&but("tenant", json!("t".repeat(600)))),
            "tenant",
        ),
        (
            "claims that are no object",
            signer.token(&json!([1])),
            "no signed JSON web token",
        ),
        ("padding", format!("{good}="), "no signed JSON web token"),
        ("four parts", format!("{good}.x"), "not one that is known"),
        ("two parts", head.to_owned(), "not one that is known"),
        (
            "nothing in its parts",
            "..".to_owned(),
            "no signed JSON web token",
        ),
        ("garbage", "a.b.c".to_owned(), "no signed JSON web token"),
        (
            "a huge token",
            signer.token(&but("more", json!("m".repeat(20_000)))),
            "more than 16384 bytes",
        ),
    ];
    assert_eq!(world.me(&good).await.status, 200);
    let mut wrong = Vec::new();
    for (name, token, words) in cases {
        // In a world of its own, or the refusals would be counted together.
        let world = World::new();
        world.issuer.publishes(&[&signer, &rsa]);
        let answer = world.me(&token).await;
        let said = text(&answer);
        // All that go wrong are told, since one mistake lets several in.
        if answer.status != 401 || !said.contains(words) || said.contains(&token) {
            wrong.push(format!("{name}: {} {said}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_algorithm_that_is_allowed_is_taken_and_a_small_rsa_key_is_not() {
    let mut signer = Signer::new("k1", "ES384");
    let world = World::new();
    world.issuer.publishes(&[&signer]);
    world.me(&signer.token(&claims())).await.problem(401);
    signer.id = "k1";
    let mut small = Signer::new("k2", "RS256").published();
    let modulus = small["n"].as_str().expect("it is right")[..172].to_owned();
    small["n"] = modulus.into();
    *world.issuer.keys.lock().expect("it is right") = Some(json!({ "keys": [small] }));
    world.advance(Duration::from_secs(11));
    let token = Signer::new("k2", "RS256").token(&claims());
    world.me(&token).await.problem(401);
}

#[tokio::test]
async fn keys_are_asked_for_once_and_again_when_a_new_one_is_named_but_never_often() {
    let world = World::new();
    let old = Signer::new("old", "ES256");
    let new = Signer::new("new", "ES256");
    world.issuer.publishes(&[&old]);
    for _ in 0..5 {
        assert_eq!(world.me(&old.token(&claims())).await.status, 200);
    }
    assert_eq!(world.issuer.asked(), 1);
    // The issuer turns its keys, and the first token of the new one comes at once.
    world.issuer.publishes(&[&old, &new]);
    world.advance(Duration::from_secs(11));
    assert_eq!(world.me(&new.token(&claims())).await.status, 200);
    assert_eq!(world.issuer.asked(), 2);
    // Names that nobody has are not asked about one by one.
    for n in 0..50 {
        let header = json!({"alg": "ES256", "kid": format!("none-{n}")});
        let status = world.me(&old.token_with(&header, &claims())).await.status;
        assert_eq!(status, 401);
    }
    assert_eq!(world.issuer.asked(), 2);
    // A withdrawn key is no longer believed once the keys are renewed.
    world.issuer.publishes(&[&new]);
    world.advance(Duration::from_secs(601));
    let late = changed(|claims| claims["exp"] = json!(NOW.millis() / 1_000 + 100_000));
    world.me(&old.token(&late)).await.problem(401);
    assert_eq!(world.me(&new.token(&late)).await.status, 200);
    assert_eq!(world.issuer.asked(), 3);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_borne_for_a_while() {
    let world = World::new();
    let signer = Signer::new("k1", "ES256");
    let lasting = changed(|claims| claims["exp"] = json!(NOW.millis() / 1_000 + 1_000_000));
    let token = signer.token(&lasting);
    // Away from the start: nobody is refused for good, and nobody is let in.
    let answer = world.me(&token).await;
    assert_eq!(answer.header("retry-after"), Some("10"));
    answer.problem(503);
    world.issuer.publishes(&[&signer]);
    world.me(&token).await.problem(503);
    assert_eq!(world.issuer.asked(), 1, "it was asked a moment ago");
    world.advance(Duration::from_secs(10));
    assert_eq!(world.me(&token).await.status, 200);
    // Away later: the keys go on, and then no longer.
    world.issuer.is_away();
    world.advance(Duration::from_hours(5));
    assert_eq!(world.me(&token).await.status, 200);
    world
        .me(&signer.token(&but("exp", json!(0))))
        .await
        .problem(401);
    world.advance(Duration::from_hours(2));
    world.me(&token).await.problem(503);
    // Tokens of the file need no issuer.
    assert_eq!(world.me(STATIC).await.status, 200);
}

#[tokio::test]
async fn the_issuers_document_must_be_its_own() {
    for (document, words) in [
        (
            json!({"issuer": "https://evil.example", "jwks_uri": "https://login.example.com/keys"}),
            "not exactly",
        ),
        (
            json!({"issuer": format!("{ISSUER}/"), "jwks_uri": "https://login.example.com/keys"}),
            "not exactly",
        ),
        (
            json!({"issuer": ISSUER, "jwks_uri": "http://login.example.com/keys"}),
            "https",
        ),
        (json!({"issuer": ISSUER}), "discovery document"),
    ] {
        let world = World::new();
        let signer = Signer::new("k1", "ES256");
        world.issuer.publishes(&[&signer]);
        *world.issuer.discovery.lock().expect("it is right") = Some(document.clone());
        world.me(&signer.token(&claims())).await.problem(503);
        assert_eq!(world.issuer.asked(), 0, "{words}: {document}");
    }
}

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
