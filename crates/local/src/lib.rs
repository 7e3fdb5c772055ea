//! Two Buckets' traits on one machine.

mod blocking;
mod ledger;
mod store;
mod wake;
mod worker;

pub use ledger::DepotLedger;
pub use store::DepotStore;
pub use wake::WakeQueue;
pub use worker::{DepotClock, Options as WorkerOptions, StartError, SweepHandle, Workers};
