//! A function for which there was no room did not run: its file is put off, and nothing is counted.

#![expect(clippy::unwrap_used, reason = "everything here is a test")]

use two_buckets_objects::{
    ETag, ListedVersion, Metadata, ObjectInfo, ObjectRef, Timestamp, VersionId,
};
use two_buckets_pipeline::ledger::{Capabilities, Noted};
use two_buckets_pipeline::step::{Action, Input, Rules, Work};
use two_buckets_pipeline::{Begin, ProcessError, Routes, State, Upload, UploadId, Why};

/// Ends the last attempt that an upload has by this error; gives its row.
fn after_the_last_attempt(error: &ProcessError) -> Upload {
    const ATTEMPTS_MAX: u32 = 2;
    let rules = Rules {
        archive: "archive".parse().unwrap(),
        attempts_max: ATTEMPTS_MAX,
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
    let mut row = Upload::listed(UploadId::new("1").unwrap(), key.clone(), 1, &version);
    row.attempts = ATTEMPTS_MAX - 1;
    let now = Timestamp::from_millis(100);
    let source = ObjectInfo {
        at: row.version().unwrap(),
        size_bytes: 1,
        etag: ETag::new("e"),
        last_modified: version.last_modified,
        checksums: Vec::new(),
        metadata: Metadata::default(),
    };
    let Begin::Begun(begun) = row.clone().begin_attempt(ATTEMPTS_MAX, now) else {
        panic!("an attempt is left");
    };
    assert_eq!(begun.attempts, ATTEMPTS_MAX);
    let (mut work, mut action) = Work::begin(&rules, key, Why::Event);
    loop {
        let input = match action {
            Action::Claim => Input::Claimed,
            Action::List => Input::Listed {
                versions: vec![version.clone()],
                is_complete: true,
            },
            Action::Note { .. } => Input::Noted {
                noted: Noted {
                    uploads: vec![row.clone()],
                    archived_mint: None,
                },
                now,
            },
            Action::HeadSource { .. } => Input::Source(Some(Box::new(source.clone()))),
            Action::BeginAttempt { .. } => Input::Begun(Box::new(Begin::Begun(begun.clone()))),
            Action::Process { .. } => Input::Processed(Err(error.clone())),
            Action::End {
                turn,
                look_in_archive,
                ..
            } => {
                let mut ended = begun;
                ended.end(turn.into_end(look_in_archive, || now), now);
                return ended;
            }
            other => panic!("{other:?} was not expected"),
        };
        (work, action) = work.step(&rules, input);
    }
}

#[test]
fn a_file_does_not_fail_because_there_was_no_room_for_its_function() {
    let row = after_the_last_attempt(&ProcessError::NotRun("no room".into()));
    assert_eq!((row.state, row.attempts), (State::Pending, 1));
    assert_eq!(row.reason.as_deref(), Some("no room"));
    assert!(!row.look_in_archive);
    let row = after_the_last_attempt(&ProcessError::Transient("it failed".into()));
    assert_eq!((row.state, row.attempts), (State::Failed, 2));
}
