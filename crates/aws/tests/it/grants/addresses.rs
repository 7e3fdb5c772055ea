//! Where a grant leads: by the rules of AWS's SDKs. Nobody is called.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use two_buckets_aws::{ClientOptions, Clients, S3GrantOptions, S3Grants};
use two_buckets_uploads::{FormTarget, FormToSign, Grants as _, Operation, RequestToSign};

use crate::s3::server::now;

async fn clients(region: &str, endpoint: Option<&str>, path_style: Option<bool>) -> Clients {
    let caller = Credentials::new("AKIAEXAMPLE", "test/secret", None, None, "test");
    let options = ClientOptions {
        region: Some(region.into()),
        endpoint_url: endpoint.map(str::to_owned),
        credentials: Some(SharedCredentialsProvider::new(caller)),
        path_style,
        ..ClientOptions::default()
    };
    Clients::from_environment(&options).await.unwrap()
}

#[tokio::test]
async fn a_bucket_is_where_the_sdk_finds_it() {
    for (region, endpoint, path_style, bucket, wanted) in [
        (
            "eu-central-1",
            None,
            None,
            "files",
            "https://files.s3.eu-central-1.amazonaws.com",
        ),
        (
            "us-east-1",
            None,
            None,
            "files",
            "https://files.s3.us-east-1.amazonaws.com",
        ),
        (
            "cn-north-1",
            None,
            None,
            "files",
            "https://files.s3.cn-north-1.amazonaws.com.cn",
        ),
        // A certificate covers one name before the service's.
        (
            "eu-central-1",
            None,
            None,
            "my.files",
            "https://s3.eu-central-1.amazonaws.com/my.files",
        ),
        (
            "eu-central-1",
            None,
            Some(true),
            "files",
            "https://s3.eu-central-1.amazonaws.com/files",
        ),
        (
            "eu-central-1",
            Some("http://127.0.0.1:9000"),
            None,
            "files",
            "http://127.0.0.1:9000/files",
        ),
        (
            "eu-central-1",
            Some("https://s3.example.com/"),
            None,
            "files",
            "https://s3.example.com/files",
        ),
        (
            "eu-central-1",
            Some("https://s3.example.com"),
            Some(false),
            "files",
            "https://files.s3.example.com",
        ),
    ] {
        let clients = clients(region, endpoint, path_style).await;
        let url = clients.bucket_url(&bucket.parse().unwrap()).await.unwrap();
        assert_eq!(url, wanted);
    }
    let failed = clients("eu-central-1", Some("no URL"), None).await;
    let failed = failed.bucket_url(&"files".parse().unwrap()).await;
    assert!(failed.unwrap_err().to_string().contains("files"));
}

#[tokio::test]
async fn grants_lead_to_the_bucket_and_show_no_secret() {
    let clients = clients("eu-central-1", None, None).await;
    let options = S3GrantOptions {
        staging: "files".parse().unwrap(),
        uploader_role_arn: None,
        kms_key_arn: None,
        clock: Arc::new(now),
    };
    let grants = S3Grants::new(&clients, options).await.unwrap();
    let request = RequestToSign {
        operation: Operation::PutObject,
        key: "a b/\u{e4}".parse().unwrap(),
        headers: Vec::new(),
        life: Duration::from_mins(15),
    };
    let signed = grants.sign(request).await.unwrap();
    let wanted = "https://files.s3.eu-central-1.amazonaws.com/a%20b/%C3%A4?";
    assert!(signed.url.starts_with(wanted), "{}", signed.url);
    let form = FormToSign {
        to: FormTarget::Key("a".parse().unwrap()),
        size_bytes: 0..=1,
        content_type: None,
        metadata: std::collections::BTreeMap::new(),
        life: Duration::from_mins(15),
    };
    let form = grants.form(form).await.unwrap();
    assert_eq!(form.url, "https://files.s3.eu-central-1.amazonaws.com");
    assert!(!form.fields.contains_key("x-amz-security-token"));
    assert!(!format!("{grants:?}").contains("test/secret"));
}
