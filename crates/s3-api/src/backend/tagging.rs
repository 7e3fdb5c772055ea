//! Tags of objects.

use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput,
};
use s3s::{S3Request, S3Response, S3Result};
use two_buckets_objects::Tags;

use super::{Backend, access_of, convert, own};
use crate::access::Access;
use crate::error::of_depot;
use crate::pins::{Own, Reading};

impl Backend {
    pub(super) async fn get_object_tagging(
        &self,
        req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let at = convert::object(&input.bucket, &input.key)?;
        let version = convert::selector(input.version_id.as_deref())?;
        let reading = Reading::of(&access, at, version)?;
        let (found, version_id) = self.find(&reading).await?;
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set: convert::tag_set(&found.tags),
            version_id,
        }))
    }

    pub(super) async fn put_object_tagging(
        &self,
        req: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let tags = convert::tags_of_set(input.tagging.tag_set, Tags::COUNT_MAX)?;
        let version_id = self
            .set_tags(&access, &input.bucket, &input.key, input.version_id, tags)
            .await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
    }

    pub(super) async fn delete_object_tagging(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let version_id = self
            .set_tags(
                &access,
                &input.bucket,
                &input.key,
                input.version_id,
                Tags::default(),
            )
            .await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
    }

    async fn set_tags(
        &self,
        access: &Access,
        bucket: &str,
        key: &str,
        version_id: Option<String>,
        tags: Tags,
    ) -> S3Result<Option<String>> {
        let at = convert::object(bucket, key)?;
        let version = convert::selector(version_id.as_deref())?;
        if let Some(own) = Own::written(access, &at) {
            return self
                .store
                .run(move |depot| {
                    let found = own.find(depot).map_err(|e| of_depot(&e))?;
                    own::check_tags(&own, &found, &tags)?;
                    // They will be there with the copy.
                    Ok(None)
                })
                .await;
        }
        self.store
            .call(move |depot| {
                let tagged = depot.set_tags(&at, &version, tags)?;
                convert::shown_version(depot, &at.bucket, &tagged)
            })
            .await
    }
}
