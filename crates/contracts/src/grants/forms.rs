//! Forms.

use std::collections::BTreeMap;

use http::Method;
use two_buckets_uploads::{FormTarget, FormToSign, Grants as _};

use super::client::{Answer, send};
use super::{MINUTE, Place, Problems, assert_unchanged, everything, holds, key, stored};

const BOUNDARY: &str = "----frontier";

/// Posts a form as a browser does, with the file behind all fields.
pub(super) async fn post(
    url: &str,
    fields: &BTreeMap<String, String>,
    file_name: &str,
    file: &[u8],
) -> Answer {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let part = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(part.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let kind = (
        "content-type".to_owned(),
        format!("multipart/form-data; boundary={BOUNDARY}"),
    );
    send(&Method::POST, url, &[kind], &body).await
}

/// Key, size, type and metadata are the form's, and it takes nothing that it does not name.
pub async fn a_form_takes_what_it_was_signed_for<P: Place>(place: &P) {
    let form = FormToSign {
        to: FormTarget::Key(key("up/a b.png")),
        size_bytes: 3..=5,
        content_type: Some("image/png".parse().unwrap()),
        metadata: [("who".to_owned(), "me".to_owned())].into(),
        life: 15 * MINUTE,
    };
    let form = place.grants().form(form).await.unwrap();
    let with = |name: &str, value: &str| {
        let mut fields = form.fields.clone();
        fields.insert(name.into(), value.into());
        fields
    };
    let without = |name: &str| {
        let mut fields = form.fields.clone();
        assert!(fields.remove(name).is_some(), "{name}");
        fields
    };
    let mut policy = form.fields["policy"].clone();
    policy.insert(0, 'A');
    let good = form.fields.clone();
    let tries = [
        ("too large", good.clone(), &b"hello!"[..]),
        ("too small", good.clone(), b"he"),
        ("another key", with("key", "up/other.png"), b"hello"),
        ("a name for a key", with("key", "${filename}"), b"hello"),
        ("another type", with("Content-Type", "text/html"), b"hello"),
        ("no type", without("Content-Type"), b"hello"),
        ("other metadata", with("x-amz-meta-who", "you"), b"hello"),
        ("no metadata", without("x-amz-meta-who"), b"hello"),
        ("more metadata", with("x-amz-meta-more", "x"), b"hello"),
        ("tags", with("tagging", "<Tagging/>"), b"hello"),
        ("for everybody", with("acl", "public-read"), b"hello"),
        ("no policy", without("policy"), b"hello"),
        ("another policy", with("policy", &policy), b"hello"),
        ("no signature", without("x-amz-signature"), b"hello"),
        (
            "another's key",
            with(
                "x-amz-credential",
                "AKIAX/20261126/eu-central-1/s3/aws4_request",
            ),
            b"hello",
        ),
    ];
    let before = everything(place).await;
    let mut problems = Problems::default();
    for (what, fields, file) in tries {
        let answer = post(&form.url, &fields, "photo.png", file).await;
        if !(400..500).contains(&answer.status) {
            problems.add(format_args!("{what}: {answer:?}"));
        }
        assert_unchanged(place, &before, what).await;
    }
    problems.assert_none();
    for file in [&b"abc"[..], b"hello"] {
        let answer = post(&form.url, &good, "photo.png", file).await;
        assert!(answer.is_success(), "{answer:?}");
        assert!(holds(place, "up/a b.png", file).await);
    }
    let found = stored(place, "up/a b.png").await.unwrap();
    assert_eq!(found.header("content-type"), Some("image/png"));
    assert_eq!(found.header("x-amz-meta-who"), Some("me"));
}

/// Where the page cannot know the name the browser says it, below the prefix and nowhere else.
pub async fn a_form_below_a_prefix_takes_the_name_of_its_file<P: Place>(place: &P) {
    let form = FormToSign {
        to: FormTarget::Below("up/te*m/".parse().unwrap()),
        size_bytes: 0..=100,
        content_type: None,
        metadata: BTreeMap::new(),
        life: 15 * MINUTE,
    };
    let form = place.grants().form(form).await.unwrap();
    let answer = post(&form.url, &form.fields, "photo.png", b"hello").await;
    assert!(answer.is_success(), "{answer:?}");
    assert!(holds(place, "up/te*m/photo.png", b"hello").await);
    let before = everything(place).await;
    for outside in ["up/team/x", "x", "up/te*m", "", "../x"] {
        let mut fields = form.fields.clone();
        fields.insert("key".into(), outside.into());
        let answer = post(&form.url, &fields, "photo.png", b"hello").await;
        assert!((400..500).contains(&answer.status), "{outside}: {answer:?}");
        assert_unchanged(place, &before, outside).await;
    }
}
