//! JSON web tokens (RFC 7519), checked as RFC 8725 asks.
//!
//! Written on `ring` rather than taken from `jsonwebtoken`, which reads the wall clock itself, keeps its cryptography in
//! a global of the process, and lets a token's header choose how a key is read. Here a key carries the algorithms it is
//! for, time is a parameter, and whatever a header says beside `alg`, `kid` and `typ` is not followed: no key is ever
//! fetched from an address in a token.

mod algorithm;
mod claims;
mod keys;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::Deserialize;
use two_buckets_objects::Timestamp;

pub use algorithm::{Algorithm, InvalidAlgorithm};
pub use claims::{ClaimName, ClaimRules, InvalidClaimName, TokenRules};
pub(crate) use keys::Keys;

use crate::Caller;

/// The longest token. Those of large issuers with many groups have some 4 KiB, and a whole request head here may have
/// less than 400 KiB.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Why a token is not believed. The words go to whoever sent it, and have nothing of the token in them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the token has more than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the token is no signed JSON web token")]
    Malformed,
    #[error("the token is not of a kind that gives access: {0}")]
    Kind(&'static str),
    #[error("the token is not signed in a way that is accepted here")]
    Algorithm,
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is from another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token has expired; sign in again")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token does not say {0}, which is needed here")]
    Missing(String),
    #[error("what the token says as {claim} cannot be used: {reason}")]
    Unusable {
        /// The claim.
        claim: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
struct HeaderJson {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

/// A token that was taken apart and not believed yet.
pub(crate) struct Unverified<'a> {
    message: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
}

/// Whether this may be a JSON web token at all, rather than an opaque one.
pub(crate) fn looks_like_one(token: &str) -> bool {
    token.split('.').count() == 3
}

impl<'a> Unverified<'a> {
    /// Takes a token apart, and refuses what no key could make good.
    pub(crate) fn parse(token: &'a str, allowed: &[Algorithm]) -> Result<Self, Refused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let malformed = || Refused::Malformed;
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
        let decoded = |text: &str| BASE64URL.decode(text).map_err(|_| Refused::Malformed);
        let header: HeaderJson =
            serde_json::from_slice(&decoded(header)?).map_err(|_| Refused::Malformed)?;
        if header.crit.is_some() {
            // Whoever does not know an extension that is critical must refuse the token (RFC 7515, section 4.1.11).
            return Err(Refused::Kind("it has extensions that are not known here"));
        }
        if !header.typ.as_deref().is_none_or(is_access) {
            return Err(Refused::Kind("its type is for another purpose"));
        }
        let algorithm = header
            .alg
            .parse()
            .ok()
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or(Refused::Algorithm)?;
        if header
            .kid
            .as_ref()
            .is_some_and(|id| id.len() > keys::KEY_ID_BYTES_MAX)
        {
            return Err(Refused::UnknownKey);
        }
        Ok(Self {
            message,
            claims,
            signature: decoded(signature)?,
            algorithm,
            key_id: header.kid,
        })
    }

    /// Whether none of the keys has the name that the token gives: the issuer may have made a new one.
    pub(crate) fn key_is_unknown(&self, keys: &Keys) -> bool {
        self.key_id.as_deref().is_some_and(|id| !keys.has(id))
    }

    /// Believes the token if everything about it is right.
    pub(crate) fn verify(
        &self,
        keys: &Keys,
        rules: &TokenRules,
        now: Timestamp,
    ) -> Result<Caller, Refused> {
        let mut is_known = false;
        let mut is_right = false;
        // Without a name, and with a name that an issuer uses twice, each key that fits is tried; there are few.
        for key in keys.candidates(self.key_id.as_deref(), self.algorithm) {
            is_known = true;
            is_right = key.verifies(self.algorithm, self.message.as_bytes(), &self.signature);
            if is_right {
                break;
            }
        }
        match (is_known, is_right) {
            (false, _) => return Err(Refused::UnknownKey),
            (true, false) => return Err(Refused::Signature),
            (true, true) => {}
        }
        let claims = BASE64URL
            .decode(self.claims)
            .map_err(|_| Refused::Malformed)?;
        let claims = serde_json::from_slice(&claims).map_err(|_| Refused::Malformed)?;
        rules.check(&claims, now)
    }
}

/// Access and identity tokens (RFC 9068; `OpenID` Connect). Others, such as those that end a session, are signed by the
/// same issuer with the same keys.
fn is_access(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    matches!(kind, "jwt" | "at+jwt")
}
