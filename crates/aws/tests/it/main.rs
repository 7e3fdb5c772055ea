//! The traits on AWS, against servers that speak its protocols on this machine.
#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test and panics where a promise is broken"
)]

mod canned;
mod function;
mod gateway;
mod grants;
mod jobs;
mod ledger;
mod moto;
#[cfg(feature = "operator")]
mod operator;
mod queue;
mod real;
mod s3;
mod tracker;
mod wire;
mod worker;
