//! The operator's own credentials, for requests that this program signs itself.

use std::fmt;

use aws_credential_types::provider::ProvideCredentials as _;

use crate::Clients;
use crate::words::chain;

/// A key pair. Its Debug output shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// The token of a session, whose key pair is good with it only.
    pub session_token: Option<String>,
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// There is nobody to act as.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "there are no AWS credentials: name a profile by AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({0})"
)]
pub struct NoCredentials(String);

/// The key pair that the environment or the profile names, or their role's: found as by every AWS tool. It may be a call
/// each time, where a role is taken or a session is begun.
pub async fn own_key(clients: &Clients) -> Result<OwnKey, NoCredentials> {
    let provider = clients.sdk().credentials_provider();
    let provider = provider.ok_or_else(|| NoCredentials("nothing can provide any".to_owned()))?;
    let found = provider.provide_credentials().await;
    let found = found.map_err(|error| NoCredentials(chain(&error)))?;
    Ok(OwnKey {
        access_key_id: found.access_key_id().to_owned(),
        secret_access_key: found.secret_access_key().to_owned(),
        session_token: found.session_token().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::OwnKey;

    #[test]
    fn a_key_pair_does_not_show_its_secrets() {
        let key = OwnKey {
            access_key_id: "AKIA".into(),
            secret_access_key: "hidden-1".into(),
            session_token: Some("hidden-2".into()),
        };
        let shown = format!("{key:?}");
        assert!(
            shown.contains("AKIA") && !shown.contains("hidden"),
            "{shown}"
        );
    }
}
