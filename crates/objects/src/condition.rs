use crate::ETag;

/// What must hold of a key's current version for a write to happen
/// (S3 User Guide, "How to prevent object overwrites with conditional writes").
///
/// Atomic with the write. A delete marker as current version counts as no object.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum WriteCondition {
    /// Nothing is asked.
    #[default]
    None,
    /// `If-None-Match: *`: there is no object under the key.
    IfNoneMatch,
    /// `If-Match`: there is one, with this tag.
    IfMatch(ETag),
}
