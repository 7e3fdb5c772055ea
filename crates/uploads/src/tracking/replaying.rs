//! Copies what is archived to staging, to be processed again: a bounded number of keys in each portion, and of portions
//! in each call. How far it is outlives whoever asked for it.

use std::future::Future;

use two_buckets_objects::{Key, Timestamp, VersionRef};
use two_buckets_pipeline::archive::is_reserved;

use crate::{Error, Replay, ReplaySelection, Replayed, Result};

/// How far a replay is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The prefix.
    pub prefix: String,
    /// Only what was archived since then.
    pub since: Option<Timestamp>,
    /// When it began.
    pub began_at: Timestamp,
    /// The key it goes on behind; none at its beginning.
    pub after: Option<String>,
}

/// How far the replay must be that is begun or gone on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Before {
    /// It begins anew, whatever was there.
    Whatever,
    /// It begins, and none of its prefix is unfinished.
    Nothing,
    /// It is there.
    At(Run),
}

/// A page of what is archived, in the order of the keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ArchivedPage {
    /// The current versions of keys that are not deleted.
    pub current: Vec<Archived>,
    /// The key behind which the next page begins; none on the last.
    pub next: Option<String>,
}

/// The current version of an archived key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archived {
    /// The key.
    pub key: Key,
    /// When it was archived.
    pub last_modified: Timestamp,
    /// Its size.
    pub size_bytes: u64,
}

/// What a portion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// How many versions were copied.
    pub copied: u64,
    /// How many bytes these have together.
    pub size_bytes: u64,
}

/// The most that is copied when somebody asks once: so much takes some seconds. What is begun is ended, so that it may
/// be somewhat more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Portion {
    /// How many files.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How many pages of what is archived are looked at.
    pub pages: u64,
}

/// What a host brings: where what is archived is read, copied, and how far that is is kept. One for each call.
pub trait Replays: Send {
    /// The most that one call copies.
    fn portion(&self) -> Portion;

    /// The time, for when a replay began.
    fn now(&self) -> Timestamp;

    /// The replay of this prefix that has not come to its end, if there is one.
    fn unfinished(&mut self, prefix: &str) -> impl Future<Output = Result<Option<Run>>> + Send;

    /// Some of what is archived under the prefix behind the key that was reached.
    fn list(&mut self, run: &Run) -> impl Future<Output = Result<ArchivedPage>> + Send;

    /// Copies the current versions of these archived keys to staging, and keeps how far the replay is; with `is_last` it
    /// has come to its end. What has no current version any more is passed over.
    ///
    /// None unless the replay is where the caller left it, or found it, so that of two that go on at once one stops.
    fn copy(
        &mut self,
        keys: Vec<Key>,
        before: &Before,
        run: &Run,
        is_last: bool,
    ) -> impl Future<Output = Result<Option<Batch>>> + Send;

    /// Copies one archived version to staging; none if it is not there.
    fn copy_version(
        &mut self,
        at: &VersionRef,
    ) -> impl Future<Output = Result<Option<Batch>>> + Send;

    /// The size of an archived version; none if it is not there.
    fn size_of(&mut self, at: &VersionRef) -> impl Future<Output = Result<Option<u64>>> + Send;
}

/// Replays what is selected, or says what it would; a portion of it, if it is much.
pub async fn replay<R: Replays>(
    mut replays: R,
    archive: &two_buckets_objects::BucketName,
    replay: Replay,
) -> Result<Replayed> {
    match replay.selection {
        ReplaySelection::Version { key, version_id } => {
            if is_reserved(&key) {
                return Err(Error::Refused {
                    reason: "keys that begin with _results/ or _late/ are the pipeline's own and are not processed; copy the file to its key in staging by hand".into(),
                });
            }
            let at = VersionRef {
                bucket: archive.clone(),
                key,
                version_id,
            };
            let replayed = one(&mut replays, &at, replay.is_dry_run).await?;
            replayed.ok_or_else(|| Error::NotFound {
                what: "this version in the archive".into(),
            })
        }
        ReplaySelection::Prefix { prefix, since } => {
            let unfinished = if replay.is_anew {
                None
            } else {
                replays.unfinished(&prefix).await?
            };
            let before = match (&unfinished, replay.is_anew) {
                (_, true) => Before::Whatever,
                (Some(run), _) => Before::At(run.clone()),
                (None, _) => Before::Nothing,
            };
            let continued_since = unfinished.as_ref().map(|run| run.began_at);
            let run = unfinished.unwrap_or_else(|| Run {
                prefix,
                since,
                began_at: replays.now(),
                after: None,
            });
            let mut done = Replayed {
                continued_since,
                ..Replayed::default()
            };
            many(&mut replays, before, run, replay.is_dry_run, &mut done).await?;
            Ok(done)
        }
    }
}

async fn one<R: Replays>(
    replays: &mut R,
    at: &VersionRef,
    is_dry_run: bool,
) -> Result<Option<Replayed>> {
    if is_dry_run {
        let size_bytes = replays.size_of(at).await?;
        return Ok(size_bytes.map(|size_bytes| Replayed {
            matched: 1,
            size_bytes,
            ..Replayed::default()
        }));
    }
    let batch = replays.copy_version(at).await?;
    Ok(batch.map(|batch| Replayed {
        matched: batch.copied,
        replayed: batch.copied,
        size_bytes: batch.size_bytes,
        ..Replayed::default()
    }))
}

async fn many<R: Replays>(
    replays: &mut R,
    mut before: Before,
    mut run: Run,
    is_dry_run: bool,
    done: &mut Replayed,
) -> Result<()> {
    let portion = replays.portion();
    for pages in 1.. {
        let page = replays.list(&run).await?;
        let is_last = page.next.is_none();
        run.after = page.next;
        let is_wanted = |archived: &Archived| {
            !is_reserved(&archived.key)
                && run
                    .since
                    .is_none_or(|since| archived.last_modified >= since)
        };
        let wanted: Vec<_> = page.current.into_iter().filter(is_wanted).collect();
        done.matched += wanted.len() as u64;
        if is_dry_run {
            done.size_bytes += wanted
                .iter()
                .map(|archived| archived.size_bytes)
                .sum::<u64>();
        } else {
            let keys = wanted.into_iter().map(|archived| archived.key).collect();
            let copied = replays.copy(keys, &before, &run, is_last).await?;
            let batch = copied.ok_or_else(|| Error::Conflict {
                reason: "another replay of this prefix is under way; this one ends here".into(),
            })?;
            before = Before::At(run.clone());
            done.replayed += batch.copied;
            done.size_bytes += batch.size_bytes;
        }
        if is_last {
            return Ok(());
        }
        let is_enough = done.replayed >= portion.files
            || done.size_bytes >= portion.bytes
            || pages >= portion.pages;
        // A dry run keeps nothing to go on from.
        if is_enough && !is_dry_run {
            done.has_more = true;
            return Ok(());
        }
    }
    Ok(())
}
