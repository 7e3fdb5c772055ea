//! Access control lists: there is one owner with full control, and no list can be set
//! (S3 User Guide, "Controlling ownership of objects and disabling ACLs").

use s3s::dto::{
    GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput, GetObjectAclOutput, Grant, Grantee,
    Permission, PutBucketAclInput, PutBucketAclOutput, PutObjectAclInput, PutObjectAclOutput, Type,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::{Backend, convert};

impl Backend {
    pub(super) async fn get_bucket_acl(
        &self,
        req: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        let bucket = convert::bucket(&req.input.bucket)?;
        self.store.look(|depot| depot.bucket(&bucket)).await?;
        Ok(S3Response::new(GetBucketAclOutput {
            grants: Some(vec![full_control()]),
            owner: Some(convert::owner()),
        }))
    }

    /// The canned list `private` is what holds anyway; others were refused by their header.
    pub(super) async fn put_bucket_acl(
        &self,
        req: S3Request<PutBucketAclInput>,
    ) -> S3Result<S3Response<PutBucketAclOutput>> {
        let input = req.input;
        let bucket = convert::bucket(&input.bucket)?;
        self.store.look(|depot| depot.bucket(&bucket)).await?;
        if input.acl.is_none() {
            return Err(not_supported());
        }
        Ok(S3Response::new(PutBucketAclOutput {}))
    }

    pub(super) async fn get_object_acl(
        &self,
        req: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        let input = req.input;
        let at = convert::object(&input.bucket, &input.key)?;
        let version = convert::selector(input.version_id.as_deref())?;
        self.store.look(|depot| depot.head(&at, &version)).await?;
        Ok(S3Response::new(GetObjectAclOutput {
            grants: Some(vec![full_control()]),
            owner: Some(convert::owner()),
            ..GetObjectAclOutput::default()
        }))
    }

    /// As [`Self::put_bucket_acl`].
    pub(super) async fn put_object_acl(
        &self,
        req: S3Request<PutObjectAclInput>,
    ) -> S3Result<S3Response<PutObjectAclOutput>> {
        let input = req.input;
        let at = convert::object(&input.bucket, &input.key)?;
        let version = convert::selector(input.version_id.as_deref())?;
        self.store.look(|depot| depot.head(&at, &version)).await?;
        if input.acl.is_none() {
            return Err(not_supported());
        }
        Ok(S3Response::new(PutObjectAclOutput::default()))
    }
}

fn full_control() -> Grant {
    let owner = convert::owner();
    Grant {
        grantee: Some(Grantee {
            display_name: owner.display_name,
            email_address: None,
            id: owner.id,
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}

fn not_supported() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::AccessControlListNotSupported,
        "access control lists are not supported; everything is private to its owner",
    )
}
