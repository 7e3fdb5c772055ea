//! A probe finds what a store does not do, also where it says that it did.

use two_buckets_aws::{Finding, Need, S3Store, S3StoreOptions, probe_objects};
use two_buckets_depot::Versioning;
use two_buckets_objects::{
    Body, BucketName, ByteRange, Capabilities, CopyOptions, ListVersions, ObjectInfo, ObjectRef,
    ObjectStore, PutOptions, Result, VersionId, VersionPage, VersionRef, WriteCondition, Written,
};

use super::server::{bucket, served};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Lie {
    PutsWithoutCondition,
    CopiesWithoutCondition,
    CopiesTheCurrentVersion,
    DropsMetadata,
    ListsTheOldestFirst,
    HasNoVersions,
    HasNoChecksums,
    DeletesNothing,
}

/// A store that says it did what it did not.
struct Lying {
    store: S3Store,
    lie: Lie,
}

impl ObjectStore for Lying {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn head(&self, at: &ObjectRef) -> Result<ObjectInfo> {
        self.store.head(at).await
    }

    async fn head_version(&self, at: &VersionRef) -> Result<ObjectInfo> {
        let mut info = self.store.head_version(at).await?;
        if self.lie == Lie::HasNoChecksums {
            info.checksums.clear();
        }
        Ok(info)
    }

    async fn read_version(&self, at: &VersionRef, range: Option<ByteRange>) -> Result<Body> {
        self.store.read_version(at, range).await
    }

    async fn put(&self, to: &ObjectRef, body: Body, mut options: PutOptions) -> Result<Written> {
        if self.lie == Lie::PutsWithoutCondition {
            options.condition = WriteCondition::None;
        }
        let mut written = self.store.put(to, body, options).await?;
        if self.lie == Lie::HasNoVersions {
            written.version_id = VersionId::new(VersionId::NULL);
        }
        Ok(written)
    }

    async fn copy_version(
        &self,
        from: &VersionRef,
        to: &ObjectRef,
        mut options: CopyOptions,
    ) -> Result<Written> {
        let mut from = from.clone();
        match self.lie {
            Lie::CopiesWithoutCondition => options.condition = WriteCondition::None,
            Lie::CopiesTheCurrentVersion => from = self.head(&from.object()).await?.at,
            Lie::DropsMetadata => options.add_user_metadata.clear(),
            _ => {}
        }
        self.store.copy_version(&from, to, options).await
    }

    async fn delete_version(&self, at: &VersionRef) -> Result<()> {
        if self.lie == Lie::DeletesNothing {
            return Ok(());
        }
        self.store.delete_version(at).await
    }

    async fn list_versions(
        &self,
        bucket: &BucketName,
        options: ListVersions,
    ) -> Result<VersionPage> {
        let mut page = self.store.list_versions(bucket, options).await?;
        if self.lie == Lie::ListsTheOldestFirst {
            page.versions.reverse();
        }
        Ok(page)
    }
}

#[tokio::test]
async fn our_own_store_has_all_that_is_needed_and_keeps_nothing_of_the_probe() {
    let store = served(S3StoreOptions::default()).await;
    let staging: BucketName = "staging".parse().unwrap();
    store.server.depot.create_bucket(&staging).unwrap();
    let versioning = Versioning::Enabled;
    store
        .server
        .depot
        .set_versioning(&staging, versioning)
        .unwrap();
    let report = store.probe(&staging, &bucket(), "run").await;
    assert_eq!(report.len(), 9);
    for (need, finding) in report {
        assert_eq!(finding, Finding::Holds, "{need:?}");
    }
    let left = store
        .list_versions(&bucket(), ListVersions::default())
        .await;
    assert_eq!(left.unwrap().versions, []);
}

#[tokio::test]
async fn a_bucket_without_versioning_is_told_from_one_that_cannot_be_asked() {
    let store = served(S3StoreOptions::default()).await;
    let plain: BucketName = "plain".parse().unwrap();
    store.server.depot.create_bucket(&plain).unwrap();
    let nowhere = "no-such-bucket".parse().unwrap();
    let report = store.probe(&plain, &nowhere, "run").await;
    assert!(matches!(
        report[0],
        (Need::StagingVersioned, Finding::Missing { .. })
    ));
    for (need, finding) in &report[1..] {
        assert!(
            matches!(finding, Finding::Untold { .. }),
            "{need:?}: {finding:?}"
        );
    }
    let report = store.probe(&plain, &plain, "run").await;
    assert!(matches!(
        report[2],
        (Need::Versions, Finding::Missing { .. })
    ));
}

#[tokio::test]
async fn a_store_that_says_it_did_what_it_did_not_is_found_out() {
    let store = served(S3StoreOptions::default()).await;
    for (lie, missing) in [
        (Lie::PutsWithoutCondition, Need::ConditionalPut),
        (Lie::CopiesWithoutCondition, Need::ConditionalCopy),
        (Lie::CopiesTheCurrentVersion, Need::ExactCopy),
        (Lie::DropsMetadata, Need::ExactCopy),
        (Lie::ListsTheOldestFirst, Need::ListOrder),
        (Lie::HasNoVersions, Need::Versions),
        (Lie::HasNoChecksums, Need::Checksums),
        (Lie::DeletesNothing, Need::ExactDelete),
    ] {
        let lying = Lying {
            store: store.server.store(S3StoreOptions::default()),
            lie,
        };
        let report = probe_objects(&lying, &bucket(), &format!("{lie:?}")).await;
        let found = report.iter().find(|(need, _)| *need == missing).unwrap();
        assert!(
            matches!(found.1, Finding::Missing { .. }),
            "{lie:?}: {report:?}"
        );
    }
}
