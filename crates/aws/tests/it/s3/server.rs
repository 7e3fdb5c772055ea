//! Our own S3 over HTTP, in memory, and what was asked of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::retry::RetryConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use two_buckets_aws::{ClientOptions, Clients, S3Store, S3StoreOptions};
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{Depot, Options, Versioning};
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::{Config, Credentials, Fault, Limits, Role, S3Service, Struck, Sts};

const REGION: &str = "eu-central-1";

/// Which fault strikes a call of this operation; the number says how many of them there were before.
type Strike = Box<dyn Fn(&str, usize) -> Option<Fault> + Send>;

pub(crate) struct Server {
    pub(crate) depot: Depot,
    pub(crate) client: aws_sdk_s3::Client,
    pub(crate) endpoint: String,
    pub(crate) sts: Sts,
    calls: Arc<Mutex<Vec<&'static str>>>,
    strike: Arc<Mutex<Strike>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the SDK signs with the time of the machine"
)]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

pub(crate) fn bucket() -> BucketName {
    "files".parse().unwrap()
}

impl Server {
    /// With an empty versioned bucket.
    pub(crate) async fn start() -> Self {
        Self::with_roles(Vec::new()).await
    }

    /// The same, with roles that sessions may be of.
    pub(crate) async fn with_roles(roles: Vec<Role>) -> Self {
        let options = Options {
            clock: Arc::new(now),
            just_moved_grace: Duration::from_secs(5),
            small_body_bytes_max: 128 << 10,
            on_created: None,
            record_change: None,
        };
        let depot = Depot::open_on(Arc::new(MemoryStorage::new()), options).unwrap();
        depot.create_bucket(&bucket()).unwrap();
        depot
            .set_versioning(&bucket(), Versioning::Enabled)
            .unwrap();
        let calls: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        let strike: Arc<Mutex<Strike>> = Arc::new(Mutex::new(Box::new(|_, _| None)));
        let faults = {
            let (calls, strike) = (calls.clone(), strike.clone());
            move |call: &two_buckets_s3_api::faults::Call<'_>| {
                let name = call.operation()?.name;
                let mut calls = calls.lock().unwrap();
                let before = calls.iter().filter(|one| **one == name).count();
                calls.push(name);
                let fault = strike.lock().unwrap()(name, before)?;
                Some(Struck {
                    rule: "of a test".into(),
                    fault,
                })
            }
        };
        let owner = Credentials {
            access_key_id: "TESTKEY".into(),
            secret_access_key: "test/secret".into(),
        };
        let sts = Sts::new(owner, roles).unwrap();
        let config = Config {
            depot: depot.clone(),
            sts: sts.clone(),
            region: REGION.into(),
            clock: Arc::new(now),
            pins: None,
            refuse_write: None,
            faults: Some(Arc::new(faults)),
            staging_buckets: Vec::new(),
            notifications: None,
            domain: None,
            limits: Limits::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let limits = config.limits;
        let service = S3Service::new(config);
        let serving = tokio::spawn(service.serve(listener, limits, std::future::pending()));
        Self {
            depot,
            client: client(&endpoint).await,
            endpoint,
            sts,
            calls,
            strike,
            serving,
        }
    }

    /// Makes another bucket, which is not versioned yet.
    pub(crate) fn make_bucket(&self, name: &str) -> BucketName {
        let name = name.parse().unwrap();
        self.depot.create_bucket(&name).unwrap();
        name
    }

    pub(crate) fn store(&self, options: S3StoreOptions) -> S3Store {
        S3Store::new(self.client.clone(), options)
    }

    /// From now on; what was asked before is forgotten.
    pub(crate) fn strike(&self, strike: impl Fn(&str, usize) -> Option<Fault> + Send + 'static) {
        self.calls.lock().unwrap().clear();
        *self.strike.lock().unwrap() = Box::new(strike);
    }

    /// What was asked since the last time this was asked.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

/// With retries that wait for a moment only.
async fn client(endpoint: &str) -> aws_sdk_s3::Client {
    let credentials = SdkCredentials::new("TESTKEY", "test/secret", None, None, "test");
    let options = ClientOptions {
        region: Some(REGION.into()),
        endpoint_url: Some(endpoint.into()),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
        ..ClientOptions::default()
    };
    let client = Clients::from_environment(&options).await.unwrap().s3();
    let retries = RetryConfig::standard()
        .with_initial_backoff(Duration::from_millis(1))
        .with_max_backoff(Duration::from_millis(1))
        .with_max_attempts(3);
    let config = client.config().to_builder().retry_config(retries);
    aws_sdk_s3::Client::from_conf(config.build())
}

/// A store with the server that it needs.
pub(crate) struct Served {
    store: S3Store,
    pub(crate) server: Server,
}

impl std::ops::Deref for Served {
    type Target = S3Store;

    fn deref(&self) -> &S3Store {
        &self.store
    }
}

pub(crate) async fn served(options: S3StoreOptions) -> Served {
    let server = Server::start().await;
    Served {
        store: server.store(options),
        server,
    }
}

/// A store that gives each request the answer of this function, of whatever our own S3 does not say; with what was asked
/// of it, by method.
pub(crate) async fn answering(
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (S3Store, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = asked.clone();
    // Ends with the runtime of its test.
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let method = head.split(' ').next().unwrap().to_owned();
            let text = answer(&method);
            noted.lock().unwrap().push(method);
            connection.write_all(text.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
        }
    });
    let store = S3Store::new(client(&endpoint).await, S3StoreOptions::default());
    (store, asked)
}

/// An answer in full, behind which the connection ends.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}
