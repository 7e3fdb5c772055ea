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

/// A session that has less than this left is exchanged, whatever is signed: what is signed for longer is cut to what is
/// left, and should not be cut to nothing. Half a session, so that no form lasts less than that.
const LEFT_MIN: Duration = Duration::from_mins(30);
const _: () = assert!(LEFT_MIN.as_secs() * 2 <= CHAINED_LIFE_MAX.as_secs());
const _: () = assert!(SIGNED_PUT_LIFE.as_secs() <= LEFT_MIN.as_secs());
/// A session that seems to last longer than one can, by more than clocks differ, was made before this machine's clock
/// was set back: what it signs now would be refused.
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
        let since = |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).ok();
        let ends_at = credentials.expiry().map(|end| {
            // Before 1970 is over as well.
            let millis = since(end).map_or(0, |end| end.as_millis());
            Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
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
        let longest = now.after(CHAINED_LIFE_MAX).after(CLOCKS_DIFFER_MAX);
        self.ends_at
            .is_some_and(|end| (now.after(life)..=longest).contains(&end))
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
        if let Some(signing) = held.as_ref().filter(|it| it.lasts(least, now)) {
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
                let mut credentials = Credentials::builder()
                    .access_key_id(made.access_key_id())
                    .secret_access_key(made.secret_access_key())
                    .session_token(made.session_token())
                    .provider_name("the uploader role")
                    .build();
                let end = u64::try_from(end_of(&made).millis()).unwrap_or(0);
                *credentials.expiry_mut() = Some(UNIX_EPOCH + Duration::from_millis(end));
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
