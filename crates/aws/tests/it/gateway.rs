//! A deployment's upload function, as its variables make it.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::service_fn;
use two_buckets_aws::gateway::{Config, Serving};
use two_buckets_uploads::{CredentialScope, Grants as _, Signing, Vouched};

use crate::canned::{Canned, Reply};
use crate::s3::server::now;

const KMS_KEY: &str = "arn:aws-cn:kms:cn-north-1:111122223333:key/k";

fn config() -> Config {
    let told = [
        ("TWO_BUCKETS_STAGING", "files-staging"),
        ("TWO_BUCKETS_ARCHIVE", "files-archive"),
        ("TWO_BUCKETS_LEDGER_TABLE", "files-ledger"),
        ("TWO_BUCKETS_QUEUE_URL", "https://sqs/1/files"),
        (
            "TWO_BUCKETS_UPLOADER_ROLE_ARN",
            "arn:aws-cn:iam::111122223333:role/uploader",
        ),
        ("TWO_BUCKETS_KMS_KEY_ARN", KMS_KEY),
        ("TWO_BUCKETS_AUTHORIZATION", "jwt"),
        ("TWO_BUCKETS_OIDC_ADMIN_CLAIM", "roles=files-admin"),
    ];
    let read = |name: &str| {
        let told = told.iter().find(|(one, _)| *one == name);
        told.map(|(_, value)| (*value).to_owned())
    };
    Config::read(read).unwrap()
}

/// In every part of the world, and where the bucket is encrypted with a key of its owner's: S3 asks for that in the name of
/// whoever puts.
#[tokio::test]
async fn credentials_are_for_one_key_of_the_bucket_and_the_key_that_encrypts_it() {
    let end = now().after(Duration::from_hours(1));
    let sts = Canned::start(move |_| {
        Reply::ok(format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey>\
             <SessionToken>t0ken</SessionToken><Expiration>{end}</Expiration>\
             </Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ))
    })
    .await;
    let grants = config().grants(&sts.clients().await).await.unwrap();
    let scope = CredentialScope::Key {
        key: "a*".parse().unwrap(),
        must_be_new: false,
    };
    let life = Duration::from_hours(1);
    grants.credentials(scope, life).await.unwrap();
    let asked = sts.take();
    let form = std::str::from_utf8(&asked[0].body).unwrap();
    let policy = form.split('&').find_map(|it| it.strip_prefix("Policy="));
    let policy = percent_encoding::percent_decode_str(policy.unwrap());
    let policy: Value = serde_json::from_str(&policy.decode_utf8().unwrap()).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    assert_eq!(
        statements[0]["Resource"],
        "arn:aws-cn:s3:::files-staging/a${*}"
    );
    let of_kms = statements.iter().find(|it| it["Resource"] == KMS_KEY);
    assert_eq!(
        of_kms.unwrap()["Action"],
        json!(["kms:GenerateDataKey", "kms:Decrypt"])
    );
}

/// An administrator is known by a claim that API Gateway writes as a text.
#[tokio::test]
async fn the_service_sees_all_values_of_the_claim_that_makes_an_administrator() {
    let config = config();
    let claims = config.access().claims;
    let (claim, value) = claims.admin_claim.expect("it is told");
    assert_eq!(
        (claim.to_string(), &*value),
        ("roles".into(), "files-admin")
    );
    let service = service_fn(|request: Request<Full<Bytes>>| async move {
        let vouched = request.extensions().get::<Vouched>();
        let Some(Vouched::Claims(claims)) = vouched else {
            panic!("who calls is said");
        };
        let said = serde_json::to_vec(claims).unwrap();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(said))))
    });
    let serving = Serving::new(service, Signing::Token, config.lists());
    let event = json!({
        "version": "2.0", "rawPath": "/api/uploads", "rawQueryString": "", "headers": {},
        "requestContext": {
            "http": {"method": "GET"}, "stage": "$default",
            "authorizer": {"jwt": {"claims": {"sub": "u1", "roles": "[other files-admin]"}}},
        },
    });
    let deadline = now().after(Duration::from_mins(1));
    let answer = serving.handle(&event, deadline).await.unwrap();
    let claims: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        claims,
        json!({"sub": "u1", "roles": ["other", "files-admin"]})
    );
}
