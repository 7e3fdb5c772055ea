//! Keys and tags as they go into headers and come out of lists.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use two_buckets_objects::{Error, Key, Result, Tags, VersionRef};

/// What is not written as itself in a path, of a URL or in a header: all but the unreserved characters (RFC 3986,
/// section 2.3) and the slashes of keys.
pub(crate) const NOT_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// `x-amz-copy-source` of exactly this version (S3 API, `CopyObject`).
pub(super) fn copy_source(from: &VersionRef) -> String {
    format!(
        "{}/{}?versionId={}",
        from.bucket,
        utf8_percent_encode(from.key.as_str(), NOT_IN_PATH),
        utf8_percent_encode(from.version_id.as_str(), NON_ALPHANUMERIC),
    )
}

/// `x-amz-tagging`: pairs as in a query; none where there is no tag.
pub(super) fn tagging(tags: &Tags) -> Option<String> {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = tags
        .0
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

/// A key out of a list that was asked for with `encoding-type=url`, as XML cannot hold every key: encoded as in a form,
/// a space as `+`.
pub(super) fn listed_key(encoded: &str) -> Result<Key> {
    let spaced = encoded.replace('+', " ");
    let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable {
        reason: format!("the list has {encoded:?} for a key"),
        source: Some(source),
    };
    percent_decode_str(&spaced)
        .decode_utf8()
        .map_err(|error| unreadable(error.into()))?
        .parse()
        .map_err(|error: two_buckets_objects::InvalidName| unreadable(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::VersionId;

    #[test]
    fn a_copy_source_names_key_and_version_and_nothing_in_them_is_taken_for_syntax() {
        let from = VersionRef {
            bucket: "staging".parse().unwrap(),
            key: "/a b+c?versionId=x#%2F/ä".parse().unwrap(),
            version_id: VersionId::new("3/L4+k=&"),
        };
        assert_eq!(
            copy_source(&from),
            "staging//a%20b%2Bc%3FversionId%3Dx%23%252F/%C3%A4?versionId=3%2FL4%2Bk%3D%26"
        );
    }

    #[test]
    fn a_listed_key_is_decoded_as_a_form_is() {
        assert_eq!(
            listed_key("a+b%2Bc%252F/%C3%A4%01").unwrap().as_str(),
            "a b+c%2F/ä\u{1}"
        );
        assert!(listed_key("%FF").is_err());
        assert!(listed_key("").is_err());
    }

    #[test]
    fn tags_are_pairs_of_a_query() {
        assert_eq!(tagging(&Tags::default()), None);
        let tags = Tags([("a b".into(), "c=d&e".into()), ("z".into(), String::new())].into());
        assert_eq!(tagging(&tags).as_deref(), Some("a%20b=c%3Dd%26e&z="));
    }
}
