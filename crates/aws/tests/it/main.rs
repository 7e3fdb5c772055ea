//! The traits on AWS, against servers that speak its protocols on this machine.
#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test and panics where a promise is broken"
)]

mod ledger;
mod moto;
mod queue;
mod s3;
mod wire;
mod worker;
