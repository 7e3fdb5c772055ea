//! The uploader role, and sessions of it.

use std::time::Duration;

use aws_sdk_sts::types::Credentials;
use two_buckets_objects::Timestamp;
use two_buckets_uploads::{CREDENTIALS_LIFE, Error, Result};

use super::failure::not_assumed;

/// The longest session of a role that was taken by a role, and the least that a role's longest can be set to (IAM User
/// Guide, "Role chaining"; IAM API, `MaxSessionDuration`). Nobody says which of the two a caller is, so no session is
/// asked to last longer.
pub(super) const CHAINED_LIFE_MAX: Duration = Duration::from_hours(1);
const _: () = assert!(CREDENTIALS_LIFE.as_secs() <= CHAINED_LIFE_MAX.as_secs());

/// What a session is called in `CloudTrail`'s records.
const SESSION_NAME: &str = "upload-api";

/// A role that may put to staging and do nothing else.
#[derive(Clone)]
pub(super) struct UploaderRole {
    sts: aws_sdk_sts::Client,
    arn: String,
}

impl UploaderRole {
    pub(super) fn new(sts: aws_sdk_sts::Client, arn: String) -> Self {
        Self { sts, arn }
    }

    /// Which role it is.
    pub(super) fn arn(&self) -> &str {
        &self.arn
    }

    /// Begins a session, which can do only what the policy allows as well, if there is one (STS API, `AssumeRole`). It
    /// lasts at least 15 minutes and at most [`CHAINED_LIFE_MAX`].
    pub(super) async fn assume(
        &self,
        policy: Option<String>,
        life: Duration,
    ) -> Result<Credentials> {
        let answer = self
            .sts
            .assume_role()
            .role_arn(&self.arn)
            .role_session_name(SESSION_NAME)
            .set_policy(policy)
            .duration_seconds(i32::try_from(life.as_secs()).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(not_assumed)?;
        answer.credentials.ok_or_else(|| Error::Unavailable {
            reason: "STS answered without credentials".into(),
            source: None,
        })
    }
}

/// When they end, as STS says.
pub(super) fn end_of(credentials: &Credentials) -> Timestamp {
    Timestamp::from_millis(credentials.expiration().secs().saturating_mul(1_000))
}
