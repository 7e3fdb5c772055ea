//! Every interleaving of a small world, driven by the real steps.
//!
//! What decides is `pipeline`'s own code, called and not copied: [`Work::step`](two_buckets_pipeline::step::Work::step)
//! for every turn of a worker and a job, [`choose`](two_buckets_pipeline::step::choose) and
//! [`place`](two_buckets_pipeline::archive::place), [`Upload`](two_buckets_pipeline::Upload)'s methods for every change of
//! a row, [`VersionsOfKey`](two_buckets_pipeline::staging::VersionsOfKey) for what is listed,
//! [`copied`](two_buckets_pipeline::staging::copied) for what a store's answer means,
//! [`compare`](two_buckets_pipeline::verify::compare) for what is verified,
//! [`KeySeen`](two_buckets_pipeline::KeySeen) and [`Overdue`](two_buckets_pipeline::Overdue) for what a sweep does, and
//! [`to_start`](two_buckets_pipeline::job::to_start) for which job begins. What surrounds it is the world: two buckets, a
//! ledger, workers. The actions have the steps' own names: `effects.rs` reads beside `pipeline`'s `driver/effect.rs`.
//!
//! # Fault model
//!
//! * Events are lost, doubled, and wait as long as they like, in any order.
//! * A worker, a job, a sweep or the whole server dies between any two effects.
//! * A lease runs out at any moment while its holder goes on: its copy may land when others have set the upload aside.
//! * A copy answers 409, 412, an error inside a 200, or nothing at all, having landed or not; or lands with other bytes.
//! * A store does not answer, having deleted or not.
//! * The function fails for a while, for good, or ends without an answer.
//! * Clients overwrite, send the same bytes again, complete a multipart late that they began first, stay away, delete
//!   their version, or delete by name and leave a marker.
//! * An operator retries what failed and cancels jobs.
//!
//! Conditions on the archive compare `ETag`s, as S3 does; uploads with equal bytes have equal ones.
//! Not in it: a ledger that does not answer (as a crash, to all others), time that goes back, more than
//! two keys, and what `depot` and the adapters do inside one call: that is for the simulator and the contracts.
//!
//! # Size
//!
//! [`table`] lists what is searched, each without a bound on length: at most two workers, three uploads under two keys of
//! which the first is a prefix of the second, two attempts each, and so many faults as each entry says.
//! [`table::WHOLE`] and [`table::WHOLE_LATE`] have everything at once with any one fault, and [`table::WHOLE_SWEPT`] and
//! [`table::WHOLE_LATE_SWEPT`] with a sweep at any moment; [`table::LONG`] have both, and are searched by a test of their
//! own, outside CI. [`endless`] shows of all but those that every way ends, so
//! that what is checked at ends is checked on every way.
//!
//! # Reductions
//!
//! Each is of states that no later move or promise can tell apart.
//!
//! * Fencing tokens count only by whether a worker's is its key's lease's: tokens grow, so an old one stays old.
//! * Workers are equal: which of them has a turn makes no difference, and a wake-up goes to the first idle one.
//! * A pause is over at once: nothing but its own worker sees it.
//! * More than three wake-ups for a key are three. Numbers of first listing grow within a key, where they are compared.
//! * A sweep looks at all unfinished rows at one moment: what it finds is a wake-up, and that waits as long as it likes.
//! * A world in which no fault is left is the same whatever kinds were left. Nothing happens behind a broken promise.
//! * Waits end, leases run out, jobs that ended before they had begun are started again and it is time to look for what was set
//!   aside only when all is quiet, all of it at once; at any other moment a lease's end is a fault.
//!
//! States are told apart by 64-bit sums: among ten million, two fall together with a chance of three in a million.

pub mod bugs;
pub mod configuration;
mod effects;
pub mod endless;
mod ledger;
pub mod moves;
pub mod promises;
pub mod search;
mod store;
mod sweep;
pub mod table;
mod trace;
pub mod tutorial;
pub mod world;

pub use bugs::Bug;
pub use configuration::Configuration;
pub use search::{Figures, Found, Search, Trace};

/// Searches every configuration in so many threads and says of each how large it was. Ends at the first that breaks a
/// promise, with the shortest way to it in words.
pub fn run(threads: usize, mut told: impl FnMut(&Figures)) -> Result<(), String> {
    for config in table::CONFIGURATIONS {
        held(config, Search::run(*config, threads), &mut told)?;
    }
    Ok(())
}

/// As [`run`], of the largest, which take minutes each.
pub fn run_long(threads: usize, mut told: impl FnMut(&Figures)) -> Result<(), String> {
    for config in table::LONG {
        held(config, Search::run_deep(*config, threads), &mut told)?;
    }
    Ok(())
}

fn held(
    config: &Configuration,
    found: Found,
    told: &mut impl FnMut(&Figures),
) -> Result<(), String> {
    told(&found.figures);
    if let Some(trace) = found.broken {
        let words = trace.in_words(config);
        return Err(format!("{}: {}\n{words}", config.name, trace.promise));
    }
    if !found.has_ended {
        return Err(format!("{}: nothing ever ends", config.name));
    }
    Ok(())
}
