//! S3's operations by their names, as far as faults must know them: which requests ask for one, and what can go wrong
//! with it.

use http::{HeaderMap, Method};

use crate::query::Query;
use crate::target::{SUB_RESOURCES, Target};

/// One of S3's operations that is served here, and what it is like to a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are facts that stand beside each other in a table, not states"
)]
pub struct Operation {
    /// S3's own name for it, as `PutObject`.
    pub name: &'static str,
    /// Whether it changes something.
    pub writes: bool,
    /// Whether the request carries bytes of an object or part, which come in as a stream.
    pub streams_in: bool,
    /// Whether a good answer has a body.
    pub answers_body: bool,
    /// Whether S3 may begin a 200 before it knows how the operation ends, so that an error can stand inside it.
    pub answers_early: bool,
    /// Which conditions its request may carry.
    pub conditions: Conditions,
    /// Whether the request's address, or its form, names a key.
    pub names_key: bool,
}

/// Which conditions a request may carry (S3 User Guide, "Conditional requests").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conditions {
    /// None that is looked at.
    None,
    /// `If-Match` or `If-Unmodified-Since`, which fail with 412; the others of a read are answered with 304.
    OfRead,
    /// `If-Match` or `If-None-Match`.
    OfWrite,
    /// Those of a write, and `x-amz-copy-source-if-*` of the source.
    OfCopy,
    /// `x-amz-copy-source-if-*` only.
    OfSource,
}

/// A row of the table: where the sub-resource stands in the query, and the operation.
type Row = (&'static str, Level, &'static str, Operation);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Service,
    Bucket,
    Key,
}
use Level::{Bucket, Key, Service};

/// A read of what is no object.
const fn read(name: &'static str) -> Operation {
    Operation {
        name,
        writes: false,
        streams_in: false,
        answers_body: true,
        answers_early: false,
        conditions: Conditions::None,
        names_key: false,
    }
}

/// A change of what is no object.
const fn change(name: &'static str) -> Operation {
    Operation {
        writes: true,
        answers_body: false,
        ..read(name)
    }
}

/// The same of an object.
const fn of_key(operation: Operation) -> Operation {
    Operation {
        names_key: true,
        ..operation
    }
}

const COPY_OBJECT: Operation = Operation {
    answers_body: true,
    answers_early: true,
    conditions: Conditions::OfCopy,
    ..of_key(change("CopyObject"))
};
const UPLOAD_PART_COPY: Operation = Operation {
    answers_body: true,
    answers_early: true,
    conditions: Conditions::OfSource,
    ..of_key(change("UploadPartCopy"))
};
const LIST_OBJECTS_V2: Operation = read("ListObjectsV2");
/// An upload by HTML form. S3 has no better name for it than its method.
const POST_OBJECT: Operation = of_key(change("PostObject"));

const TABLE: &[Row] = &[
    ("GET", Service, "", read("ListBuckets")),
    ("GET", Bucket, "", read("ListObjects")),
    ("GET", Bucket, "acl", read("GetBucketAcl")),
    ("GET", Bucket, "cors", read("GetBucketCors")),
    ("GET", Bucket, "encryption", read("GetBucketEncryption")),
    (
        "GET",
        Bucket,
        "lifecycle",
        read("GetBucketLifecycleConfiguration"),
    ),
    ("GET", Bucket, "location", read("GetBucketLocation")),
    (
        "GET",
        Bucket,
        "notification",
        read("GetBucketNotificationConfiguration"),
    ),
    (
        "GET",
        Bucket,
        "object-lock",
        read("GetObjectLockConfiguration"),
    ),
    (
        "GET",
        Bucket,
        "ownershipControls",
        read("GetBucketOwnershipControls"),
    ),
    ("GET", Bucket, "policy", read("GetBucketPolicy")),
    ("GET", Bucket, "policyStatus", read("GetBucketPolicyStatus")),
    (
        "GET",
        Bucket,
        "publicAccessBlock",
        read("GetPublicAccessBlock"),
    ),
    ("GET", Bucket, "replication", read("GetBucketReplication")),
    ("GET", Bucket, "tagging", read("GetBucketTagging")),
    ("GET", Bucket, "uploads", read("ListMultipartUploads")),
    ("GET", Bucket, "versioning", read("GetBucketVersioning")),
    ("GET", Bucket, "versions", read("ListObjectVersions")),
    ("GET", Bucket, "website", read("GetBucketWebsite")),
    (
        "HEAD",
        Bucket,
        "",
        Operation {
            answers_body: false,
            ..read("HeadBucket")
        },
    ),
    ("PUT", Bucket, "", change("CreateBucket")),
    ("PUT", Bucket, "acl", change("PutBucketAcl")),
    ("PUT", Bucket, "cors", change("PutBucketCors")),
    (
        "PUT",
        Bucket,
        "lifecycle",
        change("PutBucketLifecycleConfiguration"),
    ),
    (
        "PUT",
        Bucket,
        "notification",
        change("PutBucketNotificationConfiguration"),
    ),
    ("PUT", Bucket, "tagging", change("PutBucketTagging")),
    ("PUT", Bucket, "versioning", change("PutBucketVersioning")),
    ("DELETE", Bucket, "", change("DeleteBucket")),
    ("DELETE", Bucket, "cors", change("DeleteBucketCors")),
    (
        "DELETE",
        Bucket,
        "lifecycle",
        change("DeleteBucketLifecycle"),
    ),
    ("DELETE", Bucket, "tagging", change("DeleteBucketTagging")),
    (
        "POST",
        Bucket,
        "delete",
        Operation {
            answers_body: true,
            ..change("DeleteObjects")
        },
    ),
    (
        "GET",
        Key,
        "",
        Operation {
            conditions: Conditions::OfRead,
            ..of_key(read("GetObject"))
        },
    ),
    ("GET", Key, "acl", of_key(read("GetObjectAcl"))),
    (
        "GET",
        Key,
        "attributes",
        of_key(read("GetObjectAttributes")),
    ),
    ("GET", Key, "tagging", of_key(read("GetObjectTagging"))),
    ("GET", Key, "uploadId", of_key(read("ListParts"))),
    (
        "HEAD",
        Key,
        "",
        Operation {
            answers_body: false,
            conditions: Conditions::OfRead,
            ..of_key(read("HeadObject"))
        },
    ),
    (
        "PUT",
        Key,
        "",
        Operation {
            streams_in: true,
            conditions: Conditions::OfWrite,
            ..of_key(change("PutObject"))
        },
    ),
    ("PUT", Key, "acl", of_key(change("PutObjectAcl"))),
    ("PUT", Key, "tagging", of_key(change("PutObjectTagging"))),
    (
        "PUT",
        Key,
        "uploadId",
        Operation {
            streams_in: true,
            ..of_key(change("UploadPart"))
        },
    ),
    (
        "POST",
        Key,
        "uploads",
        Operation {
            answers_body: true,
            ..of_key(change("CreateMultipartUpload"))
        },
    ),
    (
        "POST",
        Key,
        "uploadId",
        Operation {
            answers_body: true,
            answers_early: true,
            conditions: Conditions::OfWrite,
            ..of_key(change("CompleteMultipartUpload"))
        },
    ),
    (
        "DELETE",
        Key,
        "",
        Operation {
            conditions: Conditions::OfWrite,
            ..of_key(change("DeleteObject"))
        },
    ),
    (
        "DELETE",
        Key,
        "tagging",
        of_key(change("DeleteObjectTagging")),
    ),
    (
        "DELETE",
        Key,
        "uploadId",
        of_key(change("AbortMultipartUpload")),
    ),
];

impl Operation {
    /// Every operation that is served, in no order that matters.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(.., operation)| *operation).chain([
            COPY_OBJECT,
            UPLOAD_PART_COPY,
            LIST_OBJECTS_V2,
            POST_OBJECT,
        ])
    }

    /// The upload by HTML form.
    pub(crate) fn post_object() -> Self {
        POST_OBJECT
    }

    /// The operation that a request asks for; none for what is not served.
    pub(crate) fn of(
        method: &Method,
        target: &Target,
        query: &Query,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let level = match (&target.bucket, &target.key) {
            (None, _) => Service,
            (Some(_), None) => Bucket,
            (Some(_), Some(_)) => Key,
        };
        // A part's number goes with its upload's id, and alone it is a part of an object that is read.
        let sub = query
            .names()
            .find(|name| *name != "partNumber" && SUB_RESOURCES.contains(name))
            .unwrap_or_default();
        let row = TABLE.iter().find(|(of, at, resource, _)| {
            method.as_str() == *of && level == *at && sub == *resource
        });
        let operation = row.map(|(.., operation)| *operation)?;
        let copies = headers.contains_key("x-amz-copy-source");
        Some(match operation.name {
            "PutObject" if copies => COPY_OBJECT,
            "UploadPart" if copies => UPLOAD_PART_COPY,
            "ListObjects" if query.unique("list-type") == Some("2") => LIST_OBJECTS_V2,
            _ => operation,
        })
    }

    /// Whether a request of this operation carries a condition that can fail.
    pub(crate) fn is_conditional(&self, headers: &HeaderMap) -> bool {
        let has = |names: &[&str]| names.iter().any(|name| headers.contains_key(*name));
        let of_write = || has(&["if-match", "if-none-match"]);
        let of_source = || {
            headers
                .keys()
                .any(|name| name.as_str().starts_with("x-amz-copy-source-if-"))
        };
        match self.conditions {
            Conditions::None => false,
            Conditions::OfRead => has(&["if-match", "if-unmodified-since"]),
            Conditions::OfWrite => of_write(),
            Conditions::OfCopy => of_write() || of_source(),
            Conditions::OfSource => of_source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::backend::OPERATIONS;

    /// `ListObjectsV2` is `list_objects_v2`.
    fn snake(name: &str) -> String {
        let mut out = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() && !out.is_empty() {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        }
        out
    }

    #[test]
    fn every_operation_of_the_backend_has_a_name_here_and_no_other_has() {
        let ours: BTreeSet<String> = Operation::all()
            .filter(|it| it.name != "PostObject")
            .map(|it| snake(it.name))
            .collect();
        let served: BTreeSet<String> = OPERATIONS.iter().map(ToString::to_string).collect();
        assert_eq!(ours, served);
        assert_eq!(Operation::all().count(), served.len() + 1);
    }

    #[test]
    fn a_request_is_the_operation_that_s3_says_it_is() {
        let name = |method: &str, path: &str, query: &str, headers: &[&'static str]| {
            let mut sent = HeaderMap::new();
            for header in headers {
                sent.insert(*header, "x".parse().unwrap());
            }
            Operation::of(
                &method.parse().unwrap(),
                &Target::of(None, path).unwrap(),
                &Query::parse((!query.is_empty()).then_some(query)).unwrap(),
                &sent,
            )
            .map(|it| it.name)
        };
        let copies = &["x-amz-copy-source"][..];
        for (method, path, query, headers, wanted) in [
            ("GET", "/", "", &[][..], Some("ListBuckets")),
            (
                "GET",
                "/b",
                "list-type=2&prefix=a",
                &[],
                Some("ListObjectsV2"),
            ),
            ("GET", "/b", "prefix=a", &[], Some("ListObjects")),
            ("GET", "/b", "versions", &[], Some("ListObjectVersions")),
            ("PUT", "/b", "", &[], Some("CreateBucket")),
            ("POST", "/b", "delete", &[], Some("DeleteObjects")),
            ("GET", "/b/k", "versionId=1", &[], Some("GetObject")),
            ("GET", "/b/k", "partNumber=1", &[], Some("GetObject")),
            ("HEAD", "/b/k", "", &[], Some("HeadObject")),
            ("PUT", "/b/k", "", &[], Some("PutObject")),
            ("PUT", "/b/k", "", copies, Some("CopyObject")),
            (
                "PUT",
                "/b/k",
                "partNumber=1&uploadId=u",
                &[],
                Some("UploadPart"),
            ),
            (
                "PUT",
                "/b/k",
                "uploadId=u&partNumber=1",
                copies,
                Some("UploadPartCopy"),
            ),
            (
                "POST",
                "/b/k",
                "uploads",
                &[],
                Some("CreateMultipartUpload"),
            ),
            (
                "POST",
                "/b/k",
                "uploadId=u",
                &[],
                Some("CompleteMultipartUpload"),
            ),
            ("DELETE", "/b/k", "versionId=1", &[], Some("DeleteObject")),
            (
                "DELETE",
                "/b/k",
                "uploadId=u",
                &[],
                Some("AbortMultipartUpload"),
            ),
            ("GET", "/b", "logging", &[], None),
        ] {
            assert_eq!(
                name(method, path, query, headers),
                wanted,
                "{method} {path} {query}"
            );
        }
    }
}
