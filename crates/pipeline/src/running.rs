use tracing::warn;
use two_buckets_objects::{ObjectInfo, ObjectRef, ObjectStore};

use crate::ledger::Said;
use crate::{CancelOnDrop, Driver, Incoming, Lease, Ledger, Saying, Upload, UploadId};

/// An attempt that runs, as far as it speaks: its log and its progress, and how much of them the ledger has.
pub(crate) struct Running {
    id: UploadId,
    attempt: u32,
    saying: Saying,
}

impl Running {
    /// The run of an attempt that was recorded, and what its function is given.
    pub(crate) fn begin<S: ObjectStore, L, P, C, W>(
        driver: &Driver<S, L, P, C, W>,
        lease: &Lease,
        upload: &Upload,
        source: ObjectInfo,
    ) -> (Self, Incoming, CancelOnDrop) {
        let (mut incoming, guard) = Incoming::of_version(
            &driver.store,
            driver.settings.archive.clone(),
            source,
            upload.attempts_ever,
            lease.token,
        );
        incoming.tries = upload.attempts;
        if let Some(staged) = &upload.staged {
            incoming.order = staged.order;
        }
        let running = Self {
            id: upload.id.clone(),
            attempt: upload.attempts_ever,
            saying: Saying::new(incoming.log.clone(), incoming.progress.clone()),
        };
        (running, incoming, guard)
    }

    /// Keeps what was said since the last call; costs nothing where that is nothing. What cannot be kept is said to
    /// the operator and kept the next time: an upload does not fail for its log.
    pub(crate) async fn keep_said<L: Ledger>(&mut self, ledger: &L, key: &ObjectRef) {
        let news = self.saying.news();
        self.keep(ledger, key, news).await;
    }

    /// Keeps the rest of the log of a run that has ended. How far it was interests nobody any more.
    pub(crate) async fn keep_last<L: Ledger>(mut self, ledger: &L, key: &ObjectRef) {
        let news = Said {
            progress: None,
            ..self.saying.news()
        };
        self.keep(ledger, key, news).await;
    }

    async fn keep<L: Ledger>(&mut self, ledger: &L, key: &ObjectRef, said: Said) {
        if said == Said::default() {
            return;
        }
        match ledger.keep_said(&self.id, self.attempt, &said).await {
            Ok(()) => self.saying.passed_on(said),
            Err(error) => {
                warn!(bucket = %key.bucket, key = %key.key, attempt = self.attempt, %error,
                    "the log of a run was not kept");
            }
        }
    }
}
