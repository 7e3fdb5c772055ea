//! The pipeline on the embedded store, from a version in staging to its archive record.

#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test and panics where a promise is broken"
)]

mod bench;
mod blocking;
mod contracts;
mod crashes;
mod figures;
mod grants;
mod history;
mod jobs;
mod minted;
mod oldest;
mod overtaken;
mod pausing;
mod replaying;
mod workers;
