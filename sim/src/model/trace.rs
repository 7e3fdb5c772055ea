//! A way through the model in words.

use std::fmt::Write;

use two_buckets_pipeline::Why;
use two_buckets_pipeline::step::Action;

use super::configuration::{Configuration, KEYS};
use super::moves::{Fate, Move};
use super::search::Trace;
use super::world::World;

impl Trace {
    /// The way, a move a line, and how the promise is broken at its end.
    pub fn in_words(&self, config: &Configuration) -> String {
        let mut told = String::new();
        for (n, (world, what)) in self.path.clone().into_vec().into_iter().enumerate() {
            match (what, world.broken.as_ref()) {
                (Some(what), _) => line(&mut told, n, &in_words(config, &world, &what)),
                (None, Some(broken)) => line(
                    &mut told,
                    n,
                    &format!("broken: {}: {}", broken.promise.name(), broken.how),
                ),
                (None, None) => {}
            }
        }
        told
    }
}

pub(super) fn line(told: &mut String, n: usize, what: &str) {
    writeln!(told, "{:>4}. {what}", n + 1).expect("a string takes what is written");
}

pub(super) fn in_words(config: &Configuration, world: &World, what: &Move) -> String {
    match what {
        Move::Send { upload, wakes } => {
            let sent = config.sent[*upload];
            format!(
                "a client sends {} under {}; {wakes} events tell of it",
                sent.name, KEYS[sent.key]
            )
        }
        Move::StayAway { upload } => format!("{} never comes", config.sent[*upload].name),
        Move::ClientDeletes { upload } => {
            format!("its client deletes {}", config.sent[*upload].name)
        }
        Move::ClientHides { key } => format!("a client deletes {} by its name", KEYS[*key]),
        Move::Wake { key, why } => match why {
            Why::Event => format!("a worker is woken with {}", KEYS[*key]),
            Why::Gone => format!(
                "a worker is woken with {}, of which a row has no version",
                KEYS[*key]
            ),
        },
        Move::Rested { key } => format!("{} has rested", KEYS[*key]),
        Move::StartJob { id } => format!("the job of {id} is started"),
        Move::Effect { worker, fate } => match &world.workers[*worker] {
            Some(who) => format!(
                "worker {worker} on {}: {}{}",
                KEYS[who.key],
                name_of(&who.action),
                how(*fate)
            ),
            None => format!("worker {worker} has nothing to do"),
        },
        Move::Crash { worker } => match &world.workers[*worker] {
            Some(who) => format!("worker {worker} dies before: {}", name_of(&who.action)),
            None => format!("worker {worker} dies"),
        },
        Move::Restart => "the server is started anew".into(),
        Move::CancelJob { id } => format!("the job of {id} is cancelled"),
        Move::Retry { id } => format!("an operator retries {id}"),
        Move::Sweep => "a sweep begins".into(),
        Move::LookForExpected => "a sweep looks for what is expected".into(),
        Move::SweepStep => format!("the sweep: {:?}", world.sweeping),
        Move::SweepDies => "the sweep dies".into(),
        Move::LongAfter => "a long time passes and a sweep begins".into(),
    }
}

fn how(fate: Fate) -> &'static str {
    match fate {
        Fate::Done => "",
        Fate::LeaseRanOut => ", the lease in its way having run out",
        Fate::NotWritten => " answers 409",
        Fate::ErrorInside200 => " answers 200 with an error inside",
        Fate::Unanswered => " is not answered and not done",
        Fate::UnansweredButDone => " is not answered, but done",
        Fate::Wrong => " lands with other bytes",
        Fate::Transient => " fails for a while",
        Fate::Permanent => " fails for good",
        Fate::Crashed => " ends without an answer",
    }
}

/// The action's name and what it is about.
fn name_of(action: &Action) -> String {
    match action {
        Action::Claim => "Claim".into(),
        Action::ClaimForJob { id } => format!("ClaimForJob {id}"),
        Action::List => "List".into(),
        Action::Start { .. } => "Start".into(),
        Action::FindUnfinished => "FindUnfinished".into(),
        Action::Note { versions } => format!("Note {} versions", versions.len()),
        Action::HeadSource { version_id } => format!("HeadSource {version_id}"),
        Action::FindArchived { mark, .. } => format!("FindArchived {}", mark.source_version),
        Action::QueueJob { id } => format!("QueueJob {id}"),
        Action::BeginAttempt { id, .. } => format!("BeginAttempt {id}"),
        Action::Process { source, .. } => format!("Process {}", source.at.version_id),
        Action::HeadArchive => "HeadArchive".into(),
        Action::Copy { version_id, to, .. } => format!("Copy {version_id} to {}", to.key),
        Action::Verify { archived, .. } => format!("Verify {}", archived.version_id),
        Action::RemoveCopy { archived } => format!("RemoveCopy {}", archived.version_id),
        Action::Record { id, .. } => format!("Record {id}"),
        Action::Move { id, .. } => format!("Move {id}"),
        Action::DeleteVersion { version_id } => format!("DeleteVersion {version_id}"),
        Action::Close { id, .. } => format!("Close {id}"),
        Action::End { id, turn, .. } => format!("End {id}: {turn:?}"),
        Action::Pause { .. } => "Pause".into(),
        Action::Release => "Release".into(),
        Action::Stop(stopped) => format!("Stop: {stopped:?}"),
    }
}
