//! The `two-buckets` program.

use std::process::ExitCode;

use two_buckets::describe::Describe;

/// Every request allocates on one thread and frees on another, which the system's allocator does badly: see
/// `docs/performance.md`.
#[cfg(feature = "local")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    two_buckets::run(Describe)
}
