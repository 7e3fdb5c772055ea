//! The credentials of an execution environment: a session of the function's role, bound to a slot that says at each
//! moment which uploads it is about.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use two_buckets_lambda_host::EnvironmentId;
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::{AssumeRole, Pins, Slot, Sts};

/// The sessions of running environments.
pub(super) struct Sessions {
    sts: Sts,
    pins: Pins,
    /// How long a session lasts: longer than its environment.
    life: Duration,
    /// Where the function finds S3, as a URL.
    endpoint: String,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    role_arn: String,
    slots: Mutex<HashMap<EnvironmentId, Arc<Slot>>>,
}

impl Sessions {
    pub(super) fn new(
        sts: Sts,
        pins: Pins,
        life: Duration,
        endpoint: String,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        role_arn: String,
    ) -> Self {
        Self {
            sts,
            pins,
            life,
            endpoint,
            clock,
            role_arn,
            slots: Mutex::default(),
        }
    }

    /// Opens the session of a new environment and gives the variables that AWS SDKs read it from.
    pub(super) fn open(&self, id: &EnvironmentId) -> Result<Vec<(OsString, OsString)>, String> {
        let session_name = id.as_str().to_owned();
        let slot = self.pins.open_slot(&session_name);
        let session = self
            .sts
            .assume_role(
                &AssumeRole {
                    role_arn: self.role_arn.clone(),
                    session_name,
                    policy: None,
                    duration: self.life,
                },
                (self.clock)(),
            )
            .map_err(|error| format!("the function gets no credentials: {error}"))?;
        self.slots().insert(id.clone(), Arc::new(slot));
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

    /// Ends the session of an environment that has ended.
    pub(super) fn close(&self, id: &EnvironmentId) {
        self.slots().remove(id);
    }

    /// The slot of a running environment.
    pub(super) fn slot(&self, id: &EnvironmentId) -> Option<Arc<Slot>> {
        self.slots().get(id).cloned()
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<EnvironmentId, Arc<Slot>>> {
        // Every change is one call on the map.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
