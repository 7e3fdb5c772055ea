//! Tokens of an issuer, and the issuer itself.

use crate::shelf::NOW;
use crate::signer::{Signer, message, signed_with_secret};
use serde_json::{Value, json};
use std::time::Duration;

use super::{AUDIENCE, ISSUER, STATIC, World, but, changed, claims, text};

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
