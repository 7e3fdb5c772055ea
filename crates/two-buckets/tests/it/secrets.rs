//! No secret and no signed URL in any log, however much is logged.

use serde_json::{Value, json};

use crate::harness::{Server, ask, now, program};
use crate::secure::{FakeIssuer, write_private};

const TOKEN: &str = "an-opaque-token-that-no-log-may-have-0001";

#[test]
fn nothing_that_opens_anything_is_logged_at_any_level() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    write_private(
        &tokens,
        &format!("[[caller]]\nname = 'partner'\ntoken = '{TOKEN}'\n"),
    );
    let issuer = FakeIssuer::start();
    let mut server = Server::start_with(&program(), &folder.path().join("data"), |command| {
        command.arg("--token-file").arg(&tokens).args([
            "--oidc-issuer",
            &issuer.url,
            "--oidc-audience",
            "two-buckets",
            "--log",
            "trace",
            "--log-format",
            "json",
        ]);
    });
    let admin = server.record["admin_token"].as_str().unwrap().to_owned();
    let seconds = now().millis() / 1_000;
    let claims = json!({
        "iss": issuer.url, "aud": "two-buckets", "sub": "ada", "exp": seconds + 300,
    });
    let jwt = issuer.token(&claims);
    let mut secrets = vec![TOKEN.to_owned(), admin.clone(), jwt.clone()];
    let web = server.address("web").to_owned();
    let call = |method: &str, target: &str, token: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("host", &*web),
            ("content-type", "application/json"),
            ("authorization", &bearer),
        ];
        ask(&web, method, target, &headers, body.as_bytes())
    };
    let wrong = format!("{TOKEN}-that-is-wrong");
    let broken = format!("{jwt}x");
    for token in [TOKEN, &admin, &jwt, &wrong, &broken] {
        call("GET", "/api/uploads", token, "");
        call("POST", "/api/signedurl", token, "{\"no\": \"sense\"}");
    }
    secrets.extend([wrong, broken]);

    // A signed URL, used well, used twice, and broken.
    let signed = call(
        "POST",
        "/api/signedurl",
        TOKEN,
        r#"{"key": "a.txt", "type": "text/plain"}"#,
    );
    let signed: Value = serde_json::from_slice(&signed.body).unwrap();
    let url = signed["url"].as_str().unwrap();
    let (_, rest) = url.split_once("://").unwrap();
    let (host, target) = rest.split_at(rest.find('/').unwrap());
    let signature = url.split_once("X-Amz-Signature=").unwrap().1;
    secrets.push(signature.split('&').next().unwrap().to_owned());
    let headers = [("host", host), ("content-type", "text/plain")];
    let put = ask(host, "PUT", target, &headers, b"text");
    assert_eq!(put.status, 200, "{}", put.text());
    ask(
        host,
        "PUT",
        target,
        &[("host", host), ("content-type", "text/html")],
        b"text",
    );
    ask(host, "GET", target, &headers, b"");
    ask(host, "PUT", &format!("{target}&more=1"), &headers, b"text");

    // One-file credentials, where they are there.
    let given = call("POST", "/api/credentials", TOKEN, r#"{"key": "b.txt"}"#);
    if given.status == 200 {
        let given: Value = serde_json::from_slice(&given.body).unwrap();
        for name in ["secret_key", "session_token"] {
            secrets.push(given[name].as_str().unwrap().to_owned());
        }
    }
    // The root key pair, and a signature in a header.
    assert_eq!(server.s3("GET", "archive", None, &[], b"").status, 200);
    let kept = std::fs::read(server.data.join("root-key.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    secrets.push(kept["secret_access_key"].as_str().unwrap().to_owned());
    server.wait_for("a.txt", &["archived"]);

    assert_eq!(server.terminate(), Some(0));
    let log = format!("{}\n{}", server.beginning, server.rest_of_log());
    assert!(
        log.contains("TRACE") && log.contains("DEBUG"),
        "{log:.2000}"
    );
    for secret in &secrets {
        assert!(secret.len() >= 20);
        let found = log.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(found, None, "a secret is in the log");
    }
    for telling in ["X-Amz-Signature=", "Bearer ", "Signature=", "-----BEGIN"] {
        let found = log.lines().find(|line| line.contains(telling));
        assert_eq!(found, None, "{telling}");
    }
}
