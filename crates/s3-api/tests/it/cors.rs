//! Cross-origin requests, as a browser makes them.

use http::Method;

use crate::harness::{Answer, Req, Server, Signing};

const RULES: &[u8] = b"<CORSConfiguration><CORSRule>\
    <AllowedOrigin>https://page.example</AllowedOrigin><AllowedOrigin>http://localhost:*</AllowedOrigin>\
    <AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod>\
    <AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>content-type</AllowedHeader>\
    <ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-amz-version-id</ExposeHeader>\
    <MaxAgeSeconds>300</MaxAgeSeconds></CORSRule></CORSConfiguration>";

async fn server() -> Server {
    let server = Server::start().await;
    Req::new(Method::PUT, "plain", "")
        .query("cors", "")
        .body(RULES)
        .send(&server)
        .await
        .assert_ok();
    server
}

async fn preflight(
    server: &Server,
    bucket: &str,
    origin: &str,
    method: &str,
    headers: &str,
) -> Answer {
    Req::new(Method::OPTIONS, bucket, "a b")
        .signing(Signing::None)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", headers)
        .send(server)
        .await
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_rules_of_the_bucket() {
    let server = server().await;
    let answer = preflight(
        &server,
        "plain",
        "https://page.example",
        "PUT",
        "Content-Type, X-Amz-Date",
    )
    .await;
    answer.assert_ok();
    for (name, value) in [
        ("access-control-allow-origin", "https://page.example"),
        ("access-control-allow-methods", "PUT, GET"),
        ("access-control-allow-headers", "content-type, x-amz-date"),
        ("access-control-expose-headers", "ETag, x-amz-version-id"),
        ("access-control-max-age", "300"),
        ("access-control-allow-credentials", "true"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert!(answer.header("vary").unwrap().contains("Origin"));
    preflight(&server, "plain", "http://localhost:5173", "GET", "")
        .await
        .assert_ok();
    for (bucket, origin, method, headers) in [
        ("plain", "https://other.example", "PUT", ""),
        ("plain", "https://page.example.evil", "PUT", ""),
        ("plain", "https://page.example", "DELETE", ""),
        ("plain", "https://page.example", "PUT", "x-other"),
        ("versioned", "https://page.example", "PUT", ""),
        ("nowhere", "https://page.example", "PUT", ""),
    ] {
        let answer = preflight(&server, bucket, origin, method, headers).await;
        answer.assert_error(403, "AccessForbidden");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn answers_to_allowed_origins_say_so_also_when_they_are_errors() {
    let server = server().await;
    let put = |origin: &str| {
        Req::new(Method::PUT, "plain", "a")
            .header("Origin", origin)
            .body(b"x")
    };
    let answer = put("https://page.example").send(&server).await;
    answer.assert_ok();
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://page.example")
    );
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("ETag, x-amz-version-id")
    );
    let answer = put("https://page.example")
        .signing(Signing::None)
        .send(&server)
        .await;
    answer.assert_error(403, "AccessDenied");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://page.example")
    );
    // A client that looks for this type and no other reads the code in it.
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    let form = b"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n--b--\r\n";
    for (origin, allowed) in [
        ("https://page.example", None),
        ("http://localhost:5173", Some("http://localhost:5173")),
    ] {
        if allowed.is_some() {
            let rules = String::from_utf8(RULES.to_vec()).unwrap();
            let rules = rules.replace("<AllowedMethod>PUT<", "<AllowedMethod>POST<");
            Req::new(Method::PUT, "plain", "")
                .query("cors", "")
                .body(rules.as_bytes())
                .send(&server)
                .await
                .assert_ok();
        }
        let answer = Req::new(Method::POST, "plain", "")
            .signing(Signing::None)
            .header("Origin", origin)
            .header("Content-Type", "multipart/form-data; boundary=b")
            .body(form)
            .send(&server)
            .await;
        answer.assert_error(400, "IncorrectNumberOfFilesInPostRequest");
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("content-type"), Some("application/xml"));
    }
    Req::new(Method::PUT, "plain", "")
        .query("cors", "")
        .body(RULES)
        .send(&server)
        .await
        .assert_ok();
    let answer = put("https://other.example").send(&server).await;
    answer.assert_ok();
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let answer = server.put("plain", "a", b"x").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn rules_are_kept_and_impossible_ones_refused() {
    let server = server().await;
    let cors = |method| Req::new(method, "plain", "").query("cors", "");
    let answer = cors(Method::GET).send(&server).await;
    assert_eq!(answer.elements("AllowedMethod"), ["PUT", "GET"]);
    assert_eq!(answer.element("MaxAgeSeconds").unwrap(), "300");
    let text = String::from_utf8(RULES.to_vec()).unwrap();
    for (from, to) in [
        ("<AllowedMethod>PUT<", "<AllowedMethod>PATCH<"),
        ("https://page.example", "https://*.*.example"),
        ("<ExposeHeader>ETag<", "<ExposeHeader>x-amz-*<"),
    ] {
        let answer = cors(Method::PUT)
            .body(text.replace(from, to).as_bytes())
            .send(&server)
            .await;
        answer.assert_error(400, "InvalidRequest");
    }
    assert_eq!(cors(Method::DELETE).send(&server).await.status, 204);
    preflight(&server, "plain", "https://page.example", "PUT", "")
        .await
        .assert_error(403, "AccessForbidden");
}

#[tokio::test]
async fn a_plain_options_request_is_no_way_in() {
    let server = server().await;
    let answer = Req::new(Method::OPTIONS, "plain", "a")
        .signing(Signing::None)
        .send(&server)
        .await;
    answer.assert_error(403, "AccessDenied");
}
