//! What a seed decides before anything runs: the size of its world and which faults it has.

use super::bug::Bug;
use super::chance::Chance;

/// The world of a seed. Each fault is there in some seeds and not in others, so that faults do not hide each other.
/// Rates are per mille.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) bug: Option<Bug>,
    /// Whether an upload is moved by one transaction, as the product does on this store, or step by step, as on others.
    pub(super) is_in_one: bool,
    pub(super) keys: u64,
    pub(super) clients: u64,
    pub(super) requests_each: u64,
    /// Groups of workers, each with a queue of its own, as if each were a server.
    pub(super) pools: u64,
    pub(super) workers_each: u64,
    /// The longest think time of a client, in ms.
    pub(super) think_ms_max: u64,
    /// The longest delay around an effect, in ms.
    pub(super) delay_ms_max: u64,
    pub(super) small_body_bytes_max: usize,
    /// The beat of this world in ms: what the rates below are counted in.
    pub(super) beat_ms: u64,
    /// Beats between two of these, on average; 0 is never.
    pub(super) kill_every: u64,
    pub(super) power_loss_every: u64,
    pub(super) restart_every: u64,
    pub(super) disk_full_every: u64,
    pub(super) disk_error_every: u64,
    pub(super) sync_error_every: u64,
    pub(super) read_error_every: u64,
    pub(super) bit_flip_every: u64,
    pub(super) clock_jump_every: u64,
    pub(super) stall_every: u64,
    /// Of effects that are on their way for long, while their pool stands still.
    pub(super) stall_at_effect: u64,
    pub(super) retry_every: u64,
    pub(super) event_lost: u64,
    pub(super) event_odd: u64,
    pub(super) answer_lost: u64,
    pub(super) client_answer_lost: u64,
    /// How many of a thousand versions have a function that misbehaves.
    pub(super) bad_functions: u64,
    /// Whether functions that misbehave do so in all attempts but the last.
    pub(super) is_good_at_last: bool,
    /// How many of a thousand bodies are ones that were sent before.
    pub(super) same_bytes: u64,
    pub(super) minted: u64,
    /// Whether what failed is retried when all is over and its cause is fixed.
    pub(super) is_retried_at_the_end: bool,
}

impl Plan {
    pub(super) fn of(seed: u64, bug: Option<Bug>) -> Self {
        let mut chance = Chance::of(seed, "plan");
        let is_in_one = chance.per_mille(600) && !bug.is_some_and(Bug::is_of_steps);
        let mut at_times = |cases: u64, from: u64, to: u64| {
            let is_on = chance.per_mille(cases);
            let rate = chance.between(from, to);
            if is_on { rate } else { 0 }
        };
        let mut plan = Self {
            seed,
            bug,
            is_in_one,
            kill_every: at_times(600, 5, 60),
            power_loss_every: at_times(600, 5, 60),
            restart_every: at_times(300, 10, 90),
            disk_full_every: at_times(300, 10, 60),
            disk_error_every: at_times(300, 2, 30),
            sync_error_every: at_times(250, 10, 60),
            read_error_every: at_times(250, 5, 40),
            bit_flip_every: at_times(250, 1, 20),
            clock_jump_every: at_times(300, 10, 60),
            stall_every: at_times(500, 3, 30),
            stall_at_effect: at_times(300, 5, 60),
            retry_every: at_times(400, 5, 30),
            event_lost: at_times(500, 20, 700),
            event_odd: at_times(500, 20, 500),
            answer_lost: at_times(500, 2, 60),
            client_answer_lost: at_times(500, 5, 100),
            bad_functions: at_times(800, 50, 600),
            same_bytes: at_times(500, 50, 400),
            minted: at_times(400, 50, 400),
            is_good_at_last: false,
            keys: 0,
            clients: 0,
            requests_each: 0,
            pools: 0,
            workers_each: 0,
            beat_ms: 0,
            think_ms_max: 0,
            delay_ms_max: 0,
            small_body_bytes_max: 0,
            is_retried_at_the_end: false,
        };
        plan.keys = chance.between(1, 6);
        plan.clients = chance.between(1, 5);
        plan.requests_each = chance.between(5, 30);
        plan.pools = chance.between(1, 2);
        plan.workers_each = chance.between(1, 4);
        plan.beat_ms = *chance.one_of(&[10, 100, 1_000]).unwrap_or(&100);
        plan.think_ms_max = plan.beat_ms * chance.between(1, 5);
        plan.delay_ms_max = (plan.beat_ms * chance.between(1, 8) / 8).max(2);
        plan.small_body_bytes_max = *chance.one_of(&[0, 64, 1 << 10, 128 << 10]).unwrap_or(&0);
        plan.is_retried_at_the_end = chance.per_mille(500);
        plan.for_bug();
        plan
    }

    /// A bug is looked for where it can show.
    fn for_bug(&mut self) {
        match self.bug {
            None => {}
            Some(Bug::SyncDoesNothing | Bug::AcknowledgedBeforeSync) => {
                self.power_loss_every = 10;
            }
            Some(Bug::NoSweep | Bug::WatermarkSweep) => self.event_lost = 300,
            Some(Bug::AttemptNotRecorded | Bug::FunctionSkipped) => self.bad_functions = 600,
            Some(Bug::FencingIgnored | Bug::UnconditionalCopy) => {
                self.pools = 2;
                self.keys = 1;
                self.clients = self.clients.max(3);
                self.requests_each = 30;
                // Stalls have to be longer than leases live, and end while the world is busy.
                self.beat_ms = 1_000;
                self.think_ms_max = 5_000;
                self.delay_ms_max = 1_000;
                self.stall_every = 20;
                self.stall_at_effect = 60;
                self.kill_every = 0;
                self.power_loss_every = 0;
                if self.bug == Some(Bug::FencingIgnored) {
                    self.stall_at_effect = 250;
                    self.bad_functions = 700;
                }
            }
            Some(Bug::NeverLooksAgain) => {
                // A copy of the last attempt has to be on its way while another worker has the key, and to land while its
                // process lives.
                self.pools = 2;
                self.clients = self.clients.max(3);
                self.requests_each = 60;
                self.beat_ms = 1_000;
                self.think_ms_max = 5_000;
                self.delay_ms_max = 1_000;
                self.stall_at_effect = 100;
                self.bad_functions = 700;
                self.is_good_at_last = true;
                self.kill_every = 0;
                self.power_loss_every = 0;
                self.restart_every = 0;
                self.disk_full_every = 0;
                self.disk_error_every = 0;
                self.sync_error_every = 0;
            }
            Some(Bug::DeletedBeforeCopy) => self.kill_every = 5,
            Some(Bug::DeletedByName) => self.keys = 1,
            Some(Bug::ReadUnchecked) => self.bit_flip_every = 1,
        }
    }

    /// Whether two uploads of a key may have the same bytes. Where copies are conditional on a tag, as on S3, a worker
    /// that stalls may then archive the same bytes twice; the protocol does not promise otherwise.
    pub(super) fn may_repeat_bytes(&self) -> bool {
        self.is_in_one
    }
}
