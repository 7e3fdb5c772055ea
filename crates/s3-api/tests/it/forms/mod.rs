//! Uploads by HTML form, good ones and those of somebody who wants more than the form's maker allowed.

mod bodies;
mod by_session;
mod policies;
pub(crate) mod signer;
mod uploading;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use two_buckets_objects::Timestamp;

use crate::harness::{Answer, REGION, Server, credentials};

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

/// Uploads `up/photo.jpg` to the bucket `plain`.
pub(crate) async fn upload(server: &Server) {
    let answer = Form::signed(server, &[]).send(server).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
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
        let form = signer::Form {
            bucket: "plain",
            key: signer::FormKey::Below("up/"),
            fields,
            free_fields: &[],
            sizes: 2..=10,
        };
        let fields = signer::sign_form(&credentials(), None, REGION, &form, HOUR, server.now());
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
