//! How the SDK's clients are made: the one place that knows region, credentials, endpoints, time-outs and retries.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::{RetryConfig, RetryMode};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::ServiceConfigKey;
use two_buckets_objects::BucketName;

/// What the environment would otherwise decide, where somebody says more. All of it may be left out.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// The region, instead of `AWS_REGION` or the profile's.
    pub region: Option<String>,
    /// The profile of the shared configuration, instead of `AWS_PROFILE`.
    pub profile: Option<String>,
    /// Where all services are, instead of `AWS_ENDPOINT_URL` and its kind.
    pub endpoint_url: Option<String>,
    /// Credentials, instead of the default chain. Its Debug output shows no secret.
    pub credentials: Option<SharedCredentialsProvider>,
    /// Whether a bucket is named in the path (`https://host/bucket/key`) and not in the host. If not said, it is where S3
    /// is not at AWS's own address, because a name below another's host seldom resolves.
    pub path_style: Option<bool>,
}

/// There is no region: AWS has no default for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no AWS region is set: give --region, AWS_REGION, or a region in the profile")]
pub struct NoRegion;

/// A bucket has no address: the configuration contradicts itself, or an endpoint is no URL.
#[derive(Debug, thiserror::Error)]
#[error("the bucket {bucket} has no address: {reason}")]
pub struct NoBucketUrl {
    /// Which bucket.
    pub bucket: BucketName,
    /// What the SDK says of it.
    pub reason: String,
}

/// Makes the SDK's clients from one configuration, so that they share connections and credentials.
///
/// The conventions are those of every AWS tool (AWS SDKs and Tools Reference Guide): `AWS_REGION`, `AWS_PROFILE` and the
/// shared files, the default credentials chain (environment, profile with SSO and processes, web identity, container,
/// instance), `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_{SERVICE}`, `AWS_MAX_ATTEMPTS`, and
/// `HTTPS_PROXY`. Certificates are checked by the system's roots. The region is not asked of the instance's metadata,
/// because that is a call.
///
/// Making clients reads files and the environment and calls nobody. Credentials are fetched by the first call.
///
/// # Retries
///
/// The clients retry by themselves, with back-off, what AWS says may be retried; S3's slow down on `SlowDown` as well
/// (adaptive mode) unless `AWS_RETRY_MODE` says otherwise. A write to S3 must not be repeated
/// blindly, for the first may have landed: whoever writes says so in its call.
#[derive(Clone, Debug)]
pub struct Clients {
    sdk: SdkConfig,
    path_style: Option<bool>,
}

/// The longest wait for a connection. AWS answers in milliseconds, and a retry reaches another address.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest wait for the first byte of an answer. S3 begins long answers early (S3 API, `CopyObject`), and a part of
/// a body is sent well within it. Above SQS's longest poll of 20 s.
const READ_TIME_MAX: Duration = Duration::from_mins(1);

/// The longest wait for a connection to the ledger.
const LEDGER_CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
/// The longest try of one call on the ledger, which answers within tens of milliseconds.
const LEDGER_TRY_TIME_MAX: Duration = Duration::from_secs(2);
/// The longest call on the ledger, tries and the pauses between them together: a fifth of a lease's life.
const LEDGER_CALL_TIME_MAX: Duration = Duration::from_secs(6);

impl Clients {
    /// By the environment, as far as the options do not say otherwise.
    pub async fn from_environment(options: &ClientOptions) -> Result<Self, NoRegion> {
        let region = match &options.region {
            Some(region) => Some(Region::new(region.clone())),
            None => region_of(options.profile.as_deref()).await,
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .read_timeout(READ_TIME_MAX)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region.ok_or(NoRegion)?)
            .http_client(http_client())
            .timeout_config(timeouts);
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(credentials) = &options.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        Ok(Self {
            sdk: loader.load().await,
            path_style: options.path_style,
        })
    }

    /// What all clients are made from, for a service that has no method here.
    pub fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    /// A client of S3.
    ///
    /// Checksums of requests are left as the SDK has them (`WHEN_SUPPORTED`, or what
    /// `AWS_REQUEST_CHECKSUM_CALCULATION` says): each body sent is checked on arrival, and no URL is signed with this
    /// client, which is where that default does harm.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.sdk)
            .force_path_style(self.names_buckets_in_the_path());
        if self.asked("AWS_RETRY_MODE", "retry_mode").is_none() {
            let retries = self.sdk.retry_config().cloned();
            let retries = retries.unwrap_or_else(RetryConfig::standard);
            config = config.retry_config(retries.with_retry_mode(RetryMode::Adaptive));
        }
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// A client of DynamoDB for who holds leases. It gives up well within the life of one, for while a renewal waits so does
    /// all else.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(LEDGER_CONNECT_TIME_MAX)
            .operation_attempt_timeout(LEDGER_TRY_TIME_MAX)
            .operation_timeout(LEDGER_CALL_TIME_MAX)
            .build();
        let config = aws_sdk_dynamodb::config::Builder::from(&self.sdk).timeout_config(timeouts);
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A client of DynamoDB for who holds none, and may be far from it.
    #[cfg(feature = "operator")]
    pub fn dynamodb_from_afar(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk)
    }

    /// A client of SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.sdk)
    }

    /// A client of STS, at the region's own endpoint.
    pub fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.sdk)
    }

    /// A client of `CloudFormation`.
    #[cfg(feature = "operator")]
    pub fn cloudformation(&self) -> aws_sdk_cloudformation::Client {
        aws_sdk_cloudformation::Client::new(&self.sdk)
    }

    /// A client of Batch.
    pub fn batch(&self) -> aws_sdk_batch::Client {
        aws_sdk_batch::Client::new(&self.sdk)
    }

    /// A client of Lambda whose calls wait so long for a function to return, and are never repeated by the SDK: a function
    /// whose answer was lost has run.
    pub fn lambda(&self, limit: Duration) -> aws_sdk_lambda::Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            // The whole call's bound is the one that is met.
            .read_timeout(limit + CONNECT_TIME_MAX)
            .operation_attempt_timeout(limit)
            .build();
        let config = aws_sdk_lambda::config::Builder::from(&self.sdk)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::disabled())
            .build();
        aws_sdk_lambda::Client::from_conf(config)
    }

    /// Where a bucket is, by the rules that the S3 client goes by: `https://{bucket}.s3.{region}.amazonaws.com`, or with
    /// the bucket in the path. A key is put behind it with a slash between.
    pub async fn bucket_url(&self, bucket: &BucketName) -> Result<String, NoBucketUrl> {
        self.address(bucket, self.names_buckets_in_the_path()).await
    }

    /// Where S3 is for clients that name this bucket in the path: `https://s3.{region}.amazonaws.com`.
    pub async fn s3_url(&self, bucket: &BucketName) -> Result<String, NoBucketUrl> {
        let url = self.address(bucket, true).await?;
        let s3 = url.strip_suffix(bucket.as_str()).unwrap_or(&url);
        Ok(s3.trim_end_matches('/').to_owned())
    }

    async fn address(&self, bucket: &BucketName, in_the_path: bool) -> Result<String, NoBucketUrl> {
        let failed = |error: &dyn std::error::Error| NoBucketUrl {
            bucket: bucket.clone(),
            reason: crate::words::chain(error),
        };
        let params = Params::builder()
            .bucket(bucket.as_str())
            .set_region(self.sdk.region().map(ToString::to_string))
            .set_endpoint(self.s3_endpoint())
            .set_use_fips(self.sdk.use_fips())
            .set_use_dual_stack(self.sdk.use_dual_stack())
            .force_path_style(in_the_path)
            .build()
            .map_err(|error| failed(&error))?;
        let endpoint = ResolveEndpoint::resolve_endpoint(&DefaultResolver::new(), &params)
            .await
            .map_err(|error| failed(&*error))?;
        Ok(endpoint.url().trim_end_matches('/').to_owned())
    }

    /// The region that is signed for and asked.
    pub fn region(&self) -> &str {
        // It was looked for before anything was made.
        self.sdk.region().map_or("", Region::as_ref)
    }

    fn names_buckets_in_the_path(&self) -> bool {
        self.path_style
            .unwrap_or_else(|| self.s3_endpoint().is_some())
    }

    /// Where S3 is, if it is not at AWS's own address. What a caller says comes first, then what is said of S3 alone, as
    /// in the SDK.
    fn s3_endpoint(&self) -> Option<String> {
        let of_all = self.sdk.endpoint_url().map(str::to_owned);
        if self.sdk.get_origin("endpoint_url").is_client_config() {
            return of_all;
        }
        self.asked("AWS_ENDPOINT_URL", "endpoint_url").or(of_all)
    }

    /// What the environment or the profile says, for S3 alone if it does.
    fn asked(&self, variable: &str, setting: &str) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env(variable)
            .profile(setting)
            .build()
            .ok()?;
        self.sdk.service_config()?.load_config(key)
    }
}

async fn region_of(profile: Option<&str>) -> Option<Region> {
    let mut of_profile = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        of_profile = of_profile.profile_name(profile);
    }
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(of_profile.build())
        .region()
        .await
}

/// The SDK's own client on rustls with ring and the system's roots, through the environment's proxy. By itself the SDK
/// would link a second TLS stack.
fn http_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build()
    })
}
