//! Copies what is archived to staging, to be processed again: a bounded number of keys in each transaction.

use two_buckets_depot::ListObjects;
use two_buckets_objects::{BucketName, Key, Timestamp, VersionRef};
use two_buckets_pipeline::archive::is_reserved;
use two_buckets_pipeline::ledger::Result;
use two_buckets_uploads::{Replay, ReplaySelection, Replayed};

use crate::DepotLedger;
use crate::ledger::{Before, Run};

/// How many keys one transaction copies: others' commits wait for no more than that. No byte is copied.
const BATCH: usize = 100;

/// Where it copies from and to.
pub(crate) struct Buckets {
    pub(crate) archive: BucketName,
    pub(crate) staging: BucketName,
}

/// Replays what is selected, or says what it would.
pub(crate) async fn replay(
    ledger: DepotLedger,
    buckets: Buckets,
    replay: Replay,
) -> Result<Option<Replayed>> {
    match replay.selection {
        ReplaySelection::Version { key, version_id } => {
            let at = VersionRef {
                bucket: buckets.archive.clone(),
                key,
                version_id,
            };
            one(&ledger, buckets, at, replay.is_dry_run).await
        }
        ReplaySelection::Prefix { prefix, since } => {
            let unfinished = if replay.is_anew {
                None
            } else {
                ledger.replay_run(&prefix).await?
            };
            let is_continued = unfinished.is_some();
            let run = unfinished.unwrap_or_else(|| Run {
                prefix,
                since,
                began_at: ledger.now(),
                after: None,
            });
            let mut done = Replayed {
                continued_since: is_continued.then_some(run.began_at),
                ..Replayed::default()
            };
            let found = if replay.is_anew {
                Before::Whatever
            } else if is_continued {
                Before::At(run.clone())
            } else {
                Before::Nothing
            };
            many(&ledger, &buckets, found, run, replay.is_dry_run, &mut done).await?;
            Ok(Some(done))
        }
    }
}

async fn one(
    ledger: &DepotLedger,
    buckets: Buckets,
    at: VersionRef,
    is_dry_run: bool,
) -> Result<Option<Replayed>> {
    if is_dry_run {
        let size_bytes = ledger.archived_size(at).await?;
        return Ok(size_bytes.map(|size_bytes| Replayed {
            matched: 1,
            size_bytes,
            ..Replayed::default()
        }));
    }
    let batch = ledger.replay_version(at, buckets.staging).await?;
    Ok(batch.map(|batch| Replayed {
        matched: batch.copied,
        replayed: batch.copied,
        size_bytes: batch.size_bytes,
        continued_since: None,
    }))
}

async fn many(
    ledger: &DepotLedger,
    buckets: &Buckets,
    mut before: Before,
    mut run: Run,
    is_dry_run: bool,
    done: &mut Replayed,
) -> Result<()> {
    loop {
        let options = ListObjects {
            prefix: run.prefix.clone(),
            after: run.after.clone(),
            limit: Some(BATCH),
            ..ListObjects::default()
        };
        let page = ledger
            .list_archived(buckets.archive.clone(), options)
            .await?;
        let is_last = page.next.is_none();
        run.after = page.next.map(|(after, _)| after);
        let is_wanted = |key: &Key, at: Timestamp| {
            !is_reserved(key) && run.since.is_none_or(|since| at >= since)
        };
        let wanted: Vec<_> = page
            .entries
            .into_iter()
            .filter(|object| is_wanted(&object.key, object.last_modified))
            .collect();
        done.matched += wanted.len() as u64;
        if is_dry_run {
            done.size_bytes += wanted.iter().map(|object| object.size_bytes).sum::<u64>();
        } else {
            let keys = wanted.into_iter().map(|object| object.key).collect();
            let batch = ledger
                .replay_batch(
                    buckets.archive.clone(),
                    buckets.staging.clone(),
                    keys,
                    before,
                    run.clone(),
                    is_last,
                )
                .await?;
            before = Before::At(run.clone());
            done.replayed += batch.copied;
            done.size_bytes += batch.size_bytes;
        }
        if is_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use two_buckets_depot::storage::MemoryStorage;
    use two_buckets_depot::{Depot, Options, PutObject, Versioning};
    use two_buckets_objects::ObjectRef;

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
        let buckets = || Buckets {
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
        let replay = async |is_anew| super::replay(ledger.clone(), buckets(), all(is_anew)).await;

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
            assert_eq!(batch.await.unwrap().copied, 100);
        };
        begin().await;
        let said = replay(false).await.unwrap().unwrap();
        assert_eq!(
            (said.replayed, said.continued_since),
            (150, Some(Timestamp::from_millis(7)))
        );
        assert_eq!(copies(&depot, &staging), vec![1; 250]);
        // That one has come to its end, so this is another.
        let said = replay(false).await.unwrap().unwrap();
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
        ledger
            .replay_batch(
                archived,
                staged,
                key.clone(),
                Before::At(found.clone()),
                overtaken.clone(),
                false,
            )
            .await
            .unwrap();
        let (archived, staged) = (archive.clone(), staging.clone());
        ledger
            .replay_batch(archived, staged, key, Before::At(found), overtaken, false)
            .await
            .map(|batch| batch.copied)
            .unwrap_err();
        assert_eq!(copies(&depot, &staging)[100], 3);
        // Who does not want to go on with one begins anew.
        begin().await;
        let said = replay(true).await.unwrap().unwrap();
        assert_eq!((said.replayed, said.continued_since), (250, None));
        assert_eq!(ledger.replay_run("k/").await.unwrap(), None);
    }
}
