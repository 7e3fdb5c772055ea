//! The engine by itself, on disks that crash, fill and break, and on real ones.

mod crash;
mod disk;
mod faults;
pub(crate) mod gated;
mod memory_disk;
mod together;
mod world;
