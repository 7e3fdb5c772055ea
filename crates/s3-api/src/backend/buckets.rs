//! Buckets and their versioning.

use s3s::dto::{
    Bucket, BucketLocationConstraint, BucketVersioningStatus, CreateBucketInput,
    CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetBucketVersioningInput, GetBucketVersioningOutput, HeadBucketInput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput, PutBucketVersioningInput,
    PutBucketVersioningOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use two_buckets_depot::Versioning;

use super::{Backend, convert};

/// The region whose name S3 leaves out.
const FIRST_REGION: &str = "us-east-1";
/// The most buckets in one page (S3 API, `ListBuckets` `max-buckets`).
const BUCKETS_PAGE_MAX: usize = 10_000;

impl Backend {
    pub(super) async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let input = req.input;
        let name = convert::bucket(&input.bucket)?;
        if let Some(configuration) = &input.create_bucket_configuration {
            if configuration.bucket.is_some() || configuration.location.is_some() {
                return Err(convert::not_implemented(
                    "directory buckets are not supported",
                ));
            }
            if let Some(location) = &configuration.location_constraint
                && location.as_str() != &*self.region
                && !location.as_str().is_empty()
            {
                return Err(S3Error::with_message(
                    S3ErrorCode::InvalidLocationConstraint,
                    format!("the only location here is {}", self.region),
                ));
            }
        }
        self.store
            .call(move |depot| depot.create_bucket(&name))
            .await?;
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(format!("/{}", input.bucket)),
        }))
    }

    pub(super) async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let name = convert::bucket(&req.input.bucket)?;
        let notifications = self.notifications.clone();
        self.store
            .call(move |depot| {
                depot.delete_bucket(&name)?;
                // A bucket of this name that is made later has no rules.
                match notifications {
                    Some(known) => known.refresh(depot, &name).map(drop),
                    None => Ok(()),
                }
            })
            .await?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    pub(super) async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let name = convert::bucket(&req.input.bucket)?;
        self.store.look(|depot| depot.bucket(&name)).await?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.region.to_string()),
            ..HeadBucketOutput::default()
        }))
    }

    pub(super) async fn list_buckets(
        &self,
        req: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let input = req.input;
        let limit = match input.max_buckets {
            None => BUCKETS_PAGE_MAX,
            Some(asked) => usize::try_from(asked)
                .ok()
                .filter(|limit| (1..=BUCKETS_PAGE_MAX).contains(limit))
                .ok_or_else(|| {
                    convert::invalid_argument(format!(
                        "max-buckets must be within 1 and {BUCKETS_PAGE_MAX}"
                    ))
                })?,
        };
        let prefix = input.prefix.clone().unwrap_or_default();
        // The token is the last name shown: bucket names are no secret to who may list them.
        let after = input.continuation_token.unwrap_or_default();
        let all = self.store.call(two_buckets_depot::Depot::buckets).await?;
        let mut found = all
            .into_iter()
            .filter(|bucket| {
                bucket.name.as_str().starts_with(&prefix) && bucket.name.as_str() > after.as_str()
            })
            .peekable();
        let mut buckets = Vec::new();
        while buckets.len() < limit
            && let Some(bucket) = found.next()
        {
            buckets.push(Bucket {
                bucket_region: Some(self.region.to_string()),
                creation_date: Some(convert::timestamp(bucket.created_at)),
                name: Some(bucket.name.as_str().to_owned()),
            });
        }
        let next = found
            .peek()
            .and_then(|_| buckets.last())
            .and_then(|bucket| bucket.name.clone());
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets),
            continuation_token: next,
            owner: Some(convert::owner()),
            prefix: input.prefix,
        }))
    }

    pub(super) async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let name = convert::bucket(&req.input.bucket)?;
        self.store.look(|depot| depot.bucket(&name)).await?;
        let constraint = (&*self.region != FIRST_REGION)
            .then(|| BucketLocationConstraint::from(self.region.to_string()));
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: constraint,
        }))
    }

    pub(super) async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let name = convert::bucket(&req.input.bucket)?;
        let bucket = self.store.look(|depot| depot.bucket(&name)).await?;
        let status = match bucket.versioning {
            Versioning::Unversioned => None,
            Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        Ok(S3Response::new(GetBucketVersioningOutput {
            status: status.map(BucketVersioningStatus::from_static),
            ..GetBucketVersioningOutput::default()
        }))
    }

    pub(super) async fn put_bucket_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let input = req.input;
        let name = convert::bucket(&input.bucket)?;
        let configuration = input.versioning_configuration;
        if configuration
            .mfa_delete
            .is_some_and(|mfa| mfa.as_str() != "Disabled")
        {
            return Err(convert::not_implemented("MFA delete is not supported"));
        }
        let versioning = match configuration
            .status
            .as_ref()
            .map(s3s::dto::BucketVersioningStatus::as_str)
        {
            Some("Enabled") => Versioning::Enabled,
            Some("Suspended") => Versioning::Suspended,
            _ => {
                return Err(S3Error::with_message(
                    S3ErrorCode::MalformedXML,
                    "Status must be Enabled or Suspended",
                ));
            }
        };
        if versioning == Versioning::Suspended && self.staging_buckets.contains(&name) {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidBucketState,
                format!("bucket {name} is a staging bucket and needs its versions"),
            ));
        }
        self.store
            .call(move |depot| depot.set_versioning(&name, versioning))
            .await?;
        Ok(S3Response::new(PutBucketVersioningOutput {}))
    }
}
