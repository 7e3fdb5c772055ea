//! Keys are kept as they were sent.

use http::Method;

use crate::harness::{Req, Server};

fn awkward_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "a b",
        "a+b",
        "a%b",
        "a%2Fb",
        "a%20b",
        "%",
        "ä",
        "a\u{308}",
        "日本語",
        "🗝️.txt",
        "/lead",
        "trail/",
        "//",
        "a//b",
        ".",
        "..",
        "./a",
        "../a",
        "a/../b",
        "a/./b",
        "a/..",
        "'\"",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "a?b",
        "a#b",
        "a&b=c",
        "a;b",
        "<a>&amp;",
        "a\\b",
        "~*()!",
        "[a]{b}|^`",
        "a:b@c$d,e",
        "\u{7f}",
        "con",
        "a\u{200b}b",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(1024));
    keys.push("ä".repeat(512));
    keys
}

#[tokio::test]
async fn awkward_keys_come_back_as_they_were_sent() {
    let server = Server::start().await;
    let keys = awkward_keys();
    for key in &keys {
        let answer = server.put("plain", key, key.as_bytes()).await;
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
    }
    for key in &keys {
        let answer = server.get("plain", key).await;
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
        assert_eq!(answer.body, key.as_bytes(), "{key:?}");
        let head = Req::new(Method::HEAD, "plain", key).send(&server).await;
        assert_eq!(head.status, 200, "{key:?}");
    }
    let list = Req::new(Method::GET, "plain", "")
        .query("list-type", "2")
        .query("encoding-type", "url")
        .send(&server)
        .await;
    let mut listed: Vec<String> = list
        .elements("Key")
        .iter()
        .map(|key| {
            percent_encoding::percent_decode_str(key)
                .decode_utf8()
                .unwrap()
                .into_owned()
        })
        .collect();
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(listed, expected);
    listed.sort();
    assert_eq!(listed, expected, "the list is in byte order");
    for key in &keys {
        Req::new(Method::DELETE, "plain", key)
            .send(&server)
            .await
            .assert_ok();
        server.assert_absent("plain", key).await;
    }
}

#[tokio::test]
async fn a_carriage_return_is_escaped_in_lists_and_left_alone_in_objects() {
    let server = Server::start().await;
    server.put("plain", "a\rb", b"").await.assert_ok();
    Req::new(Method::PUT, "plain", "page.xml")
        .header("content-type", "application/xml")
        .body(b"<a>\r\n</a>")
        .send(&server)
        .await
        .assert_ok();
    let list = Req::new(Method::GET, "plain", "").send(&server).await;
    assert!(
        list.text().contains("<Key>a&#13;b</Key>"),
        "{}",
        list.text()
    );
    assert_eq!(server.get("plain", "page.xml").await.body, b"<a>\r\n</a>");
}

#[tokio::test]
async fn keys_of_the_host_style_are_the_same() {
    let server = Server::start().await;
    let port = server.address.port();
    for key in awkward_keys() {
        let target = {
            let mut path = String::from("/");
            for byte in key.bytes() {
                path.push_str(&format!("%{byte:02X}"));
            }
            path
        };
        let host = format!("plain.localhost:{port}");
        let put = host_style(&server, "PUT", &target, &host, &key);
        let answer = server.raw(&put).await;
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
        assert_eq!(server.get("plain", &key).await.body, b"body", "{key:?}");
    }
}

/// A signed PUT to a virtual host. Our signer is for the path style, so the key takes the bucket's place there.
fn host_style(server: &Server, method: &str, target: &str, host: &str, key: &str) -> Vec<u8> {
    use two_buckets_s3_api::sign;
    // `/` + key is the path of a request to a "bucket" with the key's first segment; encoded, they are the same.
    let (first, rest) = match key.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    let request = sign::Request {
        method: &method.parse().unwrap(),
        host,
        bucket: Some(first),
        key: rest,
        query: &[],
        headers: &[],
    };
    let headers = sign::sign_headers(
        &crate::harness::credentials(),
        None,
        "us-east-1",
        &request,
        sign::UNSIGNED_PAYLOAD,
        server.now(),
    );
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    head.push_str("Content-Length: 4\r\n\r\nbody");
    head.into_bytes()
}

#[tokio::test]
async fn a_key_is_at_most_1024_bytes_long() {
    let server = Server::start().await;
    for key in ["k".repeat(1025), "ä".repeat(513)] {
        server
            .put("plain", &key, b"x")
            .await
            .assert_error(400, "KeyTooLongError");
    }
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_refused() {
    let server = Server::start().await;
    let bytes = Req::new(Method::GET, "plain", "X").bytes(&server);
    let text = String::from_utf8(bytes).unwrap();
    let answer = server
        .raw(text.replace("/plain/X", "/plain/%FF").as_bytes())
        .await;
    answer.assert_error(400, "InvalidURI");
}

#[tokio::test]
async fn reserved_keys_are_refused_with_their_reason() {
    let server = Server::start_with(|config| {
        config.refuse_write = Some(std::sync::Arc::new(|bucket, key| {
            (bucket.as_str() == "plain" && key.as_str().starts_with("_late/"))
                .then(|| format!("{key} is reserved"))
        }));
    })
    .await;
    server.put("versioned", "_late/a", b"x").await.assert_ok();
    let copy =
        Req::new(Method::PUT, "plain", "_late/a").header("x-amz-copy-source", "/versioned/_late/a");
    let create = Req::new(Method::POST, "plain", "_late/a").query("uploads", "");
    for request in [
        Req::new(Method::PUT, "plain", "_late/a").body(b"x"),
        copy,
        create,
    ] {
        let answer = request.send(&server).await;
        answer.assert_error(403, "AccessDenied");
        assert!(answer.text().contains("_late/a is reserved"));
    }
    server.assert_absent("plain", "_late/a").await;
}
