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

/// Why a caller may not send a file, in words for a person.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum OverLimit {
    #[error("this file has {}, you may send files of at most {}", in_words(*.size_bytes, *.most), in_words(*.most, *.size_bytes))]
    TooLarge { size_bytes: u64, most: u64 },
    #[error("say the file's size: you may send files of at most {}", in_words(*.most, *.most))]
    SizeUnknown { most: u64 },
    #[error("this file is {found}, you may send only {allowed}")]
    WrongType { found: String, allowed: String },
    #[error("say the file's type: you may send only {allowed}")]
    TypeUnknown { allowed: String },
    #[error(
        "you may send only files {bounds}, and credentials cannot be bound to that; ask for a signed URL or a form"
    )]
    Unbindable { bounds: String },
}

impl UploadLimits {
    /// Checks a file whose size and type a signature binds; they must be known where they are limited.
    pub(crate) fn allow(
        &self,
        content_type: Option<&ContentType>,
        size_bytes: Option<u64>,
    ) -> Result<(), OverLimit> {
        self.allow_type(content_type)?;
        match (self.size_bytes_max, size_bytes) {
            (Some(most), None) => Err(OverLimit::SizeUnknown { most }),
            (_, Some(size_bytes)) => self.allow_size(size_bytes),
            (None, None) => Ok(()),
        }
    }

    /// Checks a size.
    pub(crate) fn allow_size(&self, size_bytes: u64) -> Result<(), OverLimit> {
        match self.size_bytes_max {
            Some(most) if size_bytes > most => Err(OverLimit::TooLarge { size_bytes, most }),
            _ => Ok(()),
        }
    }

    /// Checks a type, which must be known where types are limited.
    pub(crate) fn allow_type(&self, content_type: Option<&ContentType>) -> Result<(), OverLimit> {
        if self.types.is_empty() {
            return Ok(());
        }
        let allowed = || named(&self.types);
        match content_type {
            None => Err(OverLimit::TypeUnknown { allowed: allowed() }),
            Some(found) if self.types.iter().any(|range| range.covers(found)) => Ok(()),
            Some(found) => Err(OverLimit::WrongType {
                found: found.essence().to_owned(),
                allowed: allowed(),
            }),
        }
    }

    /// Checks a way to send that no limit can be bound to: neither size nor type, nor how often it is used.
    pub(crate) fn allow_unbound(&self) -> Result<(), OverLimit> {
        let size = self
            .size_bytes_max
            .map(|most| format!("of at most {}", in_words(most, most)));
        let types = (!self.types.is_empty()).then(|| format!("that are {}", named(&self.types)));
        let rate = self
            .uploads_per_minute
            .map(|most| format!("no more than {most} a minute"));
        let bounds: Vec<String> = size.into_iter().chain(types).chain(rate).collect();
        if bounds.is_empty() {
            return Ok(());
        }
        Err(OverLimit::Unbindable {
            bounds: bounds.join(" "),
        })
    }
}

fn named(types: &[MediaRange]) -> String {
    let names: Vec<&str> = types.iter().map(MediaRange::as_str).collect();
    names.join(", ")
}

/// A size as people say it, `6.2 GB`, with as many digits as it takes to tell it from another one.
pub(crate) fn in_words(size_bytes: u64, other: u64) -> String {
    const UNITS: [(u128, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    let spoken = |size_bytes: u64| {
        let size = u128::from(size_bytes);
        let (unit, name) = UNITS.into_iter().find(|(unit, _)| size >= *unit)?;
        let tenths = (size * 10 + unit / 2) / unit;
        Some(match (tenths / 10, tenths % 10) {
            (whole, 0) => format!("{whole} {name}"),
            (whole, tenth) => format!("{whole}.{tenth} {name}"),
        })
    };
    match spoken(size_bytes) {
        Some(words) if size_bytes == other || spoken(other).as_ref() != Some(&words) => words,
        _ => format!("{size_bytes} bytes"),
    }
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
    use super::{MediaRange, UploadLimits, in_words};

    #[test]
    fn sizes_are_said_as_people_say_them_and_never_equal_when_they_are_not() {
        for (size, other, words) in [
            (6_200_000_000, 5_000_000_000, "6.2 GB"),
            (5_000_000_000, 6_200_000_000, "5 GB"),
            (5_000_000_001, 5_000_000_000, "5000000001 bytes"),
            (5_000_000_000, 5_000_000_001, "5000000000 bytes"),
            (5_000_000_000, 5_000_000_000, "5 GB"),
            (999, 10, "999 bytes"),
            (1_000, 0, "1 kB"),
            (50_000_000_000_000, 0, "50 TB"),
            (u64::MAX, 0, "18446744.1 TB"),
        ] {
            assert_eq!(in_words(size, other), words, "{size} {other}");
        }
    }

    #[test]
    fn what_is_too_much_is_said_in_words() {
        let limits = UploadLimits {
            size_bytes_max: Some(5_000_000_000),
            types: vec![
                "image/*".parse().expect("a range"),
                "text/csv".parse().expect("a range"),
            ],
            uploads_per_minute: None,
        };
        let png = "image/png".parse().expect("a type");
        let pdf = "application/pdf; a=b".parse().expect("a type");
        let said = |content_type, size| {
            let refused = limits.allow(content_type, size);
            refused.map_err(|over| over.to_string())
        };
        assert_eq!(said(Some(&png), Some(5_000_000_000)), Ok(()));
        for (content_type, size, words) in [
            (
                Some(&png),
                Some(6_200_000_000),
                "this file has 6.2 GB, you may send files of at most 5 GB",
            ),
            (
                Some(&png),
                None,
                "say the file's size: you may send files of at most 5 GB",
            ),
            (
                Some(&pdf),
                Some(1),
                "this file is application/pdf, you may send only image/*, text/csv",
            ),
            (
                None,
                Some(1),
                "say the file's type: you may send only image/*, text/csv",
            ),
        ] {
            assert_eq!(said(content_type, size), Err(words.to_owned()));
        }
        assert!(limits.allow_unbound().is_err());
        assert_eq!(UploadLimits::default().allow_unbound(), Ok(()));
        assert_eq!(UploadLimits::default().allow(None, None), Ok(()));
    }

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
