//! The pipeline as Lambda functions: what they are called with, what they answer, and their ends.
//!
//! [`Processing`] and [`sweep`] know no runtime, so that tests call them as Lambda does; [`run_processor`] and
//! [`run_sweep`] are the programs.

mod event;
mod logs;
mod processing;
mod program;

pub use event::{Event, NotAnEvent};
pub use logs::begin_logs;
pub use processing::{Failed, Processing};
#[cfg(feature = "api")]
pub(crate) use program::deadline;
pub use program::{Broken, run_processor, run_sweep, sweep};
