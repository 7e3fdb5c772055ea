//! A server with the roles that a stack has, and grants of its upload function.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::net::TcpListener;
use two_buckets_aws::{ClientOptions, Clients, S3GrantOptions, S3Grants};
use two_buckets_contracts::grants::{Call, Headers, Place};
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{Depot, Options, Versioning};
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::sign::{self, Service};
use two_buckets_s3_api::{
    AssumeRole, Config, Credentials, Limits, Role, S3Service, SESSION_LIFE_MAX, Sts,
    TemporaryCredentials, uploader_role,
};
use two_buckets_uploads::UploadCredentials;

use crate::s3::server::now;

pub(crate) const REGION: &str = "eu-central-1";
const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn staging() -> BucketName {
    "staging".parse().unwrap()
}

/// What the upload function may do of this: put to staging, and take the uploader role.
fn uploads_role() -> Role {
    let staging = staging();
    let uploader = uploader_role(&staging).arn();
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":"arn:aws:s3:::{staging}/*"}},{{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"{uploader}"}}]}}"#
    );
    Role {
        name: "uploads".into(),
        policy: policy.parse().unwrap(),
        session_life_max: SESSION_LIFE_MAX,
    }
}

/// S3 and STS, with a clock that can be put forward.
pub(crate) struct Server {
    grants: S3Grants,
    pub(crate) endpoint: String,
    staging: BucketName,
    archive: BucketName,
    owner: Credentials,
    sts: Sts,
    ahead_millis: Arc<AtomicI64>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let ahead_millis = Arc::new(AtomicI64::new(0));
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = {
            let ahead = ahead_millis.clone();
            Arc::new(move || Timestamp::from_millis(now().millis() + ahead.load(Ordering::Relaxed)))
        };
        let options = Options {
            clock: clock.clone(),
            just_moved_grace: Duration::ZERO,
            small_body_bytes_max: 128 << 10,
            on_created: None,
            record_change: None,
        };
        let depot = Depot::open_on(Arc::new(MemoryStorage::new()), options).unwrap();
        let (staging, archive) = (staging(), "archive".parse().unwrap());
        for name in [&staging, &archive] {
            depot.create_bucket(name).unwrap();
            depot.set_versioning(name, Versioning::Enabled).unwrap();
        }
        let owner = Credentials {
            access_key_id: "AKIAOWNER".into(),
            secret_access_key: "test/secret".into(),
        };
        let roles = vec![uploader_role(&staging), uploads_role()];
        let sts = Sts::new(owner.clone(), roles).unwrap();
        let config = Config {
            depot,
            sts: sts.clone(),
            region: REGION.into(),
            clock,
            pins: None,
            refuse_write: None,
            faults: None,
            staging_buckets: vec![staging.clone()],
            notifications: None,
            domain: None,
            limits: Limits::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let limits = config.limits;
        let serving = S3Service::new(config).serve(listener, limits, std::future::pending());
        let serving = tokio::spawn(serving);
        let caller = caller_of(&uploads_session(&sts, 12 * HOUR));
        let role = Some(uploader_role(&staging).arn());
        Self {
            grants: grants(&endpoint, caller, role, Arc::new(now)).await,
            endpoint,
            staging,
            archive,
            owner,
            sts,
            ahead_millis,
            serving,
        }
    }

    /// Grants of somebody with a session of the upload function's role, which lasts so long.
    pub(crate) async fn grants_of_session(
        &self,
        life: Duration,
        takes_the_role: bool,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> S3Grants {
        let caller = caller_of(&uploads_session(&self.sts, life));
        let role = takes_the_role.then(|| uploader_role(&self.staging).arn());
        grants(&self.endpoint, caller, role, clock).await
    }
}

fn uploads_session(sts: &Sts, life: Duration) -> TemporaryCredentials {
    let asked = AssumeRole {
        role_arn: uploads_role().arn(),
        session_name: "function".into(),
        policy: None,
        duration: life,
    };
    sts.assume_role(&asked, now()).unwrap()
}

fn caller_of(session: &TemporaryCredentials) -> SdkCredentials {
    let end = u64::try_from(session.expires_at.millis()).unwrap();
    SdkCredentials::new(
        &session.credentials.access_key_id,
        &session.credentials.secret_access_key,
        Some(session.session_token.clone()),
        Some(UNIX_EPOCH + Duration::from_millis(end)),
        "test",
    )
}

/// Grants at an endpoint, of a caller with these credentials.
pub(crate) async fn grants(
    endpoint: &str,
    caller: SdkCredentials,
    uploader_role_arn: Option<String>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
) -> S3Grants {
    let client_options = ClientOptions {
        region: Some(REGION.into()),
        endpoint_url: Some(endpoint.into()),
        credentials: Some(SharedCredentialsProvider::new(caller)),
        ..ClientOptions::default()
    };
    let options = S3GrantOptions {
        staging: staging(),
        uploader_role_arn,
        kms_key_arn: None,
        clock,
    };
    let clients = Clients::from_environment(&client_options).await.unwrap();
    S3Grants::new(&clients, options).await.unwrap()
}

impl Place for Server {
    type Grants = S3Grants;

    fn grants(&self) -> &S3Grants {
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
        now().after(Duration::from_millis(
            u64::try_from(self.ahead_millis.load(Ordering::Relaxed)).unwrap(),
        ))
    }

    fn let_pass(&self, wait: Duration) {
        let wait = i64::try_from(wait.as_millis()).unwrap();
        self.ahead_millis.fetch_add(wait, Ordering::Relaxed);
    }
}
