//! Looks at the processes of the machine, once for all environments of a host that ask within a short time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::procfs::{self, Seen};

#[derive(Debug, Default)]
pub(crate) struct Scanner {
    last: Mutex<Option<(Instant, Arc<Vec<Seen>>)>>,
}

impl Scanner {
    /// The processes as they were no longer ago than `age_max`.
    pub(crate) async fn processes(&self, age_max: Duration) -> Arc<Vec<Seen>> {
        let mut last = self.last.lock().await;
        if let Some((when, processes)) = &*last
            && when.elapsed() < age_max
        {
            return processes.clone();
        }
        let now = Instant::now();
        // Fails only when the program is being torn down.
        let seen = tokio::task::spawn_blocking(procfs::processes)
            .await
            .unwrap_or_default();
        let seen = Arc::new(seen);
        *last = Some((now, seen.clone()));
        seen
    }
}
