use std::fmt;
use std::str::FromStr;

use two_buckets_objects::Key;

/// The prefixes of the archive that only the pipeline writes.
pub(crate) const RESERVED_PREFIXES: [&str; 2] = ["_results/", "_late/"];

/// A key that may be asked for through the upload API.
///
/// Narrower than [`Key`]: no control characters, no leading slash, no `.` or `..` between slashes, and none of the
/// pipeline's reserved prefixes. S3 itself allows all but the last, but HTTP clients and proxies rewrite such URLs,
/// and then the signature, or the file, is for another key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UploadKey(Key);

impl UploadKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The key as objects have it.
    pub fn as_key(&self) -> &Key {
        &self.0
    }
}

/// A text that no upload may have as its key, in words for the person who sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidUploadKey {
    /// It has no characters.
    #[error("the key must not be empty")]
    Empty,
    /// It is longer than a key can be.
    #[error("the key has {length_bytes} bytes, a key has at most 1024")]
    TooLong {
        /// Its length.
        length_bytes: usize,
    },
    /// It begins with a slash.
    #[error("the key must not begin with a slash")]
    LeadingSlash,
    /// It has a control character, such as a line break.
    #[error("the key must not have control characters such as line breaks (one is at byte {at})")]
    ControlCharacter {
        /// Where the first one is.
        at: usize,
    },
    /// It has `.` or `..` between slashes.
    #[error("the key must not have \".\" or \"..\" between slashes")]
    DotSegment,
    /// It begins with a prefix that only the pipeline writes.
    #[error("keys that begin with \"{prefix}\" are reserved for what processing makes")]
    Reserved {
        /// The prefix.
        prefix: &'static str,
    },
}

impl FromStr for UploadKey {
    type Err = InvalidUploadKey;

    fn from_str(text: &str) -> Result<Self, InvalidUploadKey> {
        if text.is_empty() {
            return Err(InvalidUploadKey::Empty);
        }
        let too_long = InvalidUploadKey::TooLong {
            length_bytes: text.len(),
        };
        let key: Key = text.parse().map_err(|_| too_long)?;
        if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(InvalidUploadKey::ControlCharacter { at });
        }
        if text.starts_with('/') {
            return Err(InvalidUploadKey::LeadingSlash);
        }
        if text.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(InvalidUploadKey::DotSegment);
        }
        if let Some(prefix) = RESERVED_PREFIXES
            .into_iter()
            .find(|prefix| text.starts_with(prefix))
        {
            return Err(InvalidUploadKey::Reserved { prefix });
        }
        Ok(Self(key))
    }
}

impl fmt::Display for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidUploadKey, UploadKey};

    #[test]
    fn a_key_is_kept_exactly_as_it_was_sent() {
        let longest = "ä".repeat(512);
        for good in [
            "photo.jpg",
            "a b+c%2F.txt",
            "2026/übersicht 🙂.csv",
            "a//b",
            "folder/",
            "...",
            ".hidden",
            "a/..b",
            "_results",
            "x/_results/y",
            "*",
            "a?b#c\"'<>\\",
            " ",
            &longest,
        ] {
            let key: UploadKey = good.parse().expect("a key uploads may have");
            assert_eq!(key.as_str(), good);
        }
    }

    #[test]
    fn a_key_that_clients_rewrite_or_the_pipeline_owns_is_refused_with_its_reason() {
        use InvalidUploadKey as Why;
        let long = "ä".repeat(513);
        for (bad, why) in [
            ("", Why::Empty),
            (&*long, Why::TooLong { length_bytes: 1026 }),
            ("a\nb", Why::ControlCharacter { at: 1 }),
            ("a\0", Why::ControlCharacter { at: 1 }),
            ("\u{7f}", Why::ControlCharacter { at: 0 }),
            ("ä\u{85}", Why::ControlCharacter { at: 2 }),
            ("/etc/passwd", Why::LeadingSlash),
            (".", Why::DotSegment),
            ("..", Why::DotSegment),
            ("a/../b", Why::DotSegment),
            ("a/.", Why::DotSegment),
            ("../x", Why::DotSegment),
            (
                "_results/x",
                Why::Reserved {
                    prefix: "_results/",
                },
            ),
            ("_late/", Why::Reserved { prefix: "_late/" }),
        ] {
            assert_eq!(bad.parse::<UploadKey>(), Err(why), "{bad:?}");
        }
    }
}
