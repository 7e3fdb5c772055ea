//! Replays on the embedded store: a portion and how far the replay is with it are one transaction.

use two_buckets_depot::ListObjects;
use two_buckets_objects::{BucketName, Key, Timestamp, VersionRef};
use two_buckets_uploads::Result;
use two_buckets_uploads::tracking::{
    Archived, ArchivedPage, Batch, Before, Portion, Replays, Run, failed,
};

use crate::DepotLedger;

/// How many keys one transaction copies: others' commits wait for no more than that. No byte is copied.
const BATCH: usize = 100;
/// A call's portion: some seconds of transactions. The bytes stay where they are, so they do not count.
const PORTION: Portion = Portion {
    files: 20_000,
    bytes: u64::MAX,
    pages: 2_000,
};

/// Where it copies from and to.
pub(crate) struct DepotReplays {
    pub(crate) ledger: DepotLedger,
    pub(crate) archive: BucketName,
    pub(crate) staging: BucketName,
}

impl Replays for DepotReplays {
    fn portion(&self) -> Portion {
        PORTION
    }

    fn now(&self) -> Timestamp {
        self.ledger.now()
    }

    async fn unfinished(&mut self, prefix: &str) -> Result<Option<Run>> {
        self.ledger.replay_run(prefix).await.map_err(failed)
    }

    async fn list(&mut self, run: &Run) -> Result<ArchivedPage> {
        let options = ListObjects {
            prefix: run.prefix.clone(),
            after: run.after.clone(),
            limit: Some(BATCH),
            ..ListObjects::default()
        };
        let page = self.ledger.list_archived(self.archive.clone(), options);
        let page = page.await.map_err(failed)?;
        let current = page.entries.into_iter().map(|object| Archived {
            key: object.key,
            last_modified: object.last_modified,
            size_bytes: object.size_bytes,
        });
        Ok(ArchivedPage {
            current: current.collect(),
            next: page.next.map(|(after, _)| after),
        })
    }

    async fn copy(
        &mut self,
        keys: Vec<Key>,
        before: &Before,
        run: &Run,
        is_last: bool,
    ) -> Result<Option<Batch>> {
        let batch = self.ledger.replay_batch(
            self.archive.clone(),
            self.staging.clone(),
            keys,
            before.clone(),
            run.clone(),
            is_last,
        );
        batch.await.map_err(failed)
    }

    async fn copy_version(&mut self, at: &VersionRef) -> Result<Option<Batch>> {
        let copied = self.ledger.replay_version(at.clone(), self.staging.clone());
        copied.await.map_err(failed)
    }

    async fn size_of(&mut self, at: &VersionRef) -> Result<Option<u64>> {
        let size_bytes = self.ledger.archived_size(at.clone());
        size_bytes.await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use two_buckets_depot::storage::MemoryStorage;
    use two_buckets_depot::{Depot, Options, PutObject, Versioning};
    use two_buckets_objects::ObjectRef;
    use two_buckets_uploads::{Replay, ReplaySelection, tracking};

    use super::*;

    fn copies(depot: &Depot, staging: &BucketName) -> Vec<usize> {
        let all = ListObjects {
            limit: Some(10_000),
            ..ListObjects::default()
        };
        let mut copies = std::collections::BTreeMap::new();
        for version in depot.list_versions(staging, &all).unwrap().entries {
            *copies.entry(version.key).or_insert(0) += 1;
        }
        copies.into_values().collect()
    }

    /// A server may be killed between any two of its transactions.
    #[tokio::test]
    async fn a_replay_that_was_interrupted_goes_on_behind_its_last_key_and_copies_each_once() {
        let options = Options {
            clock: Arc::new(|| Timestamp::from_millis(1_790_000_000_000)),
            just_moved_grace: Duration::ZERO,
            small_body_bytes_max: 1 << 10,
            on_created: None,
            record_change: None,
        };
        let depot = Depot::open_on(Arc::new(MemoryStorage::new()), options).unwrap();
        let [staging, archive]: [BucketName; 2] = ["staging", "archive"].map(|name| {
            let name = name.parse().unwrap();
            depot.create_bucket(&name).unwrap();
            depot.set_versioning(&name, Versioning::Enabled).unwrap();
            name
        });
        for n in 0..250 {
            let at = ObjectRef {
                bucket: archive.clone(),
                key: format!("k/{n:03}").parse().unwrap(),
            };
            let body = depot.body_writer(&[], 10).finish().unwrap();
            depot.put(&at, body, PutObject::default()).unwrap();
        }
        let ledger = DepotLedger::open(depot.clone()).unwrap();
        let replays = || DepotReplays {
            ledger: ledger.clone(),
            archive: archive.clone(),
            staging: staging.clone(),
        };
        let all = |is_anew| Replay {
            selection: ReplaySelection::Prefix {
                prefix: "k/".into(),
                since: None,
            },
            is_dry_run: false,
            is_anew,
        };
        let replay = async |is_anew| tracking::replay(replays(), &archive, all(is_anew)).await;

        // Its first batch, and then the server dies.
        let begin = async || {
            let run = Run {
                prefix: "k/".into(),
                since: None,
                began_at: Timestamp::from_millis(7),
                after: Some("k/099".into()),
            };
            let keys = (0..100).map(|n| format!("k/{n:03}").parse().unwrap());
            let (archive, staging) = (archive.clone(), staging.clone());
            let batch = ledger.replay_batch(
                archive,
                staging,
                keys.collect(),
                Before::Whatever,
                run,
                false,
            );
            assert_eq!(batch.await.unwrap().unwrap().copied, 100);
        };
        begin().await;
        let said = replay(false).await.unwrap();
        assert_eq!(
            (said.replayed, said.continued_since),
            (150, Some(Timestamp::from_millis(7)))
        );
        assert_eq!(copies(&depot, &staging), vec![1; 250]);
        // That one has come to its end, so this is another.
        let said = replay(false).await.unwrap();
        assert_eq!((said.replayed, said.continued_since), (250, None));
        assert_eq!(copies(&depot, &staging), vec![2; 250]);
        // Of two at once, the one that the other has overtaken stops.
        begin().await;
        let found = ledger.replay_run("k/").await.unwrap().unwrap();
        let overtaken = Run {
            after: Some("k/199".into()),
            ..found.clone()
        };
        let (archived, staged) = (archive.clone(), staging.clone());
        let key = vec!["k/100".parse().unwrap()];
        let batch = ledger.replay_batch(
            archived,
            staged,
            key.clone(),
            Before::At(found.clone()),
            overtaken.clone(),
            false,
        );
        assert!(batch.await.unwrap().is_some());
        let (archived, staged) = (archive.clone(), staging.clone());
        let batch = ledger.replay_batch(archived, staged, key, Before::At(found), overtaken, false);
        assert_eq!(batch.await.unwrap(), None);
        assert_eq!(copies(&depot, &staging)[100], 3);
        // Who does not want to go on with one begins anew.
        begin().await;
        let said = replay(true).await.unwrap();
        assert_eq!((said.replayed, said.continued_since), (250, None));
        assert_eq!(ledger.replay_run("k/").await.unwrap(), None);
    }
}
