//! Which operation a request asks for, as far as the layer in front of s3s must know it.

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use s3s::S3ErrorCode;

use crate::query::Query;
use crate::refusal::Refusal;

/// Every parameter that S3 takes for a sub-resource, that is, for another operation. s3s ignores those it does not
/// know, so that `PUT /bucket?new-thing` would make a bucket; here they are refused.
pub(crate) const SUB_RESOURCES: &[&str] = &[
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// The path of a request, decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
}

impl Target {
    /// Splits the path as s3s does behind us.
    pub(crate) fn of(host_bucket: Option<&str>, path: &str) -> Result<Self, Refusal> {
        let decoded = percent_decode_str(path).decode_utf8().map_err(|_| {
            Refusal::new(
                S3ErrorCode::InvalidURI,
                "the path is not percent-encoded UTF-8",
            )
        })?;
        let rest = decoded.strip_prefix('/').ok_or_else(|| {
            Refusal::new(
                S3ErrorCode::InvalidURI,
                "the path does not begin with a slash",
            )
        })?;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(match host_bucket {
            Some(bucket) => Self {
                bucket: some(bucket),
                key: some(rest),
            },
            None => match rest.split_once('/') {
                None => Self {
                    bucket: some(rest),
                    key: None,
                },
                Some((bucket, key)) => Self {
                    bucket: some(bucket),
                    key: some(key),
                },
            },
        })
    }

    /// What `Resource` says in an error.
    pub(crate) fn resource(&self) -> String {
        match (&self.bucket, &self.key) {
            (Some(bucket), Some(key)) => format!("/{bucket}/{key}"),
            (Some(bucket), None) => format!("/{bucket}"),
            _ => "/".to_owned(),
        }
    }
}

/// What is done with a request's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BodyUse {
    /// It is an object or a part, and streamed.
    Object,
    /// It is a document, or nothing, and held in memory.
    Document,
    /// It is a document, and checksums in the headers are those of the object to be made.
    Completion,
}

/// Says how the body is used, and refuses what asks for an operation that does not exist for this method and target.
pub(crate) fn body_use(
    method: &Method,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
) -> Result<BodyUse, Refusal> {
    let allowed: &[&str] = match (method.as_str(), &target.bucket, &target.key) {
        ("GET", Some(_), None) => &[
            "acl",
            "cors",
            "encryption",
            "lifecycle",
            "location",
            "logging",
            "notification",
            "object-lock",
            "ownershipControls",
            "policy",
            "policyStatus",
            "publicAccessBlock",
            "replication",
            "requestPayment",
            "accelerate",
            "tagging",
            "uploads",
            "versioning",
            "versions",
            "website",
        ],
        ("PUT", Some(_), None) => &[
            "acl",
            "cors",
            "lifecycle",
            "notification",
            "tagging",
            "versioning",
        ],
        ("DELETE", Some(_), None) => &["cors", "lifecycle", "tagging"],
        ("POST", Some(_), None) => &["delete"],
        ("GET", Some(_), Some(_)) => &["acl", "attributes", "partNumber", "tagging", "uploadId"],
        ("HEAD", Some(_), Some(_)) => &["partNumber"],
        ("PUT", Some(_), Some(_)) => &["acl", "partNumber", "tagging", "uploadId"],
        ("POST", Some(_), Some(_)) => &["uploadId", "uploads"],
        ("DELETE", Some(_), Some(_)) => &["tagging", "uploadId"],
        _ => &[],
    };
    if let Some(name) = query
        .names()
        .find(|name| SUB_RESOURCES.contains(name) && !allowed.contains(name))
    {
        return Err(Refusal::not_implemented(format!(
            "{method} with ?{name} is not supported"
        )));
    }
    // Half of an upload part's name would be a plain PUT or DELETE of the whole object.
    let (part, upload) = (query.has("partNumber"), query.has("uploadId"));
    if *method == Method::PUT && part != upload {
        return Err(Refusal::invalid_argument(
            "a part is named by partNumber and uploadId together",
        ));
    }
    let is_object = *method == Method::PUT
        && target.key.is_some()
        && !headers.contains_key("x-amz-copy-source")
        && !query.has("acl")
        && !query.has("tagging");
    Ok(if is_object {
        BodyUse::Object
    } else if *method == Method::POST && upload {
        BodyUse::Completion
    } else {
        BodyUse::Document
    })
}

/// Whether a request is an upload by HTML form. It carries its signature in its body, so this is asked before a
/// signature is looked for.
pub(crate) fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    if *method != Method::POST {
        return false;
    }
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("multipart/form-data")
        })
}
