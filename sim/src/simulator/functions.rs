//! The function that runs on each upload. How it behaves is decided by its version, so that it is the same in each run.

use std::sync::Arc;
use std::time::Duration;

use two_buckets_pipeline::step::Rules;
use two_buckets_pipeline::{Incoming, ProcessError, Processor, Report};

use super::bug::Bug;
use super::chance::Chance;
use super::oracle::{self, Place, sha256};
use super::world::{World, note};

/// The most a function reads into memory.
const BODY_BYTES_MAX: usize = 64 << 20;
/// The name of the one result that functions write.
pub(super) const RESULT: &str = "digest.txt";

/// How a function behaves on a version until its cause is fixed; in the first runs where there is a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Behaviour {
    Good,
    Transient(u32),
    TransientForEver,
    Permanent,
    Panics(u32),
    PanicsForEver,
    /// Until its host ends it at its deadline, which counts as a crash.
    Hangs(u32),
    /// Longer than a lease lives.
    Slow,
    WritesTwice,
    /// Its result is written and then it fails.
    FailsBehindItsResult(u32),
}

impl Behaviour {
    fn of(world: &World, (key, version): &Place) -> Self {
        let mut chance = Chance::of(world.plan.seed, &format!("function {key} {version}"));
        let times = u32::try_from(chance.between(1, 6)).unwrap_or(1);
        if world.is_cured() || !chance.per_mille(world.plan.bad_functions) {
            return Self::Good;
        }
        if world.plan.is_good_at_last {
            return Self::Panics(Rules::ATTEMPTS_MAX_DEFAULT - 1);
        }
        let all = [
            Self::Transient(times),
            Self::TransientForEver,
            Self::Permanent,
            Self::Panics(times),
            Self::PanicsForEver,
            Self::Hangs(times),
            Self::Slow,
            Self::WritesTwice,
            Self::FailsBehindItsResult(times),
        ];
        *chance.one_of(&all).unwrap_or(&Self::Good)
    }
}

/// The function.
pub(super) struct Function {
    world: Arc<World>,
}

impl Function {
    pub(super) fn new(world: &Arc<World>) -> Self {
        Self {
            world: Arc::clone(world),
        }
    }

    async fn run(
        &self,
        upload: &Incoming,
        place: &Place,
        behaviour: Behaviour,
    ) -> Result<Report, ProcessError> {
        let name = format!("function {place:?} {}", upload.attempt);
        let mut chance = Chance::of(self.world.plan.seed, &name);
        let attempt = upload.attempt;
        tokio::time::sleep(self.world.beats(chance.below(3))).await;
        match behaviour {
            Behaviour::Panics(times) if attempt <= times => panic_quietly(),
            Behaviour::PanicsForEver => panic_quietly(),
            Behaviour::Hangs(times) if attempt <= times => {
                tokio::time::sleep(Duration::from_secs(chance.between(10, 200))).await;
                return Err(ProcessError::Crashed("it passed its deadline".into()));
            }
            Behaviour::Slow => {
                tokio::time::sleep(Duration::from_secs(chance.between(5, 120))).await;
            }
            _ => {}
        }
        let bytes = upload.content.bytes(BODY_BYTES_MAX).await?;
        let sha = sha256(&bytes);
        self.world.oracle.read(place.clone(), sha);
        match behaviour {
            Behaviour::Transient(times) if attempt <= times => {
                return Err(ProcessError::Transient("not now".into()));
            }
            Behaviour::TransientForEver => return Err(ProcessError::Transient("not now".into())),
            Behaviour::Permanent => return Err(ProcessError::Permanent("it is bad".into())),
            _ => {}
        }
        let text = oracle::short(&sha);
        let writes = if behaviour == Behaviour::WritesTwice {
            2
        } else {
            1
        };
        for _ in 0..writes {
            upload
                .outputs
                .put_bytes(RESULT, "text/plain", text.clone())
                .await?;
        }
        if let Behaviour::FailsBehindItsResult(times) = behaviour
            && attempt <= times
        {
            return Err(ProcessError::Transient("after its result".into()));
        }
        tokio::time::sleep(self.world.beats(chance.below(2))).await;
        Report::from_json(format!("{{\"sha\":\"{text}\"}}"))
    }
}

impl Processor for Function {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let at = &upload.source.at;
        let place = (at.key.clone(), at.version_id.as_str().to_owned());
        let behaviour = Behaviour::of(&self.world, &place);
        note!(
            self.world,
            "function: attempt {} of {}#{} ({behaviour:?})",
            upload.attempt,
            place.0,
            place.1
        );
        if self.world.plan.bug == Some(Bug::FunctionSkipped) && upload.attempt > 1 {
            return Ok(Report::default());
        }
        self.world.oracle.runs(&place, upload.attempt);
        self.world.figures().attempts += 1;
        let outcome = self.run(&upload, &place, behaviour).await;
        match &outcome {
            Ok(_) => {
                note!(self.world, "function: {}#{} accepted", place.0, place.1);
                self.world.oracle.accepts(place);
            }
            Err(error) => note!(self.world, "function: {}#{}: {error}", place.0, place.1),
        }
        outcome
    }
}

/// As a panic, but without its message on the terminal.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("the function panics".to_owned()))
}
