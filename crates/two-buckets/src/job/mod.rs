//! Jobs: files that are too big or too slow for the server's own workers, each processed by a process of its own.
//!
//! `docs/decisions/0004-jobs.md` says how it works and why. Here are both ends: the [`Desk`](desk) of the server, where
//! jobs ask, with the [`starter`] of their processes; and the job's own process, which [`run`] is.

mod client;
pub(crate) mod desk;
mod keeper;
mod process;
pub(crate) mod run;
pub(crate) mod starter;
mod store;
mod ticket;
mod wire;

pub(crate) use ticket::Tickets;

use std::path::{Path, PathBuf};

/// The folder in the data folder in which each job has one of its own. It is not below the scratch folder, which a
/// server empties when it starts: a job outlives it.
pub(crate) fn folders(data: &Path) -> PathBuf {
    data.join("jobs")
}

/// How the name begins by which a process of a job holds a key.
fn holder_of(process: u32) -> String {
    format!("job process {process} ")
}

/// The folder of the job with this ticket, by a part of it: nobody can make the ticket of that.
fn folder(data: &Path, ticket: &str) -> PathBuf {
    folders(data).join(ticket.get(..16).unwrap_or(ticket))
}
