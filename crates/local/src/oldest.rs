//! The oldest unfinished upload: its age is the one number to alarm on, so it is exact whatever waits in staging.

use two_buckets_objects::{BucketName, Error as StoreError, ListVersions, ObjectStore as _};
use two_buckets_pipeline::Ledger as _;
use two_buckets_pipeline::ledger::is_below;
use two_buckets_uploads as uploads;
use uploads::{Error, Result};

use crate::unnoted::{Answer, Unnoted, Waits};
use crate::{DepotLedger, DepotStore};

/// Where it is looked.
pub(crate) struct Staging<'a> {
    pub(crate) store: &'a DepotStore,
    pub(crate) ledger: &'a DepotLedger,
    pub(crate) bucket: &'a BucketName,
    pub(crate) unnoted: &'a Unnoted,
}

impl Staging<'_> {
    /// The version that came first of those that have no row, or of those below a prefix that have none.
    ///
    /// Ask the ledger for its oldest after this and not before: what gets its row in between is then seen twice and not
    /// never.
    pub(crate) async fn first_without_row(&self, prefix: Option<&str>) -> Result<Option<Waits>> {
        let mut seen = None;
        loop {
            match (self.unnoted.first(prefix), prefix) {
                (Answer::None, _) => return Ok(None),
                (Answer::First(waits), _) => {
                    if self.still_waits(&waits).await? {
                        return Ok(Some(waits));
                    }
                    self.unnoted.noted([&waits]);
                }
                // Only those below the prefix are listed, and what they tell of the others is nothing.
                (Answer::LeftOut, Some(_)) => return self.first_listed(prefix, |_| {}).await,
                // All that the look just found have their row by now; the first had none when it was seen.
                (Answer::LeftOut, None) if seen.is_some() => return Ok(seen),
                (Answer::LeftOut | Answer::Unknown, _) => seen = self.look().await?,
            }
        }
    }

    async fn still_waits(&self, waits: &Waits) -> Result<bool> {
        let at = waits.at(self.bucket);
        match self.store.head_version(&at).await {
            // One that was moved to the archive a moment ago still answers, but it has a row.
            Ok(_) => Ok(self.ledger.find(&at).await.map_err(unavailable)?.is_none()),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Looks through all of staging, unless somebody else has done so meanwhile. Gives the first that it saw.
    async fn look(&self) -> Result<Option<Waits>> {
        let look = self.unnoted.look().await;
        if !matches!(self.unnoted.first(None), Answer::LeftOut | Answer::Unknown) {
            return Ok(None);
        }
        look.begin();
        let first = self.first_listed(None, |waits| look.found(waits)).await?;
        look.end();
        Ok(first)
    }

    /// Lists staging, or what is in it below a prefix, and shows every version without a row; gives the first of them.
    async fn first_listed(
        &self,
        prefix: Option<&str>,
        mut show: impl FnMut(Waits),
    ) -> Result<Option<Waits>> {
        let mut first = None;
        let mut options = ListVersions {
            prefix: prefix.unwrap_or_default().to_owned(),
            ..ListVersions::default()
        };
        loop {
            let listed = self.store.list_versions(self.bucket, options.clone()).await;
            let page = listed.map_err(unavailable)?;
            for version in page.versions {
                let is_meant = prefix.is_none_or(|it| is_below(version.key.as_str(), it));
                if version.is_delete_marker || !is_meant {
                    continue;
                }
                let waits = Waits::new(version.last_modified, version.key, &version.version_id);
                let row = self.ledger.find(&waits.at(self.bucket)).await;
                if row.map_err(unavailable)?.is_some() {
                    continue;
                }
                if first.as_ref().is_none_or(|first| waits < *first) {
                    first = Some(waits.clone());
                }
                show(waits);
            }
            match page.next {
                Some(next) => options.after = Some(next),
                None => return Ok(first),
            }
        }
    }
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unavailable {
        reason: "staging cannot be looked through".into(),
        source: Some(Box::new(source)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use futures::executor::block_on;
    use two_buckets_depot::storage::MemoryStorage;
    use two_buckets_depot::{Depot, ListObjects, Options, PutObject, Selector, Versioning};
    use two_buckets_objects::{ListedVersion, ObjectRef, Timestamp, WriteCondition};

    use super::*;
    use crate::StoreCalls;

    /// Versions of keys below two prefixes in turn, whose store tells of them.
    fn fill(unnoted: &Unnoted, count: usize) -> Depot {
        let moment = AtomicI64::new(1_000);
        let told = unnoted.clone();
        let depot = Depot::open_on(
            Arc::new(MemoryStorage::new()),
            Options {
                clock: Arc::new(move || {
                    Timestamp::from_millis(moment.fetch_add(1, Ordering::Relaxed))
                }),
                just_moved_grace: Duration::ZERO,
                small_body_bytes_max: 100,
                on_created: Some(Arc::new(move |created| {
                    told.arrived(|| {
                        let at = &created.at;
                        Waits::new(created.last_modified, at.key.clone(), &at.version_id)
                    });
                })),
                record_change: None,
            },
        )
        .unwrap();
        depot.create_bucket(&bucket()).unwrap();
        depot
            .set_versioning(&bucket(), Versioning::Enabled)
            .unwrap();
        for n in 0..count {
            put(&depot, &format!("{}/{}", ["a", "b"][n % 2], count - n));
        }
        depot
    }

    fn bucket() -> BucketName {
        "staging".parse().unwrap()
    }

    fn put(depot: &Depot, key: &str) {
        let at = ObjectRef {
            bucket: bucket(),
            key: key.parse().unwrap(),
        };
        let body = depot.body_writer(&[], 1).finish().unwrap();
        depot.put(&at, body, PutObject::default()).unwrap();
    }

    fn versions(depot: &Depot) -> Vec<ListedVersion> {
        let listed = depot.list_versions(&bucket(), &ListObjects::default());
        let mut versions = listed.unwrap().entries;
        versions.sort_by_key(|version| version.last_modified);
        versions
    }

    #[test]
    fn the_first_is_right_while_they_go_though_few_of_many_are_kept() {
        let unnoted = Unnoted::keeping(3);
        let depot = fill(&unnoted, 20);
        let ledger = DepotLedger::open(depot.clone()).unwrap();
        let (store, bucket) = (
            DepotStore::new(depot.clone()).with_calls(StoreCalls::Here),
            bucket(),
        );
        let ledger = ledger.with_calls(StoreCalls::Here);
        let staging = Staging {
            store: &store,
            ledger: &ledger,
            bucket: &bucket,
            unnoted: &unnoted,
        };
        let ask = |prefix| {
            let first = block_on(staging.first_without_row(prefix)).unwrap();
            first.map(|waits| (waits.received_at, waits.key))
        };
        let late: OnceLock<()> = OnceLock::new();
        loop {
            let left = versions(&depot);
            for prefix in [None, Some("a/"), Some("b/"), Some("c/")] {
                let expected = left
                    .iter()
                    .find(|it| prefix.is_none_or(|prefix| it.key.as_str().starts_with(prefix)))
                    .map(|it| (it.last_modified, it.key.clone()));
                assert_eq!(ask(prefix), expected, "{prefix:?} of {}", left.len());
            }
            if left.len() == 10 && late.set(()).is_ok() {
                put(&depot, "a/late");
                continue;
            }
            let Some(first) = left.first() else {
                break;
            };
            let at = ObjectRef {
                bucket: bucket.clone(),
                key: first.key.clone(),
            };
            depot
                .delete(
                    &at,
                    &Selector::Version(first.version_id.clone()),
                    &WriteCondition::None,
                )
                .unwrap();
        }
    }
}
