//! Configurations of a bucket: kept as XML documents, applied where this crate or its user reads them.

use http::StatusCode;
use s3s::dto::{
    BucketLifecycleConfiguration, CORSConfiguration, DeleteBucketCorsInput, DeleteBucketCorsOutput,
    DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput, DeleteBucketTaggingInput,
    DeleteBucketTaggingOutput, ExpirationStatus, GetBucketCorsInput, GetBucketCorsOutput,
    GetBucketEncryptionInput, GetBucketEncryptionOutput, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, GetBucketOwnershipControlsInput,
    GetBucketOwnershipControlsOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, GetBucketReplicationInput,
    GetBucketReplicationOutput, GetBucketTaggingInput, GetBucketTaggingOutput,
    GetBucketWebsiteInput, GetBucketWebsiteOutput, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, GetPublicAccessBlockInput, GetPublicAccessBlockOutput,
    LifecycleRule, NotificationConfiguration, ObjectOwnership, OwnershipControls,
    OwnershipControlsRule, PutBucketCorsInput, PutBucketCorsOutput,
    PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput,
    PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput,
    PutBucketTaggingInput, PutBucketTaggingOutput, Tagging,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, xml};
use two_buckets_depot::ConfigKind;
use two_buckets_objects::BucketName;

use super::{Backend, convert};
use crate::cors;
use crate::notifications;
use crate::refusal::Refusal;

/// The most rules of one lifecycle configuration (S3 User Guide, "Lifecycle configuration elements").
const LIFECYCLE_RULES_MAX: usize = 1000;
/// The most tags of a bucket (S3 User Guide, "Using cost allocation S3 bucket tags").
const BUCKET_TAGS_MAX: usize = 50;

impl Backend {
    async fn configuration<T>(&self, bucket: BucketName, kind: ConfigKind) -> S3Result<Option<T>>
    where
        T: for<'xml> xml::Deserialize<'xml>,
    {
        let document = self
            .store
            .call(move |depot| depot.bucket_config(&bucket, kind))
            .await?;
        document.as_deref().map(parse).transpose()
    }

    async fn keep<T: xml::Serialize>(
        &self,
        bucket: BucketName,
        kind: ConfigKind,
        configuration: &T,
    ) -> S3Result<()> {
        let mut document = Vec::new();
        configuration
            .serialize(&mut xml::Serializer::new(&mut document))
            .map_err(S3Error::internal_error)?;
        self.store
            .call(move |depot| depot.set_bucket_config(&bucket, kind, Some(&document)))
            .await
    }

    async fn forget(&self, bucket: &str, kind: ConfigKind) -> S3Result<()> {
        let bucket = convert::bucket(bucket)?;
        self.store
            .call(move |depot| depot.set_bucket_config(&bucket, kind, None))
            .await
    }

    /// The cross-origin rules of a bucket; none where there is no such bucket, no rules, or no way to read them.
    pub(crate) async fn cors_rules(&self, bucket: &str) -> Option<cors::Rules> {
        let bucket = bucket.parse().ok()?;
        let configuration: CORSConfiguration =
            self.configuration(bucket, ConfigKind::Cors).await.ok()??;
        Some(rules(&configuration))
    }

    pub(super) async fn get_bucket_cors(
        &self,
        req: S3Request<GetBucketCorsInput>,
    ) -> S3Result<S3Response<GetBucketCorsOutput>> {
        let bucket = convert::bucket(&req.input.bucket)?;
        let configuration: CORSConfiguration = self
            .configuration(bucket, ConfigKind::Cors)
            .await?
            .ok_or_else(|| missing(S3ErrorCode::NoSuchCORSConfiguration, "cross-origin rules"))?;
        Ok(S3Response::new(GetBucketCorsOutput {
            cors_rules: Some(configuration.cors_rules),
        }))
    }

    pub(super) async fn put_bucket_cors(
        &self,
        req: S3Request<PutBucketCorsInput>,
    ) -> S3Result<S3Response<PutBucketCorsOutput>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        check_cors(&rules(&input.cors_configuration))?;
        self.keep(bucket, ConfigKind::Cors, &input.cors_configuration)
            .await?;
        Ok(S3Response::new(PutBucketCorsOutput {}))
    }

    pub(super) async fn delete_bucket_cors(
        &self,
        req: S3Request<DeleteBucketCorsInput>,
    ) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
        self.forget(&req.input.bucket, ConfigKind::Cors).await?;
        Ok(S3Response::new(DeleteBucketCorsOutput {}))
    }

    pub(super) async fn get_bucket_lifecycle_configuration(
        &self,
        req: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        let bucket = convert::bucket(&req.input.bucket)?;
        let configuration: BucketLifecycleConfiguration = self
            .configuration(bucket, ConfigKind::Lifecycle)
            .await?
            .ok_or_else(|| missing(S3ErrorCode::NoSuchLifecycleConfiguration, "lifecycle rules"))?;
        Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
            rules: Some(configuration.rules),
            ..GetBucketLifecycleConfigurationOutput::default()
        }))
    }

    pub(super) async fn put_bucket_lifecycle_configuration(
        &self,
        req: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        let configuration = input.lifecycle_configuration.ok_or_else(|| {
            S3Error::with_message(S3ErrorCode::MalformedXML, "the request has no rules")
        })?;
        let is_staging = self.staging_buckets.contains(&bucket);
        check_lifecycle(&bucket, is_staging, &configuration.rules)?;
        self.keep(bucket, ConfigKind::Lifecycle, &configuration)
            .await?;
        Ok(S3Response::new(
            PutBucketLifecycleConfigurationOutput::default(),
        ))
    }

    pub(super) async fn delete_bucket_lifecycle(
        &self,
        req: S3Request<DeleteBucketLifecycleInput>,
    ) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
        self.forget(&req.input.bucket, ConfigKind::Lifecycle)
            .await?;
        Ok(S3Response::new(DeleteBucketLifecycleOutput {}))
    }

    pub(super) async fn get_bucket_notification_configuration(
        &self,
        req: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
        let bucket = convert::bucket(&req.input.bucket)?;
        let configuration: NotificationConfiguration = self
            .configuration(bucket, ConfigKind::Notification)
            .await?
            .unwrap_or_default();
        Ok(S3Response::new(GetBucketNotificationConfigurationOutput {
            event_bridge_configuration: configuration.event_bridge_configuration,
            lambda_function_configurations: configuration.lambda_function_configurations,
            queue_configurations: configuration.queue_configurations,
            topic_configurations: configuration.topic_configurations,
        }))
    }

    pub(super) async fn put_bucket_notification_configuration(
        &self,
        req: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        let mut configuration = input.notification_configuration;
        let notifications = self.notifications.clone();
        notifications::check(&configuration, notifications.as_ref())?;
        notifications::fill_ids(&mut configuration)?;
        self.keep(bucket.clone(), ConfigKind::Notification, &configuration)
            .await?;
        let queues = configuration.queue_configurations.iter().flatten();
        let mut arns: Vec<String> = queues.map(|queue| queue.queue_arn.clone()).collect();
        arns.sort();
        arns.dedup();
        let is_tested = input.skip_destination_validation != Some(true);
        if let Some(notifications) = notifications {
            self.store
                .call(move |depot| {
                    notifications.refresh(depot, &bucket)?;
                    if is_tested {
                        notifications.test(depot, &bucket, &arns)?;
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(S3Response::new(PutBucketNotificationConfigurationOutput {}))
    }

    pub(super) async fn get_bucket_tagging(
        &self,
        req: S3Request<GetBucketTaggingInput>,
    ) -> S3Result<S3Response<GetBucketTaggingOutput>> {
        let bucket = convert::bucket(&req.input.bucket)?;
        let tagging: Tagging = self
            .configuration(bucket, ConfigKind::Tagging)
            .await?
            .ok_or_else(|| missing(S3ErrorCode::NoSuchTagSet, "tags"))?;
        Ok(S3Response::new(GetBucketTaggingOutput {
            tag_set: tagging.tag_set,
        }))
    }

    pub(super) async fn put_bucket_tagging(
        &self,
        req: S3Request<PutBucketTaggingInput>,
    ) -> S3Result<S3Response<PutBucketTaggingOutput>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        let tags = convert::tags_of_set(input.tagging.tag_set, BUCKET_TAGS_MAX)?;
        let tagging = Tagging {
            tag_set: convert::tag_set(&tags),
        };
        self.keep(bucket, ConfigKind::Tagging, &tagging).await?;
        Ok(S3Response::new(PutBucketTaggingOutput {}))
    }

    pub(super) async fn delete_bucket_tagging(
        &self,
        req: S3Request<DeleteBucketTaggingInput>,
    ) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
        self.forget(&req.input.bucket, ConfigKind::Tagging).await?;
        Ok(S3Response::new(DeleteBucketTaggingOutput {}))
    }

    /// Answers for a configuration that no bucket here has, as S3 does for a bucket that has none.
    async fn absent<T>(
        &self,
        bucket: &str,
        code: S3ErrorCode,
        what: &'static str,
    ) -> S3Result<S3Response<T>> {
        let bucket = convert::bucket(bucket)?;
        self.store.look(|depot| depot.bucket(&bucket)).await?;
        Err(missing(code, what))
    }

    pub(super) async fn get_bucket_policy(
        &self,
        req: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        self.absent(&req.input.bucket, S3ErrorCode::NoSuchBucketPolicy, "policy")
            .await
    }

    pub(super) async fn get_bucket_policy_status(
        &self,
        req: S3Request<GetBucketPolicyStatusInput>,
    ) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
        self.absent(&req.input.bucket, S3ErrorCode::NoSuchBucketPolicy, "policy")
            .await
    }

    pub(super) async fn get_bucket_encryption(
        &self,
        req: S3Request<GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
        let absent = self
            .absent(
                &req.input.bucket,
                S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError,
                "encryption",
            )
            .await;
        absent.map_err(|mut error| {
            // s3s gives this code status 400, S3 gives it 404.
            if *error.code() == S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError {
                error.set_status_code(StatusCode::NOT_FOUND);
            }
            error
        })
    }

    pub(super) async fn get_bucket_replication(
        &self,
        req: S3Request<GetBucketReplicationInput>,
    ) -> S3Result<S3Response<GetBucketReplicationOutput>> {
        self.absent(
            &req.input.bucket,
            S3ErrorCode::ReplicationConfigurationNotFoundError,
            "replication",
        )
        .await
    }

    pub(super) async fn get_bucket_website(
        &self,
        req: S3Request<GetBucketWebsiteInput>,
    ) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
        self.absent(
            &req.input.bucket,
            S3ErrorCode::NoSuchWebsiteConfiguration,
            "website",
        )
        .await
    }

    pub(super) async fn get_object_lock_configuration(
        &self,
        req: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        self.absent(
            &req.input.bucket,
            S3ErrorCode::ObjectLockConfigurationNotFoundError,
            "object lock",
        )
        .await
    }

    pub(super) async fn get_public_access_block(
        &self,
        req: S3Request<GetPublicAccessBlockInput>,
    ) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
        let bucket = convert::bucket(&req.input.bucket)?;
        self.store.look(|depot| depot.bucket(&bucket)).await?;
        Err(Refusal::no_public_access_block().into())
    }

    /// What S3 says of every bucket that has no lists of its own: its owner owns everything in it.
    pub(super) async fn get_bucket_ownership_controls(
        &self,
        req: S3Request<GetBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
        let bucket = convert::bucket(&req.input.bucket)?;
        self.store.look(|depot| depot.bucket(&bucket)).await?;
        Ok(S3Response::new(GetBucketOwnershipControlsOutput {
            ownership_controls: Some(OwnershipControls {
                rules: vec![OwnershipControlsRule {
                    object_ownership: ObjectOwnership::from_static(
                        ObjectOwnership::BUCKET_OWNER_ENFORCED,
                    ),
                }],
            }),
        }))
    }
}

fn missing(code: S3ErrorCode, what: &str) -> S3Error {
    S3Error::with_message(code, format!("the bucket has no {what}"))
}

fn parse<T>(document: &[u8]) -> S3Result<T>
where
    T: for<'xml> xml::Deserialize<'xml>,
{
    let mut deserializer = xml::Deserializer::new(document);
    T::deserialize(&mut deserializer).map_err(S3Error::internal_error)
}

fn rules(configuration: &CORSConfiguration) -> cors::Rules {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    cors::Rules {
        rules: configuration
            .cors_rules
            .iter()
            .map(|rule| cors::Rule {
                allowed_origins: rule.allowed_origins.clone(),
                allowed_methods: rule.allowed_methods.clone(),
                allowed_headers: list(&rule.allowed_headers),
                expose_headers: list(&rule.expose_headers),
                max_age_s: rule.max_age_seconds,
            })
            .collect(),
    }
}

fn check_cors(rules: &cors::Rules) -> S3Result<()> {
    let malformed =
        |message: &str| S3Error::with_message(S3ErrorCode::MalformedXML, message.to_owned());
    if rules.rules.is_empty() || rules.rules.len() > cors::RULES_MAX {
        return Err(malformed("there must be 1 to 100 cross-origin rules"));
    }
    for rule in &rules.rules {
        if rule.allowed_origins.is_empty() || rule.allowed_methods.is_empty() {
            return Err(malformed(
                "a cross-origin rule needs an AllowedOrigin and an AllowedMethod",
            ));
        }
        if let Some(method) = rule
            .allowed_methods
            .iter()
            .find(|method| !cors::METHODS.contains(&method.as_str()))
        {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                format!("{method} is no method that a cross-origin rule can allow"),
            ));
        }
        if rule
            .allowed_origins
            .iter()
            .chain(&rule.allowed_headers)
            .any(|pattern| pattern.matches('*').count() > 1)
        {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                "AllowedOrigin and AllowedHeader can have one * each",
            ));
        }
        if rule.expose_headers.iter().any(|name| name.contains('*')) {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                "ExposeHeader can have no *; name each header",
            ));
        }
        if rule.max_age_s.is_some_and(|seconds| seconds < 0) {
            return Err(malformed("MaxAgeSeconds must not be negative"));
        }
    }
    Ok(())
}

/// A staging bucket is a queue, and an expired version there is a lost file.
fn check_lifecycle(bucket: &BucketName, is_staging: bool, rules: &[LifecycleRule]) -> S3Result<()> {
    if rules.is_empty() || rules.len() > LIFECYCLE_RULES_MAX {
        return Err(S3Error::with_message(
            S3ErrorCode::MalformedXML,
            format!("there must be 1 to {LIFECYCLE_RULES_MAX} lifecycle rules"),
        ));
    }
    for rule in rules {
        if rule.transitions.as_ref().is_some_and(|t| !t.is_empty())
            || rule
                .noncurrent_version_transitions
                .as_ref()
                .is_some_and(|t| !t.is_empty())
        {
            return Err(convert::not_implemented(
                "transitions are not supported; there is one storage class",
            ));
        }
        let expires = rule.expiration.is_some() || rule.noncurrent_version_expiration.is_some();
        if is_staging && expires {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                format!(
                    "bucket {bucket} is a staging bucket: a rule that expires versions would lose files that are not processed yet"
                ),
            ));
        }
        if expires {
            return Err(convert::not_implemented(
                "rules that expire versions are not run here; incomplete multipart uploads are the only thing a rule can remove",
            ));
        }
        check_abort_incomplete(rule)?;
    }
    Ok(())
}

/// What is left of a rule is that it gives up uploads; its filter must be one that [`crate::AbortIncomplete`] applies
/// (S3 User Guide, "Lifecycle configuration elements": tags and sizes do not go with it).
fn check_abort_incomplete(rule: &LifecycleRule) -> S3Result<()> {
    let malformed =
        |message: &str| S3Error::with_message(S3ErrorCode::MalformedXML, message.to_owned());
    let status = rule.status.as_str();
    if status != ExpirationStatus::ENABLED && status != ExpirationStatus::DISABLED {
        return Err(malformed("a rule's Status is Enabled or Disabled"));
    }
    let days = rule
        .abort_incomplete_multipart_upload
        .as_ref()
        .and_then(|abort| abort.days_after_initiation)
        .ok_or_else(|| {
            malformed("a rule needs an action, and AbortIncompleteMultipartUpload its days")
        })?;
    if days < 1 {
        return Err(convert::invalid_argument(
            "DaysAfterInitiation must be 1 or more",
        ));
    }
    let Some(filter) = &rule.filter else {
        return Ok(());
    };
    if rule.prefix.is_some() {
        return Err(malformed("a rule has a Filter or a Prefix, not both"));
    }
    let by_more_than_prefix = filter.tag.is_some()
        || filter.object_size_greater_than.is_some()
        || filter.object_size_less_than.is_some()
        || filter.and.is_some();
    if by_more_than_prefix {
        return Err(Refusal::invalid_request(
            "AbortIncompleteMultipartUpload goes with a prefix only, not with tags or sizes",
        )
        .into());
    }
    Ok(())
}
