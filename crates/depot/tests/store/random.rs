//! Random sequences of operations, against the model.

use proptest::prelude::*;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::storage::memory::Fault;

use crate::model::Model;
use crate::operations::{Operation, operation};
use crate::world::{Place, Step, World};

fn agrees_with_the_model(place: Place, operations: &[Operation]) -> World {
    let mut world = World::new(place).unwrap();
    assert!(matches!(world.begin(), Step::Agreed));
    for operation in operations {
        if matches!(world.run(operation), Step::Broke(_)) {
            panic!("{operation:?} broke on a sound disk");
        }
    }
    world.compare(&world.model).unwrap();
    world.run(&Operation::Reopen);
    world.compare(&world.model).unwrap();
    world
}

/// Runs until the machine stops at this operation of the disk, opens what is left of the disk, and compares: everything
/// acknowledged must be there, and of what was under way all or nothing.
fn survives_a_crash(operations: &[Operation], at: u64, seed: u64) {
    let storage = MemoryStorage::new();
    storage.fault_at(at, Fault::Crash);
    let mut before = Model::default();
    let mut after = None;
    if let Ok(mut world) = World::new(Place::Memory(storage.clone())) {
        let mut step = world.begin();
        let mut operations = operations.iter();
        while let (Step::Agreed, Some(operation)) = (&step, operations.next()) {
            step = world.run(operation);
        }
        before = world.model.clone();
        if let Step::Broke(model) = step {
            after = Some(*model);
        }
        world.depot = None;
        world.place = Place::Memory(storage.after_crash(seed));
        world.depot = Some(world.place.open(&world.clock).unwrap());
        if let Err(difference) = world.compare(&before) {
            let after = after.as_ref().map(|after| world.compare(after));
            assert!(
                matches!(after, Some(Ok(()))),
                "not as before the crash: {difference}; and not as after it: {after:?}"
            );
        }
        let Place::Memory(storage) = world.place.clone() else {
            unreachable!("it is in memory")
        };
        world.delete_everything();
        assert_eq!(blob_files(&storage), Vec::<String>::new());
    } else {
        let mut world = World::new(Place::Memory(storage.after_crash(seed))).unwrap();
        world.compare(&before).unwrap();
        assert!(matches!(world.begin(), Step::Agreed));
    }
}

fn disk_operations(operations: &[Operation]) -> u64 {
    let storage = MemoryStorage::new();
    drop(agrees_with_the_model(
        Place::Memory(storage.clone()),
        operations,
    ));
    storage.operations()
}

fn blob_files(storage: &MemoryStorage) -> Vec<String> {
    storage
        .files()
        .into_keys()
        .filter(|path| path.starts_with("blobs/"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does_and_keeps_no_body_nobody_names(
        operations in prop::collection::vec(operation(), 1..120),
    ) {
        let storage = MemoryStorage::new();
        let mut world = agrees_with_the_model(Place::Memory(storage.clone()), &operations);
        world.delete_everything();
        prop_assert_eq!(blob_files(&storage), Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does_on_real_files(
        operations in prop::collection::vec(operation(), 1..80),
    ) {
        let folder = tempfile::tempdir().unwrap();
        agrees_with_the_model(Place::Folder(folder.path().to_owned()), &operations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn after_a_crash_at_any_write_all_that_was_acknowledged_is_there_and_nothing_by_half(
        operations in prop::collection::vec(operation(), 1..40),
        at in 0.0..1.0_f64,
        seed in any::<u64>(),
    ) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "any place among some hundred will do"
        )]
        let at = (disk_operations(&operations) as f64 * at) as u64;
        survives_a_crash(&operations, at, seed);
    }
}
