//! The protocol as a plain function: what happened goes in, the next action comes out.
//!
//! [`Work`] is a worker's turn on one key. [`Work::step`] takes the outcome of the last [`Action`] as an [`Input`] and
//! answers with the next one. Each action is one effect: one call of the ledger, the store or the function, so that a
//! crash between any two effects is a crash between two steps. Nothing here waits, reads a clock or draws a number.
//!
//! ```text
//! claim -> list -> [find gone] -> note -> head source -> [search] -> begin -> process
//!       -> head archive -> copy -> verify -> record -> delete -> close -> list ... -> release
//! ```
//!
//! An upload that is routed to a job is queued instead of begun, and the key let go. A job's turn is the same, for its
//! own upload only, and in two halves with the function between them: [`Work::begin_job`] to [`Action::Process`], and
//! [`Work::finish_job`].
//!
//! Where ledger and buckets are one store, `list -> start -> process -> move` is all of it; every way that is not plain
//! goes through the same steps as elsewhere.

mod action;
mod choice;
mod machine;
mod transition;

pub use action::{Action, CopyFailure, Input, Stopped, Turn};
pub use choice::{Choice, Offers, choose};
pub use machine::Work;

use two_buckets_objects::BucketName;

use crate::{Routes, ledger};

/// What the steps have to know of their host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rules {
    /// The archive bucket.
    pub archive: BucketName,
    /// The most attempts of an upload before it is set aside.
    pub attempts_max: u32,
    /// How often a store may fail to answer, or the archive may change under a copy, in one turn of an upload.
    pub troubles_max: u32,
    /// What the ledger can do in one call.
    pub ledger: ledger::Capabilities,
    /// Where uploads are processed.
    pub routes: Routes,
}

impl Rules {
    /// The attempts an upload gets unless configured otherwise.
    pub const ATTEMPTS_MAX_DEFAULT: u32 = 5;
    /// The troubles a turn takes before it gives way.
    pub const TROUBLES_MAX_DEFAULT: u32 = 5;
}
