//! `PutObject`.

use s3s::dto::{PutObjectInput, PutObjectOutput};
use s3s::{S3Request, S3Response, S3Result};
use two_buckets_depot::{Depot, PutObject};
use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ObjectRef, SINGLE_PUT_SIZE_BYTES_MAX, Written,
};

use super::{Backend, access_of, convert, own};
use crate::digests::Claims;
use crate::error::of_depot;
use crate::payload::{BoxError, Trailers};
use crate::pins::Own;

/// An object just made.
pub(super) struct Made {
    pub(super) written: Written,
    /// As it is shown: none in a bucket that never had versions.
    pub(super) version_id: Option<String>,
    pub(super) checksum: Option<Checksum>,
}

impl Backend {
    pub(super) async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let access = access_of(&req)?;
        let input = req.input;
        let to = convert::object(&input.bucket, &input.key)?;
        self.check_writable(&access, &to)?;
        let own = Own::written(&access, &to);
        let claims = Claims::of_headers(&req.headers)?;
        let options = PutObject {
            condition: convert::write_condition(
                input.if_match.as_ref(),
                input.if_none_match.as_ref(),
            )?,
            metadata: convert::metadata(&req.headers, input.metadata)?,
            tags: convert::tags_of_header(input.tagging.as_deref())?.unwrap_or_default(),
            checksum: claims.algorithm(),
        };
        let trailers = req
            .extensions
            .get::<Trailers>()
            .cloned()
            .unwrap_or_default();
        let made = self
            .make_object(to, own, options, claims, trailers, pieces(input.body))
            .await?;
        let fields = convert::ChecksumFields::of(made.checksum.as_ref());
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(convert::etag(&made.written.etag)),
            version_id: made.version_id,
            checksum_crc32: fields.crc32,
            checksum_crc32c: fields.crc32c,
            checksum_crc64nvme: fields.crc64nvme,
            checksum_sha1: fields.sha1,
            checksum_sha256: fields.sha256,
            checksum_type: Some(convert::checksum_type(ChecksumKind::FullObject)),
            ..PutObjectOutput::default()
        }))
    }

    /// Receives a body and makes the object of it, if it is what was claimed; or notes that a session has written its
    /// own archive key, if it is that.
    pub(super) async fn make_object<S>(
        &self,
        to: ObjectRef,
        own: Option<Own>,
        options: PutObject,
        claims: Claims,
        trailers: Trailers,
        pieces: S,
    ) -> S3Result<Made>
    where
        S: futures::Stream<Item = Result<bytes::Bytes, BoxError>> + Unpin,
    {
        let kept = claims.algorithm().unwrap_or(Algorithm::Crc64Nvme);
        let received = self
            .store
            .receive(
                pieces,
                claims.algorithm().into_iter().collect(),
                SINGLE_PUT_SIZE_BYTES_MAX,
            )
            .await?;
        let is_small = received.is_small(self.store.depot());
        let make = move |depot: &Depot| {
            let failed = |error| of_depot(&error);
            let body = received.into_body(depot).map_err(failed)?;
            claims.verify(body.md5(), |algorithm| body.checksum(algorithm), &trailers)?;
            let checksum = body.checksum(kept).cloned();
            if let Some(own) = own {
                let found = own::put(depot, &own, &body, &options)?;
                return Ok(Made {
                    written: own::written(&found),
                    version_id: None,
                    checksum,
                });
            }
            let written = depot.put(&to, body, options).map_err(failed)?;
            let version_id =
                convert::shown_version(depot, &to.bucket, &written.version_id).map_err(failed)?;
            Ok(Made {
                written,
                version_id,
                checksum,
            })
        };
        if is_small {
            self.store.begin(make).await
        } else {
            self.store.run(make).await
        }
    }
}

/// The body as the store takes it.
pub(super) fn pieces(
    body: Option<s3s::dto::StreamingBlob>,
) -> std::pin::Pin<Box<dyn futures::Stream<Item = Result<bytes::Bytes, BoxError>> + Send>> {
    match body {
        Some(body) => Box::pin(body),
        None => Box::pin(futures::stream::empty()),
    }
}
