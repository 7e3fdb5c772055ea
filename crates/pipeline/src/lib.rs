//! The protocol that takes uploads from the staging bucket to the archive bucket.
//!
//! The staging bucket is the queue: what is in it, with what the [`Ledger`] remembers, is the truth, and an event is
//! only a [wake-up](WakeUps). For one key at a time a worker claims the key's lease, lists its versions oldest first,
//! runs the function on one, archives exactly that version, verifies and records it, and only then deletes exactly
//! that version from staging.
//!
//! # Parts
//!
//! * [`mod@step`]: the protocol as a plain function from a state and what happened to the next state and one [`step::Action`].
//!   It performs nothing, so a model checker can drive it through every interleaving and crash.
//! * [`Driver`]: performs the actions, one call of a trait each, and renews the lease meanwhile.
//! * [`Upload`]: the ledger's row and its changes, pure as well, so that every ledger changes rows in the same way.
//! * [`Ledger`], [`Processor`], [`Clock`], [`WakeUps`]: what a host brings. The suites in `contracts` hold them to their promises.
//! * [`Sweeper`]: finds what no wake-up told of.
//!
//! # Promises
//!
//! * Nothing leaves staging before exactly that version is in the archive, verified and recorded.
//! * One archive record per upload, however often events, workers and crashes repeat.
//! * The archive's current version never goes back to an older upload of its key.
//! * The function runs at least once for each upload that is archived, under a lease with a fencing token; never "exactly once".
//!
//! Runtime, HTTP, clock and randomness are left to the host. The one thread made here is that of [`Incoming::blocking`],
//! and it is a processor's.

pub mod archive;
pub mod backoff;
mod clock;
mod driver;
pub mod job;
mod lease;
pub mod ledger;
mod processor;
mod route;
mod running;
mod saying;
pub mod staging;
pub mod step;
mod sweep;
mod upload;
pub mod verify;
mod wake;

pub use clock::Clock;
pub use driver::{Driver, JobClaim, Outcome, Settings, Tally};
pub use lease::{BootId, FencingToken, Holder, Lease};
pub use ledger::Ledger;
pub use processor::{
    AttemptLog, Blocking, CancelOnDrop, Cancellation, Content, DynProcessor, Incoming, LogExcerpt,
    Outputs, ProcessError, Processing, Processor, Progress, ProgressAt, Reader, Report, RetryAfter,
    SeekReader, Writer,
};
pub use route::{Route, Routes};
pub use saying::Saying;
pub use sweep::{Decision, KeySeen, Overdue, SweepError, Sweeper, Swept};
pub use upload::{
    ArchiveRecord, Attempt, AttemptOutcome, Begin, DeclaredOtherwise, End, Expectation,
    NotCancelled, NotRetried, Order, Staged, State, UnknownState, Upload, UploadId,
};
pub use wake::{WakeUp, WakeUps, Why};
