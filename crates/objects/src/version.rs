use std::fmt;

/// The opaque name of one version of a key. Never parsed and never ordered; compare for equality only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VersionId(Box<str>);

impl VersionId {
    /// The id of versions written while versioning was not enabled. Such a version is overwritten in place,
    /// so it is not immutable and the pipeline refuses buckets that have it.
    pub const NULL: &'static str = "null";

    /// Takes an id as a store gave it.
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether this is the id of an unversioned object, [`VersionId::NULL`].
    pub fn is_null(&self) -> bool {
        &*self.0 == Self::NULL
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
