use std::fmt;
use std::str::FromStr;

use crate::ContentType;
use crate::content_type::is_token;

/// What one caller may send. The default has no limits beyond S3's own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UploadLimits {
    /// The largest file, in bytes; none: as large as S3 takes.
    pub size_bytes_max: Option<u64>,
    /// The media types, one of which a file must have; empty: any, and none at all.
    pub types: Vec<MediaRange>,
    /// How many uploads may be begun in a minute, as many at once; none: any number.
    pub uploads_per_minute: Option<u32>,
}

/// A media type or a range of them: `image/png`, `image/*`, `*/*`. In any case, kept in lower case; without parameters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MediaRange(String);

/// A text that is no media range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a media range is like \"image/png\", \"image/*\" or \"*/*\"")]
pub struct InvalidMediaRange;

impl MediaRange {
    /// The range as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether the type, without its parameters, is in this range.
    pub fn covers(&self, content_type: &ContentType) -> bool {
        let essence = content_type.essence().to_ascii_lowercase();
        match self.0.strip_suffix('*') {
            Some("*/") => true,
            Some(kind) => essence.starts_with(kind),
            None => essence == self.0,
        }
    }
}

impl FromStr for MediaRange {
    type Err = InvalidMediaRange;

    fn from_str(text: &str) -> Result<Self, InvalidMediaRange> {
        let (kind, subtype) = text.split_once('/').ok_or(InvalidMediaRange)?;
        // A star is a token's character too, but `*/png` and `a*/b` are no ranges (RFC 9110, section 12.5.1).
        let has_star = |part: &str| part.contains('*');
        let is_range = is_token(kind)
            && is_token(subtype)
            && text.len() <= ContentType::LENGTH_BYTES_MAX
            && match (kind, subtype) {
                ("*", "*") => true,
                (kind, "*") => !has_star(kind),
                (kind, subtype) => !has_star(kind) && !has_star(subtype),
            };
        if is_range {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidMediaRange)
        }
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::MediaRange;

    #[test]
    fn a_range_covers_its_types_in_any_case_and_with_any_parameters() {
        for (range, content_type, covered) in [
            ("image/png", "image/png", true),
            ("Image/PNG", "image/png", true),
            ("image/png", "IMAGE/png; q=1", true),
            ("image/png", "image/pngx", false),
            ("image/*", "image/svg+xml", true),
            ("image/*", "imagex/png", false),
            ("image/*", "video/mp4", false),
            ("*/*", "video/mp4", true),
            ("text/csv", "text/csv ; charset=utf-8", true),
        ] {
            let range: MediaRange = range.parse().expect("a range");
            let content_type = content_type.parse().expect("a type");
            assert_eq!(
                range.covers(&content_type),
                covered,
                "{range} {content_type:?}"
            );
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in [
            "", "*", "image", "*/png", "im*/png", "image/p*", "image/", "/png", "a/b/c", "a/b;q=1",
            "a /b",
        ] {
            assert!(bad.parse::<MediaRange>().is_err(), "{bad}");
        }
    }
}
