//! The door to one function: environments to be had, and their end.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use crate::config::{Config, InvalidConfig};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::outcome::Outcome;
use crate::pool::Pool;
use crate::strays::end_strays;
use crate::{scratch, start};

/// Runs one function: a pool of environments, started when they are needed.
///
/// Cheap to clone; all clones are one pool. Call [`Host::stop`] before the program ends: a program that is killed cannot
/// end its functions' processes. Those end by themselves when they next call the Runtime API, or when a host is started
/// with the same scratch folder; [`end_strays`](crate::end_strays) lets another program end them sooner.
#[derive(Clone)]
pub struct Host {
    pool: Arc<Pool>,
}

/// How many environments there are, and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// Environments that wait for an invocation.
    pub idle: usize,
    /// Environments that start, are held, run an invocation or end.
    pub busy: usize,
    /// Environments started since the host was.
    pub started: u64,
    /// Environments that have ended since then.
    pub ended: u64,
    /// How often there was no environment to be had, because it did not start.
    pub start_failures: u64,
    /// How invocations have ended since the host was started: how many, by [`Outcome`] in the order of [`Outcome::ALL`].
    pub invocations: [u64; Outcome::ALL.len()],
}

impl Facts {
    /// How many invocations have ended so.
    pub fn invocations_of(&self, outcome: Outcome) -> u64 {
        self.invocations[outcome as usize]
    }
}

/// Ends the processes of functions whose scratch folders were below this one, and removes what is in it: what a server
/// left that was killed. For folders that no running host has. Blocks for a moment.
pub fn clean(scratch: &Path) {
    let cleaned = scratch.canonicalize().and_then(|scratch| {
        end_strays(&["TMPDIR"], &scratch);
        scratch::empty(&scratch)
    });
    match cleaned {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %scratch.display(), "what an earlier server left cannot be removed: {why}");
        }
        _ => {}
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Host")
            .field("config", &self.pool.config)
            .field("facts", &self.facts())
            .finish()
    }
}

impl Host {
    /// Checks the configuration, and says all that is wrong with it. No process is started before the first
    /// [`acquire`](Host::acquire). What an earlier host left in the scratch folder when it was killed, files and
    /// processes, is removed and ended, so the folder is this host's alone. Blocks for a moment.
    pub fn start(config: Config) -> Result<Host, InvalidConfig> {
        config.check()?;
        clean(&config.scratch);
        Ok(Host {
            pool: Arc::new(Pool::new(config)),
        })
    }

    /// Waits for a free environment, and starts and initialises one if none is idle: it is the caller's alone until it is
    /// dropped or invoked. Callers are served in the order in which they came.
    ///
    /// Fails with `Init`, `NotStarted` or `Stopped`. Dropping the future while an environment starts ends that environment.
    pub async fn acquire(&self) -> Result<Environment, Failure> {
        let place = self.pool.places.clone().acquire_owned().await;
        let place = place.map_err(|_closed| Failure::Stopped)?;
        let shared = match self.pool.take_idle(place) {
            Ok(shared) => shared,
            Err(place) => {
                let started = start::environment(&self.pool, place).await;
                started.inspect_err(|failure| self.pool.ended.count_start(failure))?
            }
        };
        Ok(Environment::new(shared))
    }

    /// Ends all environments, SIGTERM then SIGKILL, and waits until they are gone. Running invocations fail with
    /// `Stopped`, and so does every `acquire` from then on. May be called again, and from several places; dropping the
    /// future does not undo it.
    pub async fn stop(&self) {
        let mut alive = self.pool.alive.subscribe();
        self.pool.stop();
        // Fails only when the pool is gone, and we hold it.
        alive.wait_for(|it| *it == 0).await.ok();
    }

    /// What there is now.
    pub fn facts(&self) -> Facts {
        self.pool.facts()
    }
}
