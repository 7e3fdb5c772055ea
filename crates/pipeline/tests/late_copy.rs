//! A copy that was on its way when its upload was set aside: it is looked for once, by then and behind all that is due, and
//! a store that fails at it holds up nobody.

#![expect(clippy::unwrap_used, reason = "everything here is a test")]

use two_buckets_objects::{
    Checksum, ETag, ListedVersion, Metadata, ObjectInfo, ObjectRef, Timestamp, VersionId,
    VersionRef,
};
use two_buckets_pipeline::ledger::{Capabilities, Noted};
use two_buckets_pipeline::step::{Action, Input, Rules, Stopped, Turn, Work};
use two_buckets_pipeline::{AttemptOutcome, Begin, End, Routes, State, Upload, UploadId, Why};

/// A key with two versions: the first was set aside in doubt, the second came later.
struct World {
    rows: Vec<Upload>,
    versions: Vec<ListedVersion>,
    now: Timestamp,
    moves_in_one: bool,
    /// What the archive has of the first.
    landed: Option<VersionRef>,
    archive_answers: bool,
    /// What was done, by the names of the actions and the version.
    done: Vec<String>,
}

fn key() -> ObjectRef {
    ObjectRef {
        bucket: "staging".parse().unwrap(),
        key: "a".parse().unwrap(),
    }
}

fn version(name: &str, millis: i64) -> ListedVersion {
    ListedVersion {
        key: key().key,
        version_id: VersionId::new(name),
        is_latest: true,
        is_delete_marker: false,
        last_modified: Timestamp::from_millis(millis),
        size_bytes: 1,
        etag: Some(ETag::new("e")),
    }
}

impl World {
    fn new() -> Self {
        let versions = vec![version("v1", 1), version("v2", 2)];
        let mut rows: Vec<Upload> = (1..)
            .zip(&versions)
            .map(|(number, version)| {
                let id = UploadId::new(version.version_id.as_str()).unwrap();
                Upload::listed(id, key(), number, version)
            })
            .collect();
        let end = End::Failed {
            reason: "no attempt is left".into(),
            outcome: AttemptOutcome::Crashed,
            look_in_archive: true,
        };
        rows[0].end(end, Timestamp::from_millis(10));
        Self {
            now: rows[0].last_look_at().unwrap(),
            rows,
            versions,
            moves_in_one: false,
            landed: None,
            archive_answers: true,
            done: Vec::new(),
        }
    }

    /// Takes a turn on the key.
    fn turn(&mut self) -> Stopped {
        let rules = Rules {
            archive: "archive".parse().unwrap(),
            attempts_max: 2,
            troubles_max: 1,
            ledger: Capabilities {
                moves_in_one: self.moves_in_one,
                ..Capabilities::default()
            },
            routes: Routes::default(),
        };
        let (mut work, mut action) = Work::begin(&rules, key(), Why::Event);
        for _ in 0..200 {
            if let Action::Stop(stopped) = action {
                return stopped;
            }
            let input = self.perform(action);
            (work, action) = work.step(&rules, input);
        }
        panic!("the turn does not end: {:?}", self.done)
    }

    fn row(&mut self, id: &UploadId) -> &mut Upload {
        self.rows.iter_mut().find(|row| row.id == *id).unwrap()
    }

    fn perform(&mut self, action: Action) -> Input {
        let now = self.now;
        match action {
            Action::Claim => Input::Claimed,
            Action::List => Input::Listed {
                versions: self.versions.clone(),
                is_complete: true,
            },
            Action::Note { .. } => Input::Noted {
                noted: Noted {
                    uploads: self.rows.clone(),
                    archived_mint: None,
                },
                now,
            },
            Action::HeadSource { version_id } => Input::Source(Some(Box::new(ObjectInfo {
                at: VersionRef {
                    bucket: key().bucket,
                    key: key().key,
                    version_id,
                },
                size_bytes: 1,
                etag: ETag::new("e"),
                last_modified: now,
                checksums: Vec::new(),
                metadata: Metadata::default(),
            }))),
            Action::FindArchived { mark, .. } => {
                self.done.push(format!("search {}", mark.source_version));
                if self.archive_answers {
                    Input::FoundArchived(self.landed.clone())
                } else {
                    Input::StoreFailed("no answer".into())
                }
            }
            Action::Verify { .. } => Input::Verified(Checksum {
                algorithm: two_buckets_objects::Algorithm::Crc64Nvme,
                kind: two_buckets_objects::ChecksumKind::FullObject,
                value: [0; 8].into(),
            }),
            Action::Record {
                id,
                record,
                is_late,
                report,
                ..
            } => {
                self.done.push(format!("record {id}"));
                self.row(&id).record_archived(record, is_late, report, now);
                Input::Done
            }
            Action::DeleteVersion { version_id } => {
                self.done.push(format!("delete {version_id}"));
                self.versions
                    .retain(|version| version.version_id != version_id);
                self.rows
                    .retain(|row| row.id.as_str() != version_id.as_str());
                Input::Done
            }
            Action::BeginAttempt { id, .. } => {
                self.done.push(format!("begin {id}"));
                let Begin::Begun(begun) = self.row(&id).clone().begin_attempt(2, now) else {
                    panic!("{id} can be tried");
                };
                *self.row(&id) = begun.clone();
                Input::Begun(Box::new(Begin::Begun(begun)))
            }
            // Set aside for a reason of its own, so that it is out of the way.
            Action::Process { .. } => Input::Processed(Err(
                two_buckets_pipeline::ProcessError::Permanent("bad".into()),
            )),
            Action::End {
                id,
                turn,
                look_in_archive,
                ..
            } => {
                let what = match &turn {
                    Turn::StaysFailed => "leave",
                    _ => "end",
                };
                self.done.push(format!("{what} {id}"));
                self.row(&id)
                    .end(turn.into_end(look_in_archive, || now), now);
                Input::Done
            }
            Action::Close { .. } | Action::Pause { .. } => Input::Done,
            Action::Release => Input::Released,
            other => panic!("{other:?} was not expected"),
        }
    }
}

#[test]
fn one_that_has_landed_is_recorded_and_leaves_staging_once_nothing_else_is_due() {
    let mut world = World::new();
    world.landed = Some(VersionRef {
        bucket: "archive".parse().unwrap(),
        key: key().key,
        version_id: VersionId::new("x"),
    });
    assert_eq!(world.turn(), Stopped::Idle);
    assert_eq!(
        world.done,
        ["begin v2", "end v2", "search v1", "record v1", "delete v1"]
    );
}

#[test]
fn one_that_never_lands_is_looked_for_once() {
    let mut world = World::new();
    assert_eq!(world.turn(), Stopped::Idle);
    assert_eq!(world.done, ["begin v2", "end v2", "search v1", "leave v1"]);
    assert_eq!(world.rows[0].state, State::Failed);
    world.done.clear();
    assert_eq!(world.turn(), Stopped::Idle);
    assert_eq!(world.done, Vec::<String>::new());
}

#[test]
fn nobody_looks_before_it_must_have_landed_or_where_nothing_lands_late() {
    let mut world = World::new();
    world.now = Timestamp::from_millis(world.now.millis() - 1);
    assert_eq!(world.turn(), Stopped::Idle);
    assert_eq!(world.done, ["begin v2", "end v2"]);
    let mut world = World::new();
    world.moves_in_one = true;
    assert_eq!(world.turn(), Stopped::Idle);
    assert_eq!(world.done, ["begin v2", "end v2"]);
}

#[test]
fn an_archive_that_does_not_answer_holds_up_nobody_and_is_asked_by_another_turn() {
    let mut world = World::new();
    world.archive_answers = false;
    // Not stalled: nothing is owed that would have to be tried in seconds.
    assert_eq!(world.turn(), Stopped::Idle);
    assert_eq!(world.done, ["begin v2", "end v2", "search v1", "search v1"]);
    assert!(world.rows[0].is_look_due(world.now));
    world.archive_answers = true;
    world.done.clear();
    assert_eq!(world.turn(), Stopped::Idle);
    assert_eq!(world.done, ["search v1", "leave v1"]);
}
