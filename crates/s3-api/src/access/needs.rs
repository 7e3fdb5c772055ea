//! Which IAM actions a request needs (S3 User Guide, "Required permissions for Amazon S3 API operations").
//!
//! A request that is not in here is denied to sessions, and so is one that could be read as two operations: more than
//! one sub-resource, or a parameter twice.

use http::Method;
use s3s::dto::CopySource;

use super::Asked;
use crate::target::SUB_RESOURCES;

/// An action on something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Need {
    pub(crate) action: &'static str,
    pub(crate) resource: String,
    /// The version named, where it is not the one in the query.
    pub(crate) version: Option<String>,
}

impl Need {
    /// An action on a bucket.
    pub(crate) fn bucket(action: &'static str, bucket: &str) -> Self {
        Self {
            action,
            resource: format!("arn:aws:s3:::{bucket}"),
            version: None,
        }
    }

    /// An action on an object, or a version of it.
    pub(crate) fn object(
        action: &'static str,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Self {
        Self {
            action,
            resource: format!("arn:aws:s3:::{bucket}/{key}"),
            version: version.map(str::to_owned),
        }
    }

    /// Bucket and key, if this is about an object.
    pub(crate) fn object_names(&self) -> Option<(&str, &str)> {
        // A bucket's name has no slash.
        self.resource.strip_prefix("arn:aws:s3:::")?.split_once('/')
    }
}

/// What a request needs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Needs {
    /// Each of these.
    pub(super) all: Vec<Need>,
    /// One of these actions on anything, to go on at all; the body says on what.
    pub(super) one_of: &'static [&'static str],
    /// The bucket of the one object that is read.
    pub(super) read_from: Option<String>,
}

type Found = Result<Needs, &'static str>;

const NOT_MAPPED: &str = "no policy can allow this request";

/// Finds what a request needs, or says why nothing can allow it.
pub(super) fn of(asked: &Asked<'_>) -> Found {
    let mut names: Vec<&str> = asked.query.names().collect();
    names.sort_unstable();
    if names.windows(2).any(|two| two[0] == two[1]) {
        return Err("a query parameter was sent more than once");
    }
    // Sorted as `names` is.
    let subs: Vec<&str> = names
        .into_iter()
        .filter(|name| SUB_RESOURCES.contains(name))
        .collect();
    let target = asked.target;
    match (&target.bucket, &target.key) {
        (Some(bucket), Some(key)) => object(asked, bucket, key, &subs),
        (Some(bucket), None) => on_bucket(asked, bucket, &subs),
        (None, None) if *asked.method == Method::GET && subs.is_empty() => Ok(Needs {
            // On AWS this is an action on the account; policies name it by any bucket.
            all: vec![Need::bucket("s3:ListAllMyBuckets", "")],
            ..Needs::default()
        }),
        _ => Err(NOT_MAPPED),
    }
}

fn on_bucket(asked: &Asked<'_>, bucket: &str, subs: &[&str]) -> Found {
    let sub = match subs {
        [] => "",
        [one] => one,
        _ => return Err(NOT_MAPPED),
    };
    if asked.method == Method::POST && sub == "delete" {
        return Ok(Needs {
            one_of: &["s3:DeleteObject", "s3:DeleteObjectVersion"],
            ..Needs::default()
        });
    }
    let action = match (asked.method.as_str(), sub) {
        ("GET" | "HEAD", "") => "s3:ListBucket",
        ("PUT", "") => "s3:CreateBucket",
        ("DELETE", "") => "s3:DeleteBucket",
        ("GET", "versions") => "s3:ListBucketVersions",
        ("GET", "uploads") => "s3:ListBucketMultipartUploads",
        ("GET", "accelerate") => "s3:GetAccelerateConfiguration",
        ("GET", "acl") => "s3:GetBucketAcl",
        ("GET", "cors") => "s3:GetBucketCORS",
        ("GET", "encryption") => "s3:GetEncryptionConfiguration",
        ("GET", "lifecycle") => "s3:GetLifecycleConfiguration",
        ("GET", "location") => "s3:GetBucketLocation",
        ("GET", "logging") => "s3:GetBucketLogging",
        ("GET", "notification") => "s3:GetBucketNotification",
        ("GET", "object-lock") => "s3:GetBucketObjectLockConfiguration",
        ("GET", "ownershipControls") => "s3:GetBucketOwnershipControls",
        ("GET", "policy") => "s3:GetBucketPolicy",
        ("GET", "policyStatus") => "s3:GetBucketPolicyStatus",
        ("GET", "publicAccessBlock") => "s3:GetBucketPublicAccessBlock",
        ("GET", "replication") => "s3:GetReplicationConfiguration",
        ("GET", "requestPayment") => "s3:GetBucketRequestPayment",
        ("GET", "tagging") => "s3:GetBucketTagging",
        ("GET", "versioning") => "s3:GetBucketVersioning",
        ("GET", "website") => "s3:GetBucketWebsite",
        ("PUT", "acl") => "s3:PutBucketAcl",
        ("PUT" | "DELETE", "cors") => "s3:PutBucketCORS",
        ("PUT" | "DELETE", "lifecycle") => "s3:PutLifecycleConfiguration",
        ("PUT", "notification") => "s3:PutBucketNotification",
        ("PUT" | "DELETE", "tagging") => "s3:PutBucketTagging",
        ("PUT", "versioning") => "s3:PutBucketVersioning",
        _ => return Err(NOT_MAPPED),
    };
    let mut all = vec![Need::bucket(action, bucket)];
    if action == "s3:CreateBucket" {
        if asked.headers.contains_key("x-amz-acl") {
            all.push(Need::bucket("s3:PutBucketAcl", bucket));
        }
        if asked.headers.contains_key("x-amz-object-ownership") {
            all.push(Need::bucket("s3:PutBucketOwnershipControls", bucket));
        }
    }
    Ok(Needs {
        all,
        ..Needs::default()
    })
}

fn object(asked: &Asked<'_>, bucket: &str, key: &str, subs: &[&str]) -> Found {
    let has_version = asked.query.has("versionId");
    let need = |action| Need::object(action, bucket, key, None);
    let by_version = |current, version| vec![need(if has_version { version } else { current })];
    let copies = asked.headers.contains_key("x-amz-copy-source");
    let read = |all| {
        Ok(Needs {
            all,
            read_from: Some(bucket.to_owned()),
            ..Needs::default()
        })
    };
    let all = match (asked.method.as_str(), subs) {
        ("GET" | "HEAD", [] | ["partNumber"]) => {
            return read(by_version("s3:GetObject", "s3:GetObjectVersion"));
        }
        ("GET", ["attributes"]) => {
            let mut all = by_version("s3:GetObject", "s3:GetObjectVersion");
            all.extend(by_version(
                "s3:GetObjectAttributes",
                "s3:GetObjectVersionAttributes",
            ));
            return read(all);
        }
        ("GET", ["acl"]) => return read(by_version("s3:GetObjectAcl", "s3:GetObjectVersionAcl")),
        ("GET", ["tagging"]) => {
            return read(by_version(
                "s3:GetObjectTagging",
                "s3:GetObjectVersionTagging",
            ));
        }
        ("GET", ["uploadId"]) => vec![need("s3:ListMultipartUploadParts")],
        ("PUT", ["acl"]) if !copies => by_version("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
        ("PUT", ["tagging"]) if !copies => {
            by_version("s3:PutObjectTagging", "s3:PutObjectVersionTagging")
        }
        ("PUT", [] | ["partNumber", "uploadId"]) if copies => {
            return copy(asked, bucket, key, subs.is_empty());
        }
        ("PUT", ["partNumber", "uploadId"]) => vec![need("s3:PutObject")],
        ("POST", ["uploadId"]) => {
            let mut all = vec![need("s3:PutObject")];
            if asked.headers.contains_key(http::header::IF_MATCH) {
                all.push(need("s3:GetObject"));
            }
            all
        }
        ("PUT", []) | ("POST", ["uploads"]) => creation(asked, bucket, key),
        ("DELETE", ["uploadId"]) => vec![need("s3:AbortMultipartUpload")],
        ("DELETE", ["tagging"]) => {
            by_version("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging")
        }
        ("DELETE", []) => {
            let mut all = by_version("s3:DeleteObject", "s3:DeleteObjectVersion");
            if asked.headers.contains_key(http::header::IF_MATCH) {
                // The answer tells whether the tag is the object's (S3 User Guide, "conditional deletes").
                all.push(need("s3:GetObject"));
            }
            all
        }
        _ => return Err(NOT_MAPPED),
    };
    Ok(Needs {
        all,
        ..Needs::default()
    })
}

/// What it takes to make an object, or to begin an upload of one.
fn creation(asked: &Asked<'_>, bucket: &str, key: &str) -> Vec<Need> {
    let need = |action| Need::object(action, bucket, key, None);
    let mut all = vec![need("s3:PutObject")];
    if asked.headers.contains_key(http::header::IF_MATCH) {
        // The answer tells whether the tag is the object's.
        all.push(need("s3:GetObject"));
    }
    if asked.headers.contains_key("x-amz-tagging") {
        all.push(need("s3:PutObjectTagging"));
    }
    if asked.headers.contains_key("x-amz-acl") {
        all.push(need("s3:PutObjectAcl"));
    }
    all
}

/// Reading the source and making the object. What tags the source has and thereby takes, the operation asks for.
fn copy(asked: &Asked<'_>, bucket: &str, key: &str, whole: bool) -> Found {
    // Read as s3s reads it behind us.
    let source =
        super::facts::copy_source(asked.headers).ok_or("the source of the copy is none")?;
    let CopySource::Bucket {
        bucket: from_bucket,
        key: from_key,
        version_id,
    } = source
    else {
        return Err("the source of the copy is no bucket and key");
    };
    let action = match version_id {
        None => "s3:GetObject",
        Some(_) => "s3:GetObjectVersion",
    };
    let mut all = vec![Need::object(
        action,
        &from_bucket,
        &from_key,
        version_id.as_deref(),
    )];
    all.extend(creation(asked, bucket, key));
    Ok(Needs {
        all,
        read_from: whole.then(|| from_bucket.to_string()),
        ..Needs::default()
    })
}
