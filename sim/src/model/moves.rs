//! What can happen next, and how the real steps go on from there.

use std::sync::Arc;

use two_buckets_pipeline::step::{Action, Input, Rules, Stopped, Work};
use two_buckets_pipeline::{ProcessError, Report, Upload, UploadId, Why};

use super::bugs;
use super::configuration::{Configuration, KEYS};
use super::promises::check_end;
use super::world::{Sweeping, Worker, World, key_of, object};

/// How one effect comes out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// As it should; whether a condition holds is for the world to say.
    Done,
    /// The lease in its way has run out.
    LeaseRanOut,
    /// Nothing was written: 409, or 503.
    NotWritten,
    /// Nothing was written, and the answer begins like a good one.
    ErrorInside200,
    /// No answer, and nothing was done.
    Unanswered,
    /// No answer, and it was done.
    UnansweredButDone,
    /// It was done, with other bytes.
    Wrong,
    /// The function fails for a while.
    Transient,
    /// The function fails for good.
    Permanent,
    /// The function ends without an answer.
    Crashed,
}

/// What happens between two states.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Move {
    /// A client's upload is durable, and so many wake-ups tell of it.
    Send {
        /// Which, by its place in the configuration.
        upload: usize,
        /// None if its event is lost, two if it is doubled. They wait as long as they like, in any order.
        wakes: u8,
    },
    /// A client never sends an upload, or the store refuses it.
    StayAway {
        /// Which.
        upload: usize,
    },
    /// A client deletes exactly its version.
    ClientDeletes {
        /// Which.
        upload: usize,
    },
    /// A client deletes a key by its name.
    ClientHides {
        /// The key.
        key: usize,
    },
    /// A worker takes a wake-up.
    Wake {
        /// The key.
        key: usize,
        /// Why it is woken.
        why: Why,
    },
    /// A key that rested after a stall is woken.
    Rested {
        /// The key.
        key: usize,
    },
    /// The host starts a job.
    StartJob {
        /// Its upload.
        id: UploadId,
    },
    /// The effect that a worker's step asks for.
    Effect {
        /// Which worker.
        worker: usize,
        /// How it comes out.
        fate: Fate,
    },
    /// A worker or a job dies.
    Crash {
        /// Which.
        worker: usize,
    },
    /// The server dies and is started anew; jobs that run their function go on.
    Restart,
    /// Somebody cancels a job.
    CancelJob {
        /// Its upload.
        id: UploadId,
    },
    /// An operator retries what failed.
    Retry {
        /// What.
        id: UploadId,
    },
    /// A sweep begins while others work.
    Sweep,
    /// A sweep looks only whether to give up what is expected.
    LookForExpected,
    /// A sweep takes its next step.
    SweepStep,
    /// The sweep dies midway.
    SweepDies,
    /// All is quiet for a long time: leases run out, waits end, a sweep begins.
    LongAfter,
}

/// All moves that may be possible; one that is not has no next world.
pub(super) fn moves(config: &Configuration, world: &World, moves: &mut Vec<Move>) {
    if world.broken.is_some() {
        return;
    }
    clients(config, world, moves);
    for key in 0..KEYS.len() {
        let is_idle = world.workers.iter().any(Option::is_none);
        if is_idle && world.wakes[key] > 0 {
            let why = Why::Event;
            moves.push(Move::Wake { key, why });
        }
        if is_idle && world.gone_wakes[key] {
            let why = Why::Gone;
            moves.push(Move::Wake { key, why });
        }
        if world.rests[key] {
            moves.push(Move::Rested { key });
        }
    }
    if world.workers.iter().any(Option::is_none) {
        let jobs = world.jobs_to_start().into_iter();
        moves.extend(jobs.map(|id| Move::StartJob { id }));
    }
    for (n, worker) in world.workers.iter().enumerate() {
        if let Some(worker) = worker {
            let fates = fates(config, world, worker);
            moves.extend(fates.map(|fate| Move::Effect { worker: n, fate }));
            moves.push(Move::Crash { worker: n });
        }
    }
    if world.faults.restarts > 0 {
        moves.push(Move::Restart);
    }
    if world.faults.cancels > 0 {
        let unfinished = world
            .rows
            .iter()
            .filter(|row| row.is_job && row.is_unfinished());
        moves.extend(
            unfinished
                .filter(|row| row.archive.is_none())
                .map(|row| Move::CancelJob { id: row.id.clone() }),
        );
    }
    if world.sweeping.is_some() {
        moves.push(Move::SweepStep);
        moves.push(Move::SweepDies);
    } else {
        if world.sweeps > 0 {
            moves.push(Move::Sweep);
        }
        if world.give_ups > 0 && world.expected().is_some() {
            moves.push(Move::LookForExpected);
        }
    }
    if world.is_quiet(config) {
        let is_owed = world.is_owed();
        if (is_owed || world.is_in_doubt(config)) && world.late_sweeps < config.late_sweeps {
            moves.push(Move::LongAfter);
        }
        if !is_owed && !config.retries_at_once {
            retries(world, moves);
        }
    }
    if config.retries_at_once {
        retries(world, moves);
    }
}

/// What an operator may retry.
fn retries(world: &World, moves: &mut Vec<Move>) {
    if world.retries > 0 {
        let failed = world
            .rows
            .iter()
            .filter(|row| Upload::clone(row).retry().is_ok());
        moves.extend(failed.map(|row| Move::Retry { id: row.id.clone() }));
    }
}

fn clients(config: &Configuration, world: &World, moves: &mut Vec<Move>) {
    for key in 0..KEYS.len() {
        let mut waiting = config.sent.iter().enumerate();
        let next = waiting.find(|(n, sent)| sent.key == key && world.sent & (1 << n) == 0);
        if let Some((upload, _)) = next {
            let is_taken = world
                .staging
                .iter()
                .any(|entry| super::store::is_of(entry, key));
            let is_refused = config.minted.if_none_match && is_taken;
            if is_refused || config.minted.may_stay_away {
                moves.push(Move::StayAway { upload });
            }
            if !is_refused {
                let sends = config.wakes_each.iter();
                moves.extend(sends.map(|wakes| Move::Send {
                    upload,
                    wakes: *wakes,
                }));
            }
        }
        let is_there = world
            .staging
            .iter()
            .any(|entry| super::store::is_of(entry, key));
        if world.markers > 0 && is_there {
            moves.push(Move::ClientHides { key });
        }
    }
    for (upload, sent) in config.sent.iter().enumerate() {
        if sent.may_be_deleted && world.staged(sent.name).is_some() {
            moves.push(Move::ClientDeletes { upload });
        }
    }
}

/// How a worker's next effect may come out, as far as faults are left.
fn fates(config: &Configuration, world: &World, worker: &Worker) -> impl Iterator<Item = Fate> {
    const CLAIM: &[Fate] = &[Fate::Done, Fate::LeaseRanOut];
    const LEDGER: &[Fate] = &[Fate::Done];
    const READ: &[Fate] = &[Fate::Done, Fate::Unanswered];
    const DELETE: &[Fate] = &[Fate::Done, Fate::Unanswered, Fate::UnansweredButDone];
    const COPY: &[Fate] = &[
        Fate::Done,
        Fate::NotWritten,
        Fate::ErrorInside200,
        Fate::Unanswered,
        Fate::UnansweredButDone,
        Fate::Wrong,
    ];
    const FUNCTION: &[Fate] = &[Fate::Done, Fate::Transient, Fate::Crashed];
    const POISON: &[Fate] = &[Fate::Permanent, Fate::Crashed];
    let fates = match &worker.action {
        Action::Claim | Action::ClaimForJob { .. } | Action::Start { .. } => CLAIM,
        Action::List
        | Action::HeadSource { .. }
        | Action::FindArchived { .. }
        | Action::HeadArchive
        | Action::Verify { .. } => READ,
        Action::FindUnfinished
        | Action::Note { .. }
        | Action::QueueJob { .. }
        | Action::BeginAttempt { .. }
        | Action::Record { .. }
        | Action::Move { .. }
        | Action::Close { .. }
        | Action::End { .. }
        | Action::Pause { .. }
        | Action::Release => LEDGER,
        Action::Process { .. } if is_poisoned(config, &worker.action) => POISON,
        Action::Process { .. } => FUNCTION,
        Action::Copy { .. } => COPY,
        Action::RemoveCopy { .. } | Action::DeleteVersion { .. } => DELETE,
        Action::Stop(_) => &[],
    };
    let faults = world.faults;
    let is_copy = matches!(worker.action, Action::Copy { .. });
    let is_poison = is_poisoned(config, &worker.action);
    fates.iter().copied().filter(move |fate| match fate {
        Fate::Done | Fate::Permanent => true,
        Fate::LeaseRanOut => faults.expiries > 0,
        Fate::NotWritten | Fate::ErrorInside200 => faults.copies > 0,
        Fate::Unanswered | Fate::UnansweredButDone if is_copy => faults.copies > 0,
        Fate::Unanswered | Fate::UnansweredButDone => faults.stores > 0,
        Fate::Wrong => faults.wrong_copies > 0,
        Fate::Transient => faults.functions > 0,
        Fate::Crashed => is_poison || faults.functions > 0,
    })
}

fn is_poisoned(config: &Configuration, action: &Action) -> bool {
    let Action::Process { source, .. } = action else {
        return false;
    };
    let name = source.at.version_id.as_str();
    let sent = config.sent.iter().find(|sent| sent.name == name);
    sent.is_some_and(|sent| sent.is_poisoned)
}

/// The world after a move; none if it is not possible.
pub(super) fn next(
    config: &Configuration,
    rules: &Rules,
    before: &World,
    what: &Move,
) -> Option<World> {
    let mut world = before.clone();
    match what {
        Move::Send { upload, wakes } => {
            let sent = &config.sent[*upload];
            world.sent |= 1 << upload;
            world.put(sent);
            world.wake(sent.key, *wakes);
        }
        Move::StayAway { upload } => {
            world.sent |= 1 << upload;
            world.absent |= 1 << upload;
        }
        Move::ClientDeletes { upload } => {
            let name = config.sent[*upload].name;
            world
                .staging
                .retain(|entry| entry.version_id.as_str() != name);
        }
        Move::ClientHides { key } => {
            world.hide(*key);
            world.markers -= 1;
        }
        Move::Wake { key, why } => {
            match why {
                Why::Event => world.wakes[*key] -= 1,
                Why::Gone => world.gone_wakes[*key] = false,
            }
            let (work, action) = Work::begin(rules, object(*key), *why);
            world.employ(*key, work, action, None)?;
        }
        Move::Rested { key } => {
            world.rests[*key] = false;
            world.wake(*key, 1);
        }
        Move::StartJob { id } => {
            let key = key_of(&world.row(id).key);
            let (work, action) = Work::begin_job(rules, object(key), id.clone());
            world.employ(key, work, action, Some(id.clone()))?;
        }
        Move::Effect { worker, fate } => effect(config, rules, &mut world, *worker, *fate)?,
        Move::Crash { worker } => {
            world.faults = world.faults.spend(|faults| &mut faults.crashes)?;
            world.workers[*worker] = None;
        }
        Move::Restart => {
            world.faults = world.faults.spend(|faults| &mut faults.restarts)?;
            world.restart();
            bugs::restarted(config.bug, before, &mut world);
        }
        Move::CancelJob { id } => {
            world.faults = world.faults.spend(|faults| &mut faults.cancels)?;
            world.cancel_job(id);
        }
        Move::Retry { id } => {
            world.retries -= 1;
            let row = world.rows.iter_mut().find(|row| row.id == *id)?;
            Arc::make_mut(row).retry().ok()?;
            let (key, name) = (key_of(&row.key), row.version()?.version_id);
            let upload = config
                .sent
                .iter()
                .position(|sent| sent.name == name.as_str());
            world.runs[upload?] = 0;
            world.wake(key, 1);
        }
        Move::Sweep => {
            world.sweeps -= 1;
            world.sweeping = Some(Sweeping::See { key: 0 });
        }
        Move::LookForExpected => {
            world.give_ups -= 1;
            world.sweeping = Some(Sweeping::Look);
        }
        Move::SweepStep => world.sweep_step(config)?,
        Move::SweepDies => {
            world.faults = world.faults.spend(|faults| &mut faults.crashes)?;
            world.sweeping = None;
        }
        Move::LongAfter => {
            world.late_sweeps += 1;
            world.now += 1_000_000_000;
            world.leases = [const { None }; KEYS.len()];
            world.rests = [false; KEYS.len()];
            world.fruitless = [const { None }; KEYS.len()];
            world.sweeping = Some(Sweeping::See { key: 0 });
        }
    }
    if world.broken.is_none()
        && world.is_end(config)
        && let Err(broken) = check_end(config, &world)
    {
        world.fail_with(broken);
    }
    Some(world)
}

/// One effect of a worker, and the real step behind it.
fn effect(
    config: &Configuration,
    rules: &Rules,
    world: &mut World,
    n: usize,
    fate: Fate,
) -> Option<()> {
    let mut worker = (**world.workers[n].as_ref()?).clone();
    world.faults = spent(config, world, &worker.action, fate)?;
    let answer = super::effects::perform(config, rules, world, &mut worker, fate)?;
    match &answer {
        Input::Claimed | Input::Started(_) => worker.token = world.last_token,
        Input::Processed(result) => {
            worker.copies_then = world.archive.len();
            worker.has_failed = result.is_err();
        }
        _ => {}
    }
    let (work, action) = match (&worker.job, answer) {
        (Some(id), Input::Processed(result)) => {
            let Some(finish) = world.finish_job(config, rules, &worker, id, result) else {
                world.workers[n] = None;
                return Some(());
            };
            finish
        }
        (_, answer) => worker.work.clone().step(rules, answer),
    };
    let (work, action) = settled(rules, work, action);
    world.go_on(config, n, worker, work, action);
    Some(())
}

/// A pause is nothing that anybody else could see: it is over at once.
fn settled(rules: &Rules, mut work: Work, mut action: Action) -> (Work, Action) {
    while let Action::Pause { .. } = action {
        (work, action) = work.step(rules, Input::Done);
    }
    (work, action)
}

/// What is left of the faults after an effect came out so.
fn spent(
    config: &Configuration,
    world: &World,
    action: &Action,
    fate: Fate,
) -> Option<super::configuration::Faults> {
    let is_copy = matches!(action, Action::Copy { .. });
    let faults = world.faults;
    match fate {
        Fate::Done | Fate::Permanent => Some(faults),
        Fate::LeaseRanOut => faults.spend(|faults| &mut faults.expiries),
        Fate::NotWritten | Fate::ErrorInside200 => faults.spend(|faults| &mut faults.copies),
        Fate::Unanswered | Fate::UnansweredButDone if is_copy => {
            faults.spend(|faults| &mut faults.copies)
        }
        Fate::Unanswered | Fate::UnansweredButDone => faults.spend(|faults| &mut faults.stores),
        Fate::Wrong => faults.spend(|faults| &mut faults.wrong_copies),
        Fate::Transient => faults.spend(|faults| &mut faults.functions),
        // What is poisoned crashes by itself.
        Fate::Crashed if is_poisoned(config, action) => Some(faults),
        Fate::Crashed => faults.spend(|faults| &mut faults.functions),
    }
}

impl World {
    /// Gives a turn to the first idle worker; which one it is makes no difference.
    fn employ(
        &mut self,
        key: usize,
        work: Work,
        action: Action,
        job: Option<UploadId>,
    ) -> Option<()> {
        let idle = self.workers.iter_mut().find(|worker| worker.is_none())?;
        let worker = Worker {
            key,
            work,
            action,
            token: 0,
            job,
            copies_then: 0,
            has_failed: false,
            unrecorded: None,
            has_begun: false,
            sum: 0,
        };
        *idle = Some(Arc::new(worker.summed()));
        Some(())
    }

    /// Lets a worker go on to its next effect, or home.
    fn go_on(
        &mut self,
        config: &Configuration,
        n: usize,
        worker: Worker,
        work: Work,
        action: Action,
    ) {
        let key = worker.key;
        if let Action::Stop(stopped) = action {
            match stopped {
                Stopped::Stalled { .. } | Stopped::LedgerFailed { .. } => self.rests[key] = true,
                Stopped::Idle | Stopped::Drained if worker.job.is_some() => {
                    self.gone_wakes[key] = true;
                    if !worker.has_begun && bugs::waits_with_jobs(config.bug) {
                        self.fruitless[key].clone_from(&worker.job);
                    }
                }
                Stopped::Idle | Stopped::Drained | Stopped::Busy | Stopped::FencedOff => {}
            }
            self.workers[n] = None;
            return;
        }
        if let Action::Process { source, .. } = &action {
            self.count_run(config, source.at.version_id.as_str());
        }
        let worker = Worker {
            has_begun: worker.has_begun
                || (worker.job.is_some() && matches!(action, Action::Process { .. })),
            work,
            action,
            ..worker
        };
        self.workers[n] = Some(Arc::new(worker.summed()));
    }

    /// The second half of a job's turn, from the rows alone; none if its lease is gone.
    fn finish_job(
        &self,
        config: &Configuration,
        rules: &Rules,
        worker: &Worker,
        id: &UploadId,
        result: Result<Report, ProcessError>,
    ) -> Option<(Work, Action)> {
        if !self.is_holder(worker) {
            return None;
        }
        let row = self.row(id).clone();
        if !row.is_interrupted() {
            return Some(Work::release_job(rules, object(worker.key), id.clone()));
        }
        let source = self.source(config, worker.key, &row.version()?.version_id);
        let source = source.map(|source| *source);
        Some(Work::finish_job(rules, row, source, result))
    }

    /// The server is started anew: workers are dead and their leases void, jobs that run their function go on.
    fn restart(&mut self) {
        for worker in &mut self.workers {
            let is_in_its_own_process = |worker: &Arc<Worker>| {
                worker.job.is_some() && matches!(worker.action, Action::Process { .. })
            };
            *worker = worker.take().filter(is_in_its_own_process);
        }
        for lease in &mut self.leases {
            *lease = lease.take().filter(|held| held.job.is_some());
        }
        self.sweeping = None;
        self.wakes = [1; KEYS.len()];
        self.gone_wakes = [false; KEYS.len()];
        self.fruitless = [const { None }; KEYS.len()];
        self.rests = [false; KEYS.len()];
    }

    pub(super) fn is_holder(&self, worker: &Worker) -> bool {
        let lease = self.leases[worker.key].as_ref();
        lease.is_some_and(|held| held.token == worker.token)
    }
}
