//! A server of the Lambda Runtime API (2018-06-01): runs unmodified Lambda functions as child processes of this machine.
//!
//! A [`Host`] runs one function. It keeps a pool of execution environments: each is a process with an address of its own
//! for the Runtime API, which it asks for invocations, one at a time, as it would on Lambda. The crate promises that a
//! function that hangs, exits, leaks, floods its log, forks, or speaks garbage gives a [`Failure`] in clear words and harms
//! no other environment, and that no process of an environment is left once it has ended.
//! It leaves to others: what an event says, what a failure means for a file, retries, and who may call whom.
//!
//! Memory is limited by the kernel where the server has a control group to divide ([`Delegated`]), else watched.
//!
//! It is no sandbox: functions run as the server's user and can read what that user can. Linux is where all of this
//! holds; on other systems there is no `/proc`, so memory is not watched and processes that left their group are not found.

mod cgroup;
mod clock;
mod config;
mod ending;
mod environment;
mod environment_id;
mod exchange;
mod failure;
mod family;
mod function_error;
mod host;
mod invocation;
mod limits;
mod members;
mod outcome;
mod output;
mod pool;
mod process;
mod procfs;
mod request_id;
mod runtime_api;
mod runtimes;
mod scanner;
mod scratch;
mod start;
mod strays;
mod supervisor;
mod variables;
mod watch;

pub use cgroup::{Cgroups, Delegated, ENTER, NotDelegated, enter};
pub use config::{Config, EnvironmentEnded, InvalidConfig, NewEnvironment};
pub use environment::Environment;
pub use environment_id::EnvironmentId;
pub use failure::Failure;
pub use family::Family;
pub use host::{Facts, Host, clean};
pub use invocation::{Invocation, Log, Response};
pub use limits::{PAYLOAD_BYTES_MAX, RESPONSE_BYTES_MAX};
pub use outcome::Outcome;
pub use runtimes::NODE_RUNTIME;
pub use strays::end_strays;
