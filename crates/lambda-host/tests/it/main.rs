//! The host with real runtimes: a shell script, Rust's own client, Python's and Node's where they are installed, and one
//! that breaks the rules.

mod answers;
mod deadlines;
mod harness;
mod limits;
mod output;
mod pool;
mod python;
mod rust;
mod starting;
mod strangers;
