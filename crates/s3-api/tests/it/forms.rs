//! Uploads by HTML form, good ones and those of somebody who wants more than the form's maker allowed.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::{TemporaryCredentials, sign};

use crate::harness::{Answer, REGION, Req, Server, credentials, noise};
use crate::sessions::{one_file, server_and_session, session};

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
const HOUR: Duration = Duration::from_hours(1);

/// A form as its sender fills it in.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) bucket: String,
    fields: Vec<(String, String)>,
    file_name: String,
    file: Vec<u8>,
    /// Parts behind the file, as bytes.
    behind: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn of(fields: Vec<(String, String)>) -> Self {
        Self {
            bucket: "plain".into(),
            fields,
            file_name: "photo.jpg".into(),
            file: b"body".to_vec(),
            behind: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// A form for keys below `up/`, made by our own signer, with these further fields.
    fn signed(server: &Server, fields: &[(&str, &str)]) -> Self {
        let form = sign::Form {
            bucket: "plain",
            key: sign::FormKey::Below("up/"),
            fields,
            free_fields: &[],
            sizes: 2..=10,
        };
        let fields = sign::sign_form(&credentials(), None, REGION, &form, HOUR, server.now());
        Self::of(fields)
    }

    /// A form of version 4 with these fields and this policy, whatever it says.
    fn with_policy(server: &Server, fields: &[(&str, &str)], policy: &Value) -> Self {
        Self::with_policy_text(server, fields, &policy.to_string())
    }

    fn with_policy_text(server: &Server, fields: &[(&str, &str)], policy: &str) -> Self {
        let stamp = stamp(server.now());
        let policy = BASE64_STANDARD.encode(policy);
        let mut all: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for (name, value) in [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("x-amz-credential", credential(&stamp)),
            ("x-amz-date", stamp.clone()),
            ("x-amz-signature", signature(&stamp, &policy)),
            ("policy", policy),
        ] {
            all.push((name.to_owned(), value));
        }
        Self::of(all)
    }

    /// As boto3 makes it by default in us-east-1.
    fn version_2(fields: &[(&str, &str)], policy: &Value) -> Self {
        let policy = BASE64_STANDARD.encode(policy.to_string());
        let secret = credentials().secret_access_key;
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(policy.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let mut all: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        all.push(("AWSAccessKeyId".into(), credentials().access_key_id));
        all.push(("policy".into(), policy));
        all.push(("signature".into(), signature));
        Self::of(all)
    }

    fn file(mut self, file: &[u8]) -> Self {
        self.file = file.to_vec();
        self
    }

    /// Sets a field, in place if it is there.
    fn set(mut self, name: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.into(), value.into())),
        }
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(n, _)| n != name);
        self
    }

    fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| &**value).unwrap()
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            body.extend_from_slice(field_part(name, value).as_bytes());
        }
        body.extend_from_slice(file_part("file", &self.file_name).as_bytes());
        body.extend_from_slice(&self.file);
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&self.behind);
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        body
    }

    fn head(&self, server: &Server, length: usize) -> String {
        let mut head = format!(
            "POST /{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n",
            self.bucket,
            server.host()
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head
    }

    pub(crate) async fn send(&self, server: &Server) -> Answer {
        send_body(self, server, &self.body()).await
    }
}

async fn send_body(form: &Form, server: &Server, body: &[u8]) -> Answer {
    let mut bytes = form.head(server, body.len()).into_bytes();
    bytes.extend_from_slice(body);
    server.raw(&bytes).await
}

fn field_part(name: &str, value: &str) -> String {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file_part(name: &str, file_name: &str) -> String {
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
         Content-Type: image/jpeg\r\n\r\n"
    )
}

fn stamp(now: Timestamp) -> String {
    let text = now.to_string();
    let (seconds, _) = text.split_once('.').unwrap();
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

fn credential(stamp: &str) -> String {
    format!(
        "{}/{}/{REGION}/s3/aws4_request",
        credentials().access_key_id,
        &stamp[..8]
    )
}

/// Written out here, so that the server is not compared with itself.
fn signature(stamp: &str, policy: &str) -> String {
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let secret = format!("AWS4{}", credentials().secret_access_key);
    let mut key = mac(secret.as_bytes(), &stamp[..8]);
    for text in [REGION, "s3", "aws4_request"] {
        key = mac(&key, text);
    }
    hex::encode(mac(&key, policy))
}

/// A policy with the conditions every form of version 4 needs, and these.
fn policy(server: &Server, life: Duration, conditions: &[Value]) -> Value {
    let stamp = stamp(server.now());
    let mut all = vec![
        json!({"bucket": "plain"}),
        json!({"x-amz-algorithm": "AWS4-HMAC-SHA256"}),
        json!({"x-amz-credential": credential(&stamp)}),
        json!({"x-amz-date": stamp}),
    ];
    all.extend_from_slice(conditions);
    json!({"expiration": server.now().after(life).to_string(), "conditions": all})
}

#[tokio::test]
async fn a_form_uploads_its_file_below_its_prefix() {
    let server = Server::start().await;
    let answer = Form::signed(&server, &[]).send(&server).await;
    assert_eq!((answer.status, &*answer.body), (204, &b""[..]));
    let url = format!("http://{}/plain/up/photo.jpg", server.host());
    assert_eq!(answer.header("location"), Some(&*url));
    let stored = server.get("plain", "up/photo.jpg").await;
    assert_eq!(stored.body, b"body");
    assert_eq!(stored.header("content-type"), Some("binary/octet-stream"));
    assert_eq!(stored.header("etag"), answer.header("etag"));
}

#[tokio::test]
async fn fields_become_what_headers_of_a_put_would() {
    let server = Server::start().await;
    let sha256 = BASE64_STANDARD.encode(<sha2::Sha256 as sha2::Digest>::digest(b"body"));
    let fields = [
        ("Content-Type", "image/jpeg"),
        ("Content-Disposition", "attachment"),
        ("Cache-Control", "no-store"),
        ("Expires", "never"),
        ("x-amz-meta-Who", "J\u{fc}rgen"),
        ("x-amz-checksum-sha256", &*sha256),
        ("acl", "private"),
        (
            "tagging",
            "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        ),
        ("success_action_status", "201"),
    ];
    let answer = Form::signed(&server, &fields).send(&server).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    let url = format!("http://{}/plain/up/photo.jpg", server.host());
    assert_eq!(answer.element("Location"), Some(url));
    assert_eq!(answer.element("Bucket").unwrap(), "plain");
    assert_eq!(answer.element("Key").unwrap(), "up/photo.jpg");
    assert_eq!(
        answer.element("ETag").unwrap().replace("&quot;", "\""),
        answer.header("etag").unwrap()
    );
    assert!(answer.text().contains("<PostResponse>"));
    assert_eq!(answer.header("x-amz-checksum-sha256"), Some(&*sha256));
    let stored = server.get("plain", "up/photo.jpg").await;
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("content-disposition", "attachment"),
        ("cache-control", "no-store"),
        ("expires", "never"),
        ("x-amz-tagging-count", "1"),
    ] {
        assert_eq!(stored.header(name), Some(value), "{name}");
    }
    let tags = Req::new(Method::GET, "plain", "up/photo.jpg")
        .query("tagging", "")
        .send(&server)
        .await;
    assert_eq!(tags.elements("Key"), ["a"]);
    let put = Req::new(Method::PUT, "plain", "put")
        .header("x-amz-meta-who", "J\u{fc}rgen")
        .body(b"body")
        .send(&server)
        .await;
    put.assert_ok();
    let put = server.get("plain", "put").await;
    assert!(put.header("x-amz-meta-who").is_some());
    assert_eq!(
        stored.header("x-amz-meta-who"),
        put.header("x-amz-meta-who")
    );
}

#[tokio::test]
async fn a_form_in_a_versioned_bucket_tells_the_version_and_may_be_used_again() {
    let server = Server::start().await;
    let policy = policy(
        &server,
        HOUR,
        &[
            json!(["starts-with", "$key", ""]),
            json!({"bucket": "versioned"}),
        ],
    );
    let mut policy = policy;
    policy["conditions"].as_array_mut().unwrap().remove(0);
    let mut form = Form::with_policy(&server, &[("key", "a")], &policy);
    form.bucket = "versioned".into();
    let first = form.send(&server).await;
    let second = form.clone().file(b"other").send(&server).await;
    let (first, second) = (
        first.header("x-amz-version-id").unwrap(),
        second.header("x-amz-version-id").unwrap(),
    );
    assert_ne!(first, second);
    assert_eq!(server.get("versioned", "a").await.body, b"other");
}

#[tokio::test]
async fn the_style_of_the_host_makes_no_difference() {
    let server = Server::start().await;
    let form = Form::signed(&server, &[]);
    let body = form.body();
    let host = format!("plain.localhost:{}", server.address.port());
    let head = form
        .head(&server, body.len())
        .replace("POST /plain ", "POST / ")
        .replace(
            &format!("Host: {}", server.host()),
            &format!("Host: {host}"),
        );
    let answer = server.raw(&[head.into_bytes(), body].concat()).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let url = format!("http://{host}/up/photo.jpg");
    assert_eq!(answer.header("location"), Some(&*url));
}

#[tokio::test]
async fn a_form_as_boto3_makes_it_by_default_is_held_to_its_policy() {
    let server = Server::start().await;
    let expiration = server.now().after(HOUR).to_string();
    let conditions = json!([{"bucket": "plain"}, ["starts-with", "$key", "up/"],
        ["content-length-range", 0, 4]]);
    let policy = json!({"expiration": expiration, "conditions": conditions});
    let form = Form::version_2(&[("key", "up/${filename}")], &policy);
    assert_eq!(form.send(&server).await.status, 204);
    assert_eq!(server.get("plain", "up/photo.jpg").await.body, b"body");
    form.clone()
        .file(b"12345")
        .send(&server)
        .await
        .assert_error(400, "EntityTooLarge");
    for (changed, code) in [
        (form.clone().set("key", "other"), "AccessDenied"),
        (form.clone().set("acl", "private"), "AccessDenied"),
        (
            form.clone().set("signature", "AAAA"),
            "SignatureDoesNotMatch",
        ),
        (
            form.clone().set("AWSAccessKeyId", "other"),
            "InvalidAccessKeyId",
        ),
    ] {
        changed.send(&server).await.assert_error(403, code);
    }
    form.clone()
        .set("x-amz-signature", "0")
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
    server.advance(HOUR);
    form.send(&server).await.assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn nobody_can_make_more_of_a_form_than_its_maker_meant() {
    let server = Server::start().await;
    let form = || Form::signed(&server, &[("Content-Type", "image/jpeg")]);
    let other_policy = form();
    let other_policy = {
        let text = BASE64_STANDARD
            .decode(other_policy.field("policy"))
            .unwrap();
        let text = String::from_utf8(text).unwrap().replace("up/", "");
        other_policy.set("policy", &BASE64_STANDARD.encode(text))
    };
    let mut elsewhere = form();
    elsewhere.bucket = "versioned".into();
    let mut nowhere = form();
    nowhere.bucket = "nowhere".into();
    let denied = [
        ("changed policy", other_policy, "SignatureDoesNotMatch"),
        ("changed key", form().set("key", "other"), "AccessDenied"),
        (
            "beside the prefix",
            form().set("key", "u/${filename}"),
            "AccessDenied",
        ),
        ("another bucket", elsewhere, "AccessDenied"),
        ("no bucket", nowhere, "AccessDenied"),
        (
            "wrong type",
            form().set("Content-Type", "text/html"),
            "AccessDenied",
        ),
        ("no type", form().without("Content-Type"), "AccessDenied"),
        (
            "extra field",
            form().set("x-amz-meta-a", "b"),
            "AccessDenied",
        ),
        (
            "redirect",
            form().set("success_action_redirect", "http://evil.example/"),
            "AccessDenied",
        ),
        (
            "status",
            form().set("success_action_status", "200"),
            "AccessDenied",
        ),
        (
            "unknown field",
            form().set("submit", "Send"),
            "AccessDenied",
        ),
        (
            "bucket field",
            form().set("bucket", "versioned"),
            "AccessDenied",
        ),
        (
            "another signature",
            form().set("x-amz-signature", &"0".repeat(64)),
            "SignatureDoesNotMatch",
        ),
        (
            "short signature",
            form().set("x-amz-signature", ""),
            "SignatureDoesNotMatch",
        ),
        ("no policy", form().without("policy"), "AccessDenied"),
        (
            "anonymous",
            Form::of(vec![("key".into(), "up/a".into())]),
            "AccessDenied",
        ),
        (
            "another key id",
            form().set(
                "x-amz-credential",
                &credential(&stamp(server.now())).replace("TESTKEY", "OTHER"),
            ),
            "InvalidAccessKeyId",
        ),
    ];
    for (what, form, code) in denied {
        let answer = form.send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (403, code),
            "{what}: {}",
            answer.text()
        );
    }
    let malformed = [
        ("no key", form().without("key"), "AccessDenied", 403),
        (
            "no date",
            form().without("x-amz-date"),
            "InvalidArgument",
            400,
        ),
        (
            "no algorithm",
            form().without("x-amz-algorithm"),
            "InvalidArgument",
            400,
        ),
        (
            "no credential",
            form().without("x-amz-credential"),
            "InvalidArgument",
            400,
        ),
        (
            "no signature",
            form().without("x-amz-signature"),
            "InvalidArgument",
            400,
        ),
        (
            "bad date",
            form().set("x-amz-date", "yesterday"),
            "InvalidArgument",
            400,
        ),
        (
            "other day",
            form().set("x-amz-date", "20261122T000000Z"),
            "InvalidArgument",
            400,
        ),
        (
            "bad scope",
            form().set("x-amz-credential", "TESTKEY"),
            "InvalidArgument",
            400,
        ),
        (
            "bad algorithm",
            form().set("x-amz-algorithm", "AWS4-HMAC-SHA1"),
            "InvalidArgument",
            400,
        ),
    ];
    for (what, form, code, status) in malformed {
        let answer = form.send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{what}: {}",
            answer.text()
        );
    }
    let listed = Req::new(Method::GET, "plain", "").send(&server).await;
    assert_eq!(listed.elements("Key"), [""; 0]);
    assert_eq!(
        form().send(&server).await.status,
        204,
        "the form itself is good"
    );
}

#[tokio::test]
async fn the_size_of_the_file_is_held_to_the_byte_and_nothing_is_left_of_another() {
    let server = Server::start().await;
    for (size, code) in [
        (1, "EntityTooSmall"),
        (0, "EntityTooSmall"),
        (11, "EntityTooLarge"),
    ] {
        let answer = Form::signed(&server, &[])
            .file(&noise(size))
            .send(&server)
            .await;
        answer.assert_error(400, code);
        server.assert_absent("plain", "up/photo.jpg").await;
    }
    for size in [2, 10] {
        let answer = Form::signed(&server, &[])
            .file(&noise(size))
            .send(&server)
            .await;
        assert_eq!(answer.status, 204);
        assert_eq!(server.get("plain", "up/photo.jpg").await.body, noise(size));
    }
    let policy = policy(
        &server,
        HOUR,
        &[
            json!({"key": "large"}),
            json!(["content-length-range", "0", "3000000"]),
            json!(["content-length-range", 0, 4_000_000]),
        ],
    );
    let form = Form::with_policy(&server, &[("key", "large")], &policy);
    let answer = form.clone().file(&noise(3_000_001)).send(&server).await;
    answer.assert_error(400, "EntityTooLarge");
    server.assert_absent("plain", "large").await;
    assert_eq!(form.file(&noise(3_000_000)).send(&server).await.status, 204);
    assert_eq!(server.get("plain", "large").await.body, noise(3_000_000));
}

#[tokio::test]
async fn a_form_is_valid_from_its_date_until_its_expiration_and_a_week_at_most() {
    let server = Server::start().await;
    let form = Form::signed(&server, &[]);
    server.advance(HOUR.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(form.send(&server).await.status, 204);
    server.advance(Duration::from_millis(1));
    form.send(&server).await.assert_error(403, "AccessDenied");

    let week = Duration::from_hours(7 * 24);
    let with = |life| {
        let policy = policy(&server, life, &[json!({"key": "a"})]);
        Form::with_policy(&server, &[("key", "a")], &policy)
    };
    assert_eq!(with(week).send(&server).await.status, 204);
    with(week + Duration::from_secs(2))
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");
    with(Duration::ZERO)
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");

    // Signed for a moment a quarter of an hour from now, and one a second later.
    let stamp_in = |seconds| stamp(server.now().after(Duration::from_secs(seconds)));
    for (seconds, status) in [(15 * 60, 204), (15 * 60 + 1, 403)] {
        let stamp = stamp_in(seconds);
        let mut policy = policy(&server, HOUR, &[json!({"key": "a"})]);
        policy["conditions"][2] = json!({"x-amz-credential": credential(&stamp)});
        policy["conditions"][3] = json!({"x-amz-date": stamp});
        let policy = BASE64_STANDARD.encode(policy.to_string());
        let form = with(HOUR)
            .set("x-amz-date", &stamp)
            .set("x-amz-credential", &credential(&stamp))
            .set("x-amz-signature", &signature(&stamp, &policy))
            .set("policy", &policy);
        assert_eq!(form.send(&server).await.status, status, "{seconds}");
    }
    // A signature's key is good for a week, whatever the policy says.
    let old = with(HOUR);
    let stamp = stamp(Timestamp::from_millis(
        server.now().millis() - i64::try_from(week.as_millis()).unwrap() - 1000,
    ));
    let mut policy = policy(&server, HOUR, &[json!({"key": "a"})]);
    policy["conditions"][2] = json!({"x-amz-credential": credential(&stamp)});
    policy["conditions"][3] = json!({"x-amz-date": stamp});
    let policy = BASE64_STANDARD.encode(policy.to_string());
    let answer = old
        .set("x-amz-date", &stamp)
        .set("x-amz-credential", &credential(&stamp))
        .set("x-amz-signature", &signature(&stamp, &policy))
        .set("policy", &policy)
        .send(&server)
        .await;
    answer.assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_refused() {
    let server = Server::start().await;
    let good = policy(&server, HOUR, &[json!({"key": "a"})]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut policy = good.clone();
        change(&mut policy);
        policy.to_string()
    };
    let add = |condition: Value| {
        with(&|policy| {
            policy["conditions"]
                .as_array_mut()
                .unwrap()
                .push(condition.clone());
        })
    };
    for text in [
        String::new(),
        "{".into(),
        "[]".into(),
        "\u{0}".into(),
        "[".repeat(5000),
        with(&|policy| policy["expiration"] = json!("tomorrow")),
        with(&|policy| policy["expiration"] = json!(5)),
        with(&|policy| policy["conditions"] = json!({})),
        with(&|policy| policy["other"] = json!(1)),
        good.to_string().replace(
            "\"conditions\"",
            "\"expiration\":\"2026-11-23T11:00:00Z\",\"conditions\"",
        ),
        add(json!({"a": "b", "c": "d"})),
        add(json!({})),
        add(json!({"success_action_status": 201})),
        add(json!(["eq", "key", "a"])),
        add(json!(["eq", "$key"])),
        add(json!(["eq", "$key", "a", "b"])),
        add(json!(["matches", "$key", "a"])),
        add(json!(["content-length-range", -1, 5])),
        add(json!(["content-length-range", 1.5, 5])),
        add(json!(["content-length-range", 6, 5])),
        add(json!(["content-length-range", "1", "+5"])),
        add(json!([1, 2, 3])),
    ] {
        let form = Form::with_policy_text(&server, &[("key", "a")], &text);
        let answer = form.send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "InvalidPolicyDocument"),
            "{text}: {}",
            answer.text()
        );
    }
    let form = Form::signed(&server, &[]);
    let stamp = stamp(server.now());
    form.set("policy", "no base64!")
        .set("x-amz-signature", &signature(&stamp, "no base64!"))
        .send(&server)
        .await
        .assert_error(400, "InvalidPolicyDocument");
    server.assert_absent("plain", "a").await;
}

#[tokio::test]
async fn conditions_compare_as_s3_does() {
    let server = Server::start().await;
    for (condition, fields, status) in [
        (json!(["EQ", "$KEY", "a"]), &[("Key", "a")][..], 204),
        (json!(["eq", "$key", "a"]), &[("key", "A")], 403),
        (
            json!(["starts-with", "$key", ""]),
            &[("key", "anything")],
            204,
        ),
        (
            json!({"key": "a"}),
            &[("key", "a"), ("x-ignore-me", "x")],
            204,
        ),
        (
            json!({"key": "a"}),
            &[("key", "a"), ("x-ignored", "x")],
            403,
        ),
    ] {
        let policy = policy(&server, HOUR, std::slice::from_ref(&condition));
        let answer = Form::with_policy(&server, fields, &policy)
            .send(&server)
            .await;
        assert_eq!(
            answer.status,
            status,
            "{condition} {fields:?}: {}",
            answer.text()
        );
    }
    let typed = |value: &str| {
        let conditions = [
            json!({"key": "a"}),
            json!(["starts-with", "$Content-Type", "image/"]),
        ];
        let policy = policy(&server, HOUR, &conditions);
        Form::with_policy(&server, &[("key", "a"), ("Content-Type", value)], &policy)
    };
    assert_eq!(typed("image/png").send(&server).await.status, 204);
    assert_eq!(
        typed("image/png, image/gif").send(&server).await.status,
        204
    );
    assert_eq!(typed("image/png,text/html").send(&server).await.status, 403);
    assert_eq!(
        typed("image/png")
            .without("Content-Type")
            .send(&server)
            .await
            .status,
        403
    );
    // A dollar sign is escaped in a policy in a way that JSON does not know.
    let text = policy(&server, HOUR, &[json!({"key": "US$"})])
        .to_string()
        .replace("US$", "US\\$");
    let form = Form::with_policy_text(&server, &[("key", "US$")], &text);
    assert_eq!(form.send(&server).await.status, 204);
    // Whoever leaves the bucket out has made a form for every bucket, which S3 refuses as well.
    let mut free = policy(&server, HOUR, &[json!({"key": "a"})]);
    free["conditions"].as_array_mut().unwrap().remove(0);
    let form = Form::with_policy(&server, &[("key", "a")], &free);
    form.send(&server).await.assert_error(403, "AccessDenied");
}

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

/// A form for one key, signed by a session; with a token that may be another's.
fn by_session(server: &Server, by: &TemporaryCredentials, key: &str, token: &str) -> Form {
    let form = sign::Form {
        bucket: "plain",
        key: sign::FormKey::Exactly(key),
        fields: &[],
        free_fields: &[("Content-Type", "image/")],
        sizes: 0..=10,
    };
    let fields = sign::sign_form(
        &by.credentials,
        Some(token),
        REGION,
        &form,
        7 * 24 * HOUR,
        server.now(),
    );
    Form::of(fields).set("Content-Type", "image/jpeg")
}

#[tokio::test]
async fn the_form_of_a_session_uploads_what_its_policies_allow_while_it_lasts() {
    let server = Server::start().await;
    let one = session(&server, Some(one_file("a")));
    let other = session(&server, Some(one_file("a")));
    let token = one.session_token.clone();
    let form = by_session(&server, &one, "a", &token);
    assert_eq!(form.send(&server).await.status, 204);
    let all = session(&server, None);
    for (what, form, status, code) in [
        (
            "a key that seems to lead out of its folder",
            by_session(&server, &all, "up/../a", &all.session_token),
            403,
            "AccessDenied",
        ),
        (
            "another key",
            by_session(&server, &one, "b", &token),
            403,
            "AccessDenied",
        ),
        (
            "another's token",
            by_session(&server, &one, "a", &other.session_token),
            400,
            "InvalidToken",
        ),
        (
            "no token",
            form.clone().without("x-amz-security-token"),
            403,
            "InvalidAccessKeyId",
        ),
        (
            "token of noise",
            form.clone().set("x-amz-security-token", "noise"),
            400,
            "InvalidToken",
        ),
        (
            "another type",
            form.clone().set("Content-Type", "text/html"),
            403,
            "AccessDenied",
        ),
    ] {
        let answer = form.send(&server).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{what}: {}",
            answer.text()
        );
    }
    server.assert_absent("plain", "b").await;
    // The policy of the form would be good for a week, its session is not.
    server.advance(HOUR);
    form.send(&server).await.assert_error(400, "ExpiredToken");
}

#[tokio::test]
async fn conditions_of_a_session_see_the_fields_of_a_form_as_headers() {
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::plain/*",
         "Condition": {"StringEquals": {"s3:authType": "POST"}}},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::plain/new/*",
         "Condition": {"Null": {"s3:if-none-match": "true"}}},
    ]});
    let (server, session) = server_and_session(&policy.to_string()).await;
    let token = session.session_token.clone();
    let form = |key| by_session(&server, &session, key, &token);
    assert_eq!(form("a").send(&server).await.status, 204);
    // What must not be overwritten cannot be sent by a form, which has no conditions.
    form("new/a")
        .send(&server)
        .await
        .assert_error(403, "AccessDenied");
    // Tags and lists need leave of their own, as in a PUT.
    let with = |name, value| {
        let fields = [(name, value)];
        let form = sign::Form {
            bucket: "plain",
            key: sign::FormKey::Exactly("b"),
            fields: &fields,
            free_fields: &[],
            sizes: 0..=10,
        };
        let by = &session.credentials;
        Form::of(sign::sign_form(
            by,
            Some(&token),
            REGION,
            &form,
            HOUR,
            server.now(),
        ))
    };
    let tagging = "<Tagging><TagSet></TagSet></Tagging>";
    for (name, value) in [("tagging", tagging), ("acl", "private")] {
        with(name, value)
            .send(&server)
            .await
            .assert_error(403, "AccessDenied");
    }
    assert_eq!(with("Content-Type", "a/b").send(&server).await.status, 204);
    let put = crate::sessions::upload(&server, &session, "plain", "a").await;
    put.assert_error(403, "AccessDenied");
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
