use crate::shelf::{get, request, send, service};

#[tokio::test]
async fn a_file_is_only_ever_a_download_that_cannot_run() {
    let (app, _) = service();
    let answer = get(&app, "/api/uploads/x3/content").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"0123456789");
    for (name, value) in [
        (
            "content-disposition",
            "attachment; filename=\"__.html\"; filename*=UTF-8''%22%C3%A9.html",
        ),
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "private, no-cache"),
        ("content-length", "10"),
        ("accept-ranges", "bytes"),
        ("etag", "\"abc123\""),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn head_tells_of_the_file_without_its_bytes() {
    let (app, _) = service();
    let answer = send(&app, request("HEAD", "/api/uploads/a0/content", &[], b"")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some("10"));
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn ranges_give_their_bytes_and_say_which() {
    let (app, _) = service();
    for (range, bytes, content_range) in [
        ("bytes=0-3", &b"0123"[..], "bytes 0-3/10"),
        ("bytes=8-", b"89", "bytes 8-9/10"),
        ("bytes=-1", b"9", "bytes 9-9/10"),
        ("bytes=-100", b"0123456789", "bytes 0-9/10"),
        ("bytes=5-999", b"56789", "bytes 5-9/10"),
    ] {
        let answer = send(
            &app,
            request("GET", "/api/uploads/a0/content", &[("range", range)], b""),
        )
        .await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.body, bytes, "{range}");
        assert_eq!(answer.header("content-range"), Some(content_range));
        assert_eq!(
            answer.header("content-length"),
            Some(&*bytes.len().to_string())
        );
        assert!(
            answer
                .header("content-disposition")
                .is_some_and(|value| value.starts_with("attachment"))
        );
    }
    for whole in ["bytes=0-1,4-5", "pages=1-2", "bytes=4-1", "bytes=x"] {
        let answer = send(
            &app,
            request("GET", "/api/uploads/a0/content", &[("range", whole)], b""),
        )
        .await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (200, 10),
            "{whole}"
        );
    }
}

#[tokio::test]
async fn a_range_outside_the_file_is_a_416_that_tells_the_size() {
    let (app, _) = service();
    for (id, range, size) in [
        ("a0", "bytes=10-", "bytes */10"),
        ("a0", "bytes=-0", "bytes */10"),
        ("e4", "bytes=0-", "bytes */0"),
    ] {
        let uri = format!("/api/uploads/{id}/content");
        let answer = send(&app, request("GET", &uri, &[("range", range)], b"")).await;
        answer.problem(416);
        assert_eq!(answer.header("content-range"), Some(size), "{range}");
    }
    let empty = get(&app, "/api/uploads/e4/content").await;
    assert_eq!(
        (empty.status.as_u16(), empty.header("content-length")),
        (200, Some("0"))
    );
}

#[tokio::test]
async fn the_rest_of_another_file_is_not_appended_to_this_one() {
    let (app, _) = service();
    for (if_range, status) in [
        ("\"abc123\"", 206),
        ("\"other\"", 200),
        ("W/\"abc123\"", 200),
        ("Mon, 23 Nov 2026 10:50:50 GMT", 200),
    ] {
        let headers = [("range", "bytes=5-"), ("if-range", if_range)];
        let answer = send(
            &app,
            request("GET", "/api/uploads/a0/content", &headers, b""),
        )
        .await;
        assert_eq!(answer.status, status, "{if_range}");
    }
}
