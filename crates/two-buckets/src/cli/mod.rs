//! The command line: what was typed, what it means, and the commands that speak to a running server.

mod absent;
mod api;
mod cancel;
mod check;
mod config;
mod doctor;
mod env;
mod faults;
mod logs;
pub(crate) mod meaning;
mod notifications;
mod patience;
mod pause;
mod print;
mod put;
mod replay;
mod retry;
mod s3;
mod status;
mod sweep;
mod trouble;
mod typed;
mod wire;
pub(crate) mod xml;

use crate::config::{Environment, Settings};
use crate::failure::Failure;
pub(crate) use meaning::{Command, Stopped, parse, words};
pub(crate) use print::text as print_text;

/// Runs any command but `serve`, `work` and `job`.
pub(crate) async fn run(
    command: Command,
    settings: &Settings,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::Serve | Command::Work | Command::Job(_) => {
            unreachable!("the caller runs these itself")
        }
        Command::Doctor { probe, output } => doctor::run(probe, output, settings).await,
        Command::Put(put) => put::run(put, settings, environment).await,
        Command::Status(status) => status::run(&status, settings).await,
        Command::Logs(logs) => logs::run(&logs, settings).await,
        Command::Retry {
            which,
            is_dry_run,
            output,
        } => retry::run(&which, is_dry_run, output, settings).await,
        Command::Cancel { named, output } => cancel::run(&named, output, settings).await,
        Command::Replay(replay) => replay::run(&replay, settings).await,
        Command::Pause { reason, output } => {
            pause::pause(reason.as_deref(), output, settings).await
        }
        Command::Resume(output) => pause::resume(output, settings).await,
        Command::Sweep(output) => sweep::run(output, settings).await,
        Command::Faults { change, output } => faults::run(&change, output, settings).await,
        Command::Env(output) => env::run(output, settings, environment),
        Command::Config(output) => config::run(output, settings),
        Command::Check(check) => check::run(&check, settings),
    }
}
