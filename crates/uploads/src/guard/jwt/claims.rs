use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};
use two_buckets_objects::Timestamp;

use super::Refused;
use crate::{Caller, InvalidKeyPrefix, KeyPrefix, KnownBy, UploadLimits};

/// How far the issuer's clock and ours may be apart.
const CLOCK_SKEW_MAX: Duration = Duration::from_mins(1);
/// The longest name of a caller; `OpenID` Connect allows subjects 255 characters.
const NAME_BYTES_MAX: usize = 255;

/// What a token must say to be believed, and what follows from it.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// Who must have issued it: the `iss` claim, character by character.
    pub issuer: String,
    /// Whom it must be for: the `aud` claim, or one of them.
    pub audience: String,
    /// What follows for the caller.
    pub claims: ClaimRules,
}

/// Who a caller is and what they may do, by the claims of a token that is believed.
#[derive(Clone, Debug, Default)]
pub struct ClaimRules {
    /// The claim whose text is the caller's prefix of all keys; none where all callers share the bucket. A token
    /// without the claim is refused.
    pub prefix_claim: Option<ClaimName>,
    /// The claim and the value in it, or in its list, that make an administrator. One needs no prefix and has none.
    pub admin_claim: Option<(ClaimName, String)>,
    /// What each caller may upload.
    pub limits: UploadLimits,
}

/// Where something stands in a token: a claim's name, or, with a slash in front, a JSON pointer (RFC 6901) such as
/// `/realm_access/roles`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimName(String);

/// A text that names no claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a claim's name has 1 to 256 characters, and no control characters")]
pub struct InvalidClaimName;

impl FromStr for ClaimName {
    type Err = InvalidClaimName;

    fn from_str(text: &str) -> Result<Self, InvalidClaimName> {
        if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidClaimName)
        }
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClaimName {
    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Some(pointer) = self.0.strip_prefix('/') else {
            return claims.get(&self.0);
        };
        let (first, rest) = match pointer.split_once('/') {
            Some((first, rest)) => (first, format!("/{rest}")),
            None => (pointer, String::new()),
        };
        let first = first.replace("~1", "/").replace("~0", "~");
        claims.get(&first)?.pointer(&rest)
    }
}

impl TokenRules {
    /// The caller that these claims, whose signature was found right, speak of.
    pub(super) fn check(
        &self,
        claims: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Caller, Refused> {
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(Refused::Issuer);
        }
        let is_for_us = match claims.get("aud") {
            Some(Value::String(audience)) => *audience == self.audience,
            Some(Value::Array(audiences)) => audiences
                .iter()
                .any(|audience| audience.as_str() == Some(&self.audience)),
            _ => false,
        };
        if !is_for_us {
            return Err(Refused::Audience);
        }
        check_times(claims, now)?;
        self.claims.caller(claims)
    }
}

impl ClaimRules {
    /// The caller that the claims of a token speak of, which somebody has found good.
    pub(in crate::guard) fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, Refused> {
        let name = name(claims)?;
        let is_admin =
            self.admin_claim
                .as_ref()
                .is_some_and(|(claim, wanted)| match claim.find(claims) {
                    Some(Value::String(value)) => value == wanted,
                    Some(Value::Array(values)) => {
                        values.iter().any(|value| value.as_str() == Some(wanted))
                    }
                    _ => false,
                });
        let prefix = match &self.prefix_claim {
            Some(claim) if !is_admin => Some(prefix(claim, claims)?),
            _ => None,
        };
        Ok(Caller {
            name,
            known_by: KnownBy::Issuer,
            prefix,
            limits: self.limits.clone(),
            may_steer: is_admin,
        })
    }
}

fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refused> {
    let skew = CLOCK_SKEW_MAX.as_secs_f64();
    // A token's seconds may have a fraction (RFC 7519, section 2), and no date of ours needs more bits than an f64 has.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    let now = now.millis() as f64 / 1_000.0;
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if seconds.is_finite() => Ok(Some(seconds)),
            _ => Err(Refused::Unusable {
                claim: name.into(),
                reason: "it is no number of seconds".into(),
            }),
        },
    };
    let ends = seconds("exp")?.ok_or_else(|| Refused::Missing("when it expires (exp)".into()))?;
    if now >= ends + skew {
        return Err(Refused::Expired);
    }
    for name in ["nbf", "iat"] {
        if seconds(name)?.is_some_and(|begins| begins > now + skew) {
            return Err(Refused::NotYet);
        }
    }
    Ok(())
}

fn name(claims: &Map<String, Value>) -> Result<String, Refused> {
    let name = claims
        .get("sub")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Refused::Missing("who it is about (sub)".into()))?;
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Refused::Unusable {
            claim: "sub".into(),
            reason: "it is too long or has control characters".into(),
        });
    }
    Ok(name.to_owned())
}

fn prefix(claim: &ClaimName, claims: &Map<String, Value>) -> Result<KeyPrefix, Refused> {
    let value = claim
        .find(claims)
        .ok_or_else(|| Refused::Missing(claim.to_string()))?;
    let text = value.as_str().unwrap_or_default();
    // The slash at its end keeps `acme` out of what belongs to `acme-2`.
    let slash = if text.ends_with('/') { "" } else { "/" };
    format!("{text}{slash}")
        .parse()
        .map_err(|error: InvalidKeyPrefix| Refused::Unusable {
            claim: claim.to_string(),
            reason: error.to_string(),
        })
}
