//! Two Buckets' traits on one machine.

mod blocking;
mod changes;
mod function;
mod grants;
mod histogram;
mod jobs;
mod lanes;
mod ledger;
mod oldest;
mod pausing;
mod replaying;
mod store;
mod sweeps;
mod tracker;
mod unnoted;
mod wake;
mod worker;

pub use blocking::StoreCalls;
pub use function::{
    Function, FunctionAccess, FunctionOptions, JobAccess, SessionIssuer,
    StartError as FunctionStartError,
};
pub use grants::{DepotGrants, GrantOptions};
pub use histogram::Durations;
pub use jobs::{BegunJob, JobError, Jobs, RanJob};
pub use lanes::Lanes;
pub use ledger::{DepotLedger, History, LedgerFigures};
pub use store::DepotStore;
pub use sweeps::{LastSweep, SweepFigures};
pub use tracker::LedgerTracker;
pub use wake::{EventFault, FindEventFault, WakeQueue};
pub use worker::{
    DepotClock, InTask, Options as WorkerOptions, StartError, SweepHandle, Workers, ring,
    sweep_always, work,
};
