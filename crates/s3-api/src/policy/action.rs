//! The actions that exist here, by IAM's names (Service Authorization Reference, "Actions, resources, and condition
//! keys for Amazon S3" and "for AWS Security Token Service").

use super::pattern::{Pattern, Variables};
use super::{MalformedPolicy, malformed};

/// Every action a request can need here. A policy that names another is refused: an Allow of it would be empty, and a
/// Deny of it perhaps a slip of the pen.
pub(super) const ACTIONS: &[&str] = &[
    "s3:AbortMultipartUpload",
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionTagging",
    "s3:GetAccelerateConfiguration",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLocation",
    "s3:GetBucketLogging",
    "s3:GetBucketNotification",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPolicy",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectAttributes",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionAttributes",
    "s3:GetObjectVersionTagging",
    "s3:GetReplicationConfiguration",
    "s3:ListAllMyBuckets",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:ListMultipartUploadParts",
    "s3:PutBucketAcl",
    "s3:PutBucketCORS",
    "s3:PutBucketNotification",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionTagging",
    "sts:AssumeRole",
    "sts:GetCallerIdentity",
];

/// Reads one `Action`. Case does not matter; wildcards may stand anywhere but in the service.
pub(super) fn pattern(text: &str) -> Result<Pattern, MalformedPolicy> {
    let shown: String = text.chars().take(60).collect();
    if text != "*" {
        match text.split_once(':') {
            None => {
                return Err(malformed(format_args!(
                    "the Action {shown:?} is neither * nor service:name"
                )));
            }
            Some((service, _)) if service.contains(['*', '?']) => {
                return Err(malformed(format_args!(
                    "the Action {shown:?} has a wildcard in its service"
                )));
            }
            Some(_) => {}
        }
    }
    let pattern = Pattern::parse(&text.to_ascii_lowercase(), Variables::Unknown)
        .map_err(|_| malformed(format_args!("the Action {shown:?} has a policy variable")))?;
    if !ACTIONS
        .iter()
        .any(|action| pattern.matches(&action.to_ascii_lowercase()))
    {
        return Err(malformed(format_args!(
            "the Action {shown:?} does not exist here"
        )));
    }
    Ok(pattern)
}
