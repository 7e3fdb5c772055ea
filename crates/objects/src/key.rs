use std::fmt;
use std::str::FromStr;

use crate::InvalidName;

/// An object's name in its bucket, decoded: 1 to 1,024 bytes of UTF-8, never a file name and never normalised
/// (S3 User Guide, "Naming Amazon S3 objects").
///
/// Keys order by their bytes, as S3 lists them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

impl Key {
    /// The longest key, in bytes of UTF-8.
    pub const LENGTH_BYTES_MAX: usize = 1024;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = InvalidName;

    fn from_str(key: &str) -> Result<Self, InvalidName> {
        match key.len() {
            0 => Err(InvalidName::new("key", "must not be empty")),
            1..=Self::LENGTH_BYTES_MAX => Ok(Self(key.into())),
            _ => Err(InvalidName::new("key", "must have at most 1024 bytes")),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn a_key_has_one_to_1024_bytes_and_is_kept_as_sent() {
        assert!("".parse::<Key>().is_err());
        assert!("ä".repeat(513).parse::<Key>().is_err());
        let longest = "ä".repeat(512);
        assert_eq!(
            longest.parse::<Key>().expect("1024 bytes").as_str(),
            longest
        );
        for odd in ["/", "a//b", "../..", " ", "\n", "a\u{301}"] {
            assert_eq!(odd.parse::<Key>().expect("legal").as_str(), odd);
        }
    }
}
