//! Each kind of fault, as a client sees it that adds nothing of its own: S3's status, code, words and request id; and
//! what the store has afterwards.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use two_buckets_s3_api::faults::Code;
use two_buckets_s3_api::{Fault, FindFault, Struck};

use crate::harness::{Answer, Req, Server, noise};

#[expect(
    clippy::disallowed_methods,
    reason = "how long it takes by the wall is what a slow body is about"
)]
fn now() -> Instant {
    Instant::now()
}

/// Strikes each call of an operation, and keeps which calls were asked about.
fn striking(operation: &'static str, fault: Fault) -> (FindFault, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let find: FindFault = Arc::new(move |call| {
        let name = call.operation()?.name;
        noted.lock().unwrap().push(format!(
            "{name} {} {}",
            call.bucket().unwrap_or("-"),
            call.key().unwrap_or("-")
        ));
        (name == operation).then(|| Struck {
            rule: "the rule".into(),
            fault,
        })
    });
    (find, asked)
}

async fn server(operation: &'static str, fault: Fault) -> Server {
    let (find, _) = striking(operation, fault);
    Server::start_with(|config| config.faults = Some(find)).await
}

/// What comes from the connection until it ends, which need not be an answer.
async fn all_bytes(server: &Server, request: &Req) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let _sent = stream.write_all(&request.bytes(server)).await;
    let mut bytes = Vec::new();
    // A reset ends it as a close does.
    let reading = stream.read_to_end(&mut bytes);
    let _ended = tokio::time::timeout(Duration::from_mins(1), reading)
        .await
        .expect("the connection ends");
    bytes
}

fn put(key: &str, body: &[u8]) -> Req {
    Req::new(Method::PUT, "versioned", key).body(body)
}

fn copy(from: &str, to: &str) -> Req {
    Req::new(Method::PUT, "versioned", to).header("x-amz-copy-source", &format!("plain/{from}"))
}

const REFUSALS: [(Code, u16, &str); 5] = [
    (Code::SlowDown, 503, "SlowDown"),
    (Code::InternalError, 500, "InternalError"),
    (Code::PreconditionFailed, 412, "PreconditionFailed"),
    (
        Code::ConditionalRequestConflict,
        409,
        "ConditionalRequestConflict",
    ),
    (Code::OperationAborted, 409, "OperationAborted"),
];

#[tokio::test]
async fn an_error_looks_as_on_s3_and_nothing_was_done() {
    for (code, status, name) in REFUSALS {
        let server = server("PutObject", Fault::Refused(code)).await;
        let answer = put("k", b"body").send(&server).await;
        answer.assert_error(status, name);
        assert_eq!(answer.element("Resource").unwrap(), "/versioned/k");
        let id = answer.header("x-amz-request-id").unwrap();
        assert_eq!(answer.element("RequestId").unwrap(), id);
        assert!(!answer.element("Message").unwrap().is_empty());
        assert_eq!(answer.header("content-type"), Some("application/xml"));
        server.assert_absent("versioned", "k").await;
    }
}

#[tokio::test]
async fn an_error_of_a_head_has_a_status_and_no_body() {
    let server = server("HeadObject", Fault::Refused(Code::SlowDown)).await;
    server.put("plain", "k", b"x").await.assert_ok();
    let answer = Req::new(Method::HEAD, "plain", "k").send(&server).await;
    assert_eq!((answer.status, &*answer.body), (503, &b""[..]));
}

#[tokio::test]
async fn a_lost_answer_says_500_and_the_object_is_there() {
    let server = server("PutObject", Fault::AnswerLost).await;
    let answer = put("k", b"body").send(&server).await;
    answer.assert_error(500, "InternalError");
    assert_eq!(server.get("versioned", "k").await.body, b"body");
    // What fails by itself has its own error, for nothing was done that could be lost.
    let refused = put("k", b"other").header("if-none-match", "*");
    refused
        .send(&server)
        .await
        .assert_error(412, "PreconditionFailed");
}

#[tokio::test]
async fn a_copy_that_fails_inside_a_200_says_so_after_white_space_and_copies_nothing() {
    let server = server("CopyObject", Fault::ErrorInside200).await;
    server.put("plain", "from", b"x").await.assert_ok();
    let answer = copy("from", "to").send(&server).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    let text = answer.text();
    // A declaration must be the very first thing in a document.
    let end = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    assert!(end.unwrap().trim_start().starts_with("<Error>"), "{text}");
    assert_eq!(answer.code(), "InternalError");
    assert_eq!(
        answer.element("RequestId").as_deref(),
        answer.header("x-amz-request-id")
    );
    server.assert_absent("versioned", "to").await;
}

#[tokio::test]
async fn a_completion_that_fails_inside_a_200_leaves_the_upload_to_be_completed() {
    let failing = Arc::new(Mutex::new(true));
    let once = failing.clone();
    let find: FindFault = Arc::new(move |call| {
        let is_it = call.operation()?.name == "CompleteMultipartUpload";
        (is_it && std::mem::take(&mut *once.lock().unwrap())).then(|| Struck {
            rule: "once".into(),
            fault: Fault::ErrorInside200,
        })
    });
    let server = Server::start_with(|config| config.faults = Some(find)).await;
    let begun = Req::new(Method::POST, "versioned", "k")
        .query("uploads", "")
        .send(&server)
        .await;
    let id = begun.element("UploadId").unwrap();
    let part = put("k", b"part")
        .query("partNumber", "1")
        .query("uploadId", &id)
        .send(&server)
        .await;
    let etag = part.header("etag").unwrap().to_owned();
    let complete = Req::new(Method::POST, "versioned", "k")
        .query("uploadId", &id)
        .body(
            format!("<CompleteMultipartUpload><Part><ETag>{etag}</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>")
                .as_bytes(),
        );
    let first = complete.send(&server).await;
    assert_eq!((first.status, &*first.code()), (200, "InternalError"));
    server.assert_absent("versioned", "k").await;
    complete.send(&server).await.assert_ok();
    assert_eq!(server.get("versioned", "k").await.body, b"part");
}

#[tokio::test]
async fn a_connection_that_is_cut_before_the_answer_gives_no_byte() {
    for took_effect in [false, true] {
        let server = server("PutObject", Fault::Cut { took_effect }).await;
        assert_eq!(all_bytes(&server, &put("k", b"body")).await, b"");
        if took_effect {
            assert_eq!(server.get("versioned", "k").await.body, b"body");
        } else {
            server.assert_absent("versioned", "k").await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_before_the_answer_to_a_head_gives_no_byte() {
    let server = server("HeadObject", Fault::Cut { took_effect: false }).await;
    server.put("plain", "k", b"x").await.assert_ok();
    let head = Req::new(Method::HEAD, "plain", "k");
    assert_eq!(all_bytes(&server, &head).await, b"");
}

#[tokio::test]
async fn a_connection_that_is_cut_within_the_request_leaves_nothing() {
    for after_bytes in [None, Some(0), Some(1 << 40)] {
        let server = server("PutObject", Fault::CutRequest { after_bytes }).await;
        let sent = put("k", &noise(300 << 10));
        assert_eq!(all_bytes(&server, &sent).await, b"");
        server.assert_absent("versioned", "k").await;
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_within_its_body_promised_more() {
    let body = noise(100_000);
    for (after_bytes, wanted) in [(None, 50_000), (Some(7), 7), (Some(0), 0)] {
        let server = server("GetObject", Fault::CutAnswer { after_bytes }).await;
        server.put("plain", "k", &body).await.assert_ok();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = Req::new(Method::GET, "plain", "k").bytes(&server);
        stream.write_all(&request).await.unwrap();
        if wanted == 0 {
            let mut none = Vec::new();
            let _ended = stream.read_to_end(&mut none).await;
            assert!(none.is_empty() || none.ends_with(b"\r\n\r\n"));
            continue;
        }
        let answer = Answer::read(&mut stream).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), Some("100000"));
        assert_eq!(answer.body, body[..wanted]);
    }
}

#[tokio::test]
async fn a_list_that_is_cut_is_no_whole_document() {
    let server = server("ListObjectsV2", Fault::CutAnswer { after_bytes: None }).await;
    server.put("plain", "k", b"x").await.assert_ok();
    let list = Req::new(Method::GET, "plain", "").query("list-type", "2");
    let answer = list.send(&server).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("<?xml"));
    assert!(!answer.text().contains("</ListBucketResult>"));
}

#[tokio::test]
async fn slow_bodies_take_their_time_and_are_whole() {
    let body = noise(30_000);
    let bytes_per_s = NonZeroU64::new(100_000).unwrap();
    let least = Duration::from_millis(250);
    let slow_in = server("PutObject", Fault::SlowRequest { bytes_per_s }).await;
    let began = now();
    put("k", &body).send(&slow_in).await.assert_ok();
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
    assert_eq!(slow_in.get("versioned", "k").await.body, body);

    let slow_out = server("GetObject", Fault::SlowAnswer { bytes_per_s }).await;
    slow_out.put("plain", "k", &body).await.assert_ok();
    let began = now();
    let answer = slow_out.get("plain", "k").await;
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
    assert_eq!(answer.header("content-length"), Some("30000"));
    assert_eq!(answer.body, body);
}

#[tokio::test]
async fn a_late_answer_is_a_good_one() {
    for took_effect in [false, true] {
        let by = Duration::from_millis(200);
        let server = server("PutObject", Fault::Delayed { by, took_effect }).await;
        let began = now();
        put("k", b"body").send(&server).await.assert_ok();
        assert!(began.elapsed() >= by);
        assert_eq!(server.get("versioned", "k").await.body, b"body");
    }
}

#[tokio::test]
async fn nobody_is_struck_who_would_not_be_let_in() {
    let (find, asked) = striking("PutObject", Fault::Refused(Code::SlowDown));
    let server = Server::start_with(|config| config.faults = Some(find)).await;
    let unsigned = put("k", b"x").signing(crate::harness::Signing::None);
    assert_eq!(unsigned.send(&server).await.status, 403);
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
    put("a b/ü", b"x").send(&server).await;
    assert_eq!(*asked.lock().unwrap(), ["PutObject versioned a b/ü"]);
}
