use two_buckets_objects::Timestamp;

use super::issuer::{Issuer, Unsettled};
use super::jwt;
use super::known_tokens::KnownTokens;
use crate::problem::Problem;
use crate::{Caller, KnownBy};

/// Who may call the API, beside whoever has the admin token.
#[derive(Clone, Debug)]
pub enum Callers {
    /// Whoever can reach the listener, which only this machine can.
    ThisMachine,
    /// Those who show a token.
    Known(KnownCallers),
}

/// Whose tokens are known.
#[derive(Clone, Default, Debug)]
pub struct KnownCallers {
    /// Those with a token of their own.
    pub tokens: KnownTokens,
    /// The one whose signed tokens are believed.
    pub issuer: Option<Issuer>,
}

impl KnownCallers {
    pub(super) async fn find(&self, token: &str, now: Timestamp) -> Result<Caller, Problem> {
        if let Some(caller) = self.tokens.find(token) {
            return Ok(caller);
        }
        let Some(issuer) = self.issuer.as_ref().filter(|_| jwt::looks_like_one(token)) else {
            return Err(Problem::TokenRefused(
                "the token is not one that is known here".into(),
            ));
        };
        issuer
            .caller(token, now)
            .await
            .map_err(|unsettled| match unsettled {
                Unsettled::Refused(refused) => Problem::TokenRefused(refused.to_string()),
                Unsettled::IssuerAway => Problem::IssuerAway,
            })
    }
}

/// Whoever sits at the machine, and whatever runs on it.
pub(super) fn this_machine() -> Caller {
    Caller::unlimited("local")
}

/// Whoever may read the server's data folder.
pub(super) fn administrator(is_here: bool) -> Caller {
    Caller {
        known_by: if is_here {
            KnownBy::Owner
        } else {
            KnownBy::Machine
        },
        ..Caller::unlimited("admin")
    }
}
