//! One rule: which files it takes.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use two_buckets_uploads::{ContentType, MediaRange};

/// What a rule asks of a file. What it does not name may be anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    /// Patterns of keys, of which one must match; none for any key.
    pub(crate) keys: Vec<KeyPattern>,
    /// Media types, of which one must cover the one the uploader named; none for any or no type.
    pub(crate) types: Vec<MediaRange>,
    /// The least size in bytes.
    pub(crate) size_bytes_min: Option<u64>,
    /// The greatest size in bytes.
    pub(crate) size_bytes_max: Option<u64>,
}

/// What is known of a file before anything runs on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// The key.
    pub(crate) key: &'a str,
    /// The media type as the uploader named it.
    pub(crate) media_type: Option<&'a str>,
    /// The size.
    pub(crate) size_bytes: u64,
}

/// Why a rule does not take a file, in words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("the key does not match {0}")]
    Key(String),
    #[error("the media type {given} is not {wanted}")]
    Type { given: String, wanted: String },
    #[error("no media type is named, and it wants {0}")]
    NoType(String),
    #[error("it is smaller than {0} bytes")]
    TooSmall(u64),
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

impl Rule {
    /// Says whether the file is taken, and if not, the first reason why.
    pub(crate) fn check(&self, file: Facts<'_>) -> Result<(), Mismatch> {
        if !self.keys.is_empty() && !self.keys.iter().any(|key| key.matches(file.key)) {
            return Err(Mismatch::Key(either(&self.keys)));
        }
        if !self.types.is_empty() {
            // What is no media type is of none.
            let media_type: Option<ContentType> = file.media_type.and_then(|it| it.parse().ok());
            let Some(media_type) = media_type else {
                return Err(Mismatch::NoType(either(&self.types)));
            };
            if !self.types.iter().any(|range| range.covers(&media_type)) {
                return Err(Mismatch::Type {
                    given: media_type.essence().to_owned(),
                    wanted: either(&self.types),
                });
            }
        }
        match (self.size_bytes_min, self.size_bytes_max) {
            (Some(min), _) if file.size_bytes < min => Err(Mismatch::TooSmall(min)),
            (_, Some(max)) if file.size_bytes > max => Err(Mismatch::TooLarge(max)),
            _ => Ok(()),
        }
    }
}

/// A pattern of keys: `*` and `?` stand for anything but a slash, `**` for slashes too, `[a-z]` for one of these, `{a,b}`
/// for either. It matches the whole key, letter for letter.
#[derive(Clone, Debug)]
pub(crate) struct KeyPattern(GlobMatcher);

impl KeyPattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map(|glob| Self(glob.compile_matcher()))
            .map_err(|error| format!("{text:?} is no pattern of keys: {}", error.kind()))
    }

    /// Whether the whole key is as the pattern says.
    pub(crate) fn matches(&self, key: &str) -> bool {
        self.0.is_match(key)
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.glob().glob())
    }
}

fn either(wanted: &[impl fmt::Display]) -> String {
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    wanted.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(keys: &[&str], types: &[&str], sizes: (Option<u64>, Option<u64>)) -> Rule {
        Rule {
            keys: keys
                .iter()
                .map(|it| KeyPattern::parse(it).unwrap())
                .collect(),
            types: types.iter().map(|it| it.parse().unwrap()).collect(),
            size_bytes_min: sizes.0,
            size_bytes_max: sizes.1,
        }
    }

    fn facts<'a>(key: &'a str, media_type: Option<&'a str>, size_bytes: u64) -> Facts<'a> {
        Facts {
            key,
            media_type,
            size_bytes,
        }
    }

    #[test]
    fn a_pattern_matches_whole_keys_and_a_star_stops_at_a_slash() {
        for (pattern, key, matches) in [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "photos/a.jpg", false),
            ("**/*.jpg", "photos/2026/a.jpg", true),
            ("**/*.jpg", "a.jpg", true),
            ("photos/**", "photos/a/b", true),
            ("photos/**", "photos", false),
            ("photos/**", "my photos/a", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("*.{jpg,png}", "a.png", true),
            ("[0-9]*", "7up", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*.JPG", "a.jpg", false),
            ("*", "ünïcode 🙂", true),
            ("*", ".hidden", true),
        ] {
            let pattern = KeyPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(key), matches, "{pattern} {key}");
        }
        let problem = KeyPattern::parse("a[").unwrap_err();
        assert!(problem.contains("a["), "{problem}");
    }

    #[test]
    fn everything_named_must_hold_and_the_first_reason_is_said() {
        let images = rule(&["in/**", "*.png"], &["image/*"], (Some(10), Some(20)));
        assert_eq!(
            images.check(facts("in/a", Some("image/png; q=1"), 10)),
            Ok(())
        );
        assert_eq!(images.check(facts("a.png", Some("IMAGE/PNG"), 20)), Ok(()));
        for (file, words) in [
            (
                facts("out/a", Some("image/png"), 10),
                "does not match in/** or *.png",
            ),
            (
                facts("in/a", Some("text/csv"), 10),
                "text/csv is not image/*",
            ),
            (facts("in/a", None, 10), "no media type"),
            (facts("in/a", Some("nonsense"), 10), "no media type"),
            (facts("in/a", Some("image/png"), 9), "smaller than 10"),
            (facts("in/a", Some("image/png"), 21), "larger than 20"),
        ] {
            let mismatch = images.check(file).unwrap_err().to_string();
            assert!(mismatch.contains(words), "{mismatch}");
        }
    }

    #[test]
    fn a_rule_that_names_nothing_takes_everything() {
        assert_eq!(Rule::default().check(facts("", None, u64::MAX)), Ok(()));
    }
}
