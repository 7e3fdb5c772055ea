//! Depot's grants under their contract, and used over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use two_buckets_contracts::grants::{Call, Headers, Place};
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{Depot, Options, Versioning};
use two_buckets_local::{DepotGrants, GrantOptions};
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::sign::{self, Service};
use two_buckets_s3_api::{Config, Credentials, Limits, S3Service, Sts, uploader_role};
use two_buckets_uploads::UploadCredentials;

use crate::bench::bucket;

const REGION: &str = "eu-central-1";

/// A server with a clock of its own.
struct Server {
    grants: DepotGrants,
    endpoint: String,
    staging: BucketName,
    archive: BucketName,
    owner: Credentials,
    millis: Arc<AtomicI64>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn start() -> Server {
    let millis = Arc::new(AtomicI64::new(1_790_000_000_000));
    let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = {
        let millis = millis.clone();
        Arc::new(move || Timestamp::from_millis(millis.fetch_add(1, Ordering::Relaxed)))
    };
    let options = Options {
        clock: clock.clone(),
        just_moved_grace: Duration::ZERO,
        small_body_bytes_max: 1 << 10,
        on_created: None,
        record_change: None,
    };
    let depot = Depot::open_on(Arc::new(MemoryStorage::new()), options).unwrap();
    let (staging, archive) = (bucket("staging"), bucket("archive"));
    for name in [&staging, &archive] {
        depot.create_bucket(name).unwrap();
        depot.set_versioning(name, Versioning::Enabled).unwrap();
    }
    let owner = Credentials {
        access_key_id: "AKIAOWNER".into(),
        secret_access_key: "secret".into(),
    };
    let sts = Sts::new(owner.clone(), vec![uploader_role(&staging)]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let config = Config {
        depot: depot.clone(),
        sts: sts.clone(),
        region: REGION.into(),
        clock: clock.clone(),
        pins: None,
        refuse_write: None,
        faults: None,
        staging_buckets: vec![staging.clone()],
        notifications: None,
        domain: None,
        limits: Limits::default(),
    };
    let limits = config.limits;
    let serving = S3Service::new(config).serve(listener, limits, std::future::pending());
    let grants = DepotGrants::new(GrantOptions {
        sts,
        region: REGION.into(),
        endpoint: endpoint.clone(),
        staging: staging.clone(),
        depot,
        clock,
    });
    Server {
        grants,
        endpoint,
        staging,
        archive,
        owner,
        millis,
        serving: tokio::spawn(serving),
    }
}

impl Place for Server {
    type Grants = DepotGrants;

    fn grants(&self) -> &DepotGrants {
        &self.grants
    }

    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn staging(&self) -> &BucketName {
        &self.staging
    }

    fn other(&self) -> &BucketName {
        &self.archive
    }

    fn owner(&self) -> UploadCredentials {
        UploadCredentials {
            access_key_id: self.owner.access_key_id.clone(),
            secret_access_key: self.owner.secret_access_key.clone(),
            session_token: String::new(),
            expires_at: Timestamp::from_millis(i64::MAX),
        }
    }

    fn sign(&self, by: &UploadCredentials, call: &Call) -> (String, Headers) {
        let query: Vec<(&str, &str)> = call.query.iter().map(|(n, v)| (&**n, &**v)).collect();
        let headers: Vec<(&str, &str)> = call.headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        let request = sign::Request {
            method: &call.method,
            host: self.endpoint.strip_prefix("http://").unwrap(),
            bucket: call.bucket.as_deref(),
            key: call.key.as_deref(),
            query: &query,
            headers: &headers,
        };
        let signed = sign::sign_headers_for(
            if call.for_sts {
                Service::Sts
            } else {
                Service::S3
            },
            &Credentials {
                access_key_id: by.access_key_id.clone(),
                secret_access_key: by.secret_access_key.clone(),
            },
            Some(&*by.session_token).filter(|token| !token.is_empty()),
            REGION,
            &request,
            &sign::sha256_hex(&call.body),
            self.now(),
        );
        let signed = signed
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (request.target(), signed.collect())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::Relaxed))
    }

    fn let_pass(&self, wait: Duration) {
        let wait = i64::try_from(wait.as_millis()).unwrap();
        self.millis.fetch_add(wait, Ordering::Relaxed);
    }
}

two_buckets_contracts::grants_contract!(start);
