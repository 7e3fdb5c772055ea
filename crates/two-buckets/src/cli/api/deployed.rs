//! The upload API of a deployment on AWS, in this process, with the operator as its caller and the operator's own AWS
//! credentials behind it. Nobody else can reach it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures::FutureExt as _;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use tower::Service as _;
use two_buckets_aws::operator::{OwnKey, own_key};
use two_buckets_aws::tracker::{AwsTracker, Buckets, Parts, Sweeping};
use two_buckets_aws::worker::{Metrics, Sweep, SystemClock, holder};
use two_buckets_aws::{S3GrantOptions, S3Grants};
use two_buckets_objects::BucketName;
use two_buckets_uploads::{
    Caller, KeyTemplate, S3Address, ServerFacts, Sources, UntilStop, UploadApi, router,
};

use super::{ANSWER_SIZE_BYTES_MAX, Reply, S3Place};
use crate::cli::trouble::Trouble;
use crate::clock;
use crate::deployment::Deployment;
use crate::failure::Failure;

/// A deployment on AWS.
pub(in crate::cli) struct Deployed {
    /// Where it has its parts.
    pub(in crate::cli) found: Deployment,
    router: Router,
    caller: Caller,
    s3: S3Place,
    identity: PathBuf,
}

impl Deployed {
    /// Puts the service together. Looks for credentials and calls no other service.
    pub(super) async fn open(found: Deployment) -> Result<Self, Failure> {
        let Deployment {
            clients, config, ..
        } = &found;
        // Else the first call would say it in the words of whichever service it asks.
        own_key(clients)
            .await
            .map_err(|error| Failure::usage(error.to_string()))?;
        let bucket_url = clients
            .bucket_url(&config.staging)
            .await
            .map_err(|error| Failure::usage(error.to_string()))?;
        let s3 = place(&bucket_url, &config.staging, clients.region())?;
        let facts = ServerFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            page_url: found.output("ApiUrl").map(str::to_owned),
            s3: S3Address {
                endpoint: s3.origin.clone(),
                region: s3.region.clone(),
            },
            staging: config.staging.clone(),
            archive: config.archive.clone(),
            processor: found
                .output("FunctionArn")
                .or(found.output("Processor"))
                .unwrap_or("whatever works on AWS")
                .to_owned(),
            // The tracker says whether it is.
            paused: None,
        };
        let pipeline = config.settings(holder("command line"));
        let jobs = config.deployment_jobs(clients, &pipeline);
        let sweep = config.sweep(clients, pipeline, Metrics::none());
        let grants = S3Grants::new(
            clients,
            S3GrantOptions {
                staging: config.staging.clone(),
                // The operator signs in their own name, and gives nothing away.
                uploader_role_arn: None,
                kms_key_arn: None,
                clock: Arc::new(clock::now),
            },
        );
        let api = UploadApi {
            tracker: AwsTracker::new(Parts {
                facts,
                ledger: config.ledger_from_afar(clients),
                wake_ups: config.wake_ups(clients),
                clock: Arc::new(SystemClock),
                buckets: Some(Buckets {
                    store: config.store(clients),
                    sweep: Arc::new(move || sweep_once(sweep.clone())),
                }),
                jobs,
            }),
            grants: grants
                .await
                .map_err(|error| Failure::usage(error.to_string()))?,
            key_template: KeyTemplate::default(),
            sources: Sources {
                now: Arc::new(clock::now),
                random: Arc::new(random),
            },
            // Nothing is streamed to a command.
            until_stop: UntilStop(Arc::new(|| std::future::pending().boxed())),
            faults: None,
            metrics: None,
            notifications: None,
        };
        Ok(Self {
            router: router(api),
            caller: Caller::unlimited("operator"),
            s3,
            identity: PathBuf::from(bucket_url),
            found,
        })
    }

    /// The address of staging.
    pub(super) fn identity(&self) -> &Path {
        &self.identity
    }

    /// Where staging is.
    pub(super) fn s3(&self) -> S3Place {
        self.s3.clone()
    }

    /// The operator's key pair as it is now: that of a session ends.
    pub(in crate::cli) async fn own_key(&self) -> Result<OwnKey, Trouble> {
        let key = own_key(&self.found.clients).await;
        key.map_err(|error| Trouble::passing(error.to_string()))
    }

    /// Answers as long as it takes: a sweep lists all of staging. Each call on AWS has time-outs of its own.
    pub(super) async fn ask(
        &self,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> Result<Reply, Trouble> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_vec()))
            .map_err(|error| Failure::failed(format!("a request to {path}: {error}")))?;
        request.extensions_mut().insert(self.caller.clone());
        let Ok(answer) = self.router.clone().call(request).await;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_SIZE_BYTES_MAX).collect().await;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body
                .map_err(|error| Failure::failed(format!("an answer broke off: {error}")))?
                .to_bytes(),
        })
    }
}

fn sweep_once(sweep: Sweep) -> Sweeping {
    Box::pin(async move { Ok(sweep.run(&|| false).await?.swept) })
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    u128::from_le_bytes(bytes)
}

/// Where a bucket with this address is: `https://{bucket}.s3.{region}.amazonaws.com`, or with the bucket in the path.
fn place(bucket_url: &str, bucket: &BucketName, region: &str) -> Result<S3Place, Failure> {
    let split = bucket_url.split_once("://").map(|(scheme, rest)| {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        (format!("{scheme}://{host}"), path)
    });
    match split {
        Some((origin, path)) if path.is_empty() || path.ends_with(bucket.as_str()) => Ok(S3Place {
            origin,
            path: Some(path.to_owned()).filter(|path| !path.is_empty()),
            region: region.to_owned(),
        }),
        _ => Err(Failure::usage(format!(
            "the address of bucket {bucket}, {bucket_url}, is not understood"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{S3Place, place};

    #[test]
    fn a_bucket_is_found_by_its_hosts_name_or_by_the_path() {
        let bucket = "files-staging".parse().unwrap();
        for (url, origin, path) in [
            (
                "https://files-staging.s3.eu-central-1.amazonaws.com",
                "https://files-staging.s3.eu-central-1.amazonaws.com",
                None,
            ),
            (
                "http://127.0.0.1:9000/files-staging",
                "http://127.0.0.1:9000",
                Some("files-staging"),
            ),
            (
                "https://store.example/s3/files-staging",
                "https://store.example",
                Some("s3/files-staging"),
            ),
        ] {
            let wanted = S3Place {
                origin: origin.into(),
                path: path.map(str::to_owned),
                region: "eu-central-1".into(),
            };
            assert_eq!(place(url, &bucket, "eu-central-1").unwrap(), wanted);
        }
        for odd in ["files-staging", "https://host/other"] {
            assert!(place(odd, &bucket, "x").is_err(), "{odd}");
        }
    }
}
