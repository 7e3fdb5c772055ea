//! Tokens of the file, and what is answered without one.

use crate::shelf::{request, send};
use serde_json::Value;
use two_buckets_uploads::TokenDigest;

use super::{ADMIN, STATIC, World, caller};

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
