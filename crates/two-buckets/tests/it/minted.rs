//! A key that was made for one file, asked for again over HTTP.

use serde_json::{Value, json};

use crate::harness::{Answer, Server, ask};

fn post(server: &Server, route: &str, body: &Value) -> Answer {
    let web = server.address("web");
    let ours = format!("http://{web}");
    let headers = [
        ("host", web),
        ("origin", &*ours),
        ("content-type", "application/json"),
    ];
    ask(web, "POST", route, &headers, body.to_string().as_bytes())
}

fn refused(server: &Server, route: &str, body: &Value, words: &str) {
    let answer = post(server, route, body);
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains(words), "{}", answer.text());
}

/// Puts as a client does to whom the grant was given.
fn put(server: &Server, grant: &Value, bytes: &[u8]) -> Answer {
    let s3 = server.address("s3");
    let url = grant["url"].as_str().unwrap_or_default();
    let target = url
        .strip_prefix(&format!("http://{s3}"))
        .unwrap_or_default();
    let condition = grant["headers"]["if-none-match"]
        .as_str()
        .unwrap_or_default();
    let headers = [("host", s3), ("if-none-match", condition)];
    ask(s3, "PUT", target, &headers, bytes)
}

#[test]
fn a_minted_key_is_for_the_file_it_was_made_for_before_that_arrives_and_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    // The second caller of a prefix said another size and was believed.
    let first = post(
        &server,
        "/api/signedurl",
        &json!({"filename": "a", "size": 5}),
    );
    let first: Value = serde_json::from_str(&first.text()).unwrap();
    let key = first["key"].as_str().unwrap();
    let other = json!({"key": key, "size": 6});
    let sha256 = |byte: u8| hex::encode([byte; 32]);
    refused(&server, "/api/signedurl", &other, "of 5 bytes, not of 6");
    refused(&server, "/api/s3/multipart", &other, "of 5 bytes, not of 6");
    let sign = json!({"method": "PUT", "key": key, "size": 6});
    refused(&server, "/api/s3/sign", &sign, "of 5 bytes, not of 6");
    // What was not said before is filled in, and holds from then on.
    let full = json!({"key": key, "size": 5, "sha256": sha256(1)});
    assert_eq!(post(&server, "/api/signedurl", &full).status, 200);
    let other_bytes = json!({"key": key, "size": 5, "sha256": sha256(2)});
    refused(&server, "/api/signedurl", &other_bytes, "another SHA256");

    let put = put(&server, &first, b"hello");
    assert_eq!(put.status, 200, "{}", put.text());
    server.wait_for(key, &["archived"]);
    refused(&server, "/api/signedurl", &other, "of 5 bytes, not of 6");
    refused(&server, "/api/signedurl", &other_bytes, "another SHA256");
    // A client that lost the answer may ask again.
    let again = json!({"key": key, "size": 5});
    assert_eq!(post(&server, "/api/signedurl", &again).status, 200);
}
