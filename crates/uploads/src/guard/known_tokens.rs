use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, RwLock};

use ring::digest::{SHA256, digest};

use crate::Caller;

/// The SHA-256 of a token. Only this is kept: whoever reads it cannot call.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a SHA-256 has 64 hexadecimal digits")]
pub struct InvalidTokenDigest;

impl TokenDigest {
    /// The digest of a token as it is sent.
    pub fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }
}

impl FromStr for TokenDigest {
    type Err = InvalidTokenDigest;

    fn from_str(text: &str) -> Result<Self, InvalidTokenDigest> {
        let digits: Vec<u8> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or(InvalidTokenDigest)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit))
            .collect();
        match (digits.len(), bytes.try_into()) {
            (64, Ok(bytes)) => Ok(Self(bytes)),
            _ => Err(InvalidTokenDigest),
        }
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

/// The callers who have a token of their own. Cheap to clone; all clones see a replacement at once.
#[derive(Clone, Default)]
pub struct KnownTokens(Arc<RwLock<HashMap<TokenDigest, Caller>>>);

impl KnownTokens {
    /// Knows these.
    pub fn new(callers: impl IntoIterator<Item = (TokenDigest, Caller)>) -> Self {
        let known = Self::default();
        known.replace(callers);
        known
    }

    /// Knows these from now on, and no longer those of before. Requests under way go on.
    pub fn replace(&self, callers: impl IntoIterator<Item = (TokenDigest, Caller)>) {
        let callers = callers.into_iter().collect();
        *self.0.write().expect("nothing panics while it is held") = callers;
    }

    /// The caller who has this token. The look-up goes by the digest, so its time tells nothing of the token.
    pub(super) fn find(&self, token: &str) -> Option<Caller> {
        self.0
            .read()
            .expect("nothing panics while it is held")
            .get(&TokenDigest::of(token))
            .cloned()
    }
}

impl fmt::Debug for KnownTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownTokens(..)")
    }
}
