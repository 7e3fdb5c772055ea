use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use two_buckets_objects::Timestamp;
use two_buckets_s3_api::{AssumeRole, AssumeRoleError, Pins, Sts};

/// Where a function has its credentials from.
pub enum FunctionAccess {
    /// From this process, which serves what is asked with them as well.
    Here(SessionIssuer),
    /// From the server of the job that this process is; they are for its one upload.
    Job(JobAccess),
}

/// What makes the credentials of functions.
#[derive(Clone)]
pub struct SessionIssuer {
    /// What gives them.
    pub sts: Sts,
    /// The role they are of.
    pub role_arn: String,
    /// The longest session of that role; environments end before theirs does.
    pub session_life_max: Duration,
    /// What they mean at each moment; the S3 service has the same.
    pub pins: Pins,
    /// Where functions find S3, as a URL.
    pub endpoint: String,
    /// Wall time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// The variables that AWS SDKs read credentials from.
pub(crate) type Variables = Vec<(OsString, OsString)>;

impl SessionIssuer {
    /// The variables of a new session of this name and length.
    pub fn variables(
        &self,
        session_name: &str,
        duration: Duration,
    ) -> Result<Variables, AssumeRoleError> {
        let session = self.sts.assume_role(
            &AssumeRole {
                role_arn: self.role_arn.clone(),
                session_name: session_name.to_owned(),
                policy: None,
                duration,
            },
            (self.clock)(),
        )?;
        Ok([
            ("AWS_ACCESS_KEY_ID", session.credentials.access_key_id),
            (
                "AWS_SECRET_ACCESS_KEY",
                session.credentials.secret_access_key,
            ),
            ("AWS_SESSION_TOKEN", session.session_token),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into())
    }
}

/// What a job's function is given, and what is to be asked when it has returned. Clones are one.
#[derive(Clone, Default)]
pub struct JobAccess(Arc<OfJob>);

#[derive(Default)]
struct OfJob {
    variables: OnceLock<Variables>,
    ask_whether_moved: AtomicBool,
}

impl JobAccess {
    /// The job has begun, and these are the variables of its session. Said once, before the function runs.
    pub fn open(&self, variables: Variables) {
        // A job has one session.
        _ = self.0.variables.set(variables);
    }

    /// Whether the server is to find out that the function has moved its file, as it always does.
    pub fn must_have_moved(&self) -> bool {
        self.0.ask_whether_moved.load(Ordering::Relaxed)
    }

    pub(super) fn ask_whether_moved(&self) {
        self.0.ask_whether_moved.store(true, Ordering::Relaxed);
    }

    pub(super) fn variables(&self) -> Result<Variables, String> {
        let variables = self.0.variables.get().cloned();
        variables.ok_or_else(|| "the job has not begun".to_owned())
    }
}
