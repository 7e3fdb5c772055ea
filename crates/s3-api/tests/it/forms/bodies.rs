//! What is read of a body, and what is not waited for.

use std::time::Duration;

use futures::StreamExt as _;
use http::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{BOUNDARY, Form, HOUR, field_part, file_part, policy, send_body};
use crate::harness::{Answer, Req, Server, noise};

#[tokio::test]
async fn the_redirect_tells_what_was_uploaded_and_leads_only_where_the_policy_says() {
    let server = Server::start().await;
    let url = "https://page.example/done?a=b#c";
    let form = |url: &str| {
        let conditions = [
            json!(["starts-with", "$key", ""]),
            json!(["starts-with", "$success_action_redirect", ""]),
            json!(["eq", "$success_action_status", "201"]),
        ];
        let policy = policy(&server, HOUR, &conditions);
        Form::with_policy(
            &server,
            &[
                ("key", "a b/${filename}"),
                ("success_action_redirect", url),
                ("success_action_status", "201"),
            ],
            &policy,
        )
    };
    let answer = form(url).send(&server).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let etag = answer.header("etag").unwrap().replace('"', "%22");
    let expected =
        format!("https://page.example/done?a=b&bucket=plain&key=a%20b%2Fphoto.jpg&etag={etag}#c");
    assert_eq!(answer.header("location"), Some(&*expected));
    for url in [
        "javascript:alert(1)",
        "//evil.example/",
        "http://a/\r\nSet-Cookie: a=b",
        "http://a/\r\n\r\n<script>",
        "http://good.example@evil.example/",
        "http://a/\\b",
        "",
    ] {
        let mut form = form(url);
        form.file_name = "other".into();
        let answer = form.send(&server).await;
        answer.assert_error(400, "InvalidArgument");
        assert_eq!(answer.header("location"), None);
        assert_eq!(answer.header("set-cookie"), None);
        server.assert_absent("plain", "a b/other").await;
    }
    // Nor does the name of a file get out of the URL it is put into.
    let mut named = form("http://a.example/${filename}");
    named.file_name = "x y".into();
    named
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
}

#[tokio::test]
async fn of_the_name_of_a_file_only_what_stands_behind_its_folders_counts() {
    let server = Server::start().await;
    for (file_name, key) in [
        ("../../etc/passwd", "up/passwd"),
        ("C:\\Users\\me\\a.txt", "up/a.txt"),
        ("/", "up/"),
        ("", "up/"),
        ("\u{e4} b%22.txt", "up/\u{e4} b%22.txt"),
    ] {
        let mut form = Form::signed(&server, &[]);
        form.file_name = file_name.into();
        assert_eq!(form.send(&server).await.status, 204, "{file_name}");
        assert_eq!(server.get("plain", key).await.body, b"body", "{key}");
    }
    let mut long = Form::signed(&server, &[]);
    long.file_name = "x".repeat(1025);
    long.send(&server)
        .await
        .assert_error(400, "KeyTooLongError");
}

#[tokio::test]
async fn fields_behind_the_file_say_nothing_and_a_second_file_is_refused() {
    let server = Server::start().await;
    let mut form = Form::signed(&server, &[]);
    form.behind = format!(
        "{}{}",
        field_part("key", "other"),
        field_part("acl", "public-read")
    )
    .into_bytes();
    assert_eq!(form.send(&server).await.status, 204);
    assert_eq!(server.get("plain", "up/photo.jpg").await.body, b"body");
    // What must stand in front does not count behind.
    for name in ["policy", "key", "x-amz-signature"] {
        let form = Form::signed(&server, &[]);
        let mut moved = form.clone().without(name);
        moved.behind = field_part(name, form.field(name)).into_bytes();
        let answer = moved.send(&server).await;
        assert!(
            [400, 403].contains(&answer.status),
            "{name}: {}",
            answer.text()
        );
    }
    let mut two = Form::signed(&server, &[]);
    two.file_name = "two".into();
    two.behind = format!("{}more\r\n", file_part("file", "b")).into_bytes();
    two.send(&server)
        .await
        .assert_error(400, "IncorrectNumberOfFilesInPostRequest");
    server.assert_absent("plain", "up/two").await;
    two.behind = field_part("x", &"y".repeat(30_000)).into_bytes();
    two.send(&server)
        .await
        .assert_error(400, "MalformedPOSTRequest");
    server.assert_absent("plain", "up/two").await;
}

#[tokio::test]
async fn what_forms_do_not_have_is_refused() {
    let server = Server::start().await;
    for (name, value, status, code) in [
        ("If-None-Match", "*", 501, "NotImplemented"),
        ("If-Match", "x", 501, "NotImplemented"),
        ("redirect", "http://a/", 501, "NotImplemented"),
        (
            "x-amz-server-side-encryption",
            "AES256",
            501,
            "NotImplemented",
        ),
        (
            "x-amz-object-lock-mode",
            "GOVERNANCE",
            501,
            "NotImplemented",
        ),
        ("x-amz-new-thing", "1", 501, "NotImplemented"),
        ("acl", "public-read", 400, "AccessControlListNotSupported"),
        ("x-amz-storage-class", "GLACIER", 400, "InvalidStorageClass"),
        ("x-amz-checksum-sha256", "AAAA", 400, "InvalidRequest"),
        ("x-amz-checksum-md9", "AAAA", 400, "InvalidRequest"),
        ("Content-MD5", "AAAA", 400, "InvalidDigest"),
        ("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==", 400, "BadDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", 400, "BadDigest"),
        ("tagging", "a=b", 400, "MalformedXML"),
        ("x-amz-meta-a", "b\r\nc", 400, "InvalidArgument"),
    ] {
        let answer = Form::signed(&server, &[(name, value)]).send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{name}: {}",
            answer.text()
        );
        server.assert_absent("plain", "up/photo.jpg").await;
    }
    for (name, value, status, code) in [
        (
            "Authorization",
            "AWS4-HMAC-SHA256 x",
            400,
            "InvalidArgument",
        ),
        ("x-amz-acl", "private", 403, "AccessDenied"),
    ] {
        let mut form = Form::signed(&server, &[]);
        form.headers.push((name.into(), value.into()));
        form.send(&server).await.assert_error(status, code);
    }
    let mut with_query = Form::signed(&server, &[]);
    with_query.bucket = "plain?uploads".into();
    with_query
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
    let mut to_key = Form::signed(&server, &[]);
    to_key.bucket = "plain/up/photo.jpg".into();
    to_key
        .send(&server)
        .await
        .assert_error(405, "MethodNotAllowed");
    // What is posted to the service itself is for STS, which knows no forms either.
    let mut to_service = Form::signed(&server, &[]);
    to_service.bucket = String::new();
    assert_eq!(to_service.send(&server).await.status, 403);
}

#[tokio::test]
async fn reserved_keys_are_refused_to_forms_too() {
    let server = Server::start_with(|config| {
        config.refuse_write = Some(std::sync::Arc::new(|_, key| {
            key.as_str().starts_with("up/_").then(|| "reserved".into())
        }));
    })
    .await;
    let mut form = Form::signed(&server, &[]);
    form.file_name = "_results".into();
    form.send(&server).await.assert_error(403, "AccessDenied");
    server.assert_absent("plain", "up/_results").await;
}

#[tokio::test]
async fn garbage_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    let form = Form::signed(&server, &[]);
    let body = form.body();
    let text = String::from_utf8(body.clone()).unwrap();
    let twice = text.replacen(
        &format!("--{BOUNDARY}"),
        &format!("{}--{BOUNDARY}", field_part("KEY", "up/other")),
        1,
    );
    let no_file = text
        .split(&file_part("file", "photo.jpg"))
        .next()
        .unwrap()
        .to_owned();
    for (what, bytes, code) in [
        ("empty", String::new(), "MalformedPOSTRequest"),
        ("noise", "x".repeat(1000), "MalformedPOSTRequest"),
        (
            "other boundary",
            text.replace(BOUNDARY, "other"),
            "MalformedPOSTRequest",
        ),
        (
            "no last boundary",
            text.replace(&format!("\r\n--{BOUNDARY}--\r\n"), ""),
            "MalformedPOSTRequest",
        ),
        ("field twice", twice, "InvalidArgument"),
        (
            "no file",
            format!("{no_file}--{BOUNDARY}--\r\n"),
            "IncorrectNumberOfFilesInPostRequest",
        ),
        (
            "only the end",
            format!("--{BOUNDARY}--\r\n"),
            "IncorrectNumberOfFilesInPostRequest",
        ),
        (
            "file of another name",
            text.replace("name=\"file\"", "name=\"upload\""),
            "InvalidArgument",
        ),
        (
            "ten thousand fields",
            format!(
                "{}{text}",
                (0..10_000)
                    .map(|n| field_part(&n.to_string(), ""))
                    .collect::<String>()
            ),
            "InvalidArgument",
        ),
        (
            "two hundred fields",
            format!(
                "{}{text}",
                (0..200)
                    .map(|n| field_part(&n.to_string(), ""))
                    .collect::<String>()
            ),
            "InvalidArgument",
        ),
        (
            "a large field",
            format!("{}{text}", field_part("x-ignore-a", &"x".repeat(20 << 10))),
            "MaxPostPreDataLengthExceededError",
        ),
        (
            "a large head",
            format!("{}{text}", field_part(&"n".repeat(9000), "")),
            "MalformedPOSTRequest",
        ),
    ] {
        let answer = send_body(&form, &server, bytes.as_bytes()).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, code),
            "{what}: {}",
            answer.text()
        );
    }
    // Cut anywhere it is refused; every place once would take long.
    for length in (0..body.len() - 2).step_by(97) {
        let answer = send_body(&form, &server, &body[..length]).await;
        assert_eq!(answer.status / 100, 4, "{length}: {}", answer.text());
    }
    let listed = Req::new(Method::GET, "plain", "").send(&server).await;
    assert_eq!(listed.elements("Key"), [""; 0]);
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
    ] {
        let head = form.head(&server, body.len()).replace(
            &format!("multipart/form-data; boundary={BOUNDARY}"),
            content_type,
        );
        let answer = server.raw(&[head.as_bytes(), &body].concat()).await;
        answer.assert_error(400, "MalformedPOSTRequest");
    }
    let head = form.head(&server, 0).replace("Content-Length: 0\r\n", "");
    let chunked = head.replace(
        "\r\n\r\n",
        "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    server
        .raw(chunked.as_bytes())
        .await
        .assert_error(411, "MissingContentLength");
    let huge = form.head(&server, (5 << 30) + (50 << 10));
    server
        .raw(huge.as_bytes())
        .await
        .assert_error(400, "EntityTooLarge");
}

#[tokio::test]
async fn an_endless_field_is_refused_while_it_comes() {
    let server = Server::start().await;
    let form = Form::signed(&server, &[]);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let front = format!(
        "{}--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n",
        form.head(&server, 1 << 30)
    );
    stream.write_all(front.as_bytes()).await.unwrap();
    // More than the front may have, of a gigabyte that was announced.
    let _written = stream.write_all(&vec![b'x'; 30 << 10]).await;
    Answer::read(&mut stream)
        .await
        .assert_error(400, "MaxPostPreDataLengthExceededError");
}

#[tokio::test]
async fn a_connection_that_breaks_within_the_file_leaves_nothing() {
    let server = Server::start().await;
    let policy = policy(&server, HOUR, &[json!({"key": "a"})]);
    let form = Form::with_policy(&server, &[("key", "a")], &policy).file(&noise(1 << 20));
    let body = form.body();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(form.head(&server, body.len()).as_bytes())
        .await
        .unwrap();
    stream.write_all(&body[..body.len() / 2]).await.unwrap();
    stream.shutdown().await.unwrap();
    Answer::read(&mut stream)
        .await
        .assert_error(400, "IncompleteBody");
    server.assert_absent("plain", "a").await;
}

/// Sends a form whose pieces come as this stream gives them, past the socket, so that time can be made to pass.
async fn send_slowly(
    server: &Server,
    length: usize,
    pieces: impl futures::Stream<Item = Vec<u8>> + Send + 'static,
) -> (u16, String) {
    let frames = pieces.map(|piece| {
        Ok::<_, std::convert::Infallible>(http_body::Frame::data(bytes::Bytes::from(piece)))
    });
    let request = http::Request::post("/plain")
        .header("host", "localhost")
        .header("content-length", length)
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(http_body_util::StreamBody::new(frames))
        .unwrap();
    let answer = server.service.call(request).await;
    let status = answer.status().as_u16();
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap()
        .to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_too_long_is_not_waited_for() {
    let server = Server::start().await;
    let body = Form::signed(&server, &[]).body();
    let length = body.len();
    let begun = tokio::time::Instant::now();
    // A byte of the fields every half minute, of the time that the runtime makes up here: nobody waits.
    let drops = body.clone();
    let drip = futures::stream::unfold(0, move |at| {
        let piece = vec![drops[at]];
        async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            Some((piece, at + 1))
        }
    });
    let (status, text) = send_slowly(&server, length, drip).await;
    assert_eq!(
        (status, text.contains("<Code>RequestTimeout<")),
        (400, true),
        "{text}"
    );
    assert!(begun.elapsed() < Duration::from_mins(2));
    // All but the end of the file, and then nothing.
    let front = body[..length - 45].to_vec();
    let stalled = futures::stream::iter([front]).chain(futures::stream::pending());
    let (status, text) = send_slowly(&server, length, stalled).await;
    assert_eq!(
        (status, text.contains("<Code>RequestTimeout<")),
        (400, true),
        "{text}"
    );
    let listed = server.depot.list_objects(
        &crate::harness::bucket("plain"),
        &two_buckets_depot::ListObjects::default(),
    );
    assert!(listed.unwrap().entries.is_empty());
}
