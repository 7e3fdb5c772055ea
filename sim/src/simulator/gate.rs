//! Where every effect of a worker passes: it takes its time there, may fail, and dies there with its process.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use two_buckets_pipeline::Settings;

use super::chance::Chance;
use super::server::{End, Life};
use super::world::{World, note};

/// The gate of one pool in one process.
pub(super) struct Gate {
    world: Arc<World>,
    life: Life,
    pool: usize,
    role: &'static str,
    stalled_until: Arc<Mutex<Instant>>,
    chance: Mutex<Chance>,
}

/// How a call fails that the disk does not fail.
pub(super) struct Failures<E> {
    /// It did not reach whom it was for.
    pub(super) before: fn() -> E,
    /// It was done and its answer was lost.
    pub(super) after: fn() -> E,
}

impl Gate {
    pub(super) fn new(
        world: &Arc<World>,
        life: &Life,
        pool: usize,
        role: &'static str,
        name: &str,
    ) -> Self {
        let stalled_until = life.stalls.get(pool).map(Arc::clone);
        Self {
            world: Arc::clone(world),
            life: life.clone(),
            pool,
            role,
            stalled_until: stalled_until.unwrap_or_else(|| Arc::new(Mutex::new(Instant::now()))),
            chance: Mutex::new(Chance::of(world.plan.seed, &format!("gate of {name}"))),
        }
    }

    /// Whether uploads are moved by one transaction.
    pub(super) fn is_in_one(&self) -> bool {
        self.world.plan.is_in_one
    }

    /// Lets an effect happen, or not.
    pub(super) async fn pass<T, E: fmt::Display>(
        &self,
        what: String,
        effect: impl Future<Output = Result<T, E>>,
        failures: Failures<E>,
    ) -> Result<T, E> {
        self.delay().await;
        let fault = self.fault();
        if fault == Some(false) {
            self.note(&what, "is refused");
            return Err((failures.before)());
        }
        let answer = effect.await;
        if self.life.disk.has_crashed() {
            self.note(&what, "is cut off by the power loss");
            self.world.server.end(End::PowerLoss);
            std::future::pending::<()>().await;
        }
        match &answer {
            Ok(_) => self.note(&what, "ok"),
            Err(error) => self.note(&what, error),
        }
        self.delay().await;
        if fault == Some(true) && answer.is_ok() {
            self.note(&what, "loses its answer");
            return Err((failures.after)());
        }
        answer
    }

    /// Lets an effect happen that may be on its way when its worker gives it up, and happens nevertheless.
    pub(super) async fn pass_in_flight<T, E>(
        &self,
        what: String,
        effect: impl Future<Output = Result<T, E>> + Send + 'static,
        failures: Failures<E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let Some(wait) = self.stall_now() else {
            return self.pass(what, effect, failures).await;
        };
        self.note(&what, "is on its way for long");
        let (life, world) = (self.life.clone(), Arc::clone(&self.world));
        let sent = what.clone();
        let in_flight = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if life.is_over() {
                std::future::pending::<()>().await;
            }
            let answer = effect.await;
            note!(world, "late: {sent}: {}", answer.is_ok());
            answer
        });
        // Whoever drops this does not stop what is in flight.
        let answer = async {
            match in_flight.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        };
        self.pass(what, answer, failures).await
    }

    fn note(&self, what: &str, outcome: impl fmt::Display) {
        note!(self.world, "{} {}: {what}: {outcome}", self.role, self.pool);
    }

    /// A fault before the effect or after it.
    fn fault(&self) -> Option<bool> {
        if self.world.is_calm() {
            return None;
        }
        let mut chance = self.chance();
        let is_lost = chance.per_mille(self.world.plan.answer_lost);
        let is_after = chance.per_mille(500);
        is_lost.then(|| {
            self.world.figures().lost_answers += 1;
            is_after
        })
    }

    /// Waits as long as the call is on its way, and while the pool stands still.
    async fn delay(&self) {
        let wait = {
            let mut chance = self.chance();
            let wait = chance.below(self.world.plan.delay_ms_max + 1);
            if chance.per_mille(600) { 0 } else { wait }
        };
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        loop {
            let until = *self
                .stalled_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// At times it is just here that the pool stands still, longer than its leases live; until about then the effect is
    /// on its way.
    fn stall_now(&self) -> Option<Duration> {
        let mut chance = self.chance();
        if self.world.is_calm() || !chance.per_mille(self.world.plan.stall_at_effect) {
            return None;
        }
        let lease_s = Settings::LEASE_LIFE_DEFAULT.as_secs();
        let wait = Duration::from_secs(chance.between(lease_s, 5 * lease_s));
        let in_flight = Duration::from_secs(chance.between(lease_s, 5 * lease_s));
        let mut until = self
            .stalled_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until = Instant::now() + wait;
        self.world.figures().stalls += 1;
        Some(in_flight)
    }

    fn chance(&self) -> std::sync::MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
