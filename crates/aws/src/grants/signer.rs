//! Whose credentials sign URLs and forms, and how long those last.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use tokio::sync::Mutex;
use tracing::warn;
use two_buckets_objects::Timestamp;
use two_buckets_uploads::{Error, Result, SIGNED_PUT_LIFE};

use super::role::{CHAINED_LIFE_MAX, UploaderRole, end_of};
use crate::words::chain;

/// What is signed for longer than a session has left is cut to that, but not below this: then there is a new session.
/// Half a session, so that a form, which may last a whole one, lasts half of one at least, and not each is a call.
const LEFT_MIN: Duration = Duration::from_mins(30);
const _: () = assert!(LEFT_MIN.as_secs() * 2 <= CHAINED_LIFE_MAX.as_secs());
const _: () = assert!(SIGNED_PUT_LIFE.as_secs() <= LEFT_MIN.as_secs());
/// By how much the clocks of this machine and of AWS may differ before signatures are refused (S3 API, "Error
/// responses", `RequestTimeTooSkewed`). A session that seems to last longer than one can, by more than that, was made
/// before this machine's clock was set back.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_mins(15);

/// Where the credentials come from.
pub(super) enum Source {
    /// Sessions of the uploader role.
    Role(UploaderRole),
    /// Whatever the caller has.
    Own(Option<SharedCredentialsProvider>),
}

/// Credentials that sign, with their end if they say it.
#[derive(Clone)]
pub(super) struct Signing {
    pub(super) credentials: Credentials,
    ends_at: Option<Timestamp>,
}

impl Signing {
    fn new(credentials: Credentials) -> Self {
        let ends_at = credentials.expiry().map(|end| {
            // An end before 1970 is past as well.
            let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_millis(i64::try_from(end.as_millis()).unwrap_or(i64::MAX))
        });
        Self {
            credentials,
            ends_at,
        }
    }

    /// How long a signature of this life lasts that is made now, in whole seconds.
    pub(super) fn left(&self, life: Duration, now: Timestamp) -> Result<Duration> {
        let left = self.ends_at.map_or(life, |end| life.min(end.since(now)));
        match Duration::from_secs(left.as_secs()) {
            Duration::ZERO => Err(Error::Unavailable {
                reason: "the credentials that sign have ended".into(),
                source: None,
            }),
            left => Ok(left),
        }
    }

    fn lasts(&self, life: Duration, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|end| now.after(life) <= end)
    }

    fn left_at_most(&self, most: Duration, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|end| end.since(now) <= most)
    }
}

/// Whoever signs. Credentials that have an end are kept until little is left of them.
pub(super) struct Signer {
    source: Source,
    /// Held while new ones are fetched, so that many who sign at once make one call.
    held: Mutex<Option<Signing>>,
}

impl Signer {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            held: Mutex::new(None),
        }
    }

    /// Credentials that last that long from now, or if none do, for as long as new ones last. Dropping the future leaves
    /// what there was.
    pub(super) async fn lasting(&self, life: Duration, now: Timestamp) -> Result<Signing> {
        let mut held = self.held.lock().await;
        let least = life.min(LEFT_MIN);
        let most = match self.source {
            Source::Role(_) => CHAINED_LIFE_MAX + CLOCKS_DIFFER_MAX,
            Source::Own(_) => Duration::MAX,
        };
        if let Some(signing) = held
            .as_ref()
            .filter(|it| it.lasts(least, now) && it.left_at_most(most, now))
        {
            return Ok(signing.clone());
        }
        match self.fetch().await {
            Ok(signing) => {
                *held = Some(signing.clone());
                Ok(signing)
            }
            Err(error) => match held.as_ref().filter(|it| it.lasts(Duration::ZERO, now)) {
                Some(signing) => {
                    warn!(error = %chain(&error), "signing with credentials that end soon, as there are no new ones");
                    Ok(signing.clone())
                }
                None => Err(error),
            },
        }
    }

    async fn fetch(&self) -> Result<Signing> {
        match &self.source {
            Source::Role(role) => {
                let made = role.assume(None, CHAINED_LIFE_MAX).await?;
                let end = u64::try_from(end_of(&made).millis()).unwrap_or(0);
                let credentials = Credentials::builder()
                    .access_key_id(made.access_key_id())
                    .secret_access_key(made.secret_access_key())
                    .session_token(made.session_token())
                    .expiry(UNIX_EPOCH + Duration::from_millis(end))
                    .provider_name("the uploader role")
                    .build();
                Ok(Signing::new(credentials))
            }
            Source::Own(None) => Err(Error::Unavailable {
                reason: "there are no AWS credentials to sign with".into(),
                source: None,
            }),
            Source::Own(Some(provider)) => match provider.provide_credentials().await {
                Ok(credentials) => Ok(Signing::new(credentials)),
                Err(error) => Err(Error::Unavailable {
                    reason: "there are no AWS credentials to sign with".into(),
                    source: Some(Box::new(error)),
                }),
            },
        }
    }
}
