//! `DeleteObject` and `DeleteObjects`.

use s3s::dto::{
    self, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ETagCondition,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use two_buckets_depot::{Deleted, Depot, Selector};
use two_buckets_objects::{ETag, LIST_PAGE_MAX, ObjectRef, WriteCondition};

use super::{Backend, access_of, convert, own};
use crate::access::{Access, Need};
use crate::error::of_depot;
use crate::pins::Own;

/// One entry of a `DeleteObjects` request.
struct Wanted {
    key: String,
    version_id: Option<String>,
    parsed: S3Result<(ObjectRef, Selector, WriteCondition)>,
}

impl Backend {
    pub(super) async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let at = convert::object(&input.bucket, &input.key)?;
        let version = convert::selector(input.version_id.as_deref())?;
        if input.if_match_size.is_some() || input.if_match_last_modified_time.is_some() {
            return Err(convert::not_implemented(
                "x-amz-if-match-size and x-amz-if-match-last-modified-time exist for directory buckets only",
            ));
        }
        let condition = match input.if_match {
            None => WriteCondition::None,
            Some(ETagCondition::ETag(tag)) => WriteCondition::IfMatch(ETag::new(tag.value())),
            Some(ETagCondition::Any) => {
                return Err(convert::not_implemented(
                    "If-Match: * on a delete is not supported",
                ));
            }
        };
        if condition != WriteCondition::None && version != Selector::Current {
            return Err(convert::not_implemented(
                "If-Match is compared with the current version only; leave the version id away",
            ));
        }
        let deleted = self
            .store
            .call(move |depot| delete(depot, &access, &at, &version, &condition))
            .await?;
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: deleted.is_delete_marker.then_some(true),
            version_id: deleted.version_id.map(|id| id.as_str().to_owned()),
            ..DeleteObjectOutput::default()
        }))
    }

    pub(super) async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        let count = input.delete.objects.len();
        if count == 0 || count > LIST_PAGE_MAX {
            return Err(S3Error::with_message(
                S3ErrorCode::MalformedXML,
                format!("a request must name 1 to {LIST_PAGE_MAX} keys"),
            ));
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let mut wanted: Vec<Wanted> = Vec::with_capacity(count);
        for entry in input.delete.objects {
            if entry.size.is_some() || entry.last_modified_time.is_some() {
                return Err(convert::not_implemented(
                    "Size and LastModifiedTime exist for directory buckets only",
                ));
            }
            let version = convert::selector(entry.version_id.as_deref());
            let object = convert::key(&entry.key).map(|key| ObjectRef {
                bucket: bucket.clone(),
                key,
            });
            let condition = entry.e_tag.map_or(WriteCondition::None, |tag| {
                WriteCondition::IfMatch(ETag::new(tag.value()))
            });
            let parsed = object
                .and_then(|object| Ok((object, version?, condition)))
                .and_then(|(object, version, condition)| {
                    if condition != WriteCondition::None && version != Selector::Current {
                        return Err(convert::not_implemented(
                            "an ETag is compared with the current version only",
                        ));
                    }
                    check_allowed(&access, &object, &version, &condition)?;
                    Ok((object, version, condition))
                });
            wanted.push(Wanted {
                key: entry.key,
                version_id: entry.version_id,
                parsed,
            });
        }
        let (wanted, results) = self
            .store
            .call(move |depot| {
                depot.bucket(&bucket)?;
                // One transaction for all plain deletes; those with a condition are their own, in their place. So is
                // all that a session deletes which works on a file: some of it may only be noted.
                let is_plain = access.invocation().is_none()
                    && wanted
                        .iter()
                        .all(|entry| matches!(&entry.parsed, Ok((_, _, WriteCondition::None))));
                let mut results: Vec<S3Result<Deleted>> = Vec::with_capacity(wanted.len());
                if is_plain {
                    let all: Vec<_> = wanted
                        .iter()
                        .filter_map(|entry| entry.parsed.as_ref().ok())
                        .map(|(object, version, _)| (object.clone(), version.clone()))
                        .collect();
                    for result in depot.delete_many(&bucket, &all)? {
                        results.push(result.map_err(|error| of_depot(&error)));
                    }
                } else {
                    for entry in &wanted {
                        results.push(match &entry.parsed {
                            Ok((object, version, condition)) => {
                                delete(depot, &access, object, version, condition)
                                    .map_err(|error| of_depot(&error))
                            }
                            Err(error) => Err(S3Error::with_message(
                                error.code().clone(),
                                error.message().unwrap_or_default().to_owned(),
                            )),
                        });
                    }
                }
                Ok((wanted, results))
            })
            .await?;
        let mut deleted = Vec::new();
        let mut errors = Vec::new();
        for (entry, result) in wanted.into_iter().zip(results) {
            match result {
                Ok(_) if quiet => {}
                Ok(done) => {
                    let marker = done
                        .is_delete_marker
                        .then(|| done.version_id.map(|id| id.as_str().to_owned()))
                        .flatten();
                    deleted.push(DeletedObject {
                        delete_marker: done.is_delete_marker.then_some(true),
                        delete_marker_version_id: marker,
                        key: Some(entry.key),
                        version_id: entry.version_id,
                    });
                }
                Err(error) => errors.push(dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(entry.key),
                    message: error.message().map(str::to_owned),
                    version_id: entry.version_id,
                }),
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }
}

/// Deletes, or notes that a session has deleted the version it works on.
fn delete(
    depot: &Depot,
    access: &Access,
    at: &ObjectRef,
    version: &Selector,
    condition: &WriteCondition,
) -> two_buckets_depot::Result<Deleted> {
    match Own::deleted(access, at, version) {
        Some(own) => own::delete(depot, &own, version, condition),
        None => depot.delete(at, version, condition),
    }
}

/// Each key needs its own permission; the request as a whole was let in for having some.
fn check_allowed(
    access: &Access,
    object: &ObjectRef,
    version: &Selector,
    condition: &WriteCondition,
) -> S3Result<()> {
    let (bucket, key) = (object.bucket.as_str(), object.key.as_str());
    let need = match version {
        Selector::Current => Need::object("s3:DeleteObject", bucket, key, None),
        Selector::Version(id) => {
            Need::object("s3:DeleteObjectVersion", bucket, key, Some(id.as_str()))
        }
    };
    access.check(&need)?;
    if *condition != WriteCondition::None {
        access.check(&Need::object("s3:GetObject", bucket, key, None))?;
    }
    Ok(())
}
