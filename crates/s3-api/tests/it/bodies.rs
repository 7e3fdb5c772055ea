//! A body that is not what the client said leaves nothing behind.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use md5::Digest as _;
use two_buckets_objects::Algorithm;
use two_buckets_s3_api::sign::sha256_hex;

use crate::harness::{Answer, Req, Server, Signing, noise};

const UNSIGNED_TRAILER: Signing = Signing::Named("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
const SIGNED: Signing = Signing::Named("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
const SIGNED_TRAILER: Signing = Signing::Named("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER");

/// A size below and one above what is collected in memory.
const SIZES: [usize; 2] = [1000, 300_000];

fn put(body: &[u8]) -> Req {
    Req::new(Method::PUT, "plain", "a").body(body)
}

fn checksum(algorithm: Algorithm, body: &[u8]) -> String {
    let mut hasher = algorithm.hasher();
    hasher.update(body);
    BASE64_STANDARD.encode(hasher.finish().value)
}

fn header_of(algorithm: Algorithm) -> String {
    format!("x-amz-checksum-{}", algorithm.name().to_ascii_lowercase())
}

async fn assert_refused(server: &Server, answer: Answer, code: &str) {
    answer.assert_error(400, code);
    server.assert_absent("plain", "a").await;
}

/// An aws-chunked body without signatures.
fn chunked(body: &[u8], chunk: usize, trailer: &[(&str, &str)]) -> Vec<u8> {
    let mut framed = Vec::new();
    for piece in body.chunks(chunk) {
        framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n");
    for (name, value) in trailer {
        framed.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
    }
    framed.extend_from_slice(b"\r\n");
    framed
}

fn put_chunked(framed: &[u8], size: usize, trailer: Option<&str>) -> Req {
    let request = put(framed)
        .signing(UNSIGNED_TRAILER)
        .header("Content-Encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", &size.to_string());
    match trailer {
        Some(name) => request.header("x-amz-trailer", name),
        None => request,
    }
}

#[tokio::test]
async fn a_body_whose_sha256_is_not_the_signed_one_is_refused() {
    let server = Server::start().await;
    for size in SIZES {
        let mut bytes = put(&noise(size)).bytes(&server);
        *bytes.last_mut().unwrap() ^= 1;
        assert_refused(
            &server,
            server.raw(&bytes).await,
            "XAmzContentSHA256Mismatch",
        )
        .await;
    }
}

#[tokio::test]
async fn a_wrong_content_md5_is_refused() {
    let server = Server::start().await;
    for size in SIZES {
        let body = noise(size);
        let right = BASE64_STANDARD.encode(md5::Md5::digest(&body));
        let wrong = BASE64_STANDARD.encode(md5::Md5::digest(b"other"));
        let answer = put(&body).header("Content-MD5", &wrong).send(&server).await;
        assert_refused(&server, answer, "BadDigest").await;
        let answer = put(&body).header("Content-MD5", "abc").send(&server).await;
        assert_refused(&server, answer, "InvalidDigest").await;
        put(&body)
            .header("Content-MD5", &right)
            .send(&server)
            .await
            .assert_ok();
        Req::new(Method::DELETE, "plain", "a")
            .send(&server)
            .await
            .assert_ok();
    }
}

#[tokio::test]
async fn a_wrong_checksum_header_is_refused_and_a_right_one_is_kept() {
    let server = Server::start().await;
    for size in SIZES {
        let body = noise(size);
        for algorithm in Algorithm::ALL {
            let name = header_of(algorithm);
            let wrong = checksum(algorithm, b"other");
            let answer = put(&body).header(&name, &wrong).send(&server).await;
            assert_refused(&server, answer, "BadDigest").await;
            let answer = put(&body).header(&name, "AA==").send(&server).await;
            assert_refused(&server, answer, "InvalidRequest").await;
            let right = checksum(algorithm, &body);
            let answer = put(&body).header(&name, &right).send(&server).await;
            answer.assert_ok();
            assert_eq!(answer.header(&name), Some(&*right));
            let head = Req::new(Method::HEAD, "plain", "a")
                .header("x-amz-checksum-mode", "ENABLED")
                .send(&server)
                .await;
            assert_eq!(head.header(&name), Some(&*right));
            assert_eq!(head.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
            let head = Req::new(Method::HEAD, "plain", "a").send(&server).await;
            assert_eq!(head.header(&name), None);
            Req::new(Method::DELETE, "plain", "a")
                .send(&server)
                .await
                .assert_ok();
        }
    }
}

#[tokio::test]
async fn two_checksums_or_an_unknown_one_are_refused() {
    let server = Server::start().await;
    let answer = put(b"x")
        .header("x-amz-checksum-crc32", &checksum(Algorithm::Crc32, b"x"))
        .header("x-amz-checksum-sha1", &checksum(Algorithm::Sha1, b"x"))
        .send(&server)
        .await;
    assert_refused(&server, answer, "InvalidRequest").await;
    let answer = put(b"x")
        .header("x-amz-checksum-md4", "AA==")
        .send(&server)
        .await;
    assert_refused(&server, answer, "InvalidRequest").await;
    let answer = put(b"x")
        .header("x-amz-checksum-crc32", &checksum(Algorithm::Crc32, b"x"))
        .header("x-amz-sdk-checksum-algorithm", "SHA256")
        .send(&server)
        .await;
    assert_refused(&server, answer, "InvalidRequest").await;
}

#[tokio::test]
async fn a_chunked_body_arrives_without_its_frame() {
    let server = Server::start().await;
    for size in [0, 1, 1000, 300_000] {
        for chunk in [1000, 65_536] {
            let body = noise(size);
            let right = checksum(Algorithm::Crc32, &body);
            let framed = chunked(&body, chunk, &[("x-amz-checksum-crc32", &right)]);
            let mut request = put_chunked(&framed, size, Some("x-amz-checksum-crc32"));
            request.headers[0].1 = "gzip, aws-chunked".into();
            let answer = request.send(&server).await;
            answer.assert_ok();
            assert_eq!(answer.header("x-amz-checksum-crc32"), Some(&*right));
            let got = server.get("plain", "a").await;
            assert!(got.body == body, "{size} {chunk}");
            assert_eq!(got.header("content-encoding"), Some("gzip"));
        }
    }
}

#[tokio::test]
async fn a_wrong_checksum_trailer_is_refused() {
    let server = Server::start().await;
    for size in SIZES {
        let body = noise(size);
        for algorithm in Algorithm::ALL {
            let name = header_of(algorithm);
            let wrong = checksum(algorithm, b"other");
            let framed = chunked(&body, 65_536, &[(&name, &wrong)]);
            let answer = put_chunked(&framed, size, Some(&name)).send(&server).await;
            assert_refused(&server, answer, "BadDigest").await;
        }
    }
}

#[tokio::test]
async fn a_trailer_that_was_announced_must_come_and_no_other() {
    let server = Server::start().await;
    let (body, name) = (noise(1000), "x-amz-checksum-crc32");
    let right = checksum(Algorithm::Crc32, &body);
    let answer = put_chunked(&chunked(&body, 500, &[]), 1000, Some(name))
        .send(&server)
        .await;
    assert_refused(&server, answer, "MalformedTrailerError").await;
    let framed = chunked(&body, 500, &[(name, &right)]);
    let answer = put_chunked(&framed, 1000, None).send(&server).await;
    assert_refused(&server, answer, "MalformedTrailerError").await;
    let framed = chunked(&body, 500, &[(name, &right), (name, &right)]);
    let answer = put_chunked(&framed, 1000, Some(name)).send(&server).await;
    assert_refused(&server, answer, "MalformedTrailerError").await;
    let framed = chunked(&body, 500, &[("x-amz-meta-a", "1")]);
    let answer = put_chunked(&framed, 1000, Some("x-amz-meta-a"))
        .send(&server)
        .await;
    assert_refused(&server, answer, "InvalidRequest").await;
}

#[tokio::test]
async fn a_chunked_body_of_another_length_than_declared_is_refused() {
    let server = Server::start().await;
    for size in SIZES {
        let body = noise(size);
        let framed = chunked(&body, 65_536, &[]);
        for declared in [size - 1, size + 1, 0] {
            let answer = put_chunked(&framed, declared, None).send(&server).await;
            assert_refused(&server, answer, "IncompleteBody").await;
        }
        // Cut off: without its last chunk, and within a chunk.
        for cut in [framed.len() - 5, framed.len() - 2, framed.len() / 2] {
            let answer = put_chunked(&framed[..cut], size, None).send(&server).await;
            assert_refused(&server, answer, "IncompleteBody").await;
        }
        let mut more = framed.clone();
        more.extend_from_slice(b"1\r\nx\r\n0\r\n\r\n");
        let answer = put_chunked(&more, size, None).send(&server).await;
        assert_refused(&server, answer, "MalformedTrailerError").await;
    }
}

#[tokio::test]
async fn malformed_chunks_are_refused() {
    let server = Server::start().await;
    for framed in [
        &b"zz\r\nabc\r\n0\r\n\r\n"[..],
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
        b"11111111111111111\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"abc",
    ] {
        let answer = put_chunked(framed, 3, None).send(&server).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        server.assert_absent("plain", "a").await;
    }
    let endless = [b"3;".as_slice(), &vec![b'a'; 100_000]].concat();
    let answer = put_chunked(&endless, 3, None).send(&server).await;
    assert_refused(&server, answer, "InvalidRequest").await;
}

#[tokio::test]
async fn a_chunked_body_must_be_said_to_be_one() {
    let server = Server::start().await;
    let framed = chunked(b"body", 4, &[]);
    let answer = put(&framed)
        .header("Content-Encoding", "aws-chunked")
        .send(&server)
        .await;
    assert_refused(&server, answer, "InvalidRequest").await;
    let answer = put(&framed).signing(UNSIGNED_TRAILER).send(&server).await;
    answer.assert_error(411, "MissingContentLength");
    server.assert_absent("plain", "a").await;
}

/// One chunk as large as the whole body: what s3s by itself would hold in memory.
#[tokio::test]
async fn a_huge_chunk_does_not_fill_the_memory() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    const SIZE: usize = 200 << 20;
    let server = Server::start().await;
    let mut request = put_chunked(b"", SIZE, None);
    request.unsigned_headers.push((
        "Content-Length".into(),
        (format!("{SIZE:x}\r\n").len() + SIZE + "\r\n0\r\n\r\n".len()).to_string(),
    ));
    let before = peak_memory_bytes();
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    stream.write_all(&request.bytes(&server)).await.unwrap();
    stream
        .write_all(format!("{SIZE:x}\r\n").as_bytes())
        .await
        .unwrap();
    let piece = vec![7; 1 << 20];
    for _ in 0..SIZE / piece.len() {
        stream.write_all(&piece).await.unwrap();
    }
    stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let grown = peak_memory_bytes() - before;
    assert!(grown < SIZE / 2, "the peak memory grew by {grown} bytes");
}

/// The most memory this process has had so far. All tests of this program share it, but none of them has a hundred
/// megabytes.
fn peak_memory_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_body_leaves_nothing() {
    use tokio::io::AsyncWriteExt as _;
    let server = Server::start().await;
    for size in SIZES {
        let bytes = put(&noise(size)).bytes(&server);
        let mut stream = tokio::net::TcpStream::connect(server.address)
            .await
            .unwrap();
        stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        server.assert_absent("plain", "a").await;
    }
}

#[tokio::test]
async fn more_than_five_gibibytes_are_refused_before_they_are_read() {
    let server = Server::start().await;
    let limit: u64 = 5 << 30;
    let answer = put(b"")
        .unsigned_header("Content-Length", &(limit + 1).to_string())
        .send(&server)
        .await;
    assert_refused(&server, answer, "EntityTooLarge").await;
    let mut request = put_chunked(b"3\r\nabc\r\n0\r\n\r\n", 3, None);
    request.headers[1].1 = (limit + 1).to_string();
    assert_refused(&server, request.send(&server).await, "EntityTooLarge").await;
}

#[tokio::test]
async fn an_object_needs_a_length() {
    let server = Server::start().await;
    let answer = put(b"3\r\nabc\r\n0\r\n\r\n")
        .unsigned_header("Transfer-Encoding", "chunked")
        .send(&server)
        .await;
    answer.assert_error(411, "MissingContentLength");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn documents_are_checked_as_objects_are() {
    let server = Server::start().await;
    server.put("plain", "a", b"x").await.assert_ok();
    let delete = Req::new(Method::POST, "plain", "")
        .query("delete", "")
        .body(b"<Delete><Object><Key>a</Key></Object></Delete>");
    for (name, value) in [
        (
            "Content-MD5",
            BASE64_STANDARD.encode(md5::Md5::digest(b"other")),
        ),
        ("x-amz-checksum-crc32", checksum(Algorithm::Crc32, b"other")),
    ] {
        let answer = delete.clone().header(name, &value).send(&server).await;
        answer.assert_error(400, "BadDigest");
    }
    let mut bytes = delete.bytes(&server);
    let last = bytes.len() - 1;
    bytes[last] = b' ';
    server
        .raw(&bytes)
        .await
        .assert_error(400, "XAmzContentSHA256Mismatch");
    server.get("plain", "a").await.assert_ok();
    let answer = delete
        .clone()
        .body(&vec![b' '; (8 << 20) + 1])
        .send(&server)
        .await;
    answer.assert_error(400, "EntityTooLarge");
    delete.send(&server).await.assert_ok();
    server.assert_absent("plain", "a").await;
}

/// Signs chunks by hand, from the seed signature in the request's head on.
struct ChunkSigner {
    key: Vec<u8>,
    previous: String,
}

const SCOPE: &str = "20261123T105050Z\n20261123/us-east-1/s3/aws4_request";

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl ChunkSigner {
    fn new(head: &[u8]) -> Self {
        let head = String::from_utf8(head.to_vec()).unwrap();
        let (_, rest) = head.split_once("Signature=").unwrap();
        let mut key = mac(b"AWS4test/secret", "20261123");
        for step in ["us-east-1", "s3", "aws4_request"] {
            key = mac(&key, step);
        }
        Self {
            key,
            previous: rest[..64].to_owned(),
        }
    }

    fn sign(&mut self, text: &str) -> String {
        self.previous = hex::encode(mac(&self.key, text));
        self.previous.clone()
    }

    fn chunk(&mut self, bytes: &[u8]) -> Vec<u8> {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{SCOPE}\n{}\n{}\n{}",
            self.previous,
            sha256_hex(b""),
            sha256_hex(bytes)
        );
        let signature = self.sign(&text);
        let mut framed = format!("{:x};chunk-signature={signature}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        if !bytes.is_empty() {
            framed.extend_from_slice(b"\r\n");
        }
        framed
    }

    fn trailer(&mut self, name: &str, value: &str) -> Vec<u8> {
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{SCOPE}\n{}\n{}",
            self.previous,
            sha256_hex(format!("{name}:{value}\n").as_bytes())
        );
        let signature = self.sign(&text);
        format!("{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n").into_bytes()
    }
}

/// A request with a body in signed chunks of 65,536 bytes.
fn signed_chunks(server: &Server, body: &[u8], trailer: Option<(&str, &str)>) -> Vec<u8> {
    let signing = if trailer.is_some() {
        SIGNED_TRAILER
    } else {
        SIGNED
    };
    let mut request = put(b"")
        .signing(signing)
        .header("x-amz-decoded-content-length", &body.len().to_string());
    if let Some((name, _)) = trailer {
        request = request.header("x-amz-trailer", name);
    }
    let mut signer = ChunkSigner::new(&request.bytes(server));
    let mut framed = Vec::new();
    for piece in body.chunks(65_536) {
        framed.extend(signer.chunk(piece));
    }
    framed.extend(signer.chunk(b""));
    if let Some((name, value)) = trailer {
        framed.extend(signer.trailer(name, value));
    }
    framed.extend_from_slice(b"\r\n");
    request.body(&framed).bytes(server)
}

#[tokio::test]
async fn signed_chunks_are_accepted_and_each_signature_is_checked() {
    let server = Server::start().await;
    for size in [0, 1000, 300_000] {
        let body = noise(size);
        let good = signed_chunks(&server, &body, None);
        server.raw(&good).await.assert_ok();
        assert!(server.get("plain", "a").await.body == body, "{size}");
        Req::new(Method::DELETE, "plain", "a")
            .send(&server)
            .await
            .assert_ok();
        // A bit of the signature of the last chunk, which is empty.
        let mut bad = good.clone();
        let at = bad.len() - 6;
        bad[at] = if bad[at] == b'0' { b'1' } else { b'0' };
        let answer = server.raw(&bad).await;
        answer.assert_error(403, "SignatureDoesNotMatch");
        server.assert_absent("plain", "a").await;
        if size > 0 {
            // A bit of the last chunk's bytes.
            let mut bad = good.clone();
            let at = bad.len() - 100;
            bad[at - 20] ^= 1;
            let answer = server.raw(&bad).await;
            answer.assert_error(403, "SignatureDoesNotMatch");
            server.assert_absent("plain", "a").await;
        }
    }
}

#[tokio::test]
async fn signed_trailers_are_checked_by_signature_and_by_value() {
    let server = Server::start().await;
    let body = noise(100_000);
    let name = "x-amz-checksum-crc64nvme";
    let right = checksum(Algorithm::Crc64Nvme, &body);
    let good = signed_chunks(&server, &body, Some((name, &right)));
    server.raw(&good).await.assert_ok();
    assert!(server.get("plain", "a").await.body == body);
    Req::new(Method::DELETE, "plain", "a")
        .send(&server)
        .await
        .assert_ok();

    let wrong = checksum(Algorithm::Crc64Nvme, b"other");
    let bad = signed_chunks(&server, &body, Some((name, &wrong)));
    assert_refused(&server, server.raw(&bad).await, "BadDigest").await;

    let mut bad = good.clone();
    let at = bad.len() - 6;
    bad[at] = if bad[at] == b'0' { b'1' } else { b'0' };
    let answer = server.raw(&bad).await;
    answer.assert_error(403, "SignatureDoesNotMatch");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn a_chunk_without_its_signature_is_refused() {
    let server = Server::start().await;
    let request = put(&chunked(b"body", 4, &[]))
        .signing(SIGNED)
        .header("x-amz-decoded-content-length", "4");
    let answer = request.send(&server).await;
    answer.assert_error(403, "AccessDenied");
    server.assert_absent("plain", "a").await;
}
