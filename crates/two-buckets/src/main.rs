//! The `two-buckets` program.

fn main() {}
