//! The handler of the tutorial that everybody copies: HEAD, copy by name, delete by name, errors swallowed, staging not
//! versioned. It has no steps of ours; it is here to show that the checker sees how it loses a file.

use std::fmt::Write;

use stateright::{Checker, HasDiscoveries, Model, Property};

/// What a client sends under one key: two files, one after the other.
const FILES: [&str; 2] = ["the first file", "the second file"];

/// Where a run of the handler is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Handler {
    /// It asks what is in staging.
    Head,
    /// It copies what is in staging under the name to the archive.
    Copy,
    /// It deletes from staging what is there under the name.
    Delete,
}

/// The two buckets and the runs of the handler.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Buckets {
    sent: usize,
    /// What staging has under the name.
    staging: Option<usize>,
    /// What the archive was ever given.
    archive: Vec<usize>,
    /// Events not yet delivered: one for each file, never doubled, never lost.
    events: usize,
    /// Runs of the handler, each for an event.
    runs: Vec<Handler>,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happens {
    /// The client sends the next file under the same name, and is told that it is safe.
    Send,
    /// An event starts a run.
    Event,
    /// A run makes its next call.
    Call {
        /// Which run.
        run: usize,
        /// The call.
        call: Handler,
    },
}

/// The model. Nothing crashes in it, and no event is doubled or lost.
#[derive(Clone, Copy, Debug)]
pub struct Tutorial;

impl Model for Tutorial {
    type State = Buckets;
    type Action = Happens;

    fn init_states(&self) -> Vec<Buckets> {
        vec![Buckets::default()]
    }

    fn actions(&self, buckets: &Buckets, actions: &mut Vec<Happens>) {
        if buckets.sent < FILES.len() {
            actions.push(Happens::Send);
        }
        if buckets.events > 0 {
            actions.push(Happens::Event);
        }
        let runs = buckets.runs.iter().enumerate();
        actions.extend(runs.map(|(run, call)| Happens::Call { run, call: *call }));
    }

    fn next_state(&self, before: &Buckets, what: Happens) -> Option<Buckets> {
        let mut buckets = before.clone();
        match what {
            Happens::Send => {
                buckets.staging = Some(buckets.sent);
                buckets.sent += 1;
                buckets.events += 1;
            }
            Happens::Event => {
                buckets.events -= 1;
                buckets.runs.push(Handler::Head);
            }
            Happens::Call { run, call } => {
                // A call that finds nothing raises; the handler logs it and says that all is well.
                let next = match (call, buckets.staging) {
                    (Handler::Head, Some(_)) => Some(Handler::Copy),
                    (Handler::Copy, Some(file)) => {
                        buckets.archive.push(file);
                        Some(Handler::Delete)
                    }
                    (Handler::Delete, _) => {
                        buckets.staging = None;
                        None
                    }
                    (Handler::Head | Handler::Copy, None) => None,
                };
                match next {
                    Some(next) => buckets.runs[run] = next,
                    None => {
                        buckets.runs.remove(run);
                    }
                }
            }
        }
        Some(buckets)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // That the second file takes the first one's place is what its client asked for.
        vec![Property::always(
            "the newest file is in a bucket",
            |_: &Self, buckets: &Buckets| {
                let Some(newest) = buckets.sent.checked_sub(1) else {
                    return true;
                };
                buckets.staging == Some(newest) || buckets.archive.contains(&newest)
            },
        )]
    }
}

/// How the tutorial's handler loses a file, in the fewest steps, in words; none if it does not.
pub fn how_it_loses_a_file() -> Option<String> {
    let checker = Tutorial
        .checker()
        .finish_when(HasDiscoveries::Any)
        .spawn_bfs()
        .join();
    let path = checker.discoveries().into_values().next()?;
    let mut told = String::from("nothing crashes, no event is doubled or lost\n");
    for (n, (buckets, what)) in path.into_vec().into_iter().enumerate() {
        let what = match what {
            Some(Happens::Send) => format!(
                "the client sends {} as photo.jpg and is told that it is safe",
                FILES[buckets.sent]
            ),
            Some(Happens::Event) => "its event starts the handler".into(),
            Some(Happens::Call { run, call }) => {
                let there = buckets.staging.map_or("nothing", |file| FILES[file]);
                let call = match call {
                    Handler::Head => format!("asks for photo.jpg and sees {there}"),
                    Handler::Copy => format!("copies photo.jpg, which is {there}, to the archive"),
                    Handler::Delete => format!("deletes photo.jpg, which is {there}"),
                };
                format!("run {} of the handler {call}", run + 1)
            }
            None => format!(
                "staging has nothing, the archive has {} only: {} is in neither bucket",
                buckets
                    .archive
                    .iter()
                    .map(|file| FILES[*file])
                    .collect::<Vec<_>>()
                    .join(" and "),
                FILES[buckets.sent - 1]
            ),
        };
        writeln!(told, "{:>4}. {what}", n + 1).ok()?;
    }
    Some(told)
}
