//! Log, index and group commit: the transactions everything else in the store is written with.

pub mod storage;
