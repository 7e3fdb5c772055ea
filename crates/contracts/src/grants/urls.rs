//! Signed URLs of single requests, and what is true of every grant.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use two_buckets_uploads::{
    CredentialScope, FormTarget, FormToSign, Grants as _, Operation, RequestToSign, SignedRequest,
};

use super::client::send;
use super::{
    Call, Headers, MINUTE, Place, Problems, assert_unchanged, everything, forms, holds, key, stored,
};

/// Of `hello`.
const SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

pub(super) async fn signed<P: Place>(
    place: &P,
    operation: Operation,
    of_key: &str,
    headers: &[(&'static str, &'static str)],
) -> SignedRequest {
    let headers = headers.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    let request = RequestToSign {
        operation,
        key: key(of_key),
        headers: headers.collect(),
        life: 15 * MINUTE,
    };
    place.grants().sign(request).await.unwrap()
}

fn owned(headers: &[(&str, &str)]) -> Headers {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Every header that was signed must come as it was signed, and nothing else that S3 would act on.
pub async fn a_signed_put_takes_what_it_was_signed_for<P: Place>(place: &P) {
    let bound = [
        ("if-none-match", "*"),
        ("content-type", "image/png"),
        ("content-length", "5"),
        ("x-amz-checksum-sha256", SHA256),
    ];
    let url = signed(place, Operation::PutObject, "a/b.png", &bound)
        .await
        .url;
    let other_url = |from: &str, to: &str| {
        let changed = url.replacen(from, to, 1);
        assert_ne!(changed, url, "{from}");
        changed
    };
    let without = |name: &str| {
        let mut headers = owned(&bound);
        headers.retain(|(found, _)| found != name);
        headers
    };
    let with = |name: &str, value: &str| {
        let mut headers = without(name);
        headers.push((name.to_owned(), value.to_owned()));
        headers
    };
    let hello: &[u8] = b"hello";
    let put = Method::PUT;
    let signature_at = url.find("Signature=").unwrap() + "Signature=".len();
    let first = &url[signature_at..=signature_at];
    let forged = format!(
        "{}{}{}",
        &url[..signature_at],
        if first == "0" { "1" } else { "0" },
        &url[signature_at + 1..]
    );
    let tries = [
        (
            "no condition",
            &put,
            url.clone(),
            without("if-none-match"),
            hello,
        ),
        (
            "another condition",
            &put,
            url.clone(),
            with("if-none-match", "\"x\""),
            hello,
        ),
        ("no type", &put, url.clone(), without("content-type"), hello),
        (
            "another type",
            &put,
            url.clone(),
            with("content-type", "text/html"),
            hello,
        ),
        (
            "a longer body",
            &put,
            url.clone(),
            with("content-length", "6"),
            b"hello!",
        ),
        (
            "a shorter body",
            &put,
            url.clone(),
            with("content-length", "4"),
            b"hell",
        ),
        ("another body", &put, url.clone(), owned(&bound), b"HELLO"),
        (
            "no checksum",
            &put,
            url.clone(),
            without("x-amz-checksum-sha256"),
            b"HELLO",
        ),
        (
            "another checksum",
            &put,
            url.clone(),
            with(
                "x-amz-checksum-sha256",
                "AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            ),
            b"HELLO",
        ),
        (
            "tags",
            &put,
            url.clone(),
            with("x-amz-tagging", "a=b"),
            hello,
        ),
        (
            "for everybody",
            &put,
            url.clone(),
            with("x-amz-acl", "public-read"),
            hello,
        ),
        (
            "metadata",
            &put,
            url.clone(),
            with("x-amz-meta-a", "b"),
            hello,
        ),
        (
            "another key",
            &put,
            other_url("/b.png?", "/c.png?"),
            owned(&bound),
            hello,
        ),
        (
            "a longer key",
            &put,
            other_url("/b.png?", "/b.png/c?"),
            owned(&bound),
            hello,
        ),
        (
            "another bucket",
            &put,
            other_url(place.staging().as_str(), place.other().as_str()),
            owned(&bound),
            hello,
        ),
        (
            "tagging",
            &put,
            other_url("?", "?tagging&"),
            owned(&bound),
            hello,
        ),
        (
            "a part",
            &put,
            other_url("?", "?partNumber=1&uploadId=x&"),
            owned(&bound),
            hello,
        ),
        (
            "longer",
            &put,
            other_url("X-Amz-Expires=900", "X-Amz-Expires=9000"),
            owned(&bound),
            hello,
        ),
        ("forged", &put, forged, owned(&bound), hello),
        (
            "begin parts",
            &Method::POST,
            other_url("?", "?uploads&"),
            owned(&bound),
            hello,
        ),
        ("read", &Method::GET, url.clone(), Headers::new(), b""),
        ("look", &Method::HEAD, url.clone(), Headers::new(), b""),
        ("delete", &Method::DELETE, url.clone(), Headers::new(), b""),
    ];
    let before = everything(place).await;
    let mut problems = Problems::default();
    for (what, method, url, headers, body) in tries {
        let answer = send(method, &url, &headers, body).await;
        if !(400..500).contains(&answer.status) {
            problems.add(format_args!("{what}: {answer:?}"));
        }
        assert_unchanged(place, &before, what).await;
    }
    problems.assert_none();
    let answer = send(&put, &url, &owned(&bound), hello).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(holds(place, "a/b.png", hello).await);
    let found = stored(place, "a/b.png").await.unwrap();
    assert_eq!(found.header("content-type"), Some("image/png"));
    let answer = send(&put, &url, &owned(&bound), hello).await;
    assert_eq!(answer.status, 412, "{answer:?}");
}

/// Clients send neither a checksum nor anything else that nobody told them to: a URL that has one in it, computed over
/// nothing, refuses every body (aws-sdk-rust, issue 1240).
pub async fn a_url_that_binds_nothing_takes_any_bytes<P: Place>(place: &P) {
    let signed = signed(place, Operation::PutObject, "any", &[]).await;
    let url = signed.url.to_ascii_lowercase();
    assert!(!url.contains("checksum") && !url.contains("x-id="), "{url}");
    for bytes in [&b"some bytes"[..], b"others", b""] {
        let answer = send(&Method::PUT, &signed.url, &[], bytes).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(holds(place, "any", bytes).await);
    }
    // What is not bound may be said, but for what S3 wants signed.
    let more = owned(&[("content-type", "text/csv")]);
    let answer = send(&Method::PUT, &signed.url, &more, b"a,b").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// A key is in its URL exactly, so the file has that key and no other.
pub async fn awkward_keys_are_signed_as_they_are<P: Place>(place: &P) {
    for awkward in [
        "a b+c%2F/\u{e4}.txt",
        "a//b",
        "a/b/",
        "~x/\u{fc} \u{1f642}",
        "a&b=c?d#e",
        "*",
        "${filename}",
        "x/'(y)!\"\\<>^`{|}",
    ] {
        let url = signed(place, Operation::PutObject, awkward, &[]).await.url;
        let answer = send(&Method::PUT, &url, &[], awkward.as_bytes()).await;
        assert_eq!(answer.status, 200, "{awkward}: {answer:?}");
        assert!(holds(place, awkward, awkward.as_bytes()).await, "{awkward}");
    }
}

/// No grant outlives what was asked for, each is good until it says it ends, and none is good after.
pub async fn grants_end_when_they_say<P: Place>(place: &P) {
    let life = 15 * MINUTE;
    let latest = place.now().after(life).after(MINUTE);
    let url = signed(place, Operation::PutObject, "url", &[]).await;
    let form = FormToSign {
        to: FormTarget::Key(key("form")),
        size_bytes: 0..=10,
        content_type: None,
        metadata: std::collections::BTreeMap::new(),
        life,
    };
    let form = place.grants().form(form).await.unwrap();
    let scope = CredentialScope::Key {
        key: key("credentials"),
        must_be_new: false,
    };
    let credentials = place.grants().credentials(scope, life).await.unwrap();
    let ends = [url.expires_at, form.expires_at, credentials.expires_at];
    for end in ends {
        assert!((place.now()..=latest).contains(&end), "{end}");
    }
    let uses = async || {
        let call = Call::new(Method::PUT, place.staging(), "credentials").body(b"x");
        [
            send(&Method::PUT, &url.url, &[], b"x").await.status,
            forms::post(&form.url, &form.fields, "x.txt", b"x")
                .await
                .status,
            call.by(place, &credentials).await.status,
        ]
    };
    let first = ends.iter().min().unwrap();
    place.let_pass(
        first
            .since(place.now())
            .saturating_sub(Duration::from_secs(30)),
    );
    for status in uses().await {
        assert!((200..300).contains(&status), "{status}");
    }
    let last = ends.iter().max().unwrap();
    place.let_pass(
        last.since(place.now())
            .saturating_add(Duration::from_secs(1)),
    );
    let before = everything(place).await;
    for status in uses().await {
        assert!((400..500).contains(&status), "{status}");
    }
    assert_unchanged(place, &before, "grants that had ended").await;
}

/// What lets its holder in is never in what is logged.
pub async fn nothing_secret_is_shown<P: Place>(place: &P) {
    let url = signed(place, Operation::PutObject, "url", &[]).await;
    let form = FormToSign {
        to: FormTarget::Key(key("form")),
        size_bytes: 0..=10,
        content_type: None,
        metadata: std::collections::BTreeMap::new(),
        life: MINUTE,
    };
    let form = place.grants().form(form).await.unwrap();
    let scope = CredentialScope::Key {
        key: key("credentials"),
        must_be_new: false,
    };
    let made = place
        .grants()
        .credentials(scope, 15 * MINUTE)
        .await
        .unwrap();
    let shown = format!("{url:?} {form:?} {made:?}");
    let (_, signature) = url.url.split_once("Signature=").unwrap();
    let signature = signature.split('&').next().unwrap();
    for secret in [
        signature,
        &form.fields["policy"],
        &form.fields["x-amz-signature"],
        &made.secret_access_key,
        &made.session_token,
    ] {
        assert!(secret.len() > 20 && !shown.contains(secret), "{shown}");
    }
}
