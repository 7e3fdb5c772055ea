//! Whether work goes on for ever without anything more being done.
//!
//! What a search checks at ends is worth as much as it is certain that ends are reached. In a world of finitely many states
//! a way without an end goes round: it comes to a world that it has been in. Where no way does, and none comes to a world
//! that nothing leads on from and that is no end, every way comes to an end.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Model;

use super::configuration::Configuration;
use super::moves::Move;
use super::search::Search;
use super::trace::{self, line};
use super::world::World;

/// A world on the way, and the moves from it that are not tried yet.
struct OnTheWay {
    sum: u64,
    world: World,
    untried: Vec<Move>,
    /// The move that is tried.
    tried: Option<Move>,
    /// Whether any move from it led on.
    goes_on: bool,
}

impl OnTheWay {
    fn new(search: &Search, sum: u64, world: World) -> Self {
        let mut untried = Vec::new();
        search.actions(&world, &mut untried);
        Self {
            sum,
            world,
            untried,
            tried: None,
            goes_on: false,
        }
    }
}

/// Goes every way to its end and counts the worlds; fails with the first way that does not come to one, in words.
pub fn every_way_ends(config: Configuration) -> Result<usize, String> {
    let search = Search::new(config);
    let mut is_on_the_way: HashMap<u64, bool> = HashMap::new();
    let mut way = Vec::new();
    for world in search.init_states() {
        let sum = sum(&world);
        is_on_the_way.insert(sum, true);
        way.push(OnTheWay::new(&search, sum, world));
    }
    while let Some(last) = way.last_mut() {
        let Some(what) = last.untried.pop() else {
            if !last.goes_on && last.world.broken.is_none() && !last.world.is_end(&config) {
                last.tried = None;
                return Err(in_words(&config, &way, "a dead end", None));
            }
            is_on_the_way.insert(last.sum, false);
            way.pop();
            continue;
        };
        let Some(world) = search.next_state(&last.world, what.clone()) else {
            continue;
        };
        last.tried = Some(what);
        last.goes_on = true;
        let sum = sum(&world);
        match is_on_the_way.get(&sum) {
            Some(true) => {
                return Err(in_words(&config, &way, "round and round", Some(sum)));
            }
            Some(false) => {}
            None => {
                is_on_the_way.insert(sum, true);
                way.push(OnTheWay::new(&search, sum, world));
            }
        }
    }
    Ok(is_on_the_way.len())
}

/// The way to a world and from there to itself.
fn in_words(config: &Configuration, way: &[OnTheWay], how: &str, again: Option<u64>) -> String {
    let mut told = String::new();
    for (n, step) in way.iter().enumerate() {
        if again == Some(step.sum) || step.tried.is_none() {
            told.push_str(how);
            told.push_str(":\n");
        }
        if let Some(what) = &step.tried {
            line(&mut told, n, &trace::in_words(config, &step.world, what));
        }
    }
    told
}

fn sum(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}
