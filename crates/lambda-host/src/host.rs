//! The pool of environments of one function.

use std::sync::Arc;

use crate::config::{Config, InvalidConfig};
use crate::environment_id::EnvironmentId;
use crate::failure::Failure;
use crate::invocation::{Invocation, Response};

/// Runs one function: a pool of environments, started when they are needed.
///
/// Cheap to clone; all clones are one pool. Call [`Host::stop`] before the program ends, or its functions' processes may outlive it.
#[derive(Clone, Debug)]
pub struct Host {
    inner: Arc<()>,
}

/// How many environments there are, and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// Environments that wait for an invocation.
    pub idle: usize,
    /// Environments that start, run an invocation or end.
    pub busy: usize,
    /// Environments started since the host was.
    pub started: u64,
    /// Environments that have ended since then.
    pub ended: u64,
}

impl Host {
    /// Checks the configuration. No process is started before the first [`acquire`](Host::acquire).
    pub async fn start(config: Config) -> Result<Host, InvalidConfig> {
        config.check()?;
        Ok(Host {
            inner: Arc::new(()),
        })
    }

    /// Waits for a free environment, and starts and initialises one if none is there: it is the caller's alone until it is
    /// dropped or invoked.
    ///
    /// Fails with `Init`, `NotStarted` or `Stopped`. Dropping the future while an environment starts ends that environment.
    pub async fn acquire(&self) -> Result<Environment, Failure> {
        todo!()
    }

    /// Ends all environments, SIGTERM then SIGKILL, and waits until they are gone. Running invocations fail with
    /// `Stopped`. May be called again and from several places.
    pub async fn stop(&self) {
        todo!()
    }

    /// What there is now.
    pub fn facts(&self) -> Facts {
        todo!()
    }
}

/// One execution environment that is ready and does nothing. Dropping it gives it back.
#[derive(Debug)]
pub struct Environment {
    id: EnvironmentId,
}

impl Environment {
    /// Its name, the same that [`Config::new_environment`] was called with.
    pub fn id(&self) -> &EnvironmentId {
        &self.id
    }

    /// Gives the environment one event and waits for what the function makes of it, until the deadline.
    ///
    /// When this returns an error other than [`Failure::Function`], [`Failure::PayloadTooLarge`] or [`Failure::Stopped`],
    /// no process of the environment is left. Dropping the future ends the environment, because its work is not wanted any more.
    pub async fn invoke(self, invocation: Invocation) -> Result<Response, Failure> {
        todo!()
    }
}
