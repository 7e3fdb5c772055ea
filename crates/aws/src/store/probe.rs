//! What a store really does, found out by doing it: for `doctor`, before files depend on it.

use bytes::Bytes;
use two_buckets_objects::{
    Algorithm, BucketName, CopyOptions, Error, ListVersions, ObjectRef, ObjectStore, PutOptions,
    Result, VersionRef, WriteCondition, Written, body_from_bytes, read_to_bytes,
};

use super::S3Store;
use super::failure::{Does, failure};

/// Something that the protocol rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Versioning is on in the staging bucket.
    StagingVersioned,
    /// Versioning is on in the archive bucket.
    ArchiveVersioned,
    /// Each write makes a version with an id of its own, not `null`, and an earlier one is read as it was.
    Versions,
    /// Versions of a key are listed with the newest first.
    ListOrder,
    /// A put with a condition that does not hold is refused and leaves nothing.
    ConditionalPut,
    /// A copy is of the version it names, with metadata set on it.
    ExactCopy,
    /// A copy with a condition that does not hold is refused and leaves nothing.
    ConditionalCopy,
    /// An object and its copy have the same CRC64NVME over all their bytes.
    Checksums,
    /// A version that was deleted is gone, others stay, and no delete marker is made.
    ExactDelete,
}

impl Need {
    /// What becomes of files where this is missing.
    pub fn without_it(self) -> &'static str {
        match self {
            Self::StagingVersioned | Self::ArchiveVersioned | Self::Versions => {
                "an upload of the same name overwrites another one: the bucket must not be used"
            }
            Self::ListOrder => {
                "uploads of one name are taken in a wrong order: the bucket must not be used"
            }
            Self::ConditionalPut => "an upload may overwrite another one of a minted key",
            Self::ExactCopy | Self::ExactDelete => {
                "another file than the processed one is moved: the bucket must not be used"
            }
            Self::ConditionalCopy => {
                "a stalled worker may put an older upload on top of a newer one; set conditional_copy = false, so that the target is looked at before each copy"
            }
            Self::Checksums => "each file is read twice more to compare it with its copy",
        }
    }

    /// Whether files are lost or mistaken for one another without it.
    pub fn is_vital(self) -> bool {
        !matches!(
            self,
            Self::ConditionalPut | Self::ConditionalCopy | Self::Checksums
        )
    }
}

/// What was found of a need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// It is as it must be.
    Holds,
    /// It is not.
    Missing {
        /// What was seen instead.
        seen: String,
    },
    /// A call failed, a permission is missing perhaps.
    Untold {
        /// How it failed.
        reason: String,
    },
}

/// What was found, in the order of the needs.
pub type Report = Vec<(Need, Finding)>;

impl S3Store {
    /// Tries what the protocol needs of two buckets. `name` makes this run's keys its own.
    ///
    /// Objects of a few bytes are written below `_results/` in the archive bucket and deleted again; what a failure leaves
    /// there has that name. Nothing is written to staging, where it would be processed. Besides the store's own
    /// permissions it takes `s3:GetBucketVersioning`, and `s3:DeleteObjectVersion` in the archive.
    pub async fn probe(&self, staging: &BucketName, archive: &BucketName, name: &str) -> Report {
        let store = self.without_fallbacks();
        let mut report = vec![
            (Need::StagingVersioned, store.is_versioned(staging).await),
            (Need::ArchiveVersioned, store.is_versioned(archive).await),
        ];
        report.extend(probe_objects(&store, archive, name).await);
        report
    }

    /// `GetBucketVersioning` (S3 API).
    async fn is_versioned(&self, bucket: &BucketName) -> Finding {
        let call = self.client.get_bucket_versioning();
        match call.bucket(bucket.as_str()).send().await {
            Ok(answer) => {
                let status = answer
                    .status()
                    .map_or("never enabled", |status| status.as_str());
                holds(status == "Enabled", || format!("versioning is {status}"))
            }
            Err(error) => Finding::Untold {
                reason: failure(&format!("bucket {bucket}"), Does::Read, error).to_string(),
            },
        }
    }
}

/// The needs of objects, tried on any store.
pub async fn probe_objects<S: ObjectStore>(store: &S, bucket: &BucketName, name: &str) -> Report {
    let probe = Probe {
        store,
        bucket,
        name,
    };
    let report = vec![
        (Need::Versions, told(probe.versions().await)),
        (Need::ListOrder, told(probe.list_order().await)),
        (Need::ConditionalPut, told(probe.conditional_put().await)),
        (Need::ExactCopy, told(probe.exact_copy().await)),
        (Need::ConditionalCopy, told(probe.conditional_copy().await)),
        (Need::Checksums, told(probe.checksums().await)),
        (Need::ExactDelete, told(probe.exact_delete().await)),
    ];
    probe.clean_up().await;
    report
}

fn holds(it_does: bool, seen: impl FnOnce() -> String) -> Finding {
    if it_does {
        Finding::Holds
    } else {
        Finding::Missing { seen: seen() }
    }
}

fn told(found: Result<Finding>) -> Finding {
    found.unwrap_or_else(|error| Finding::Untold {
        reason: error.to_string(),
    })
}

struct Probe<'a, S> {
    store: &'a S,
    bucket: &'a BucketName,
    name: &'a str,
}

impl<S: ObjectStore> Probe<'_, S> {
    fn prefix(&self) -> String {
        format!("_results/two-buckets-probe/{}/", self.name)
    }

    fn at(&self, key: &str) -> Result<ObjectRef> {
        let key = format!("{}{key}", self.prefix()).parse();
        Ok(ObjectRef {
            bucket: self.bucket.clone(),
            key: key.map_err(|error: two_buckets_objects::InvalidName| Error::Refused {
                reason: error.to_string(),
            })?,
        })
    }

    fn version(&self, key: &str, written: &Written) -> Result<VersionRef> {
        let ObjectRef { bucket, key } = self.at(key)?;
        Ok(VersionRef {
            bucket,
            key,
            version_id: written.version_id.clone(),
        })
    }

    async fn put(
        &self,
        key: &str,
        body: &'static str,
        condition: WriteCondition,
    ) -> Result<Written> {
        let options = PutOptions {
            condition,
            ..PutOptions::default()
        };
        let body = body_from_bytes(Bytes::from_static(body.as_bytes()));
        self.store.put(&self.at(key)?, body, options).await
    }

    async fn copy(
        &self,
        from: &VersionRef,
        to: &str,
        condition: WriteCondition,
    ) -> Result<Written> {
        let options = CopyOptions {
            condition,
            add_user_metadata: vec![("two-buckets-probe".into(), self.name.into())],
        };
        self.store.copy_version(from, &self.at(to)?, options).await
    }

    async fn read(&self, at: &VersionRef) -> Result<Bytes> {
        read_to_bytes(self.store.read_version(at, None).await?, 64).await
    }

    async fn versions_below(&self, key: &str) -> Result<Vec<VersionRef>> {
        let options = ListVersions {
            prefix: format!("{}{key}", self.prefix()),
            ..ListVersions::default()
        };
        let page = self.store.list_versions(self.bucket, options).await?;
        let all = page.versions.into_iter().map(|one| VersionRef {
            bucket: self.bucket.clone(),
            key: one.key,
            version_id: one.version_id,
        });
        Ok(all.collect())
    }

    async fn versions(&self) -> Result<Finding> {
        let one = self.put("versions", "one", WriteCondition::None).await?;
        let two = self.put("versions", "two", WriteCondition::None).await?;
        if one.version_id.is_null() || one.version_id == two.version_id {
            return Ok(Finding::Missing {
                seen: format!(
                    "two writes made the versions {} and {}",
                    one.version_id, two.version_id
                ),
            });
        }
        let read = self.read(&self.version("versions", &one)?).await?;
        Ok(holds(read == "one", || {
            "an overwritten version has other bytes".into()
        }))
    }

    async fn list_order(&self) -> Result<Finding> {
        let mut wanted = Vec::new();
        for _ in 0..3 {
            let written = self.put("order", "same", WriteCondition::None).await?;
            wanted.insert(0, self.version("order", &written)?);
        }
        let listed = self.versions_below("order").await?;
        Ok(holds(listed == wanted, || {
            "a list does not have three versions with the newest first".into()
        }))
    }

    /// What two writes came to that must be refused, with the versions that are there afterwards.
    async fn refused(&self, key: &str, writes: [Result<Written>; 2]) -> Result<Finding> {
        for write in writes {
            match write {
                Err(Error::ConditionFailed { .. }) => {}
                Ok(_) => {
                    return Ok(Finding::Missing {
                        seen: "it was done although its condition does not hold".into(),
                    });
                }
                Err(error) => {
                    return Ok(Finding::Missing {
                        seen: error.to_string(),
                    });
                }
            }
        }
        let count = self.versions_below(key).await?.len();
        Ok(holds(count == 1, || {
            format!("{count} versions are there after writes that were refused")
        }))
    }

    async fn conditional_put(&self) -> Result<Finding> {
        let first = self
            .put("put-if", "one", WriteCondition::IfNoneMatch)
            .await?;
        let other = self.put("other", "other", WriteCondition::None).await?;
        let writes = [
            self.put("put-if", "two", WriteCondition::IfNoneMatch).await,
            self.put("put-if", "two", WriteCondition::IfMatch(other.etag))
                .await,
        ];
        let finding = self.refused("put-if", writes).await?;
        if finding == Finding::Holds {
            self.put("put-if", "two", WriteCondition::IfMatch(first.etag))
                .await?;
        }
        Ok(finding)
    }

    async fn conditional_copy(&self) -> Result<Finding> {
        let written = self.put("source", "bytes", WriteCondition::None).await?;
        let source = self.version("source", &written)?;
        let other = self.put("other", "other", WriteCondition::None).await?;
        let first = self
            .copy(&source, "copy-if", WriteCondition::IfNoneMatch)
            .await;
        let first = match first {
            Ok(first) => first,
            Err(error) => {
                return Ok(Finding::Missing {
                    seen: error.to_string(),
                });
            }
        };
        let writes = [
            self.copy(&source, "copy-if", WriteCondition::IfNoneMatch)
                .await,
            self.copy(&source, "copy-if", WriteCondition::IfMatch(other.etag))
                .await,
        ];
        let finding = self.refused("copy-if", writes).await?;
        if finding == Finding::Holds {
            self.copy(&source, "copy-if", WriteCondition::IfMatch(first.etag))
                .await?;
        }
        Ok(finding)
    }

    async fn exact_copy(&self) -> Result<Finding> {
        let one = self.put("exact", "one", WriteCondition::None).await?;
        self.put("exact", "two", WriteCondition::None).await?;
        let from = self.version("exact", &one)?;
        let copy = self.copy(&from, "exact-copy", WriteCondition::None).await?;
        let copy = self.version("exact-copy", &copy)?;
        let (read, info) = (
            self.read(&copy).await?,
            self.store.head_version(&copy).await?,
        );
        let mark = info
            .metadata
            .user
            .get("two-buckets-probe")
            .map(String::as_str);
        Ok(match (read == "one", mark == Some(self.name)) {
            (true, true) => Finding::Holds,
            (false, _) => Finding::Missing {
                seen: "a copy has the bytes of another version".into(),
            },
            (true, false) => Finding::Missing {
                seen: "a copy does not have the metadata that was set on it".into(),
            },
        })
    }

    async fn checksums(&self) -> Result<Finding> {
        let written = self.put("sum", "123456789", WriteCondition::None).await?;
        let source = self.version("sum", &written)?;
        let copy = self.copy(&source, "sum-copy", WriteCondition::None).await?;
        let copy = self.version("sum-copy", &copy)?;
        let mut hasher = Algorithm::Crc64Nvme.hasher();
        hasher.update(b"123456789");
        let wanted = hasher.finish();
        for at in [source, copy] {
            let info = self.store.head_version(&at).await?;
            if info.full_checksum(Algorithm::Crc64Nvme) != Some(&wanted) {
                return Ok(Finding::Missing {
                    seen: format!("{} does not have its CRC64NVME", at.key),
                });
            }
        }
        Ok(Finding::Holds)
    }

    async fn exact_delete(&self) -> Result<Finding> {
        let one = self.put("delete", "one", WriteCondition::None).await?;
        let two = self.put("delete", "two", WriteCondition::None).await?;
        self.store
            .delete_version(&self.version("delete", &one)?)
            .await?;
        let left = self.versions_below("delete").await?;
        Ok(holds(left == [self.version("delete", &two)?], || {
            "after one of two versions was deleted, the other is not all there is".into()
        }))
    }

    /// As far as it works; some thirty versions are less than a page.
    async fn clean_up(&self) {
        for version in self.versions_below("").await.unwrap_or_default() {
            if let Err(error) = self.store.delete_version(&version).await {
                tracing::warn!(bucket = %version.bucket, key = %version.key, %error,
                    "an object of a probe was not deleted");
            }
        }
    }
}
