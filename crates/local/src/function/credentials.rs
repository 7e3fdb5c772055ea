//! The credentials of an execution environment: a session of the function's role, bound to a slot that says at each
//! moment which uploads it is about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use two_buckets_lambda_host::EnvironmentId;
use two_buckets_s3_api::Slot;

use super::access::{SessionIssuer, Variables};

/// The sessions of running environments.
pub(super) struct Sessions {
    issuer: SessionIssuer,
    /// How long a session lasts: longer than its environment.
    life: Duration,
    slots: Mutex<HashMap<EnvironmentId, Arc<Slot>>>,
}

impl Sessions {
    pub(super) fn new(issuer: SessionIssuer, life: Duration) -> Self {
        Self {
            issuer,
            life,
            slots: Mutex::default(),
        }
    }

    /// Opens the session of a new environment and gives the variables that AWS SDKs read it from.
    pub(super) fn open(&self, id: &EnvironmentId) -> Result<Variables, String> {
        let slot = self.issuer.pins.open_slot(id.as_str());
        let variables = self
            .issuer
            .variables(id.as_str(), self.life)
            .map_err(|error| format!("the function gets no credentials: {error}"))?;
        self.slots().insert(id.clone(), Arc::new(slot));
        Ok(variables)
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
