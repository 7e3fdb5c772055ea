//! Who may call the page's API.

use std::path::PathBuf;

use two_buckets_uploads::{Algorithm, ClaimName, MediaRange, UploadLimits, WebOrigin};

use super::Setting;

/// Who may call, and how much.
#[derive(Debug)]
pub(crate) struct CallerSettings {
    /// The file with the callers who have a token of their own.
    pub(crate) token_file: Setting<Option<PathBuf>>,
    /// Whose signed tokens are believed: the exact `iss`.
    pub(crate) oidc_issuer: Setting<Option<String>>,
    /// Whom they must be for: the exact `aud`.
    pub(crate) oidc_audience: Setting<Option<String>>,
    /// Where the issuer's keys are; none for where its discovery document says.
    pub(crate) oidc_jwks_url: Setting<Option<String>>,
    /// How its tokens may be signed.
    pub(crate) oidc_algorithms: Setting<Vec<Algorithm>>,
    /// The claim with the caller's prefix of keys.
    pub(crate) oidc_prefix_claim: Setting<Option<ClaimName>>,
    /// The claim and its value that make an administrator.
    pub(crate) oidc_admin_claim: Setting<Option<(ClaimName, String)>>,
    /// How many calls a minute one caller may make.
    pub(crate) requests_per_minute: Setting<u32>,
    /// The largest file a caller may send, unless the token file says otherwise.
    pub(crate) upload_size_max: Setting<Option<u64>>,
    /// The media types a caller may send, unless the token file says otherwise; empty for any.
    pub(crate) upload_types: Setting<Vec<MediaRange>>,
    /// How many uploads a minute a caller may begin, unless the token file says otherwise.
    pub(crate) uploads_per_minute: Setting<Option<u32>>,
}

impl CallerSettings {
    /// Whether callers are known, so that nobody else may call.
    pub(crate) fn are_known(&self) -> bool {
        self.token_file.value.is_some() || self.oidc_issuer.value.is_some()
    }

    /// What a caller may send unless the token file says otherwise.
    pub(crate) fn limits(&self) -> UploadLimits {
        UploadLimits {
            size_bytes_max: self.upload_size_max.value,
            types: self.upload_types.value.clone(),
            uploads_per_minute: self.uploads_per_minute.value,
        }
    }

    /// What contradicts itself.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match (&self.oidc_issuer.value, &self.oidc_audience.value) {
            (Some(_), None) => problems.push(
                "--oidc-issuer needs --oidc-audience: the issuer's tokens for other services must not be good here".to_owned(),
            ),
            (None, Some(_)) => problems.push("--oidc-audience needs --oidc-issuer".to_owned()),
            _ => {}
        }
        for (flag, is_given) in [
            ("oidc-jwks-url", self.oidc_jwks_url.value.is_some()),
            ("oidc-prefix-claim", self.oidc_prefix_claim.value.is_some()),
            ("oidc-admin-claim", self.oidc_admin_claim.value.is_some()),
        ] {
            if is_given && self.oidc_issuer.value.is_none() {
                problems.push(format!("--{flag} needs --oidc-issuer"));
            }
        }
        problems
    }
}

/// The URL of an issuer or of its keys, kept exactly as it is written: it is compared with what tokens say.
pub(super) fn issuer_url(text: &str) -> Result<String, String> {
    let refused = |why: &str| Err(format!("{text:?} {why}"));
    if text.len() > 1024
        || text.contains(['?', '#', ' ', '@'])
        || text.chars().any(char::is_control)
    {
        return refused("must be a plain URL without query, as https://login.example.com/realm");
    }
    let authority_end = text
        .find("://")
        .and_then(|scheme| {
            text.get(scheme + 3..)?
                .find('/')
                .map(|path| scheme + 3 + path)
        })
        .unwrap_or(text.len());
    let Some(Ok(origin)) = text.get(..authority_end).map(str::parse::<WebOrigin>) else {
        return refused("is no URL; write it as https://login.example.com/realm");
    };
    if !origin.is_https() && !origin.is_loopback() {
        return refused(
            "must begin with https: whoever sits between could put keys of their own in place",
        );
    }
    Ok(text.to_owned())
}

/// `claim=value`.
pub(super) fn admin_claim(text: &str) -> Result<(ClaimName, String), String> {
    match text.rsplit_once('=') {
        Some((claim, value)) if !value.is_empty() => Ok((
            claim
                .parse()
                .map_err(|error: two_buckets_uploads::InvalidClaimName| error.to_string())?,
            value.to_owned(),
        )),
        _ => Err(format!(
            "{text:?} must be a claim and its value, as roles=files-admin or /realm_access/roles=files-admin"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{admin_claim, issuer_url};

    #[test]
    fn an_issuer_is_behind_https_or_on_this_machine() {
        for good in [
            "https://login.example.com",
            "https://login.example.com/",
            "https://login.example.com:8443/realms/Files/",
            "http://127.0.0.1:5000/realm",
            "http://localhost:5000",
        ] {
            assert_eq!(issuer_url(good).unwrap(), good);
        }
        for bad in [
            "",
            "login.example.com",
            "http://login.example.com",
            "http://127.0.0.1.example.com",
            "https://",
            "ftp://login.example.com",
            "https://user@login.example.com",
            "https://login.example.com/?x",
            "https://login.example.com/#x",
            "https:///path",
        ] {
            assert!(issuer_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_administrators_claim_has_a_value() {
        let (claim, value) = admin_claim("https://example.com/a=b=keeper").unwrap();
        assert_eq!(claim.to_string(), "https://example.com/a=b");
        assert_eq!(value, "keeper");
        for bad in ["", "roles", "roles=", "=x"] {
            assert!(admin_claim(bad).is_err(), "{bad}");
        }
    }
}
