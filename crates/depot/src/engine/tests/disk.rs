//! A real folder with the index on the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use two_buckets_objects::Timestamp;

use super::world::{RUN, Step, act, state, states};
use crate::engine::Engine;
use crate::{Depot, OpenError, Options};

fn open(folder: &Path) -> Result<Depot, OpenError> {
    Depot::open(
        folder,
        Options {
            clock: Arc::new(|| Timestamp::from_millis(1_000)),
            just_moved_grace: Duration::ZERO,
            small_body_bytes_max: 1 << 10,
            on_created: None,
            record_change: None,
        },
    )
}

fn engine(depot: &Depot) -> &Engine {
    &depot.inner.engine
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_store_closed_or_killed_after_any_transaction_opens_with_all_of_them() {
    let states = states();
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let mut depot = open(&live).unwrap();
    for (n, step) in RUN.iter().enumerate() {
        act(engine(&depot), *step).unwrap();
        assert_eq!(state(engine(&depot)), states[n + 1]);
        if n % 5 == 3 {
            // A copy of the files of a running store is what a kill would leave.
            let killed = folder.path().join(format!("killed-{n}"));
            copy(&live, &killed);
            let killed = open(&killed).unwrap();
            assert_eq!(state(engine(&killed)), states[n + 1]);
        }
        if n % 8 == 6 {
            drop(depot);
            depot = open(&live).unwrap();
            assert_eq!(state(engine(&depot)), states[n + 1]);
        }
    }
}

#[test]
fn a_folder_is_made_for_its_owner_only_and_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/data");
    let depot = open(&data).unwrap();
    let mode = fs::metadata(&data).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(matches!(open(&data), Err(OpenError::Locked)));
    drop(depot);
    drop(open(&data).unwrap());

    // A process that a killed owner was about to start lets go of it in a moment.
    let held = fs::File::open(data.join("LOCK")).unwrap();
    held.lock().unwrap();
    let letting_go = thread::spawn(move || {
        thread::park_timeout(Duration::from_millis(100));
        drop(held);
    });
    drop(open(&data).unwrap());
    letting_go.join().unwrap();

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), "mine").unwrap();
    assert!(matches!(open(&foreign), Err(OpenError::NotADataFolder(_))));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
}

#[test]
fn an_index_that_lost_its_latest_is_caught_up_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let old_index = folder.path().join("index");
    let depot = open(&live).unwrap();
    for step in RUN.iter().take(5) {
        act(engine(&depot), *step).unwrap();
    }
    drop(depot);
    copy(&live.join("index"), &old_index);
    let depot = open(&live).unwrap();
    for step in RUN.iter().skip(5) {
        act(engine(&depot), *step).unwrap();
    }
    let last = state(engine(&depot));
    drop(depot);
    fs::remove_dir_all(live.join("index")).unwrap();
    copy(&old_index, &live.join("index"));
    let depot = open(&live).unwrap();
    assert_eq!(state(engine(&depot)), last);
}

#[test]
fn many_writers_on_a_real_folder_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let depot = open(&live).unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer: u8| {
            let depot = depot.clone();
            thread::spawn(move || {
                for n in 0..40 {
                    let key: &'static str = format!("body {writer}-{n}").leak();
                    let size = if n % 20 == 0 { 5_000 } else { 500 };
                    act(engine(&depot), Step::Put(key, writer, size)).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let killed = folder.path().join("killed");
    copy(&live, &killed);
    assert_eq!(state(engine(&open(&killed).unwrap())).len(), 320);
}
