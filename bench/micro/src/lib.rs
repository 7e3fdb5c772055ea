//! The hot parts of a file's way from PUT to archive, each as a case: what is prepared, and what is measured.
//!
//! There is one list of them for both who measure: `benches/times.rs` has criterion time them (`cargo bench --package
//! two-buckets-micro`), and `count` repeats one of them for callgrind, which counts its instructions (`cargo xtask counts`).
//!
//! Most hot parts are private, and stay so: a case calls the smallest public function that has its part in it, and does
//! little beside. So the encoding of rows of the ledger is measured by a call of the ledger.

mod depot;
mod description;
mod file;
mod hashing;
mod ledger;
mod signature;
mod store;
mod turn;

/// A part to be measured.
pub struct Case {
    /// Its name, for people, files and command lines.
    pub name: &'static str,
    /// Whether its instructions are counted too. They are not where a processor's own instructions for hashing are all that
    /// matters: callgrind's processor has others than the machine it runs on.
    pub is_counted: bool,
    /// Prepares as many runs as are asked for, and gives what does one of them. All that a run uses up is made here, so that
    /// it is no part of what is measured.
    pub prepare: fn(runs: usize) -> Run,
}

/// Does what is measured, once with each call.
pub type Run = Box<dyn FnMut()>;

/// Every case.
pub const CASES: &[Case] = &[
    signature::CHECKED,
    hashing::CRC64_SMALL,
    hashing::CRC64_LARGE,
    hashing::SHA256_SMALL,
    hashing::SHA256_LARGE,
    hashing::BODY_SMALL,
    hashing::BODY_LARGE,
    turn::PLAIN,
    ledger::READ,
    ledger::START_AND_MOVE,
    depot::PUT,
    depot::HEADS,
    depot::PAGE,
    description::TEXT,
    description::CSV,
    description::JSON,
    file::WHOLE,
];

/// The size of a small file, as in the other measurements.
const SMALL_BYTES: usize = 4 << 10;
/// The size of a piece of a large one.
const LARGE_BYTES: usize = 1 << 20;

impl Case {
    const fn new(name: &'static str, prepare: fn(usize) -> Run) -> Self {
        Self {
            name,
            is_counted: true,
            prepare,
        }
    }

    /// One whose instructions say nothing.
    const fn only_timed(self) -> Self {
        Self {
            is_counted: false,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::CASES;

    #[test]
    fn every_case_does_what_it_is_for_more_than_once() {
        for case in CASES {
            let mut run = (case.prepare)(3);
            for _ in 0..3 {
                run();
            }
        }
    }

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
