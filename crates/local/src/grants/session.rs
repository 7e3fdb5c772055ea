//! The session that signs, and those that are given away.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use two_buckets_objects::Timestamp;
use two_buckets_s3_api::{AssumeRole, Sts, TemporaryCredentials, UPLOADER_ROLE};
use two_buckets_uploads::{Error, FORM_LIFE, Result};

/// How long a session that signs lasts. A URL dies with its session, so it must outlast every grant by far, or sessions
/// would be made all the time; but a token that leaks with a URL should not live for half a day.
const SIGNING_SESSION_LIFE: Duration = Duration::from_hours(3);
const _: () = assert!(SIGNING_SESSION_LIFE.as_secs() >= 2 * FORM_LIFE.as_secs());

/// The session of the uploader role that signs URLs and forms, renewed before it is too short for what it signs.
pub(super) struct UploaderSession {
    sts: Sts,
    held: Mutex<Option<TemporaryCredentials>>,
}

impl UploaderSession {
    pub(super) fn new(sts: Sts) -> Self {
        Self {
            sts,
            held: Mutex::new(None),
        }
    }

    /// A session that lasts at least so long from now.
    pub(super) fn lasting(&self, life: Duration, now: Timestamp) -> Result<TemporaryCredentials> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = held.as_ref().filter(|session| {
            // One that seems to end too late was made before the clock was set back: its token may be refused.
            (now.after(life)..=now.after(SIGNING_SESSION_LIFE)).contains(&session.expires_at)
        }) {
            return Ok(session.clone());
        }
        let session = assume(&self.sts, None, SIGNING_SESSION_LIFE, now)?;
        *held = Some(session.clone());
        Ok(session)
    }
}

/// Begins a session of the uploader role, which can do only what the policy allows as well, if there is one.
pub(super) fn assume(
    sts: &Sts,
    policy: Option<String>,
    life: Duration,
    now: Timestamp,
) -> Result<TemporaryCredentials> {
    let asked = AssumeRole {
        role_arn: format!("arn:aws:iam::000000000000:role/{UPLOADER_ROLE}"),
        session_name: "upload-api".into(),
        policy,
        duration: life,
    };
    sts.assume_role(&asked, now).map_err(|error| Error::Broken {
        reason: "the uploader role cannot be assumed".into(),
        source: Some(Box::new(error)),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use two_buckets_objects::Timestamp;
    use two_buckets_s3_api::{Credentials, Sts, uploader_role};

    use super::{SIGNING_SESSION_LIFE, UploaderSession};

    const NOW: Timestamp = Timestamp::from_millis(1_795_431_050_007);
    const HOUR: Duration = Duration::from_hours(1);

    fn session() -> UploaderSession {
        let root = Credentials {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: "secret".into(),
        };
        let staging = "staging".parse().expect("a name");
        UploaderSession::new(Sts::new(root, vec![uploader_role(&staging)]).expect("an account"))
    }

    #[test]
    fn a_session_is_used_until_it_would_end_before_what_it_signs() {
        let session = session();
        let lasting = |now| session.lasting(HOUR, now).expect("a session");
        let first = lasting(NOW);
        assert_eq!(lasting(NOW.after(HOUR)).session_token, first.session_token);
        let late = NOW.after(SIGNING_SESSION_LIFE.saturating_sub(HOUR));
        let second = lasting(late);
        assert_ne!(second.session_token, first.session_token);
        assert!(second.expires_at >= late.after(HOUR));
    }

    #[test]
    fn a_clock_that_was_set_back_gets_a_session_that_counts() {
        let session = session();
        let first = session
            .lasting(HOUR, NOW.after(HOUR * 24))
            .expect("a session");
        let second = session.lasting(HOUR, NOW).expect("a session");
        assert_ne!(second.session_token, first.session_token);
        assert!(second.expires_at <= NOW.after(SIGNING_SESSION_LIFE));
    }
}
