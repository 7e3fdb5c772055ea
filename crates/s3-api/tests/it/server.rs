//! The listener: draining, limits, time-outs.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Req, Server, noise};

#[tokio::test]
async fn a_request_under_way_is_finished_before_the_server_ends() {
    let mut server = Server::start().await;
    let bytes = Req::new(Method::PUT, "plain", "a")
        .body(&noise(300_000))
        .bytes(&server);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&bytes[..200_000]).await.unwrap();
    // The server has the request once it answers something on another connection made later.
    server
        .get("plain", "x")
        .await
        .assert_error(404, "NoSuchKey");
    let serving = server.stop();
    stream.write_all(&bytes[200_000..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serving.await.unwrap();
    let at = two_buckets_objects::ObjectRef {
        bucket: crate::harness::bucket("plain"),
        key: "a".parse().unwrap(),
    };
    let found = server
        .depot
        .head(&at, &two_buckets_depot::Selector::Current)
        .unwrap();
    assert_eq!(found.info.size_bytes, 300_000);
    assert!(TcpStream::connect(server.address).await.is_err());
}

/// `aws s3 sync` waited a minute for an answer it had: its first PUT on the connection had no body and said
/// `Expect: 100-continue`, and botocore garbled the next one.
#[tokio::test]
async fn a_connection_ends_with_a_request_that_expected_leave_to_send_nothing() {
    let server = Server::start().await;
    for (body, closes) in [(&b""[..], true), (b"x", false)] {
        let bytes = Req::new(Method::PUT, "plain", "a")
            .header("expect", "100-continue")
            .body(body)
            .bytes(&server);
        let request = String::from_utf8(bytes).unwrap();
        let request = request.replace("Connection: close\r\n", "");
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") || answer.ends_with(b"100 Continue\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        assert!(answer.contains("http/1.1 200"), "{answer}");
        assert_eq!(answer.contains("connection: close"), closes, "{answer}");
    }
}

/// A client that had waited long enough sent its body after all, just as it was refused: a byte of it was read as the
/// beginning of its next request.
#[tokio::test]
async fn what_is_sent_without_leave_is_never_read_as_a_request() {
    let server = Server::start().await;
    let request =
        "PUT /plain/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.contains("http/1.1 403"), "{answer}");
    // The client is told, so that it does not send its next request here.
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(!answer.contains("100 continue"), "{answer}");
}

#[tokio::test]
async fn requests_that_do_not_end_are_cut_off() {
    let mut server = Server::start_with(|config| {
        config.limits.drain_timeout = Duration::from_millis(50);
    })
    .await;
    let bytes = Req::new(Method::PUT, "plain", "a")
        .body(b"body")
        .bytes(&server);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    server
        .get("plain", "x")
        .await
        .assert_error(404, "NoSuchKey");
    server.stop().await.unwrap();
    let at = two_buckets_objects::ObjectRef {
        bucket: crate::harness::bucket("plain"),
        key: "a".parse().unwrap(),
    };
    assert!(
        server
            .depot
            .head(&at, &two_buckets_depot::Selector::Current)
            .is_err()
    );
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let server = Server::start_with(|config| {
        config.limits.header_read_timeout = Duration::from_millis(100);
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let closed =
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the server waits for the rest");
}

#[tokio::test]
async fn no_more_connections_are_served_than_allowed() {
    let server = Server::start_with(|config| config.limits.connections_max = 1).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    let bytes = Req::new(Method::GET, "plain", "a").bytes(&server);
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(&bytes).await.unwrap();
    let mut answer = vec![0; 12];
    let early = tokio::time::timeout(Duration::from_millis(200), second.read(&mut answer)).await;
    assert!(
        early.is_err(),
        "it was answered while another connection was open"
    );
    drop(first);
    tokio::time::timeout(Duration::from_secs(20), second.read_exact(&mut answer))
        .await
        .expect("it is answered once there is a free place")
        .unwrap();
    assert_eq!(answer, b"HTTP/1.1 404");
}

#[tokio::test]
async fn a_connection_is_kept_after_a_small_refused_body() {
    let server = Server::start().await;
    let refused = Req::new(Method::PUT, "plain", "a")
        .header("x-amz-acl", "public-read")
        .body(b"body")
        .bytes(&server);
    let refused = String::from_utf8(refused)
        .unwrap()
        .replace("Connection: close\r\n", "");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(refused.as_bytes()).await.unwrap();
    stream
        .write_all(&Req::new(Method::GET, "plain", "b").bytes(&server))
        .await
        .unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert!(
        answers.contains("HTTP/1.1 400") && answers.contains("HTTP/1.1 404"),
        "{answers}"
    );
}

/// Each upload that had begun used to keep a thread until its client was done, so as many slow clients as there are
/// threads for blocking calls stopped everybody else.
#[test]
fn slow_clients_do_not_use_up_the_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let serving_all = async {
        let server = Server::start().await;
        server
            .put("plain", "large", &noise(8 << 20))
            .await
            .assert_ok();
        let mut slow = Vec::new();
        for number in 0..4 {
            let name = number.to_string();
            let put = Req::new(Method::PUT, "plain", &name).body(&noise(1 << 20));
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let bytes = put.bytes(&server);
            stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
            slow.push(stream);
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let get = Req::new(Method::GET, "plain", "large").bytes(&server);
            stream.write_all(&get).await.unwrap();
            // It has begun to answer, and nobody reads on.
            stream.read_exact(&mut [0; 100]).await.unwrap();
            slow.push(stream);
        }
        server.put("plain", "quick", b"x").await.assert_ok();
    };
    let outcome = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), Box::pin(serving_all)).await
    });
    // Not waited for: threads that hang are what this looks for.
    runtime.shutdown_background();
    outcome.expect("a quick client is served beside slow ones");
}
