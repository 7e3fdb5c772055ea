//! The chores of this repository: checks, tests, benchmarks.

fn main() {}
