//! The condition keys that are known, and what a request says to them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use two_buckets_objects::Timestamp;

/// What a condition key has to say, which decides the operators that fit it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Number,
    Time,
    /// Time that may be compared as a number of seconds as well.
    Epoch,
    Bool,
    Ip,
}

/// A condition key.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

/// Every key that a policy may name; case does not matter in it (IAM User Guide, "AWS global condition context keys";
/// S3 User Guide, "Amazon S3 condition key examples"). The encryption and grant headers are among them although a
/// request that has one is refused: a Deny of requests without encryption is then a Deny, as it should be.
pub(super) const KEYS: &[Key] = &[
    key("aws:CurrentTime", Kind::Time),
    key("aws:EpochTime", Kind::Epoch),
    key("aws:Referer", Kind::Text),
    key("aws:SecureTransport", Kind::Bool),
    key("aws:SourceIp", Kind::Ip),
    key("aws:UserAgent", Kind::Text),
    key("s3:ObjectCreationOperation", Kind::Bool),
    key("s3:VersionId", Kind::Text),
    key("s3:authType", Kind::Text),
    key("s3:delimiter", Kind::Text),
    key("s3:if-match", Kind::Text),
    key("s3:if-none-match", Kind::Text),
    key("s3:max-keys", Kind::Number),
    key("s3:prefix", Kind::Text),
    key("s3:signatureAge", Kind::Number),
    key("s3:signatureversion", Kind::Text),
    key("s3:x-amz-acl", Kind::Text),
    key("s3:x-amz-content-sha256", Kind::Text),
    key("s3:x-amz-copy-source", Kind::Text),
    key("s3:x-amz-grant-full-control", Kind::Text),
    key("s3:x-amz-grant-read", Kind::Text),
    key("s3:x-amz-grant-read-acp", Kind::Text),
    key("s3:x-amz-grant-write", Kind::Text),
    key("s3:x-amz-grant-write-acp", Kind::Text),
    key("s3:x-amz-metadata-directive", Kind::Text),
    key("s3:x-amz-object-ownership", Kind::Text),
    key("s3:x-amz-server-side-encryption", Kind::Text),
    key("s3:x-amz-server-side-encryption-aws-kms-key-id", Kind::Text),
    key(
        "s3:x-amz-server-side-encryption-customer-algorithm",
        Kind::Text,
    ),
    key("s3:x-amz-storage-class", Kind::Text),
    key("s3:x-amz-website-redirect-location", Kind::Text),
    // Ours: whether the object is one that the session is bound to. Requests of other sessions do not have it.
    key("two-buckets:Pinned", Kind::Bool),
];

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name))
}

/// The value of a condition key in a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// A moment.
    Time(Timestamp),
    /// Yes or no.
    Bool(bool),
    /// An address.
    Ip(IpAddr),
}

/// What a request says to the conditions. A key that is not there is missing, which operators judge each in their own
/// way.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Context(BTreeMap<&'static str, Value>);

impl Context {
    /// Sets the value of a key, in place of the one it had. Case does not matter in the name; a name that no policy
    /// can have is forgotten.
    pub fn set(&mut self, name: &str, value: Value) {
        if let Some(key) = find(name) {
            self.0.insert(key.name, value);
        }
    }

    /// As [`Self::set`] for a text; nothing if there is none.
    pub fn set_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.set(name, Value::Text(text.to_owned()));
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.0.get(key.name)
    }
}
