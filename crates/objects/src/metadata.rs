use std::collections::BTreeMap;

/// What is kept beside an object's bytes: the headers S3 stores as system metadata, and the user's own
/// `x-amz-meta-*` pairs (S3 User Guide, "Working with object metadata").
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Metadata {
    /// `Content-Type`; absent reads as `binary/octet-stream`.
    pub content_type: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`, as sent.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect_location: Option<String>,
    /// The user's pairs: names in lower case without `x-amz-meta-`, values as sent.
    pub user: BTreeMap<String, String>,
}

impl Metadata {
    /// The most bytes of names and values together in the user's pairs: 2 KB
    /// (S3 User Guide, "Working with object metadata").
    pub const USER_BYTES_MAX: usize = 2048;

    /// The bytes of names and values together in the user's pairs.
    pub fn user_bytes(&self) -> usize {
        self.user
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }
}

/// An object's tags, unique by name (S3 User Guide, "Categorizing your objects using tags").
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tags(pub BTreeMap<String, String>);

impl Tags {
    /// The most tags of one object.
    pub const COUNT_MAX: usize = 10;
    /// The longest tag name, in characters.
    pub const NAME_CHARS_MAX: usize = 128;
    /// The longest tag value, in characters.
    pub const VALUE_CHARS_MAX: usize = 256;
}
