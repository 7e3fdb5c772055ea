use std::fmt;
use std::str::FromStr;

use crate::InvalidName;

/// A bucket's name, as S3 allows it for general purpose buckets: 3 to 63 lower-case letters, digits,
/// dots and hyphens, beginning and ending with a letter or digit
/// (S3 User Guide, "General purpose bucket naming rules").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(Box<str>);

impl BucketName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BucketName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let edge =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !(3..=63).contains(&name.len()) {
            return Err(InvalidName::new(
                "bucket name",
                "must have 3 to 63 characters",
            ));
        }
        if !name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-')
        {
            return Err(InvalidName::new(
                "bucket name",
                "may have lower-case letters, digits, dots and hyphens only",
            ));
        }
        if !edge(name.chars().next()) || !edge(name.chars().last()) {
            return Err(InvalidName::new(
                "bucket name",
                "must begin and end with a letter or digit",
            ));
        }
        if name.contains("..") {
            return Err(InvalidName::new(
                "bucket name",
                "must not have two dots in a row",
            ));
        }
        if name.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(InvalidName::new(
                "bucket name",
                "must not look like an IP address",
            ));
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::BucketName;

    #[test]
    fn names_follow_the_rules_of_s3() {
        for good in ["abc", "staging", "a.b-c", "0ab", &"a".repeat(63)] {
            assert!(good.parse::<BucketName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "a..b",
            "192.168.0.1",
            "a/b",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<BucketName>().is_err(), "{bad}");
        }
    }
}
