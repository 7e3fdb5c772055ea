//! The role of functions.

use two_buckets_objects::BucketName;

use crate::sts::{Role, SESSION_LIFE_MAX};

/// The name of the role whose sessions are bound to slots: without one they may do nothing, whatever its policy says.
pub const FUNCTION_ROLE: &str = "two-buckets-function";

/// The role of functions. Of staging, a session of it reads and deletes its own version; in the archive it writes any
/// key (tags too, with the object they are of), reads its own key and its results, and deletes nothing. It lists nothing and configures nothing.
///
/// A policy that allows more may be used under the same name. `two-buckets:Pinned` is true of a session's own versions,
/// archive keys and results; without that condition a statement allows reading in the archive, or in further buckets,
/// what the function did not make.
pub fn function_role(staging: &BucketName, archive: &BucketName) -> Role {
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[
        {{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion","s3:GetObjectAttributes","s3:GetObjectVersionAttributes","s3:GetObjectTagging","s3:GetObjectVersionTagging","s3:DeleteObject","s3:DeleteObjectVersion"],"Resource":"arn:aws:s3:::{staging}/*","Condition":{{"Bool":{{"two-buckets:Pinned":"true"}}}}}},
        {{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectAttributes","s3:GetObjectTagging"],"Resource":"arn:aws:s3:::{archive}/*","Condition":{{"Bool":{{"two-buckets:Pinned":"true"}}}}}},
        {{"Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":"arn:aws:s3:::{archive}/*"}},
        {{"Effect":"Allow","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::{archive}/*","Condition":{{"Null":{{"s3:ObjectCreationOperation":"false"}}}}}},
        {{"Effect":"Allow","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::{archive}/*","Condition":{{"Bool":{{"two-buckets:Pinned":"true"}}}}}},
        {{"Effect":"Allow","Action":"sts:GetCallerIdentity","Resource":"*"}}]}}"#
    );
    Role {
        name: FUNCTION_ROLE.to_owned(),
        policy: policy
            .parse()
            .expect("a bucket's name needs no escape, and the rest is ours"),
        session_life_max: SESSION_LIFE_MAX,
    }
}
