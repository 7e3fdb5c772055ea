//! A copy that landed and was not verified, because the archive did not answer.
//!
//! The turn gave way and left no word that the archive may have the upload. A later upload was archived meanwhile, so the
//! next attempt found a newer version current, took its own for late, and archived it a second time under its late key. The
//! model found it. Now whoever sees the upload in the archive, by its own copy or by looking, says so until it is recorded.

#![expect(clippy::unwrap_used, reason = "everything here is a test")]

use two_buckets_objects::{
    ETag, ListedVersion, Metadata, ObjectInfo, ObjectRef, Timestamp, VersionId, Written,
};
use two_buckets_pipeline::archive::Mark;
use two_buckets_pipeline::ledger::{Capabilities, Noted};
use two_buckets_pipeline::step::{Action, Input, Rules, Turn, Work};
use two_buckets_pipeline::{Begin, Report, Routes, Upload, UploadId, Why};

#[test]
fn an_upload_whose_copy_was_not_verified_is_looked_for_when_it_is_tried_again() {
    assert!(deferred_to_look(false));
}

#[test]
fn an_upload_that_was_seen_as_current_and_not_verified_is_looked_for_when_it_is_tried_again() {
    assert!(deferred_to_look(true));
}

/// Goes to the verification, lets the archive not answer, and says whether the next attempt is told to look there.
fn deferred_to_look(is_current_already: bool) -> bool {
    let rules = Rules {
        archive: "archive".parse().unwrap(),
        attempts_max: 2,
        troubles_max: 0,
        ledger: Capabilities::default(),
        routes: Routes::default(),
    };
    let key = ObjectRef {
        bucket: "staging".parse().unwrap(),
        key: "a".parse().unwrap(),
    };
    let version = ListedVersion {
        key: key.key.clone(),
        version_id: VersionId::new("v1"),
        is_latest: true,
        is_delete_marker: false,
        last_modified: Timestamp::from_millis(10),
        size_bytes: 1,
        etag: Some(ETag::new("e")),
    };
    let row = Upload::listed(UploadId::new("1").unwrap(), key.clone(), 1, &version);
    let now = Timestamp::from_millis(100);
    let Begin::Begun(begun) = row.clone().begin_attempt(2, now) else {
        panic!("a new upload can be tried");
    };
    let mut source = ObjectInfo {
        at: row.version().unwrap(),
        size_bytes: 1,
        etag: ETag::new("e"),
        last_modified: version.last_modified,
        checksums: Vec::new(),
        metadata: Metadata::default(),
    };
    let mut inputs = vec![
        Input::Claimed,
        Input::Listed {
            versions: vec![version],
            is_complete: true,
        },
        Input::Noted {
            noted: Noted {
                uploads: vec![row.clone()],
                archived_mint: None,
            },
            now,
        },
        Input::Source(Some(Box::new(source.clone()))),
        Input::Begun(Box::new(Begin::Begun(begun))),
        Input::Processed(Ok(Report::default())),
    ];
    if is_current_already {
        let staged = row.staged.unwrap();
        let mark = Mark {
            source_version: staged.version_id,
            order: staged.order,
        };
        source.at.bucket = "archive".parse().unwrap();
        source.metadata.user = mark.pairs().into_iter().collect();
        inputs.push(Input::ArchiveHead(Some(Box::new(source))));
    } else {
        inputs.push(Input::ArchiveHead(None));
        inputs.push(Input::Copied(Written {
            version_id: VersionId::new("x1"),
            etag: ETag::new("e"),
            last_modified: now,
        }));
    }
    let (mut work, mut action) = Work::begin(&rules, key, Why::Event);
    for input in inputs {
        (work, action) = work.step(&rules, input);
    }
    assert!(matches!(action, Action::Verify { .. }));
    let (_, action) = work.step(&rules, Input::StoreFailed("no answer".into()));
    let Action::End {
        turn: Turn::Deferred { .. },
        look_in_archive,
        ..
    } = action
    else {
        panic!("{action:?} where the turn gives way");
    };
    look_in_archive
}
