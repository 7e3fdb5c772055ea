use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;

/// The secret that the server leaves in its data folder for the command line. Never shown by `Debug`.
#[derive(Clone)]
pub struct AdminToken(String);

/// A text that is no good as a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an admin token has 32 to 512 characters, visible ASCII without spaces")]
pub struct InvalidToken;

impl FromStr for AdminToken {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (32..=512).contains(&token.len()) {
            Ok(Self(token.into()))
        } else {
            Err(InvalidToken)
        }
    }
}

impl AdminToken {
    /// Compares in a time that tells nothing but the length.
    pub(super) fn is(&self, sent: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(sent).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}
