//! Files come in, a function runs on each, and they are kept.

pub mod page;
