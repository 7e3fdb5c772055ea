//! What a run did, in numbers.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

/// What one run or many did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Runs.
    pub seeds: u64,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Lines of history: calls, answers, faults.
    pub steps: u64,
    /// Changes of the simulated disks.
    pub disk_operations: u64,
    /// Uploads that clients sent.
    pub uploads: u64,
    /// Those that were acknowledged.
    pub acknowledged: u64,
    /// Those that ended archived, under their key.
    pub archived: u64,
    /// Those that ended late.
    pub late: u64,
    /// Those that ended as duplicates.
    pub duplicates: u64,
    /// Those that ended failed.
    pub failed: u64,
    /// Those that were set aside and then found in the archive, where a copy had been on its way.
    pub found: u64,
    /// Runs of functions.
    pub attempts: u64,
    /// Processes killed.
    pub kills: u64,
    /// Power losses.
    pub power_losses: u64,
    /// Processes ended in good order.
    pub restarts: u64,
    /// Disk operations and calls of stores that were made to fail, and bits flipped.
    pub disk_faults: u64,
    /// Answers of store or ledger that were lost or replaced by an error.
    pub lost_answers: u64,
    /// Events that were lost.
    pub lost_events: u64,
    /// Events that came twice or late.
    pub odd_events: u64,
    /// Workers that stalled past their lease.
    pub stalls: u64,
    /// Jumps of the wall clock.
    pub clock_jumps: u64,
    /// Uploads that were retried by hand.
    pub retries: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.virtual_time += other.virtual_time;
        self.steps += other.steps;
        self.disk_operations += other.disk_operations;
        self.uploads += other.uploads;
        self.acknowledged += other.acknowledged;
        self.archived += other.archived;
        self.late += other.late;
        self.duplicates += other.duplicates;
        self.failed += other.failed;
        self.found += other.found;
        self.attempts += other.attempts;
        self.kills += other.kills;
        self.power_losses += other.power_losses;
        self.restarts += other.restarts;
        self.disk_faults += other.disk_faults;
        self.lost_answers += other.lost_answers;
        self.lost_events += other.lost_events;
        self.odd_events += other.odd_events;
        self.stalls += other.stalls;
        self.clock_jumps += other.clock_jumps;
        self.retries += other.retries;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seeds            {:>12}", self.seeds)?;
        let hours = self.virtual_time.as_secs_f64() / 3_600.0;
        writeln!(f, "virtual time     {hours:>12.1} h")?;
        writeln!(f, "steps            {:>12}", self.steps)?;
        writeln!(f, "disk operations  {:>12}", self.disk_operations)?;
        writeln!(
            f,
            "uploads          {:>12} ({} acknowledged)",
            self.uploads, self.acknowledged
        )?;
        writeln!(
            f,
            "  ended          {:>12} archived, {} late, {} duplicate, {} failed",
            self.archived, self.late, self.duplicates, self.failed
        )?;
        writeln!(f, "  found late     {:>12}", self.found)?;
        writeln!(f, "attempts         {:>12}", self.attempts)?;
        writeln!(f, "kills            {:>12}", self.kills)?;
        writeln!(f, "power losses     {:>12}", self.power_losses)?;
        writeln!(f, "restarts         {:>12}", self.restarts)?;
        writeln!(f, "disk faults      {:>12}", self.disk_faults)?;
        writeln!(f, "lost answers     {:>12}", self.lost_answers)?;
        writeln!(
            f,
            "lost events      {:>12} ({} doubled or late)",
            self.lost_events, self.odd_events
        )?;
        writeln!(f, "stalls           {:>12}", self.stalls)?;
        writeln!(f, "clock jumps      {:>12}", self.clock_jumps)?;
        write!(f, "retries          {:>12}", self.retries)
    }
}
