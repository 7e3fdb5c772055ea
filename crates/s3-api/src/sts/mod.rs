//! Temporary credentials: roles, and sessions that need no state.
//!
//! A session is its token: role, name, session policy and end, sealed under a key that is derived from the root
//! secret (`XChaCha20-Poly1305`). Its secret access key is derived from the root secret and the token's nonce. So
//! nothing is kept, a restart changes nothing, and when the root key is rotated every session is over. A role's policy
//! is not in the token: what the role may do is looked up at each request, and a role that is gone takes its sessions
//! with it.

mod http;
mod token;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use s3s::S3ErrorCode;
use subtle::ConstantTimeEq as _;
use two_buckets_objects::{BucketName, Timestamp};

use crate::Credentials;
use crate::policy::{MalformedPolicy, Policy, SESSION_POLICY_CHARS_MAX};
use crate::refusal::Refusal;
pub(crate) use http::is_for_sts;
use token::{Claims, Sealer};

/// The one account there is.
pub(crate) const ACCOUNT: &str = "000000000000";
/// The name of the role that the upload API assumes.
pub const UPLOADER_ROLE: &str = "two-buckets-uploader";
/// The longest session of any role: 12 hours (STS API, `AssumeRole`, `DurationSeconds`).
pub const SESSION_LIFE_MAX: Duration = Duration::from_hours(12);
/// How far in the future a token may have been made, for clocks that were set back.
const FUTURE_MAX: Duration = Duration::from_mins(15);
/// The longest name of a role or session (IAM API, `RoleName`; STS API, `RoleSessionName`).
const NAME_LENGTH_MAX: usize = 64;

/// What somebody may do who assumes it.
#[derive(Clone, PartialEq, Debug)]
pub struct Role {
    /// The name, of letters, digits and `_+=,.@-`, at most 64.
    pub name: String,
    /// What it allows. A session policy can only take away from that.
    pub policy: Policy,
    /// The longest a session of it may last; at most [`SESSION_LIFE_MAX`].
    pub session_life_max: Duration,
}

impl Role {
    /// `arn:aws:iam::000000000000:role/…`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role/{}", self.name)
    }

    /// Says what is wrong with the name or the life of sessions.
    pub fn check(&self) -> Result<(), InvalidRole> {
        if !is_name(&self.name, 1) {
            return Err(InvalidRole::Name(self.name.clone()));
        }
        let life = Duration::from_secs(1)..=SESSION_LIFE_MAX;
        if !life.contains(&self.session_life_max) {
            return Err(InvalidRole::Life(self.name.clone()));
        }
        Ok(())
    }
}

/// The role that the upload API assumes: it may put objects into staging, list the parts of its uploads and abort
/// them, and nothing else. Keys with `.` or `..` between slashes it may not name: clients and proxies rewrite such URLs,
/// and below a folder that was granted they would seem to lead out of it.
pub fn uploader_role(staging: &BucketName) -> Role {
    let dots = ["./*", "*/./*", "*/.", ".", "../*", "*/../*", "*/..", ".."]
        .map(|keys| format!(r#""arn:aws:s3:::{staging}/{keys}""#))
        .join(",");
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:PutObject","s3:ListMultipartUploadParts","s3:AbortMultipartUpload"],"Resource":"arn:aws:s3:::{staging}/*"}},{{"Effect":"Deny","Action":"*","Resource":[{dots}]}}]}}"#
    );
    Role {
        name: UPLOADER_ROLE.to_owned(),
        policy: policy
            .parse()
            .expect("a bucket's name needs no escape, and the rest is ours"),
        session_life_max: SESSION_LIFE_MAX,
    }
}

/// Gives out temporary credentials and knows them again. Cheap to clone.
#[derive(Clone)]
pub struct Sts {
    inner: Arc<Inner>,
}

struct Inner {
    root: Credentials,
    sealer: Sealer,
    roles: Vec<Role>,
}

/// Why roles cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRole {
    /// The name has characters that IAM does not take, or is too long or empty.
    #[error("the role name {0:?} must have 1 to 64 letters, digits and _+=,.@-")]
    Name(String),
    /// Two roles have one name.
    #[error("there are two roles {0}")]
    Twice(String),
    /// Sessions may not last as long as that.
    #[error("sessions of the role {0} must last between 1 second and 12 hours")]
    Life(String),
}

/// What [`Sts::assume_role`] is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssumeRole {
    /// The role, by its ARN.
    pub role_arn: String,
    /// The session's name, which is in its ARN: 2 to 64 letters, digits and `_+=,.@-`.
    pub session_name: String,
    /// A policy that takes away from what the role may do; at most [`SESSION_POLICY_CHARS_MAX`] characters.
    pub policy: Option<String>,
    /// How long the session is to last, at most the role's `session_life_max`. Parts of a second are cut off.
    pub duration: Duration,
}

/// Why a role was not assumed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssumeRoleError {
    /// There is no such role.
    #[error("there is no role {0}")]
    NoSuchRole(String),
    /// The session's name is not one.
    #[error("the session name must have 2 to 64 letters, digits and _+=,.@-")]
    SessionName,
    /// The session policy is too long.
    #[error("the session policy has {0} characters; the most are {SESSION_POLICY_CHARS_MAX}")]
    PolicyTooLong(usize),
    /// The session policy is none.
    #[error("the session policy is not supported: {0}")]
    MalformedPolicy(#[from] MalformedPolicy),
    /// The session would last too long, or no time at all.
    #[error("a session of this role lasts between 1 and {} seconds", .0.as_secs())]
    Duration(Duration),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// The credentials of a session. The secret and the token never show in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct TemporaryCredentials {
    /// The key pair; the access key id begins with `ASIA`.
    pub credentials: Credentials,
    /// What must be sent beside it, signed.
    pub session_token: String,
    /// When they end, a whole second.
    pub expires_at: Timestamp,
    /// `arn:aws:sts::000000000000:assumed-role/{role}/{session}`.
    pub arn: String,
    /// The role's unique id and the session's name.
    pub assumed_role_id: String,
}

impl fmt::Debug for TemporaryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryCredentials")
            .field("credentials", &self.credentials)
            .field("expires_at", &self.expires_at)
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

/// Who signs with an access key, and by which secret that can be checked. Nothing is proved until the signature is.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) secret: String,
    pub(crate) who: Who,
}

/// Somebody who may ask.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// The owner, who may do everything.
    Root,
    /// Somebody who assumed a role.
    Session(Arc<Session>),
}

/// A session of a role.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Session {
    /// `arn:aws:sts::000000000000:assumed-role/{role}/{session}`.
    pub(crate) arn: String,
    /// The role's unique id and the session's name.
    pub(crate) assumed_role_id: String,
    /// What the role allows now.
    pub(crate) policy: Policy,
    /// What the session was narrowed to.
    pub(crate) narrowed_to: Option<Policy>,
}

impl Session {
    /// The policies that must all allow what the session does.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        [Some(&self.policy), self.narrowed_to.as_ref()]
            .into_iter()
            .flatten()
    }
}

impl Sts {
    /// Makes the service of an account whose owner has the key pair `root`.
    pub fn new(root: Credentials, roles: Vec<Role>) -> Result<Self, InvalidRole> {
        let mut names = BTreeSet::new();
        for role in &roles {
            role.check()?;
            if !names.insert(role.name.as_str()) {
                return Err(InvalidRole::Twice(role.name.clone()));
            }
        }
        Ok(Self {
            inner: Arc::new(Inner {
                sealer: Sealer::new(&root),
                root,
                roles,
            }),
        })
    }

    /// Makes the credentials of a new session. Shorter lives than STS allows over HTTP (900 s) are fine here.
    pub fn assume_role(
        &self,
        asked: &AssumeRole,
        now: Timestamp,
    ) -> Result<TemporaryCredentials, AssumeRoleError> {
        let role = self
            .role(&asked.role_arn)
            .ok_or_else(|| AssumeRoleError::NoSuchRole(asked.role_arn.clone()))?;
        if !is_name(&asked.session_name, 2) {
            return Err(AssumeRoleError::SessionName);
        }
        if let Some(policy) = &asked.policy {
            let chars = policy.chars().count();
            if chars > SESSION_POLICY_CHARS_MAX {
                return Err(AssumeRoleError::PolicyTooLong(chars));
            }
            policy.parse::<Policy>()?;
        }
        if asked.duration.as_secs() == 0 || asked.duration > role.session_life_max {
            return Err(AssumeRoleError::Duration(role.session_life_max));
        }
        let this_second = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(1_000));
        let expires_at = this_second.after(Duration::from_secs(asked.duration.as_secs()));
        let claims = Claims {
            made_at: now,
            expires_at,
            role: role.name.clone(),
            session_name: asked.session_name.clone(),
            policy: asked.policy.clone(),
        };
        let sealed = self
            .inner
            .sealer
            .seal(&claims)
            .ok_or(AssumeRoleError::NoRandomness)?;
        Ok(TemporaryCredentials {
            credentials: Credentials {
                access_key_id: sealed.access_key_id,
                secret_access_key: sealed.secret_access_key,
            },
            session_token: sealed.token,
            expires_at,
            arn: session_arn(&claims),
            assumed_role_id: assumed_role_id(&claims),
        })
    }

    /// Whether a session token is of this access key, sealed here, and in its time. Who sent it only a signature
    /// proves. Takes any text, and time by its length at most.
    pub fn is_valid(&self, access_key_id: &str, session_token: &str, now: Timestamp) -> bool {
        self.identify(access_key_id, Some(session_token), now)
            .is_ok()
    }

    fn role(&self, arn: &str) -> Option<&Role> {
        self.inner.roles.iter().find(|role| role.arn() == arn)
    }

    /// Says whose access key that is, by its session token if there is one. Serves header, query and form alike.
    ///
    /// The signature is still to be checked, with the secret given here.
    pub(crate) fn identify(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Identity, Refusal> {
        let root = &self.inner.root;
        let is_root = same(access_key_id, &root.access_key_id);
        let Some(token) = session_token else {
            return if is_root {
                Ok(Identity {
                    secret: root.secret_access_key.clone(),
                    who: Who::Root,
                })
            } else {
                Err(unknown_access_key())
            };
        };
        let opened = self.inner.sealer.open(token).ok_or_else(invalid_token)?;
        if !same(access_key_id, &opened.access_key_id) {
            return Err(invalid_token());
        }
        let claims = opened.claims;
        if now >= claims.expires_at {
            return Err(Refusal::new(
                S3ErrorCode::ExpiredToken,
                format!("the session token has expired at {}", claims.expires_at),
            ));
        }
        if claims.made_at.since(now) > FUTURE_MAX {
            return Err(invalid_token());
        }
        let role = self
            .inner
            .roles
            .iter()
            .find(|role| role.name == claims.role)
            .ok_or_else(invalid_token)?;
        let narrowed_to = claims
            .policy
            .as_deref()
            .map(str::parse)
            .transpose()
            // It was read when the token was made; a newer program may have become stricter.
            .map_err(|_| invalid_token())?;
        Ok(Identity {
            secret: opened.secret_access_key,
            who: Who::Session(Arc::new(Session {
                arn: session_arn(&claims),
                assumed_role_id: assumed_role_id(&claims),
                policy: role.policy.clone(),
                narrowed_to,
            })),
        })
    }
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<&str> = self.inner.roles.iter().map(|it| &*it.name).collect();
        f.debug_struct("Sts")
            .field("root", &self.inner.root)
            .field("roles", &roles)
            .finish_non_exhaustive()
    }
}

/// The owner's ARN.
pub(crate) fn root_arn() -> String {
    format!("arn:aws:iam::{ACCOUNT}:root")
}

fn session_arn(claims: &Claims) -> String {
    format!(
        "arn:aws:sts::{ACCOUNT}:assumed-role/{}/{}",
        claims.role, claims.session_name
    )
}

/// AWS names a role by a random id that outlives its name; here the id is made of the name.
fn assumed_role_id(claims: &Claims) -> String {
    let digest = crate::sign::sha256_hex(claims.role.as_bytes());
    let id: String = digest.chars().take(17).collect();
    format!("AROA{}:{}", id.to_ascii_uppercase(), claims.session_name)
}

fn is_name(text: &str, length_min: usize) -> bool {
    (length_min..=NAME_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

/// Access key ids are no secrets, but comparing them so costs nothing.
fn same(a: &str, b: &str) -> bool {
    bool::from(a.as_bytes().ct_eq(b.as_bytes()))
}

fn unknown_access_key() -> Refusal {
    Refusal::new(
        S3ErrorCode::InvalidAccessKeyId,
        "the access key id is not known here",
    )
}

/// One answer to everything that is wrong with a token: which of it would only help a forger.
fn invalid_token() -> Refusal {
    Refusal::new(
        S3ErrorCode::InvalidToken,
        "the session token is malformed, of another access key, or no longer valid",
    )
}
