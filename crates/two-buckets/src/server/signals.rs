//! When to stop: on SIGTERM or SIGINT, and at once on the second.

use crate::failure::Failure;

/// The exit code of a program that a signal ended, by the shell's custom: 128 and the signal's number (SIGINT is 2).
const INTERRUPTED: i32 = 130;

/// Catches the signals from now on.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to catch them.
    pub(crate) fn catch() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let catch = |kind| {
                signal(kind)
                    .map_err(|error| Failure::failed(format!("signals cannot be caught: {error}")))
            };
            Ok(Self {
                terminate: catch(SignalKind::terminate())?,
                interrupt: catch(SignalKind::interrupt())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Ends when the next one comes.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "interruptions cannot be noticed");
            std::future::pending::<()>().await;
        }
    }

    /// Ends the process when the next one comes: whoever signals twice does not want to wait. What was acknowledged
    /// is on the disk, as after a power cut. `exit` is given the exit code, and ends with the process what must not
    /// be left behind.
    pub(crate) async fn exit_at_next(mut self, exit: impl FnOnce(i32)) {
        self.next().await;
        tracing::warn!("stopped at once");
        exit(INTERRUPTED);
    }
}

/// Catches SIGHUP from now on, by which a server is told to read its files again.
pub(super) struct Hangups {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    /// Begins to catch it.
    pub(super) fn catch() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Self {
                // The schedule is left where it cannot be caught.
                signal: signal(SignalKind::hangup()).ok(),
            }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Ends when the next one comes.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
