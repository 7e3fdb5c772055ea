//! The model as the checker takes it, and what a search came to.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Path, Property};
use two_buckets_pipeline::step::Rules;

use super::configuration::Configuration;
use super::moves::{self, Move};
use super::promises::Promise;
use super::world::{World, rules};

const END: &str = "an end is reached";

/// A configuration under search.
pub struct Search {
    /// What it is about.
    pub config: Configuration,
    rules: Rules,
}

impl Search {
    /// Of this configuration.
    pub fn new(config: Configuration) -> Self {
        Self {
            rules: rules(&config),
            config,
        }
    }

    /// Tries everything, or until a promise is broken.
    pub fn run(config: Configuration, threads: usize) -> Found {
        Self::until(config, threads, &HasDiscoveries::AnyFailures)
    }

    /// As [`run`](Self::run), the deepest first: what waits to be tried is few worlds and not a tenth of all, so that
    /// memory holds searches that are larger. The way to a broken promise is not the shortest.
    pub fn run_deep(config: Configuration, threads: usize) -> Found {
        let finish = HasDiscoveries::AnyFailures;
        let began = began();
        let checker = Self::new(config)
            .checker()
            .threads(threads)
            .finish_when(finish.clone())
            .spawn_dfs()
            .join();
        Found::of(&config, &checker, &finish, began.elapsed())
    }

    /// Tries everything, or until this promise is broken, whatever others are before; gives the shortest way to that.
    pub fn find(config: Configuration, promise: Promise) -> Option<Trace> {
        let wanted = HasDiscoveries::AnyOf([promise.name()].into());
        let found = Self::until(config, 1, &wanted);
        found.broken.filter(|trace| trace.promise == promise.name())
    }

    fn until(config: Configuration, threads: usize, finish: &HasDiscoveries) -> Found {
        let began = began();
        let checker = Self::new(config)
            .checker()
            .threads(threads)
            .finish_when(finish.clone())
            .spawn_bfs()
            .join();
        Found::of(&config, &checker, finish, began.elapsed())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a search says how long it took; no decision rests on it"
)]
fn began() -> Instant {
    Instant::now()
}

/// What a search came to.
pub struct Found {
    /// How large it was.
    pub figures: Figures,
    /// Whether there is a way to an end: a search in which nothing can end shows nothing.
    pub has_ended: bool,
    /// The shortest way to a broken promise that the search knows, if there is one.
    pub broken: Option<Trace>,
}

impl Found {
    fn of(
        config: &Configuration,
        checker: &impl Checker<Search>,
        finish: &HasDiscoveries,
        took: Duration,
    ) -> Self {
        let figures = Figures {
            name: config.name,
            states: checker.state_count(),
            unique_states: checker.unique_state_count(),
            depth: checker.max_depth(),
            took,
        };
        let mut traces = checker.discoveries();
        let has_ended = traces.remove(END).is_some();
        let is_wanted = |promise: &&'static str| match finish {
            HasDiscoveries::AnyOf(wanted) => wanted.contains(*promise),
            _ => true,
        };
        let shortest = traces
            .into_iter()
            .filter(|(promise, _)| is_wanted(promise))
            .map(|(promise, path)| Trace { promise, path })
            .min_by_key(|trace| (trace.len(), trace.promise));
        Self {
            figures,
            has_ended,
            broken: shortest,
        }
    }
}

/// How large a search was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// Of which configuration.
    pub name: &'static str,
    /// Worlds reached, each time one is.
    pub states: usize,
    /// Different worlds.
    pub unique_states: usize,
    /// The longest of the shortest ways to a world.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
}

impl Figures {
    /// What the columns are.
    pub const COLUMNS: &'static str =
        "configuration                                      states      unique   depth  seconds";
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:46} {:>10} {:>11} {:>7} {:>8.1}",
            self.name,
            self.states,
            self.unique_states,
            self.depth,
            self.took.as_secs_f64()
        )
    }
}

/// A way to a broken promise.
pub struct Trace {
    /// The promise's name.
    pub promise: &'static str,
    /// The way.
    pub path: Path<World, Move>,
}

impl Trace {
    /// How many moves it takes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no promise is broken at the start"
    )]
    pub fn len(&self) -> usize {
        self.path.clone().into_actions().len()
    }
}

impl Model for Search {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.config)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Move>) {
        moves::moves(&self.config, world, actions);
    }

    fn next_state(&self, world: &World, what: Move) -> Option<World> {
        moves::next(&self.config, &self.rules, world, &what)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises: [Property<Self>; Promise::ALL.len()] = [
            always::<0>(),
            always::<1>(),
            always::<2>(),
            always::<3>(),
            always::<4>(),
            always::<5>(),
            always::<6>(),
            always::<7>(),
            always::<8>(),
            always::<9>(),
            always::<10>(),
            always::<11>(),
            always::<12>(),
            always::<13>(),
        ];
        let ends = Property::sometimes(END, |search: &Self, world: &World| {
            world.broken.is_none() && world.is_end(&search.config)
        });
        promises.into_iter().chain([ends]).collect()
    }
}

/// The checker takes plain functions: one for each promise.
fn always<const N: usize>() -> Property<Search> {
    Property::always(Promise::ALL[N].name(), |_: &Search, world: &World| {
        world
            .broken
            .as_ref()
            .is_none_or(|broken| broken.promise != Promise::ALL[N])
    })
}
