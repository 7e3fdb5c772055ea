//! What the kernel says of a process.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Ticks of `/proc/PID/stat`: 100 a second on every Linux we know (`getconf CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// The processor time it has used, its own and the kernel's for it.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in brackets and may hold spaces; user and system time are fields 14 and 15.
    let after_name = stat.rsplit_once(')').context("no name")?.1;
    let ticks: u32 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().context("no number of ticks"))
        .sum::<Result<u32>>()?;
    Ok(TICK * ticks)
}

/// What it has resident now (`VmRSS`).
pub(crate) fn memory_bytes(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// The most that it ever had resident (`VmHWM`).
pub(crate) fn peak_memory_bytes(pid: u32) -> Result<u64> {
    status(pid, "VmHWM:")
}

fn status(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("the kernel says no {name} of process {pid}"))?
        .parse::<u64>()?;
    Ok(kib << 10)
}
