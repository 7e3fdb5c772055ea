//! The host with real runtimes: a shell script, Rust's own client, Python's and Node's where they are installed, and one
//! that breaks the rules.
#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test and panics where a promise is broken"
)]

mod answers;
mod cgroup;
mod deadlines;
mod harness;
mod limits;
mod node;
mod output;
mod pool;
mod python;
mod rust;
mod starting;
mod strangers;
