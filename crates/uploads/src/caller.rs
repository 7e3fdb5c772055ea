use std::fmt;
use std::str::FromStr;

use two_buckets_objects::Key;

use crate::{InvalidUploadKey, UploadKey, UploadLimits};

/// Who asks, and what they may do: put into a request's extensions by whoever finds out, such as a guard in front of
/// the service. A request without one is refused, so a forgotten guard opens nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// What they are called in logs and on the page: the same for every request of one caller, and different for
    /// different ones that are known in the same way.
    pub name: String,
    /// How it is known that they are who they are.
    pub known_by: KnownBy,
    /// All they may name, list, read and steer begins with this, and so do the keys minted for them. None: everything.
    pub prefix: Option<KeyPrefix>,
    /// What they may send.
    pub limits: UploadLimits,
    /// Whether they may retry uploads and cancel jobs, and sweep if they see everything.
    pub may_steer: bool,
}

/// How a caller is known. Each way has names of its own: a subject that the issuer calls `partner` is not the `partner`
/// of the token file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum KnownBy {
    /// By where they are, or by what is in the server's own folder.
    #[default]
    Machine,
    /// By the admin token, shown from the server's own machine.
    Owner,
    /// By a token that is in the token file.
    TokenFile,
    /// By a token that the issuer signed.
    Issuer,
    /// By AWS credentials that signed the call, as the gateway in front says.
    Iam,
}

impl Caller {
    /// One who may do everything without limits, as whoever sits at the machine may.
    pub fn unlimited(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            known_by: KnownBy::default(),
            prefix: None,
            limits: UploadLimits::default(),
            may_steer: true,
        }
    }

    /// Under which name their rate is counted: nobody else has it.
    pub(crate) fn counted_as(&self) -> String {
        let known_by = match self.known_by {
            KnownBy::Machine | KnownBy::Owner => "machine",
            KnownBy::TokenFile => "token",
            KnownBy::Issuer => "issuer",
            KnownBy::Iam => "iam",
        };
        format!("{known_by} {}", self.name)
    }

    /// Says whether an upload of this key is one of theirs.
    pub fn sees(&self, key: &Key) -> bool {
        self.prefix
            .as_ref()
            .is_none_or(|prefix| prefix.covers(key.as_str()))
    }
}

/// The beginning of keys that belong together, such as a tenant's: it ends with a slash, and everything that
/// [`UploadKey`] asks of a key holds for it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyPrefix(String);

/// A text that is no good as a prefix of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidKeyPrefix {
    /// It does not end with a slash, so that `team` would also be the beginning of `team2/`.
    #[error("a prefix of keys must end with a slash")]
    NoSlash,
    /// It leaves too little of a key's 1,024 bytes for the rest.
    #[error("a prefix of keys has at most {} bytes", KeyPrefix::LENGTH_BYTES_MAX)]
    TooLong,
    /// No key below it could be uploaded.
    #[error("no key can begin like this: {0}")]
    NoKey(#[from] InvalidUploadKey),
}

impl KeyPrefix {
    /// The longest one: it leaves room for the date, the ULID and the file name of a minted key.
    pub const LENGTH_BYTES_MAX: usize = 512;

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether the key lies below it.
    pub fn covers(&self, key: &str) -> bool {
        key.len() > self.0.len() && key.starts_with(&self.0)
    }

    /// A key below it; the length of both together must be one that a key can have.
    pub(crate) fn key(&self, rest: &str) -> Result<UploadKey, InvalidUploadKey> {
        format!("{}{rest}", self.0).parse()
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidKeyPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidKeyPrefix> {
        if !text.ends_with('/') {
            return Err(InvalidKeyPrefix::NoSlash);
        }
        if text.len() > Self::LENGTH_BYTES_MAX {
            return Err(InvalidKeyPrefix::TooLong);
        }
        let prefix = Self(text.into());
        prefix.key("file")?;
        Ok(prefix)
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidKeyPrefix, KeyPrefix};

    #[test]
    fn a_prefix_covers_what_is_below_it_and_not_its_neighbours() {
        let prefix: KeyPrefix = "team/".parse().expect("a prefix");
        for (key, below) in [
            ("team/a", true),
            ("team/a/b", true),
            ("team//", true),
            ("team/", false),
            ("team", false),
            ("team2/a", false),
            ("Team/a", false),
            ("x/team/a", false),
            ("", false),
        ] {
            assert_eq!(prefix.covers(key), below, "{key}");
        }
    }

    #[test]
    fn a_prefix_below_which_no_key_can_be_is_refused() {
        let long = format!("{}/", "p".repeat(512));
        for bad in ["", "team", &long] {
            assert!(bad.parse::<KeyPrefix>().is_err(), "{bad:.20}");
        }
        for bad in [
            "/",
            "/a/",
            "../",
            "a/../",
            "./",
            "_late/",
            "_results/x/",
            "a\n/",
        ] {
            assert!(
                matches!(bad.parse::<KeyPrefix>(), Err(InvalidKeyPrefix::NoKey(_))),
                "{bad:?}"
            );
        }
        for good in ["team/", "a//", "_latex/", "ü/", "*/", "a/b c/"] {
            assert_eq!(good.parse::<KeyPrefix>().expect("a prefix").as_str(), good);
        }
    }
}
