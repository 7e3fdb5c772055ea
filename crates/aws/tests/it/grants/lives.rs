//! How long grants last: no longer than what they are signed with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use two_buckets_aws::S3Grants;
use two_buckets_objects::Timestamp;
use two_buckets_uploads::{
    CredentialScope, Error, FormTarget, FormToSign, Grants as _, Operation, RequestToSign,
    SignedForm, SignedRequest,
};

use super::place::Server;
use crate::s3::server::now;

const MINUTE: Duration = Duration::from_mins(1);

async fn url(grants: &S3Grants, life: Duration) -> SignedRequest {
    let request = RequestToSign {
        operation: Operation::PutObject,
        key: "a".parse().unwrap(),
        headers: Vec::new(),
        life,
    };
    grants.sign(request).await.unwrap()
}

async fn form(grants: &S3Grants, life: Duration) -> SignedForm {
    let form = FormToSign {
        to: FormTarget::Key("a".parse().unwrap()),
        size_bytes: 0..=1,
        content_type: None,
        metadata: std::collections::BTreeMap::new(),
        life,
    };
    grants.form(form).await.unwrap()
}

fn scope() -> CredentialScope {
    CredentialScope::Key {
        key: "a".parse().unwrap(),
        must_be_new: true,
    }
}

fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    let (_, behind) = url.split_once(&format!("{name}=")).unwrap();
    behind.split('&').next().unwrap()
}

/// A clock that is so many minutes ahead.
fn clock(ahead: &Arc<AtomicI64>) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    let ahead = ahead.clone();
    Arc::new(move || {
        let minutes = u64::try_from(ahead.load(Ordering::Relaxed)).unwrap();
        now().after(u32::try_from(minutes).unwrap() * MINUTE)
    })
}

#[tokio::test]
async fn one_session_signs_until_little_is_left_of_it() {
    let server = Server::start().await;
    let ahead = Arc::new(AtomicI64::new(0));
    let grants = server
        .grants_of_session(60 * MINUTE, true, clock(&ahead))
        .await;
    let token = async || {
        let signed = url(&grants, 15 * MINUTE).await;
        parameter(&signed.url, "X-Amz-Security-Token").to_owned()
    };
    let first = token().await;
    for minutes in [0, 44] {
        ahead.store(minutes, Ordering::Relaxed);
        assert_eq!(token().await, first, "{minutes}");
    }
    // What is signed for longer is cut to what is left, and says so.
    ahead.store(29, Ordering::Relaxed);
    let signed = form(&grants, 60 * MINUTE).await;
    assert_eq!(
        signed.fields["x-amz-security-token"],
        percent_decoded(&first)
    );
    let left = signed.expires_at.since(clock(&ahead)());
    assert!((30 * MINUTE..=31 * MINUTE).contains(&left), "{left:?}");
    ahead.store(46, Ordering::Relaxed);
    assert_ne!(token().await, first);
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

#[tokio::test]
async fn many_who_sign_at_once_make_one_session() {
    let server = Server::start().await;
    let grants = server
        .grants_of_session(60 * MINUTE, true, Arc::new(now))
        .await;
    let signed = futures::future::join_all((0..20).map(|_| url(&grants, MINUTE))).await;
    let token = |signed: &SignedRequest| parameter(&signed.url, "X-Amz-Security-Token").to_owned();
    let first = token(&signed[0]);
    assert!(signed.iter().all(|it| token(it) == first));
}

#[tokio::test]
async fn a_grant_ends_with_the_callers_own_credentials() {
    let server = Server::start().await;
    let before = now();
    let grants = server
        .grants_of_session(5 * MINUTE, false, Arc::new(now))
        .await;
    let latest = now().after(5 * MINUTE);
    let signed = url(&grants, 15 * MINUTE).await;
    assert!((before..=latest).contains(&signed.expires_at));
    let seconds: u64 = parameter(&signed.url, "X-Amz-Expires").parse().unwrap();
    assert!((290..=300).contains(&seconds), "{seconds}");
    assert!(form(&grants, 60 * MINUTE).await.expires_at <= latest);
    // What is asked for is never passed either.
    let signed = url(&grants, MINUTE).await;
    assert_eq!(parameter(&signed.url, "X-Amz-Expires"), "60");
}

#[tokio::test]
async fn credentials_that_have_ended_sign_nothing() {
    let server = Server::start().await;
    let ahead = Arc::new(AtomicI64::new(0));
    let grants = server
        .grants_of_session(5 * MINUTE, false, clock(&ahead))
        .await;
    url(&grants, MINUTE).await;
    ahead.store(6, Ordering::Relaxed);
    let request = RequestToSign {
        operation: Operation::PutObject,
        key: "a".parse().unwrap(),
        headers: Vec::new(),
        life: MINUTE,
    };
    let error = grants.sign(request).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn credentials_last_an_hour_at_most_and_a_quarter_at_least() {
    let server = Server::start().await;
    let grants = server
        .grants_of_session(60 * MINUTE, true, Arc::new(now))
        .await;
    let made = grants.credentials(scope(), 12 * 60 * MINUTE).await.unwrap();
    let left = made.expires_at.since(now());
    assert!((59 * MINUTE..=60 * MINUTE).contains(&left), "{left:?}");
    let made = grants.credentials(scope(), 15 * MINUTE).await.unwrap();
    let left = made.expires_at.since(now());
    assert!((14 * MINUTE..=15 * MINUTE).contains(&left), "{left:?}");
    let error = grants.credentials(scope(), MINUTE).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn without_the_role_nobody_is_given_credentials() {
    let server = Server::start().await;
    let grants = server
        .grants_of_session(60 * MINUTE, false, Arc::new(now))
        .await;
    let error = grants.credentials(scope(), 60 * MINUTE).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("signed URL"), "{error}");
}
