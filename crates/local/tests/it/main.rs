//! The pipeline on the embedded store, from a version in staging to its archive record.

mod bench;
mod contracts;
mod crashes;
mod workers;
