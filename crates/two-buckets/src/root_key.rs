//! The root key pair, which may do everything over S3.

use std::fmt;
use std::path::Path;

use crate::config::Environment;
use crate::failure::Failure;
use crate::private_file;

/// The name of the file in the data folder.
const FILE: &str = "root-key.json";
/// As long as Amazon's own (IAM User Guide, "Manage access keys for IAM users").
const ACCESS_KEY_ID_LENGTH: usize = 20;
const SECRET_ACCESS_KEY_LENGTH: usize = 40;

/// The pair. The secret is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RootKey {
    /// The public half.
    pub(crate) access_key_id: String,
    /// The secret half.
    pub(crate) secret_access_key: String,
    /// Whether it was given by the environment rather than kept in the data folder.
    pub(crate) from_environment: bool,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    access_key_id: String,
    secret_access_key: String,
}

impl RootKey {
    /// The pair that the environment gives, or that is kept in the data folder; none if there is neither.
    pub(crate) fn find(data: &Path, environment: &Environment) -> Result<Option<Self>, Failure> {
        if let Some(given) = Self::from_environment(environment)? {
            return Ok(Some(given));
        }
        let path = data.join(FILE);
        let Some(text) = private_file::read(&path)? else {
            return Ok(None);
        };
        let kept: Kept = serde_json::from_slice(&text).map_err(|error| {
            Failure::usage(format!(
                "the root key pair in {} cannot be read: {error}",
                path.display()
            ))
        })?;
        Ok(Some(Self {
            access_key_id: kept.access_key_id,
            secret_access_key: kept.secret_access_key,
            from_environment: false,
        }))
    }

    /// As [`Self::find`], but makes a pair and keeps it, readable by the owner only, where there is none.
    pub(crate) fn find_or_make(data: &Path, environment: &Environment) -> Result<Self, Failure> {
        if let Some(found) = Self::find(data, environment)? {
            return Ok(found);
        }
        let kept = Kept {
            // The prefix keeps it from being taken for a key of Amazon's, which begin with AKIA or ASIA.
            access_key_id: format!(
                "TWOB{}",
                random_text(
                    ACCESS_KEY_ID_LENGTH - 4,
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
                )?
            ),
            // No plus and no slash, so that it can be pasted anywhere unquoted; 40 of these still have 238 bits.
            secret_access_key: random_text(
                SECRET_ACCESS_KEY_LENGTH,
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            )?,
        };
        let path = data.join(FILE);
        let text = serde_json::to_vec_pretty(&kept)
            .map_err(|error| Failure::failed(format!("the root key pair: {error}")))?;
        private_file::write(&path, &text)?;
        Ok(Self {
            access_key_id: kept.access_key_id,
            secret_access_key: kept.secret_access_key,
            from_environment: false,
        })
    }

    fn from_environment(environment: &Environment) -> Result<Option<Self>, Failure> {
        let id = environment.get("TWO_BUCKETS_ACCESS_KEY_ID");
        let secret = environment.get("TWO_BUCKETS_SECRET_ACCESS_KEY");
        let (id, secret) = match (id, secret) {
            (None, None) => return Ok(None),
            (Some(id), Some(secret)) => (id.to_str(), secret.to_str()),
            _ => {
                return Err(Failure::usage(
                    "TWO_BUCKETS_ACCESS_KEY_ID and TWO_BUCKETS_SECRET_ACCESS_KEY go together, but only one is set",
                ));
            }
        };
        // A slash or a space would end the id within a signature's credential scope.
        let (Some(id), Some(secret)) = (id, secret) else {
            return Err(Failure::usage("the root key pair must be ASCII"));
        };
        let id_fits = (3..=128).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !id_fits {
            return Err(Failure::usage(
                "TWO_BUCKETS_ACCESS_KEY_ID must have 3 to 128 letters, digits, hyphens, dots and underscores",
            ));
        }
        if !(8..=128).contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(Failure::usage(
                "TWO_BUCKETS_SECRET_ACCESS_KEY must have 8 to 128 visible ASCII characters",
            ));
        }
        Ok(Some(Self {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            from_environment: true,
        }))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Characters of this alphabet, each as likely as any other, from the system's own source of randomness.
pub(crate) fn random_text(length: usize, alphabet: &[u8]) -> Result<String, Failure> {
    // A byte at or above the largest multiple of the alphabet's length would favour its first characters.
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes)
            .map_err(|error| Failure::failed(format!("the system gives no randomness: {error}")))?;
        text.extend(
            bytes
                .iter()
                .map(|byte| usize::from(*byte))
                .filter(|byte| *byte < fair)
                .map(|byte| char::from(alphabet[byte % alphabet.len()]))
                .take(length - text.len()),
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::RootKey;
    use crate::config::Environment;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).into()))
                .collect::<BTreeMap<_, _>>(),
        )
    }

    #[test]
    fn a_pair_is_made_once_and_kept_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let none = environment(&[]);
        assert_eq!(RootKey::find(folder.path(), &none).unwrap(), None);
        let made = RootKey::find_or_make(folder.path(), &none).unwrap();
        assert_eq!(made.access_key_id.len(), 20);
        assert_eq!(made.secret_access_key.len(), 40);
        assert_eq!(RootKey::find_or_make(folder.path(), &none).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let path = folder.path().join(super::FILE);
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(!format!("{made:?}").contains(&made.secret_access_key));
    }

    #[test]
    fn half_a_pair_in_the_environment_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let half = environment(&[("TWO_BUCKETS_ACCESS_KEY_ID", "root")]);
        assert_eq!(RootKey::find(folder.path(), &half).unwrap_err().code(), 2);
        let whole = environment(&[
            ("TWO_BUCKETS_ACCESS_KEY_ID", "root"),
            ("TWO_BUCKETS_SECRET_ACCESS_KEY", "0123456789"),
        ]);
        let given = RootKey::find_or_make(folder.path(), &whole).unwrap();
        assert!(given.from_environment);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
