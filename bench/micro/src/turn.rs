use std::hint::black_box;

use two_buckets_objects::{
    ETag, ListedVersion, Metadata, ObjectInfo, ObjectRef, VersionId, VersionRef,
};
use two_buckets_pipeline::archive::{Placement, place as place_in_archive};
use two_buckets_pipeline::ledger::{Capabilities, MovedInOne, SourceFacts, Started};
use two_buckets_pipeline::step::{Action, Choice, Input, Offers, Rules, Stopped, Work, choose};
use two_buckets_pipeline::{
    ArchiveRecord, Begin, BootId, FencingToken, Holder, Lease, Report, Routes, Settings, Upload,
    UploadId, Why,
};

use crate::store::{NOW, archive, place};
use crate::{Case, Run, SMALL_BYTES};

/// A worker's turn on one plain file, without any effect: the steps of the protocol where ledger and buckets are one store,
/// and between them what the ledger does to the row.
pub(crate) const PLAIN: Case = Case::new("turn-of-a-plain-file", |_| plain());

fn plain() -> Run {
    let rules = Rules {
        archive: archive(),
        attempts_max: Rules::ATTEMPTS_MAX_DEFAULT,
        troubles_max: Rules::TROUBLES_MAX_DEFAULT,
        ledger: Capabilities {
            starts_in_one: true,
            moves_in_one: true,
        },
        routes: Routes::default(),
    };
    let key = place(1);
    let version = ListedVersion {
        key: key.key.clone(),
        version_id: VersionId::new("000000000000000000000000000000ab"),
        is_latest: true,
        is_delete_marker: false,
        last_modified: NOW,
        size_bytes: SMALL_BYTES as u64,
        etag: Some(ETag::of_md5([7; 16])),
    };
    let report = Report::new(r#"{"media_type":"text/plain","size":4096}"#.into());
    let report = report.expect("a short report");
    Box::new(move || {
        let stopped = turn(&rules, &key, &version, &report);
        assert_eq!(stopped, Action::Stop(Stopped::Idle));
        black_box(stopped);
    })
}

fn turn(rules: &Rules, key: &ObjectRef, version: &ListedVersion, report: &Report) -> Action {
    let (work, action) = Work::begin(rules, key.clone(), Why::Event);
    assert_eq!(action, Action::List);
    let (work, action) = work.step(
        rules,
        Input::Listed {
            versions: vec![version.clone()],
            is_complete: true,
        },
    );
    let Action::Start { versions } = action else {
        panic!("{action:?}");
    };
    let (work, action) = work.step(rules, Input::Started(started(key, &versions)));
    let Action::Process { upload, .. } = action else {
        panic!("{action:?}");
    };
    let (work, action) = work.step(rules, Input::Processed(Ok(report.clone())));
    let Action::Move { report, .. } = action else {
        panic!("{action:?}");
    };
    let moved = MovedInOne::Moved {
        upload: Box::new(archived(*upload, report)),
        was_released: true,
    };
    work.step(rules, Input::Moved(moved)).1
}

/// What the ledger does when an attempt begins.
fn started(key: &ObjectRef, versions: &[ListedVersion]) -> Started {
    let id = UploadId::new("1").expect("a legal id");
    let uploads: Vec<Upload> = versions
        .iter()
        .map(|version| Upload::listed(id.clone(), key.clone(), 1, version))
        .collect();
    let offers = Offers {
        leftovers: true,
        looks: false,
    };
    let (Choice::Try(upload), has_more) = choose(black_box(&uploads), NOW, offers) else {
        panic!("a new upload is due");
    };
    let at = upload.version().expect("it was listed");
    let source = ObjectInfo {
        at,
        size_bytes: SMALL_BYTES as u64,
        etag: ETag::of_md5([7; 16]),
        last_modified: NOW,
        checksums: Vec::new(),
        metadata: Metadata::default(),
    };
    let facts = SourceFacts::of(&source, upload);
    let begun = upload
        .clone()
        .begin_attempt(Rules::ATTEMPTS_MAX_DEFAULT, NOW);
    let Begin::Begun(mut upload) = begun else {
        panic!("a new upload is due");
    };
    upload.media_type = facts.media_type;
    Started::Begun {
        lease: Lease {
            key: key.clone(),
            holder: Holder("worker".into()),
            token: FencingToken(1),
            expires_at: NOW.after(Settings::LEASE_LIFE_DEFAULT),
            boot: BootId(1),
            dirty: false,
            job: None,
        },
        upload: Box::new(upload),
        source: Box::new(source),
        has_more,
    }
}

/// What the ledger does when its version is moved.
fn archived(mut upload: Upload, report: Report) -> Upload {
    let mark = upload.mark().expect("it was listed");
    let placement = place_in_archive(&mark, None);
    assert!(matches!(placement, Placement::Current(_)));
    let record = ArchiveRecord {
        at: VersionRef {
            bucket: archive(),
            key: upload.key.key.clone(),
            version_id: mark.source_version,
        },
        checksum: None,
    };
    upload.record_archived(record, false, Some(report), NOW);
    upload.close();
    upload
}
