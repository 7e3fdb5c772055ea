//! Who is let in once callers are named, on loopback as well.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Answer, Server, ask, now, program};
use crate::secure::{FakeIssuer, write_private};

const TOKEN: &str = "an-opaque-token-of-the-file-number-0001";

fn token_file(path: &Path, token: &str) {
    write_private(
        path,
        &format!("[[caller]]\nname = 'partner'\ntoken = '{token}'\nprefix = 'partner/'\n"),
    );
}

fn call(server: &Server, method: &str, target: &str, token: Option<&str>, body: &str) -> Answer {
    let web = server.address("web");
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let mut headers = vec![("host", web), ("content-type", "application/json")];
    if token.is_some() {
        headers.push(("authorization", &bearer));
    }
    ask(web, method, target, &headers, body.as_bytes())
}

#[test]
fn a_token_file_lets_its_callers_in_and_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    token_file(&tokens, TOKEN);
    let server = Server::start_with(&program(), &folder.path().join("data"), |command| {
        command.arg("--token-file").arg(&tokens);
    });
    for target in ["/api/server", "/api/uploads"] {
        assert_eq!(call(&server, "GET", target, None, "").status, 401);
        assert_eq!(call(&server, "GET", target, Some(TOKEN), "").status, 200);
        let shorter = &TOKEN[..TOKEN.len() - 1];
        assert_eq!(call(&server, "GET", target, Some(shorter), "").status, 401);
    }
    // The page's own origin is nobody, its files are for everybody.
    let web = server.address("web");
    let ours = format!("http://{web}");
    let sweep = ask(
        web,
        "POST",
        "/api/sweep",
        &[("host", web), ("origin", &ours)],
        b"",
    );
    assert_eq!(sweep.status, 401);
    assert_ne!(ask(web, "GET", "/", &[("host", web)], b"").status, 401);
    // The caller keeps to its prefix, the administrator's command line to nothing.
    let asked = call(
        &server,
        "POST",
        "/api/signedurl",
        Some(TOKEN),
        r#"{"key": "rival/a"}"#,
    );
    assert!((400..500).contains(&asked.status), "{}", asked.text());
    let asked = call(
        &server,
        "POST",
        "/api/signedurl",
        Some(TOKEN),
        r#"{"key": "partner/a"}"#,
    );
    assert_eq!(asked.status, 200, "{}", asked.text());
    assert_eq!(
        call(&server, "POST", "/api/sweep", Some(TOKEN), "").status,
        403
    );
    server.json(&["status", "--json"]);

    // Half of a file changes nothing, a whole one everything.
    write_private(&tokens, "[[caller]]\nname = 'partner'\ntoken = 'an-opa");
    server.signal("HUP");
    server.wait_for_log("the callers of before stay");
    assert_eq!(
        call(&server, "GET", "/api/server", Some(TOKEN), "").status,
        200
    );
    let other = TOKEN.replace("0001", "0002");
    token_file(&tokens, &other);
    server.signal("HUP");
    server.wait_for_log("read the token file");
    assert_eq!(
        call(&server, "GET", "/api/server", Some(TOKEN), "").status,
        401
    );
    assert_eq!(
        call(&server, "GET", "/api/server", Some(&other), "").status,
        200
    );
}

#[test]
fn an_issuers_tokens_let_its_tenants_in() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = FakeIssuer::start();
    let server = Server::start_with(&program(), folder.path(), |command| {
        command.args([
            "--oidc-issuer",
            &issuer.url,
            "--oidc-audience",
            "two-buckets",
            "--oidc-prefix-claim",
            "tenant",
            "--oidc-admin-claim",
            "/realm_access/roles=keeper",
        ]);
    });
    let seconds = now().millis() / 1_000;
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": issuer.url, "aud": "two-buckets", "sub": "ada", "tenant": "acme",
            "iat": seconds, "exp": seconds + 300,
        });
        change(&mut claims);
        issuer.token(&claims)
    };
    let good = claims(&|_| {});
    assert_eq!(
        call(&server, "GET", "/api/server", Some(&good), "").status,
        200
    );
    let asked = call(
        &server,
        "POST",
        "/api/signedurl",
        Some(&good),
        r#"{"key": "acme/a"}"#,
    );
    assert_eq!(asked.status, 200, "{}", asked.text());
    let asked = call(
        &server,
        "POST",
        "/api/signedurl",
        Some(&good),
        r#"{"key": "acme-2/a"}"#,
    );
    assert!((400..500).contains(&asked.status), "{}", asked.text());
    assert_eq!(
        call(&server, "POST", "/api/sweep", Some(&good), "").status,
        403
    );
    let keeper = claims(&|claims| claims["realm_access"] = json!({"roles": ["keeper"]}));
    assert_eq!(
        call(&server, "POST", "/api/sweep", Some(&keeper), "").status,
        200
    );
    for (bad, words) in [
        (
            claims(&|claims| claims["aud"] = json!("another")),
            "audience",
        ),
        (
            claims(&|claims| claims["iss"] = json!("http://127.0.0.1/realm")),
            "issuer",
        ),
        (
            claims(&|claims| claims["exp"] = json!(seconds - 120)),
            "expired",
        ),
        (claims(&|claims| claims["tenant"] = Value::Null), "tenant"),
        (
            FakeIssuer::start().token(&json!({"iss": issuer.url})),
            "signature",
        ),
    ] {
        let answer = call(&server, "GET", "/api/server", Some(&bad), "");
        assert_eq!(answer.status, 401, "{words}");
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    let asked = issuer.asked();
    assert_eq!(asked, ["/realm/.well-known/openid-configuration", "/keys"]);
}

#[test]
fn behind_a_proxy_the_public_names_are_signed_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    token_file(&tokens, TOKEN);
    let server = Server::start_with(&program(), &folder.path().join("data"), |command| {
        command.arg("--token-file").arg(&tokens).args([
            "--behind-proxy",
            "127.0.0.1",
            "--web-url",
            "https://files.example.com/",
            "--s3-url",
            "https://s3.example.com",
            "--allow-origin",
            "https://app.example.com",
        ]);
    });
    let (web, s3) = (server.address("web"), server.address("s3"));
    let bearer = format!("Bearer {TOKEN}");
    let through_proxy = |host: &str, target: &str, body: &str| {
        let headers = [
            ("host", host),
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("origin", "https://app.example.com"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
        ];
        let method = if body.is_empty() { "GET" } else { "POST" };
        ask(web, method, target, &headers, body.as_bytes())
    };
    let answer = through_proxy("files.example.com", "/api/server", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(through_proxy("evil.example", "/api/server", "").status, 403);
    let answer = through_proxy(
        "files.example.com",
        "/api/signedurl",
        r#"{"key": "partner/a.txt"}"#,
    );
    let signed: Value = serde_json::from_slice(&answer.body).unwrap();
    let url = signed["url"].as_str().unwrap();
    let target = url.strip_prefix("https://s3.example.com").expect(url);
    // The proxy passes Host on, as the signature needs.
    let put = ask(s3, "PUT", target, &[("host", "s3.example.com")], b"x");
    assert_eq!(put.status, 200, "{}", put.text());
    let put = ask(s3, "PUT", target, &[("host", s3)], b"x");
    assert_eq!(put.status, 403);
    // Pages that are allowed may upload to staging.
    for (origin, status) in [
        ("https://app.example.com", 200),
        ("https://files.example.com", 200),
        ("https://evil.example", 403),
    ] {
        let headers = [
            ("host", "s3.example.com"),
            ("origin", origin),
            ("access-control-request-method", "PUT"),
        ];
        let preflight = ask(s3, "OPTIONS", "/staging/partner/a.txt", &headers, b"");
        assert_eq!(preflight.status, status, "{origin}");
        let headers = [
            ("host", "staging.s3.example.com"),
            ("origin", origin),
            ("access-control-request-method", "PUT"),
        ];
        let preflight = ask(s3, "OPTIONS", "/partner/a.txt", &headers, b"");
        assert_eq!(
            preflight.status, status,
            "{origin} by the bucket's own name"
        );
    }
    // The command line goes round the proxy, on this machine.
    server.json(&["status", "--json"]);
}

#[test]
fn one_client_has_so_many_connections_and_no_more() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&program(), folder.path(), |command| {
        command.args(["--connections-per-client", "2"]);
    });
    for name in ["web", "s3"] {
        let address: SocketAddr = server.address(name).parse().unwrap();
        let open = || TcpStream::connect(address).unwrap();
        let is_served = |stream: &mut TcpStream| {
            stream
                .set_read_timeout(Some(crate::harness::WAIT_MAX))
                .unwrap();
            let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n");
            let mut byte = [0];
            stream.write_all(request.as_bytes()).is_ok() && matches!(stream.read(&mut byte), Ok(1))
        };
        let (mut first, mut second) = (open(), open());
        assert!(is_served(&mut first) && is_served(&mut second));
        assert!(!is_served(&mut open()), "a third was served by {name}");
        drop(first);
        // The server sees the end of it in its own time; the listener's backlog gives each try its turn.
        assert!((0..1_000).any(|_| is_served(&mut open())), "{name}");
    }
}

#[test]
fn what_is_not_safe_does_not_start_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    token_file(&tokens, TOKEN);
    let refused = |change: &dyn Fn(&mut Command)| {
        let mut command = crate::harness::bare(&program(), folder.path());
        command.args(["serve", "--s3", "127.0.0.1:0"]);
        change(&mut command);
        let output = command.output().unwrap();
        let said = crate::harness::complaint(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    // A port that is taken here, so that a server that would start by mistake cannot listen to others.
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = format!("0.0.0.0:{}", holder.local_addr().unwrap().port());
    let said = refused(&|command| {
        command.args(["--web", &open]);
    });
    for words in [
        "3 problems",
        "--token-file",
        "--oidc-issuer",
        "--tls-cert",
        "--behind-proxy",
        "--web-url",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let said = refused(&|command| {
        command.args(["--web", &open, "--web-url", "https://files.example.com"]);
        command.arg("--token-file").arg(&tokens);
    });
    assert!(said.contains("without TLS"), "{said}");
    let said = refused(&|command| {
        command.args(["--web", "127.0.0.1:0", "--behind-proxy", "127.0.0.1"]);
    });
    assert!(said.contains("--token-file"), "{said}");
    std::fs::set_permissions(&tokens, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let said = refused(&|command| {
        command
            .args(["--web", "127.0.0.1:0"])
            .arg("--token-file")
            .arg(&tokens);
    });
    assert!(
        said.contains("tokens.toml") && said.contains("chmod o="),
        "{said}"
    );
    let said = refused(&|command| {
        command.args(["--web", "127.0.0.1:0"]);
        command
            .arg("--tls-cert")
            .arg(&tokens)
            .arg("--tls-key")
            .arg(&tokens);
    });
    assert!(said.contains("tokens.toml"), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
}
