//! The S3 service whole, on a store in memory, with a clock that stands still.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{Depot, Options};
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::{
    AssumeRole, Config, Credentials, Limits, S3Service, Sts, TemporaryCredentials, uploader_role,
};

pub(crate) const HOST: &str = "127.0.0.1:9000";
pub(crate) const REGION: &str = "us-east-1";
/// The only key that the session of [`Server::session`] may write.
pub(crate) const OWN_KEY: &str = "own";
/// 2026-11-23T10:50:50Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_431_050_000);

pub(crate) struct Server {
    pub(crate) depot: Depot,
    pub(crate) root: Credentials,
    sts: Sts,
    service: S3Service,
}

impl Server {
    /// A new one, with the empty buckets `staging` and `archive`.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(|| NOW);
        let depot = Depot::open_on(
            Arc::new(MemoryStorage::default()),
            Options {
                clock: clock.clone(),
                just_moved_grace: Duration::ZERO,
                small_body_bytes_max: 128 << 10,
                on_created: None,
                record_change: None,
            },
        )
        .expect("memory can be opened");
        for bucket in ["staging", "archive"] {
            depot
                .create_bucket(&bucket_name(bucket))
                .expect("a new store has no buckets");
        }
        let root = Credentials {
            access_key_id: "ROOT".into(),
            secret_access_key: "root/secret".into(),
        };
        let roles = vec![uploader_role(&bucket_name("staging"))];
        let sts = Sts::new(root.clone(), roles).expect("the role is ours");
        let service = S3Service::new(Config {
            depot: depot.clone(),
            sts: sts.clone(),
            domain: None,
            region: REGION.into(),
            clock,
            pins: None,
            refuse_write: None,
            faults: None,
            notifications: None,
            staging_buckets: vec![bucket_name("staging")],
            limits: Limits::default(),
        });
        Self {
            depot,
            root,
            sts,
            service,
        }
    }

    /// Credentials that may write [`OWN_KEY`] in `staging` and nothing else.
    pub(crate) fn session(&self) -> TemporaryCredentials {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::staging/{OWN_KEY}"}}}}"#
        );
        self.sts
            .assume_role(
                &AssumeRole {
                    role_arn: uploader_role(&bucket_name("staging")).arn(),
                    session_name: "fuzz".into(),
                    policy: Some(policy),
                    duration: Duration::from_mins(15),
                },
                NOW,
            )
            .expect("the policy is ours")
    }

    /// Sends a request and gives the answer's status. Headers that are none are left out.
    ///
    /// # Panics
    ///
    /// When the answer is an error of ours: whatever a client sends, it is the client's.
    pub(crate) fn status(
        &self,
        method: &http::Method,
        target: &str,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Option<u16> {
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(body)));
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.parse().ok()?;
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::from_bytes(value),
            ) {
                request.headers_mut().append(name, value);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let (status, text) = runtime.block_on(async {
            let answer = self.service.call(request).await;
            let status = answer.status().as_u16();
            let text = answer
                .into_body()
                .collect()
                .await
                .map(|whole| String::from_utf8_lossy(&whole.to_bytes()).into_owned());
            (status, text)
        });
        // What is not there says so with 501.
        assert!(
            status < 500 || status == 501,
            "{method} {target}: {status} {text:?}"
        );
        Some(status)
    }
}

pub(crate) fn bucket_name(name: &str) -> BucketName {
    name.parse().expect("a legal name")
}
